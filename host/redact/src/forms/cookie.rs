//! Cookies of sessions.

use super::plausible::{is_no_word, is_random, stays};
use super::syntax::{Value, after_blanks, after_quote, again, value_after};
use super::{Detector, Form, Found};
use crate::text::{Class, Text};
use std::ops::Range;

/// Value of a cookie.
pub(super) static COOKIE: Form = Form {
    id: "cookie",
    title: "value of a cookie that can be a session",
    examples: &[
        "Cookie: lang=en; sid=→q7W3e9R2t5Y8u1I4o7P0←",
        "< set-cookie: session=→s%3Aq7W3e9R2t5Y8u1I4.o7P0a3S6d9F2←; Path=/; HttpOnly",
        "curl --cookie 'auth=→q7W3e9R2t5Y8u1I4←' https://x.example.com",
        "url;jsessionid=→0123456789ABCDEF0123456789ABCDEF←",
        ".example.com\tTRUE\t/\tFALSE\t1893456000\tsid\t→q7W3e9R2t5Y8u1I4o7P0←",
    ],
};

pub(super) static FORMS: &[&Form] = &[&COOKIE];

pub(super) static DETECTORS: &[Detector] = &[
    Detector {
        keywords: &["cookie"],
        detect: header,
    },
    Detector {
        keywords: &["sessionid=", "sessid=", "connect.sid="],
        detect: session,
    },
    Detector {
        keywords: &["\ttrue\t/", "\tfalse\t/"],
        detect: jar,
    },
];

/// Longest name of a cookie in bytes.
const LONGEST_NAME: usize = 128;

/// Longest line of a cookie file that is read, in bytes.
const LONGEST_JAR: usize = 4096;

/// Most cookies in one header.
const MOST: usize = 64;

fn header(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let mut end = keyword.end;
    if matches!(text.byte(end), Some(b's' | b'S' | b'2')) {
        end += 1;
    }
    let value = value_after(text, end).or_else(|| option(text, keyword.clone()));
    let Some(value) = value else {
        return;
    };
    pairs(text, value.range, found);
}

/// Masks the values of a list of cookies.
pub(super) fn pairs(text: &Text<'_>, list: Range<usize>, found: &mut Found<'_>) {
    let mut at = list.start;
    for _ in 0..MOST {
        let end = text.find(b';', at).unwrap_or(list.end).min(list.end);
        let sign = text.find(b'=', at).filter(|sign| *sign < end);
        let Some(sign) = sign else {
            return;
        };
        let name = text.slice(at..sign.min(at + LONGEST_NAME));
        let lower = name.to_ascii_lowercase();
        if is_header(&lower) {
            return;
        }
        let name = lower.trim().trim_start_matches(['{', '"', '\'']);
        let value = text.slice(sign + 1..end);
        let cookie = value.trim_matches([' ', '"', ',']);
        let start = sign + 1 + value.len() - value.trim_start_matches([' ', '"', ',']).len();
        if is_session(name, cookie) {
            found(&COOKIE, start..start + cookie.len());
        }
        let next = value.rfind("ookie").unwrap_or(value.len());
        if end >= list.end || value.get(next..).is_some_and(|next| next.contains(": ")) {
            return;
        }
        at = end + 1;
    }
}

/// Returns the value of `--cookie VALUE` and `-b VALUE`.
fn option(text: &Text<'_>, keyword: Range<usize>) -> Option<Value> {
    if text.byte_before(keyword.start) != Some(b'-') {
        return None;
    }
    let start = after_blanks(text, keyword.end);
    let quote = after_quote(text, start);
    let start = quote.unwrap_or(start);
    let limit = text.line_end(start).min(start + 4096);
    let end = match quote.and_then(|quote| text.byte_before(quote)) {
        Some(mark) => text.find(mark, start).filter(|end| *end < limit)?,
        None => text.word_end(start).min(limit),
    };
    Some(Value {
        range: start..end,
        quoted: quote.is_some(),
    })
}

/// Returns true if the text before the first `=`, in lower case, contains another cookie header.
/// The rest of the text is found from that header.
fn is_header(before: &str) -> bool {
    let Some(at) = before.rfind("cookie") else {
        return false;
    };
    let after = before.get(at + "cookie".len()..).unwrap_or_default();
    let sign = after
        .trim_start_matches(['s', '2'])
        .trim_start_matches(['"', '\'', '\\', ' ']);
    sign.is_empty() && !after.ends_with(['s', '2']) || sign.starts_with(':')
}

/// Masks the value in a line of a cookie file in the format of Netscape: domain, whether subdomains
/// are included, path, whether it needs TLS, expiry, name, value, separated by tabs.
fn jar(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let limit = text.line_end(keyword.end).min(keyword.end + LONGEST_JAR);
    let line = text.slice(keyword.end..limit).trim_end();
    let mut fields = line.splitn(5, '\t');
    let _path = fields.next();
    let secure = fields.next().unwrap_or_default();
    let expiry = fields.next().unwrap_or_default();
    let name = fields.next().unwrap_or_default();
    let value = fields.next().unwrap_or_default();
    let is_time = !expiry.is_empty() && expiry.bytes().all(|b| b.is_ascii_digit());
    if matches!(secure, "TRUE" | "FALSE") && is_time && is_session(name, value) {
        let start = keyword.end + line.len() - value.len();
        found(&COOKIE, start..start + value.len());
    }
}

fn is_session(name: &str, value: &str) -> bool {
    let lower = name;
    let attribute = matches!(
        lower,
        "path" | "domain" | "expires" | "max-age" | "samesite" | "priority" | "version"
    );
    if attribute || name.is_empty() || name.contains(' ') || stays(value) {
        return false;
    }
    let known = [
        "sess", "sid", "auth", "token", "jwt", "csrf", "xsrf", "login", "remember", "secret",
        "sso", "ticket",
    ];
    if known.iter().any(|word| lower.contains(word)) {
        return is_no_word(value, 6);
    }
    is_random(value, 12)
}

fn session(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let end = text.run_end(Class::Session, keyword.end, 1024);
    if again(text, &keyword, end) {
        return;
    }
    let value = text.slice(keyword.end..end).trim_end_matches('.');
    if is_random(value, 12) {
        found(&COOKIE, keyword.end..keyword.end + value.len());
    }
}
