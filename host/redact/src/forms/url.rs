//! Credentials in URLs: user and password, or a token, before the host.

use super::plausible::{is_random, stays};
use super::{Detector, Form, Found};
use crate::text::Text;
use std::ops::Range;

/// A password in a URL.
pub(super) static URL_CREDENTIALS: Form = Form {
    id: "url-credentials",
    title: "password in a URL",
    examples: &[
        "postgres://admin:→Sup3rSecret←@shared-db:5432/x",
        "redis://:→p@ss/w#rd?1←@cache:6379/0",
        "git clone https://oauth2:→0123456789abcdef←@git.example.com/x.git",
        "jdbc:oracle:thin:scott/→t1gerT0wn←@db:1521:x",
        "app:→pA55w0rd←@tcp(db:3306)/shop",
    ],
};

/// A token in the place of a user in a URL.
pub(super) static URL_TOKEN: Form = Form {
    id: "url-token",
    title: "token in the place of the user in a URL",
    examples: &[
        "https://→0123456789abcdefghijabcdefghij←@git.example.com",
        "https://→0123456789abcdefghijabcdefghij←:x-oauth-basic@git.example.com/x.git",
    ],
};

pub(super) static FORMS: &[&Form] = &[&URL_CREDENTIALS, &URL_TOKEN];

pub(super) static DETECTORS: &[Detector] = &[
    Detector {
        keywords: &["://"],
        detect: url,
    },
    Detector {
        keywords: TOKEN_USERS,
        detect: token_user,
    },
    Detector {
        keywords: &["cn=", "dc=", "uid=", "ou="],
        detect: directory_user,
    },
    Detector {
        keywords: &["jdbc:oracle:"],
        detect: oracle,
    },
    Detector {
        keywords: &["@tcp(", "@unix("],
        detect: go_dsn,
    },
];

/// Longest part of a URL that is searched for `@`, in bytes: tokens of registries and their percent
/// encoding are long.
const LONGEST: usize = 8 * 1024;

/// Users that stand before a token in URLs of git hosts, with their sign.
const TOKEN_USERS: &[&str] = &[
    "x-access-token:",
    "x-token-auth:",
    "x-oauth-basic:",
    "gitlab-ci-token:",
    "oauth2:",
    "__token__:",
];

/// Minimum length of a password in bytes. A shorter one, as in `http://x:y@z/`, is an example of
/// the syntax.
const SHORTEST: usize = 3;

fn url(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let start = keyword.end;
    let scheme = scheme_before(text, keyword.start);
    if scheme.len() < 2 {
        return;
    }
    let limit = text.word_end(start).min(start + LONGEST);
    // The next `@` is far away in most texts.
    match text.find(b'@', start) {
        Some(at) if at < limit => {}
        _ => return,
    }
    let rest = text.slice(start..limit);
    let rest = rest.split("://").next().unwrap_or_default();
    let rest = rest.get(..url_end(rest)).unwrap_or(rest);
    let Some((user, secret)) = userinfo(rest, scheme) else {
        return;
    };
    let password = rest.get(secret.clone()).unwrap_or_default();
    let user_text = rest.get(user.clone()).unwrap_or_default();
    let shell = scheme.ends_with("ssh") || scheme.starts_with("ssh") || scheme == "sftp";
    if secret.start == user.end {
        if is_random(user_text, 16) && !shell {
            found(&URL_TOKEN, start + user.start..start + user.end);
        }
    } else if matches!(password, "" | "x" | "x-oauth-basic") {
        if is_random(user_text, 16) {
            found(&URL_TOKEN, start + user.start..start + user.end);
        }
    } else if password.len() >= SHORTEST && !is_example(password) && !stays(password) {
        found(&URL_CREDENTIALS, start + secret.start..start + secret.end);
    }
}

/// Returns the end of a URL: a quotation mark, a bracket, a backslash. The percent encoding of many
/// programs leaves apostrophes as they are: one between two letters or escapes is a part of the URL.
fn url_end(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let is_inner = |byte: Option<&u8>| {
        byte.is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'%' | b'_' | b'~' | b'!'))
    };
    let ends = |(at, byte): (usize, u8)| match byte {
        b'"' | b'`' | b'<' | b'>' | b'\\' | 0x1a => true,
        b'\'' => !(is_inner(bytes.get(at + 1)) && at > 0 && is_inner(bytes.get(at - 1))),
        _ => false,
    };
    rest.bytes()
        .enumerate()
        .position(ends)
        .unwrap_or(rest.len())
}

