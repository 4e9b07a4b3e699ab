//! Secrets in the queries of URLs and in the bodies of forms: signatures, tokens, keys, passwords.

use super::plausible::{is_no_word, is_random, stays};
use super::{Detector, Form, Found};
use crate::text::Text;
use std::ops::Range;

/// A secret parameter.
pub(super) static QUERY_SECRET: Form = Form {
    id: "query-secret",
    title: "token, key, password or signature in the query of a URL or the body of a form",
    examples: &[
        "GET /v1?access_token=→q7W3e9R2t5Y8u1I4←&x=1 200",
        "https://b.example.com/x?X-Amz-Expires=60&X-Amz-Signature=→5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7←",
        "https://a.example.com/c?sv=2024-05-04&sp=r&sig=→Zm9vYmFyYmF6cXV4MDEyMzQ1Njc4OTA%3D←",
        "{\"url\":\"https://x.example.com/?a=1\\u0026token=→q7W3e9R2t5Y8u1I4←\"}",
        "curl -d 'grant_type=password&password=→hunter2!←&x=1'",
    ],
};

pub(super) static FORMS: &[&Form] = &[&QUERY_SECRET];

pub(super) static DETECTORS: &[Detector] = &[Detector {
    keywords: &[
        "token=",
        "sig=",
        "signature=",
        "secret=",
        "key=",
        "auth=",
        "code=",
        "password=",
        "passwd=",
        "pwd=",
        "pass=",
        "jwt=",
        "assertion=",
        "session=",
        "sessionid=",
        "session_id=",
        "session-id=",
        "sid=",
        "ticket=",
        "hmac=",
        "sas=",
        "credential=",
        "verifier=",
        "passphrase=",
        "token%3d",
        "signature%3d",
        "key%3d",
        "sig%3d",
    ],
    detect,
}];

/// Longest name of a parameter in bytes.
const LONGEST_NAME: usize = 48;

/// Longest value in bytes.
const LONGEST: usize = 4096;

fn detect(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let encoded = text
        .byte_before(keyword.end)
        .is_some_and(|b| b.eq_ignore_ascii_case(&b'd'));
    let sign = if encoded { 3 } else { 1 };
    let Some(name) = name_before(text, keyword.end - sign, encoded) else {
        return;
    };
    let start = keyword.end;
    let mut end = start;
    while end - start < LONGEST && text.byte(end).is_some_and(is_value) {
        end += 1;
    }
    let mut value = text.slice(start..end);
    if encoded {
        let next = value.find("%26").or_else(|| value.find('&'));
        value = next.and_then(|next| value.get(..next)).unwrap_or(value);
    }
    let value = value.trim_end_matches([',', '.', ':']);
    if is_secret(name, value) {
        found(&QUERY_SECRET, start..start + value.len());
    }
}

/// Returns the name of a parameter that ends at `end`, if a `?` or `&` is before it.
fn name_before<'t>(text: &Text<'t>, end: usize, encoded: bool) -> Option<&'t str> {
    let is_name =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'[' | b']');
    let mut start = end;
    while end - start < LONGEST_NAME && text.byte_before(start).is_some_and(is_name) {
        start -= 1;
    }
    let name = text.slice(start..end);
    match text.byte_before(start)? {
        b'?' | b'&' if !encoded => Some(name),
        b'#' | b';' if !encoded => {
            let amp = text.slice(start.saturating_sub(5)..start);
            let anchor =
                text.byte_before(start) == Some(b'#') && text.byte_before(start - 1) != Some(b' ');
            (amp == "&amp;" || anchor).then_some(name)
        }
        b'\\' => name
            .strip_prefix("u0026")
            .or_else(|| name.strip_prefix("u003f"))
            .or_else(|| name.strip_prefix("u003F"))
            .or_else(|| name.strip_prefix("x26")),
        b'%' => name
            .strip_prefix("26")
            .or_else(|| name.strip_prefix("3F"))
            .or_else(|| name.strip_prefix("3f")),
        _ => None,
    }
}

fn is_value(byte: u8) -> bool {
    byte.is_ascii_graphic()
        && !matches!(
            byte,
            b'&' | b'"' | b'\'' | b'`' | b'<' | b'>' | b'\\' | b'#' | b'|' | b'?'
        )
        || !byte.is_ascii()
}

fn is_secret(name: &str, value: &str) -> bool {
    let value = value.trim_end_matches([')', ']', '}', ';']);
    if value.len() < 3 || stays(value) {
        return false;
    }
    let mut plain = name.replace(['_', '-', '.'], "");
    plain.make_ascii_lowercase();
    if plain.ends_with("password")
        || plain.ends_with("passwd")
        || plain.ends_with("passphrase")
        || plain == "pwd"
    {
        return true;
    }
    let ends = |words: &[&str]| words.iter().any(|word| plain.ends_with(word));
    if ends(&[
        "secret",
        "accesstoken",
        "authtoken",
        "apikey",
        "privatetoken",
        "secretkey",
        "userpwd",
        "userpass",
    ]) {
        return is_no_word(value, 6);
    }
    if ends(&[
        "token",
        "signature",
        "jwt",
        "assertion",
        "hmac",
        "sessionid",
        "ticket",
        "verifier",
    ]) {
        return !plain.ends_with("pagetoken") && is_random(value, 8);
    }
    match plain.as_str() {
        "sig" | "auth" | "session" | "sas" | "sid" | "pass" | "subscriptionkey" | "authkey"
        | "accesskey" => is_random(value, 8),
        "code" | "key" => is_random(value, 12),
        "credential" => false,
        _ => plain.ends_with("key") && is_random(value, 20),
    }
}
