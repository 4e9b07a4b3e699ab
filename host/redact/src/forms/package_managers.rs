//! Credentials of package managers: `auth.json` of Composer, settings of Bundler.

use super::named::quoted_at;
use super::plausible::{is_no_word, is_random, stays};
use super::{Detector, Form, Found};
use crate::text::Text;
use std::ops::Range;

/// Credentials by host.
pub(super) static HOST_CREDENTIALS: Form = Form {
    id: "host-credentials",
    title: "token or password for the host of a package registry: Composer, Bundler",
    examples: &[
        r#"{"github-oauth": {"github.example.com": "→q7W3e9R2t5Y8u1I4o7P0←"}}"#,
        "{\n  \"bearer\": {\n    \"repo.example.com\": \"→q7W3e9R2t5Y8u1I4o7P0←\"\n  }\n}",
        "BUNDLE_GEMS__EXAMPLE__COM: \"ci:→q7W3e9R2←\"",
        "export BUNDLE_GEMS__EXAMPLE__COM=→q7W3e9R2t5Y8u1I4o7P0←",
    ],
};

pub(super) static FORMS: &[&Form] = &[&HOST_CREDENTIALS];

pub(super) static DETECTORS: &[Detector] = &[
    Detector {
        keywords: &[
            "github-oauth\"",
            "gitlab-oauth\"",
            "gitlab-token\"",
            "\"bearer\"",
        ],
        detect: composer,
    },
    Detector {
        keywords: &["bundle_"],
        detect: bundler,
    },
];

/// Most hosts in a list.
const MOST: usize = 16;

/// Longest name of a setting in bytes.
const LONGEST_NAME: usize = 128;

/// Returns the place after white space.
fn after_space(text: &Text<'_>, at: usize) -> usize {
    let mut end = at;
    while end - at < 80 && text.byte(end).is_some_and(|b| b.is_ascii_whitespace()) {
        end += 1;
    }
    end
}

/// Masks the values of `"github-oauth": {"host": "value"}`.
fn composer(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let colon = after_space(text, keyword.end);
    let mut at = after_space(text, colon + 1);
    if text.byte(colon) != Some(b':') || text.byte(at) != Some(b'{') {
        return;
    }
    for _ in 0..MOST {
        let Some((host, end)) = quoted_at(text, after_space(text, at + 1)) else {
            return;
        };
        let colon = after_space(text, end);
        let value = quoted_at(text, after_space(text, colon + 1));
        let (Some(b':'), Some((value, end))) = (text.byte(colon), value) else {
            return;
        };
        let shown = text.slice(value.start..value.end.min(value.start + 512));
        let is_host = text.slice(host).contains('.');
        if is_host && !shown.contains(' ') && is_no_word(shown, 8) {
            found(&HOST_CREDENTIALS, value);
        }
        at = after_space(text, end);
        if text.byte(at) != Some(b',') {
            return;
        }
    }
}

/// Masks the value of `BUNDLE_GEMS__EXAMPLE__COM`: a token, or the password after the user.
fn bundler(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let mut end = keyword.end;
    while end - keyword.end < LONGEST_NAME && text.byte(end).is_some_and(is_name) {
        end += 1;
    }
    let name = text.slice(keyword.end..end).to_ascii_uppercase();
    let is_setting = ["BUILD__", "MIRROR__", "LOCAL__", "SSL_", "PLUGINS__"]
        .iter()
        .any(|start| name.starts_with(start));
    if is_setting || !name.contains("__") {
        return;
    }
    let mut at = end + usize::from(text.byte(end) == Some(b'"'));
    if !matches!(text.byte(at), Some(b':' | b'=')) {
        return;
    }
    at += 1;
    while at - end < 8 && text.byte(at) == Some(b' ') {
        at += 1;
    }
    let value = match quoted_at(text, at) {
        Some((value, _)) => value,
        None => at..text.word_end(at).min(at + 512),
    };
    let shown = text.slice(value.clone());
    let shown = shown.trim_end_matches(['"', '\'', ',', ';', ')', '}']);
    let (user, secret) = shown.split_once(':').unwrap_or(("", shown));
    // Another name and its sign.
    let begins = secret.get(..secret.floor_char_boundary(40));
    if begins
        .unwrap_or_default()
        .trim_end_matches('=')
        .contains([':', '='])
    {
        return;
    }
    let is_secret = if user.is_empty() {
        is_random(secret, 16)
    } else {
        !user.contains(['/', '.', '$', '~']) && !secret.starts_with('/') && is_no_word(secret, 6)
    };
    if is_secret && !shown.starts_with(['-', '/', '~', '.']) && !stays(secret) {
        let start = value.start + shown.len() - secret.len();
        found(&HOST_CREDENTIALS, start..start + secret.len());
    }
}
