//! User and password in one argument of a command, and passwords as arguments at a fixed place.

use super::named::USER;
use super::plausible::{is_random, stays};
use super::syntax::{after_quote, again};
use super::{Detector, Form, Found, cookie};
use crate::text::Text;
use std::ops::Range;

/// Password as the last argument of a command.
pub(super) static ARGUMENT: Form = Form {
    id: "password-argument",
    title: "password as an argument of a command: htpasswd, openssl passwd, mc alias set, sqlplus",
    examples: &[
        "+ htpasswd -bnBC 10 ci →q7W3e9R2t5←",
        "+ openssl passwd -6 →q7W3e9R2t5←",
        "+ mc alias set m https://minio.example.com ci-user →q7W3e9R2t5←",
        "+ sqlplus -s app/→q7W3e9R2t5←@//db:1521/x",
    ],
};

pub(super) static FORMS: &[&Form] = &[&ARGUMENT];

pub(super) static DETECTORS: &[Detector] = &[
    Detector {
        keywords: &["curl"],
        detect: curl,
    },
    Detector {
        keywords: &[
            " -a ", " -u ", " -a\"", " -a'", " -u\"", " -u'", "--user", "--creds", "--auth",
        ],
        detect: option,
    },
    Detector {
        keywords: &["smbclient", "rpcclient"],
        detect: samba,
    },
    Detector {
        keywords: &[
            "htpasswd -",
            "openssl passwd",
            "mc alias set",
            "mc config host add",
            "cf auth",
            "add_user",
            "change_password",
        ],
        detect: last,
    },
    Detector {
        keywords: &["sqlplus ", "sqlldr ", "expdp ", "impdp ", "rman ", "sqlcl "],
        detect: oracle,
    },
];

/// Maximum number of bytes of a command that are read.
const LONGEST: usize = 2048;

/// An argument of a command, without its quotation marks.
struct Argument {
    range: Range<usize>,
    after: usize,
}

/// Reads the argument at `at`; also in a list, as in `["curl", "-u", "user:password"]`.
fn argument(text: &Text<'_>, at: usize) -> Option<Argument> {
    let mut start = at;
    while start - at < 16 && matches!(text.byte(start), Some(b' ' | b'\t' | b',')) {
        start += 1;
    }
    // A command that goes on in the next line.
    if text.byte(start) == Some(b'\\') && text.byte(start + 1) == Some(b'\n') {
        start += 2;
        while start - at < 64 && matches!(text.byte(start), Some(b' ' | b'\t')) {
            start += 1;
        }
    }
    let quote = after_quote(text, start);
    let begin = quote.unwrap_or(start);
    let line = text.line_end(begin).min(begin + LONGEST);
    let end = match quote.and_then(|quote| text.byte_before(quote)) {
        Some(mark) => text.find(mark, begin).filter(|end| *end <= line)?,
        None => text.word_end(begin).min(line),
    };
    let shown = text.slice(begin..end).trim_end_matches('\\');
    let shown = if quote.is_none() {
        shown.trim_end_matches([')', ',', ';', '`', '"', '\''])
    } else {
        shown
    };
    let after = if quote.is_some() { end + 1 } else { end };
    (!shown.is_empty()).then_some(Argument {
        range: begin..begin + shown.len(),
        after: after.max(at + 1),
    })
}

/// Returns the password of `user:password`.
fn password(text: &Text<'_>, argument: &Range<usize>, sign: u8) -> Option<Range<usize>> {
    let sign = text
        .find(sign, argument.start)
        .filter(|sign| *sign < argument.end)?;
    let user = text.slice(argument.start..sign);
    let password = text.slice(sign + 1..argument.end);
    let is_user = !user.contains([' ', '/', '=', '"', '{', '(']) && user.len() <= 100;
    let start = argument.start + user.len() + 1;
    let quotes = usize::from(password.starts_with(['"', '\'']));
    let password = password.trim_matches(['"', '\'']);
    if password.is_empty() {
        // The key of an API in the place of the user.
        return is_random(user, 16).then(|| argument.start..argument.start + user.len());
    }
    (is_user && password.len() >= 2 && !password.starts_with("//") && !stays(password))
        .then(|| start + quotes..start + quotes + password.len())
}

