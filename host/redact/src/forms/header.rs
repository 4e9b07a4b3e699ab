//! Headers of HTTP requests: `Authorization` of any scheme, keys and tokens of services.

use super::plausible::{is_no_word, is_random, stays};
use super::syntax::{LONGEST, Value, after_blanks, again, first_word, value_after};
use super::{Detector, Form, Found};
use crate::text::{Class, Text};
use base64::Engine as _;
use std::ops::Range;

/// Value of an `Authorization` header.
pub(super) static AUTHORIZATION: Form = Form {
    id: "authorization-header",
    title: "credentials of an Authorization header, of any scheme",
    examples: &[
        r"+ curl -H authorization:\ Bearer\ →q7W3e9R2t5Y8u1I4o7P0← https://x",
        "Authorization: Basic →Y2k6aHVudGVyMjIyMg==←",
        "> proxy-authorization: token →4f9d2c1b8a7e6d5c←",
        "{\"authorization\": \"→q7W3e9R2t5Y8u1I4←\"}",
        "-H 'Authorization: SSWS →00QCjAl4MlV-WPXM8c3d9e_f0a1b2c4d5←'",
        "authorization: AWS4-HMAC-SHA256 →Credential=AKIA/20260101/eu/s3/aws4_request, SignedHeaders=host, Signature=5d672d79c15b13162d9279b0855cfba6←",
    ],
};

/// Token after the word `Bearer`.
pub(super) static BEARER: Form = Form {
    id: "bearer-token",
    title: "token after the word Bearer",
    examples: &["auth is Bearer →q7W3e9R2t5Y8u1I4o7P0← here"],
};

/// Value of a header that holds a key or a token.
pub(super) static KEY_HEADER: Form = Form {
    id: "key-header",
    title: "key or token in a header of a service: X-Api-Key, Private-Token, X-Vault-Token and others",
    examples: &[
        "X-Api-Key: →q7W3e9R2t5Y8u1I4o7P0←",
        "{'Ocp-Apim-Subscription-Key': '→0f1e2d3c4b5a69788796a5b4c3d2e1f0←'}",
    ],
};

pub(super) static FORMS: &[&Form] = &[&AUTHORIZATION, &BEARER, &KEY_HEADER];

pub(super) static DETECTORS: &[Detector] = &[
    Detector {
        keywords: &["authorization"],
        detect: authorization,
    },
    Detector {
        keywords: &["bearer"],
        detect: bearer,
    },
    Detector {
        keywords: &[
            "x-api-token",
            "api-key",
            "apikey",
            "x-auth-token",
            "x-auth-key",
            "x-access-token",
            "x-access-key",
            "private-token",
            "job-token",
            "deploy-token",
            "x-vault-token",
            "x-consul-token",
            "x-amz-security-token",
            "x-amz-cf-secret",
            "ocp-apim-subscription-key",
            "x-functions-key",
            "x-jfrog-art-api",
            "circle-token",
            "x-gitlab-token",
            "x-registry-auth",
            "x-registry-config",
            "x-csrf-token",
            "x-xsrf-token",
            "x-shopify-access-token",
            "x-rundeck-auth-token",
            "x-sentry-auth",
            "x-plex-token",
            "x-secret",
            "x-token",
            "x-session-token",
            "x-session-id",
            "x-figma-token",
            "dd-application-key",
            "x-grafana-token",
            "x-insert-key",
            "x-query-key",
            "x-honeycomb-team",
            "x-aws-ec2-metadata-token",
            "x-identity-token",
            "x-subject-token",
            "x-tfe-token",
            "x-signature",
            "x-master-key",
            "x-admin-key",
            "x-application-key",
            "fastly-key",
            "x-trackertoken",
            "x-lc-key",
            "x-parse-master-key",
            "x-user-token",
            "x-client-secret",
        ],
        detect: key_header,
    },
];

/// Schemes that have one token after them.
const TOKEN_SCHEMES: &[&str] = &[
    "basic",
    "bearer",
    "token",
    "negotiate",
    "ntlm",
    "kerberos",
    "apikey",
    "api-key",
    "key",
    "ssws",
    "sharedkey",
    "sharedkeylite",
    "sharedaccesskey",
    "geniekey",
    "bot",
    "aws",
    "dpop",
    "jwt",
    "splunk",
    "api-token",
    "sso-key",
    "accesskey",
    "secret",
    "private",
    "pop",
    "access",
    "user",
    "oauth2",
    "zoho-oauthtoken",
    "klaviyo-api-key",
    "deepl-auth-key",
    "access_token",
    "personal",
    "app",
    "apitoken",
    "api_key",
    "discogs",
    "dsapi",
    "llat",
    "cloudant",
];

