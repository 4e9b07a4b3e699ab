//! Files with credentials: `.pgpass`, and the configuration of a container registry.

use super::header::is_user_and_password;
use super::plausible::stays;
use super::syntax::{first_word, value_after};
use super::{Detector, Form, Found};
use crate::text::Text;
use std::ops::Range;

/// Password in `.pgpass`.
pub(super) static PGPASS: Form = Form {
    id: "pgpass-password",
    title: "password in .pgpass: host:port:database:user:password",
    examples: &[
        "db.example.com:5432:shop:app:→hunter2222←",
        "*:*:*:app:→x7#k2!q9←",
    ],
};

/// User and password in base64.
pub(super) static DOCKER_AUTH: Form = Form {
    id: "docker-auth",
    title: "credentials in the configuration of a container registry",
    examples: &[
        r#"{"auths":{"r.example.com":{"auth":"→Y2k6aHVudGVyMjIyMg==←"}}}"#,
        "docker config: →Y2k6aHVudGVyMjIyMg←\ndenied",
        "DOCKER_CONFIG_JSON='→Y2k6aHVudGVyMjIyMg==←'",
    ],
};

pub(super) static FORMS: &[&Form] = &[&PGPASS, &DOCKER_AUTH];

pub(super) static DETECTORS: &[Detector] = &[
    Detector {
        keywords: &[":5432:", ":5433:", ":6432:", ":*:"],
        detect: pgpass,
    },
    Detector {
        keywords: &["auth\"", "auth\\", "auth:", "auth'", "auth="],
        detect: docker_auth,
    },
    Detector {
        keywords: &[
            "docker config",
            "docker-config",
            "docker_config",
            "dockerconfig",
            "docker auth",
            "docker-auth",
            "docker_auth",
            "dockerauth",
        ],
        detect: docker_config,
    },
];

/// Masks the fifth field of a line whose second field is a port.
fn pgpass(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let is_host =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'*');
    let mut start = keyword.start;
    while keyword.start - start < 128 && text.byte_before(start).is_some_and(is_host) {
        start -= 1;
    }
    let begins = text
        .byte_before(start)
        .is_none_or(|b| b.is_ascii_whitespace() || matches!(b, b'"' | b'\'' | b'|'));
    if !begins {
        return;
    }
    let limit = text.word_end(start).min(start + 512);
    let word = text.slice(start..limit);
    let mut fields = word.splitn(5, ':');
    let host = fields.next().unwrap_or_default();
    let port = fields.next().unwrap_or_default();
    let names: Vec<&str> = fields.by_ref().take(2).collect();
    let password = fields.next().unwrap_or_default();
    let end = password
        .find(['"', '\'', '`', '<', '>'])
        .unwrap_or(password.len());
    let password_start = start + word.len() - password.len();
    let password = password.get(..end).unwrap_or_default();
    let is_port = port == "*" || (!port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
    let is_name = |name: &&str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'*' | b'.'))
    };
    let shaped = !host.is_empty() && is_port && names.len() == 2 && names.iter().all(is_name);
    // A password without letters may be a list of ports.
    let letters = password.bytes().any(|b| b.is_ascii_alphabetic());
    if shaped && letters && password.len() >= 3 && !stays(password) {
        found(&PGPASS, password_start..password_start + password.len());
    }
}

fn docker_config(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let ends = ["json", "_json", "-json", " json"];
    let is_next = |end: &&&str| {
        let next = text.slice(keyword.end..keyword.end + end.len());
        next.eq_ignore_ascii_case(end)
    };
    let end = keyword.end + ends.iter().find(is_next).map_or(0, |end| end.len());
    if let Some(value) = value_after(text, end) {
        let value = if value.quoted {
            value.range
        } else {
            first_word(text, value.range)
        };
        if is_user_and_password(text.slice(value.clone())) {
            found(&DOCKER_AUTH, value);
        }
    }
}

fn docker_auth(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    if text
        .byte_before(keyword.start)
        .is_some_and(|b| b.is_ascii_alphanumeric())
    {
        return;
    }
    let Some(value) = value_after(text, keyword.end - 1) else {
        return;
    };
    if is_user_and_password(text.slice(value.range.clone())) {
        found(&DOCKER_AUTH, value.range);
    }
}