/// Reads the options of curl.
fn curl(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let touches = |byte: Option<u8>| {
        byte.is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    if touches(text.byte_before(keyword.start)) {
        return;
    }
    let mut at = keyword.end;
    if text.continues_with(at, ".exe") {
        at += 4;
    }
    at = after_quote(text, at).unwrap_or(at);
    if !matches!(text.byte(at), Some(b' ' | b'\t' | b',')) {
        return;
    }
    let limit = at.saturating_add(LONGEST).min(text.len());
    while at < limit {
        let Some(word) = argument(text, at) else {
            return;
        };
        at = word.after;
        let shown = text.slice(word.range.clone());
        if matches!(shown, "|" | "||" | "&&" | ";" | "curl") {
            return;
        }
        let value = match shown {
            "--user" | "--proxy-user" | "-b" | "--cookie" => argument(text, at),
            _ if shown.starts_with("--user=") || shown.starts_with("--proxy-user=") => {
                let start = word.range.start + shown.find('=').unwrap_or(0) + 1;
                Some(Argument {
                    range: start..word.range.end,
                    after: at,
                })
            }
            _ => match glued(shown) {
                Some(length) if length < shown.len() => argument(text, word.range.start + length),
                Some(_) => argument(text, at),
                None => None,
            },
        };
        if let Some(value) = value {
            at = value.after;
            if matches!(shown, "-b" | "--cookie") {
                cookie::pairs(text, value.range, found);
            } else if let Some(secret) = password(text, &value.range, b':') {
                found(&USER, secret);
            }
        }
    }
}

/// Returns the length of an option that ends in `u` or `U`, after options that take no value.
fn glued(word: &str) -> Option<usize> {
    let letters = word.strip_prefix('-')?;
    let end = letters.find(['u', 'U'])?;
    let before = letters.get(..end)?;
    before
        .chars()
        .all(|c| "sSfLkvigIOJjNnGaBlpqRZ0123456#".contains(c))
        .then_some(end + 2)
}

/// Masks `user:password` after an option of any command, if the password looks random: `-u 1000:1000`
/// are the ids of a user and a group.
fn option(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let at = match text.byte(keyword.end) {
        // The blank or the quotation mark after a short option belongs to the keyword.
        _ if !text
            .slice(keyword.clone())
            .ends_with(|c: char| c.is_ascii_alphabetic()) =>
        {
            keyword.end - 1
        }
        Some(b'=') => keyword.end + 1,
        Some(b' ') => keyword.end,
        _ => return,
    };
    let Some(value) = argument(text, at) else {
        return;
    };
    let Some(secret) =
        password(text, &value.range, b':').filter(|secret| secret.end == value.range.end)
    else {
        return;
    };
    if is_random(text.slice(secret.clone()), 8) {
        found(&USER, secret);
    }
}

/// Masks the password of `-U user%password`.
fn samba(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let limit = text.line_end(keyword.end).min(keyword.end + 256);
    let line = text.slice(keyword.end..limit);
    if let Some(option) = line.find(" -U").or_else(|| line.find("--user="))
        && let Some(value) = argument(
            text,
            keyword.end + option + if line.contains("--user=") { 7 } else { 3 },
        )
        && let Some(secret) = password(text, &value.range, b'%')
    {
        found(&USER, secret);
    }
}

/// Masks the last argument of a command.
fn last(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let limit = text.line_end(keyword.end).min(keyword.end + 256);
    if again(text, &keyword, limit) {
        return;
    }
    let shown = text.slice(keyword.end..limit);
    let shown = shown
        .split(['|', ';', '&', '>', ')', '`'])
        .next()
        .unwrap_or_default()
        .trim_end();
    let word = shown
        .rfind([' ', '\t'])
        .map_or(shown, |at| shown.get(at + 1..).unwrap_or_default());
    let start = keyword.end + shown.len() - word.len();
    let trimmed = word.trim_matches(['"', '\'']);
    if trimmed.len() < 4 {
        return;
    }
    let count = shown.split_ascii_whitespace().count();
    let command = text.slice(keyword);
    let least = if command.starts_with("openssl") { 1 } else { 2 };
    // `htpasswd -c file user` asks for the password.
    let batch = !command.starts_with("htpasswd")
        || shown
            .split_ascii_whitespace()
            .next()
            .is_some_and(|options| options.contains('b'));
    let is_certain = command.starts_with("htpasswd") || command.starts_with("mc ") && count == 4;
    let has_digit = trimmed.bytes().any(|b| b.is_ascii_digit());
    let is_secret = !trimmed.starts_with(['-', '/'])
        && !stays(trimmed)
        && (is_certain || trimmed.len() >= 8 && (is_random(trimmed, 8) || has_digit && count == 2));
    if batch && count >= least && is_secret {
        let quotes = usize::from(word.starts_with(['"', '\'']));
        found(&ARGUMENT, start + quotes..start + quotes + trimmed.len());
    }
}

/// Masks the password of `user/password@database`.
fn oracle(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let limit = text.line_end(keyword.end).min(keyword.end + 256);
    let shown = text.slice(keyword.end..limit);
    let Some(slash) = shown.find('/') else {
        return;
    };
    let (before, after) = shown.split_at_checked(slash).unwrap_or_default();
    let user = before
        .rsplit([' ', '=', '"', '\''])
        .next()
        .unwrap_or_default();
    let word = after.split_ascii_whitespace().next().unwrap_or_default();
    let Some(at) = word.rfind('@') else {
        return;
    };
    let secret = word.get(1..at).unwrap_or_default();
    let secret = secret.trim_matches('"');
    if !user.is_empty() && secret.len() >= 3 && !secret.contains('/') && !stays(secret) {
        let start = keyword.end + slash + 1 + usize::from(word.starts_with("/\""));
        found(&ARGUMENT, start..start + secret.len());
    }
}