/// Schemes that have parameters after them.
const PARAMETER_SCHEMES: &[&str] = &[
    "digest",
    "aws4-hmac-sha256",
    "aws4-ecdsa-p256-sha256",
    "oauth",
    "hawk",
    "signature",
    "mac",
    "sharedaccesssignature",
    "googlelogin",
    "hmac",
    "hmac-sha256",
    "sapisidhash",
    "vapid",
    "mediabrowser",
    "tc3-hmac-sha256",
    "goog4-rsa-sha256",
    "acs3-hmac-sha256",
    "sdk-hmac-sha256",
];

/// Longest name of a scheme in bytes.
const LONGEST_SCHEME: usize = 64;

fn authorization(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    if let Some(token) = after_escaped_blanks(text, keyword.end) {
        found(&AUTHORIZATION, token);
        return;
    }
    let Some(value) = value_after(text, keyword.end) else {
        return;
    };
    if again(text, &keyword, text.word_end(value.range.start)) {
        return;
    }
    if let Some(range) = credentials(text, &value) {
        found(&AUTHORIZATION, range);
    }
}

/// Returns the token of `authorization:\\ Bearer\\ token`, as a shell quotes the argument of a command.
fn after_escaped_blanks(text: &Text<'_>, at: usize) -> Option<Range<usize>> {
    let blank = "\\ ";
    let scheme = at + 1 + blank.len();
    if text.byte(at) != Some(b':') || !text.continues_with(at + 1, blank) {
        return None;
    }
    let letters = text
        .slice(scheme..scheme + LONGEST_SCHEME)
        .bytes()
        .take_while(u8::is_ascii_alphabetic)
        .count();
    let start = scheme + letters + blank.len();
    let token = start..text.word_end(start).min(start + super::syntax::LONGEST);
    let token = trimmed(text, token);
    (text.continues_with(scheme + letters, blank) && is_random(text.slice(token.clone()), 8))
        .then_some(token)
}

/// Returns the secret part of the value of an `Authorization` header.
fn credentials(text: &Text<'_>, value: &Value) -> Option<Range<usize>> {
    let scheme = first_word(text, value.range.clone());
    let rest = scheme.end..value.range.end;
    let token = trimmed(text, first_word(text, rest));
    let name = text.slice(scheme.start..scheme.end.min(scheme.start + LONGEST_SCHEME));
    let name = name.to_ascii_lowercase();
    let name = name.trim_end_matches(':');
    if token.is_empty() {
        let raw = trimmed(text, scheme);
        let shown = text.slice(raw.clone());
        let secret = shown.strip_prefix("PVEAPIToken=").unwrap_or(shown);
        let least = if value.quoted { 8 } else { 12 };
        let is_group = shown.contains(".k8s.io/");
        return (!is_group && is_random(secret, least)).then_some(raw.end - secret.len()..raw.end);
    }
    let shown = text.slice(token.clone());
    if PARAMETER_SCHEMES.contains(&name) {
        // Parameters in quotation marks end at the line, unless the header is in quotation marks.
        let end = if value.quoted {
            value.range.end
        } else {
            parameters_end(text, token.start)
        };
        let long = shown.contains('=') && !shown.to_ascii_lowercase().starts_with("realm=");
        return (long || is_random(shown, 16)).then_some(token.start..end);
    }
    if TOKEN_SCHEMES.contains(&name) {
        let secret = ["token=", "auth=", "key="]
            .iter()
            .find_map(|name| shown.strip_prefix(name))
            .unwrap_or(shown);
        let secret = secret.trim_matches(['"', '\\']);
        let is_last = token.end >= value.range.end || text.byte(token.end) == Some(b',');
        let digits = secret.bytes().any(|b| b.is_ascii_digit());
        let is_secret = is_random(secret, 8)
            || (name == "basic" && is_user_and_password(secret))
            || (is_last && is_no_word(secret, 8))
            || (is_last && digits && secret.len() >= 8 && !secret.contains('-') && !stays(secret));
        let start = token.start + shown.find(secret).unwrap_or(0);
        return is_secret.then_some(start..start + secret.len());
    }
    // A scheme that is not known, and a long token at the end.
    let is_scheme = scheme.len() < LONGEST_SCHEME
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let is_last = token.end >= value.range.end;
    (is_scheme && is_last && is_random(shown, 16)).then_some(token)
}