/// Finds `x-access-token:value@host` without a scheme.
fn token_user(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    if let Some(at) = host_after(text, keyword.end) {
        let token = text.slice(keyword.end..at);
        if token.len() >= SHORTEST && !is_example(token) && !stays(token) {
            found(&URL_CREDENTIALS, keyword.end..at);
        }
    }
}

/// Finds `cn=admin,dc=example:password@host` without a scheme: the keyword begins the last part of the
/// distinguished name.
fn directory_user(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let before = text.byte_before(keyword.start);
    if before.is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'?' | b'&')) {
        return;
    }
    let mut end = keyword.end;
    while end - keyword.end < 64
        && text
            .byte(end)
            .is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    {
        end += 1;
    }
    let is_number = text
        .slice(keyword.end..end)
        .bytes()
        .all(|b| b.is_ascii_digit());
    if is_number || text.byte(end) != Some(b':') {
        return;
    }
    if let Some(at) = host_after(text, end + 1) {
        let password = text.slice(end + 1..at);
        if password.len() >= SHORTEST && !password.contains('/') && !stays(password) {
            found(&URL_CREDENTIALS, end + 1..at);
        }
    }
}

/// Returns true if a name that is followed by `:` is the user of a URL.
pub(super) fn is_user(text: &Text<'_>, name: Range<usize>) -> bool {
    let word = text.slice(name.start..name.end + 1);
    let in_url = name.start >= 3 && text.slice(name.start - 3..name.start) == "://";
    (in_url
        || TOKEN_USERS
            .iter()
            .any(|user| user.eq_ignore_ascii_case(word)))
        && host_after(text, name.end + 1).is_some()
}

/// Returns the place of the `@` before a host, in the word from `at` on.
fn host_after(text: &Text<'_>, at: usize) -> Option<usize> {
    let limit = text.word_end(at).min(at + LONGEST);
    let sign = text.find(b'@', at).filter(|sign| *sign < limit)?;
    is_host(text.slice(sign + 1..limit.min(sign + 256))).then_some(sign)
}

/// Returns the scheme that ends at `end`.
fn scheme_before<'t>(text: &Text<'t>, end: usize) -> &'t str {
    let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'.' | b'-');
    let mut start = end;
    while end - start < 32 && text.byte_before(start).is_some_and(is_scheme) {
        start -= 1;
    }
    text.slice(start..end)
}

/// Returns true for a word that stands for a password in documents.
fn is_example(password: &str) -> bool {
    [
        "pass",
        "password",
        "passwd",
        "pwd",
        "secret",
        "token",
        "redacted",
        "mypassword",
        "yourpassword",
    ]
    .iter()
    .any(|word| password.eq_ignore_ascii_case(word))
}

/// Returns the user and the password (or an empty range at the end of the user) in the text after
/// `://`.
fn userinfo(rest: &str, scheme: &str) -> Option<(Range<usize>, Range<usize>)> {
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let near = rest.get(..authority)?;
    let colon = near.find(':');
    let near_at = near.rfind('@');
    let Some(colon) = colon.filter(|colon| near_at.is_none_or(|at| *colon < at)) else {
        // No password: a user alone, whose host follows.
        let at = near_at?;
        let host = rest.get(at + 1..)?;
        return (is_host(host)).then_some((0..at, at..at));
    };
    let user = rest.get(..colon)?;
    // The user of a directory is a distinguished name: `cn=admin,dc=example`.
    let is_directory = matches!(scheme, "ldap" | "ldaps" | "ldapi") && user.contains('=');
    if user.starts_with('[')
        || !is_directory
            && (user.contains(['(', ')', '{', '[', ',', '|', ';', '=', '&']) && !stays(user))
    {
        return None;
    }
    let after = rest.get(colon + 1..)?;
    let digits = after.bytes().take_while(u8::is_ascii_digit).count();
    let next = after.as_bytes().get(digits);
    // `host:port` and what follows it in a list, a path or a sentence.
    let is_port = (1..=5).contains(&digits)
        && matches!(
            next,
            None | Some(b'/' | b'?' | b'#' | b',' | b';' | b')' | b']' | b'}' | b'|' | b'&')
        );
    if is_port {
        return None;
    }
    let web = matches!(scheme, "http" | "https" | "git" | "ftp");
    let ends = |at: &usize| rest.get(at + 1..).is_some_and(is_host);
    let last = |text: &str| {
        text.rmatch_indices('@')
            .map(|(at, _)| at)
            .filter(|at| *at > colon)
            .find(ends)
    };
    let at = match near_at.filter(ends) {
        // A dot or a port says that this is a host; otherwise the password may hold `@` and `/`.
        Some(at) if web || is_full_host(rest.get(at + 1..)?) => at,
        Some(at) => last(rest).unwrap_or(at),
        None => last(rest)?,
    };
    Some((0..colon, colon + 1..at))
}