/// Returns the end of the parameters of a scheme: the end of the line, or an apostrophe, a bracket or
/// an escaped line break before it.
fn parameters_end(text: &Text<'_>, start: usize) -> usize {
    let limit = text.line_end(start).min(start + 2048);
    let shown = text.slice(start..limit);
    // The next header in the same line.
    let end = shown.find("uthorization").unwrap_or(shown.len());
    let shown = shown.get(..end).unwrap_or(shown);
    let end = shown.find(['\'', ']', '}', '\r']).unwrap_or(shown.len());
    let shown = shown.get(..end).unwrap_or(shown);
    let end = shown
        .find("\\r")
        .or_else(|| shown.find("\\n"))
        .unwrap_or(end);
    let shown = shown.get(..end).unwrap_or(shown);
    // A quotation mark without a partner closes the whole header.
    let marks = shown.matches('"').count();
    let end = if marks % 2 == 1 {
        shown.rfind('"').unwrap_or(end)
    } else {
        end
    };
    start + shown.get(..end).unwrap_or(shown).trim_end().len()
}

/// Removes the punctuation at the end of a word.
fn trimmed(text: &Text<'_>, word: Range<usize>) -> Range<usize> {
    let shown = text.slice(word.clone());
    word.start..word.start + shown.trim_end_matches([',', ';', ')', '}', ']']).len()
}

/// Returns true for the base64 of `user:password`.
pub(super) fn is_user_and_password(value: &str) -> bool {
    let value = value.trim_end_matches('=');
    let is_base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    if !value.bytes().all(is_base64) {
        return false;
    }
    let decoded = base64::engine::general_purpose::STANDARD_NO_PAD.decode(value);
    decoded.is_ok_and(|bytes| {
        let printable = bytes.iter().all(|b| *b >= b' ' && *b != 0x7f);
        let colon = bytes.iter().position(|b| *b == b':');
        printable
            && std::str::from_utf8(&bytes).is_ok()
            && colon.is_some_and(|at| at + 1 < bytes.len())
    })
}

fn bearer(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    if text
        .byte_before(keyword.start)
        .is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !is_escape(text, keyword.start)
    {
        return;
    }
    let mut at = after_blanks(text, keyword.end);
    for blank in ["%20", "+"] {
        if text.continues_with(at, blank) {
            at += blank.len();
        }
    }
    if at == keyword.end {
        return;
    }
    if let Some(quote) = super::syntax::after_quote(text, at) {
        at = quote;
    }
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"._~+/=-:|".contains(&b);
    let mut end = at;
    while end - at < LONGEST && text.byte(end).is_some_and(is_token) {
        end += 1;
    }
    let token = text.slice(at..end).trim_end_matches(['.', ':', '-']);
    if is_random(token, 16) {
        found(&BEARER, at..at + token.len());
    }
}

/// Returns true if an escape such as `\n` ends before `at`.
fn is_escape(text: &Text<'_>, at: usize) -> bool {
    at >= 2 && text.byte(at - 2) == Some(b'\\')
}

/// Least length of a key or a token in a header, in bytes.
const SHORTEST_KEY: usize = 6;

fn key_header(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    // Two names that are this near leave no room for a value.
    if again(
        text,
        &keyword,
        keyword.end + keyword.len() + SHORTEST_KEY - 1,
    ) {
        return;
    }
    let Some(value) = value_after(text, keyword.end) else {
        return;
    };
    let word = first_word(text, value.range.clone());
    let end = text
        .run_end(Class::Token, word.start, LONGEST)
        .min(word.end);
    if text.byte(end) == Some(b'@') || again(text, &keyword, end) {
        return;
    }
    let alone = word.end == value.range.end;
    let shown = text.slice(word.start..end);
    if is_random(shown, 8) || (alone && is_no_word(shown, SHORTEST_KEY)) {
        found(&KEY_HEADER, word.start..end);
    }
}