/// Returns true if a text begins with a host, with or without a port: after the host, there is a path,
/// a query, a list, or nothing. A digest (`sha256:…`) is no host.
fn is_host(text: &str) -> bool {
    if text.starts_with(['$', '{', '%', '[']) {
        return true;
    }
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    let name = text.find(|c| !is_name(c)).unwrap_or(text.len());
    let rest = text.get(name..).unwrap_or_default();
    let mut after = rest.chars();
    match after.next() {
        _ if name == 0 => text.starts_with('/') || text.starts_with("tcp("),
        None | Some('/' | '?' | '#' | ',' | ';' | ')' | ']' | '}' | '|' | '&' | '(' | '*') => true,
        Some(':') => match after.next() {
            Some('$' | '{') | None => true,
            Some(digit) => {
                digit.is_ascii_digit() && {
                    let port = after.as_str();
                    let digits = 1 + port.bytes().take_while(u8::is_ascii_digit).count();
                    let next = port.as_bytes().get(digits - 1);
                    digits <= 5 && next.is_none_or(|b| !b.is_ascii_alphanumeric())
                }
            }
        },
        Some(_) => false,
    }
}

/// Returns true if a text begins with a host that has a dot or a port.
fn is_full_host(text: &str) -> bool {
    let end = text.find(['/', '?', '#', '@']).unwrap_or(text.len());
    text.get(..end)
        .is_some_and(|host| host.contains(['.', ':']))
}

/// Finds `jdbc:oracle:thin:user/password@host`.
fn oracle(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let limit = text.word_end(keyword.end).min(keyword.end + LONGEST);
    // Most texts have no slash there.
    if text
        .find(b'/', keyword.end)
        .is_none_or(|slash| slash >= limit)
    {
        return;
    }
    let rest = text.slice(keyword.end..limit);
    let Some((driver, after)) = rest.split_once(':') else {
        return;
    };
    let Some((user, secret)) = after.split_once('/') else {
        return;
    };
    let Some(at) = memchr::memrchr(b'@', secret.as_bytes()) else {
        return;
    };
    let password = secret.get(..at).unwrap_or_default();
    let start = keyword.end + driver.len() + 1 + user.len() + 1;
    let is_user = !user.is_empty() && !user.contains(['@', '"', '\'']);
    let open = usize::from(password.starts_with('"'));
    let password = password.trim_matches('"');
    if is_user && password.len() >= SHORTEST && !stays(password) {
        found(
            &URL_CREDENTIALS,
            start + open..start + open + password.len(),
        );
    }
}

/// Finds `user:password@tcp(host:port)/database`, as the Go driver of MySQL takes it.
fn go_dsn(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let floor = keyword.start.saturating_sub(128);
    let before = text.slice(floor..keyword.start);
    let ends = |b: &u8| b.is_ascii_whitespace() || matches!(b, b'"' | b'\'' | b'`' | b'=');
    let word = before.as_bytes().iter().rposition(ends);
    let shown = before
        .get(word.map_or(0, |at| at + 1)..)
        .unwrap_or_default();
    let scheme = shown
        .contains('/')
        .then(|| shown.rsplit_once("://"))
        .flatten();
    let shown = scheme.map_or(shown, |(_, rest)| rest);
    let Some((user, password)) = shown.split_once(':') else {
        return;
    };
    if !user.is_empty() && password.len() >= SHORTEST && !stays(password) && !is_example(password) {
        found(
            &URL_CREDENTIALS,
            keyword.start - password.len()..keyword.start,
        );
    }
}
