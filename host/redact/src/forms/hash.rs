//! Hashes of passwords: `htpasswd`, `/etc/shadow`, LDAP, PostgreSQL, Django.

use super::{Detector, Form, Found};
use crate::text::Text;
use std::ops::Range;

/// Hash of a password.
pub(super) static PASSWORD_HASH: Form = Form {
    id: "password-hash",
    title: "hash of a password: crypt, bcrypt, Argon2, scrypt, PBKDF2, LDAP, SCRAM",
    examples: &[
        "ci:→$2y$05$abcdefghijklmnopqrstuu5s7X1mJ0Qm2yQx8cKzYh3vLrT9nWbeK←",
        "root:→$6$saltsaltsalt$abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./abcdefghijklmnopqrstuv←:19000:0:99999:7:::",
        "ci:→$apr1$abcdefgh$ABCDEFGHIJKLMNOPQRSTU.←",
        "hash is →$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21l$RdescudvJCsgt3ub2bQq3zGkVwFr0k9gqT7N0cQk5fI←",
        "userPassword: →{SSHA}DkMTwBl+a/3DQTxCYEApdUtNXGgdUac3←",
        "AUTH=ci:→$$2y$$05$$abcdefghijklmnopqrstuu5s7X1mJ0Qm2yQx8cKzYh3vLrT9nWbeK←",
        "password: →pbkdf2_sha256$600000$abcdefghijkl$qX3m0V2b7f1k9p8r6t4y2u0i8o6a4s2d0f9g7h5j3k1=←",
        "ALTER ROLE app PASSWORD '→md5a3f9c2d1e0b8a7f6d5c4b3a2918f7e6d←';",
        "rolpassword | →SCRAM-SHA-256$4096:YWJjZGVmZ2hpamtsbW5vcA==$c3RvcmVka2V5c3RvcmVka2V5c3RvcmVka2V5:c2VydmVya2V5c2VydmVya2V5c2VydmVya2U=←",
    ],
};

pub(super) static FORMS: &[&Form] = &[&PASSWORD_HASH];

pub(super) static DETECTORS: &[Detector] = &[
    Detector {
        keywords: &[
            "$2a$",
            "$2b$",
            "$2y$",
            "$apr1$",
            "$1$",
            "$5$",
            "$6$",
            "$7$",
            "$y$",
            "$gy$",
            "$argon2",
            "$scrypt",
            "$pbkdf2",
            "$bcrypt",
            "$$2a$$",
            "$$2b$$",
            "$$2y$$",
            "$$apr1$$",
            "$$5$$",
            "$$6$$",
            "\\$2a\\$",
            "\\$2b\\$",
            "\\$2y\\$",
            "\\$apr1\\$",
            "\\$5\\$",
            "\\$6\\$",
        ],
        detect: crypt,
    },
    Detector {
        keywords: &[
            "{ssha", "{sha", "{smd5}", "{md5}", "{crypt}", "{pbkdf2", "{argon2", "{bcrypt}",
        ],
        detect: ldap,
    },
    Detector {
        keywords: &["md5"],
        detect: postgres,
    },
    Detector {
        keywords: &["pbkdf2_sha", "bcrypt_sha256$", "scram-sha-"],
        detect: named,
    },
];

/// Longest name of a scheme in bytes.
const LONGEST_NAME: usize = 24;

/// Longest hash in bytes.
const LONGEST: usize = 512;

/// Finds a hash in the modular crypt format: `$id$` and fields that `$` separates; the last one is at
/// least 22 characters long. In scripts and Compose files, `$` is written `\$` or `$$`.
fn crypt(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let doubled = |at: usize| matches!(text.byte_before(at), Some(b'$' | b'\\'));
    if text.byte(keyword.start) == Some(b'$') && doubled(keyword.start) {
        return;
    }
    if let Some(end) = fields(text, keyword.start) {
        found(&PASSWORD_HASH, keyword.start..end);
    }
}

/// Finds a hash with the name of its scheme in braces.
fn ldap(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let Some(brace) = text.find(b'}', keyword.start) else {
        return;
    };
    if brace - keyword.start > 24 {
        return;
    }
    let end = run(text, brace + 1, |byte| {
        is_crypt(byte) || matches!(byte, b'+' | b'=' | b'$')
    });
    let base64 = end - brace - 1;
    if base64 >= 22 || (base64 >= 13 && text.slice(keyword.clone()).eq_ignore_ascii_case("{crypt}"))
    {
        found(&PASSWORD_HASH, keyword.start..end);
    }
}

/// Finds a hash that begins with a name: `pbkdf2_sha256$…`, `SCRAM-SHA-256$…`.
fn named(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let mut name = keyword.start;
    while name - keyword.start <= LONGEST_NAME && text.byte(name).is_some_and(is_name) {
        name += 1;
    }
    if name - keyword.start > LONGEST_NAME || text.byte(name) != Some(b'$') {
        return;
    }
    if let Some(end) = fields(text, name) {
        found(&PASSWORD_HASH, keyword.start..end);
    }
}

/// Finds a password of PostgreSQL: `md5` and 32 hexadecimal digits.
fn postgres(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if !text.byte(keyword.end).is_some_and(is_digit) {
        return;
    }
    let end = keyword.end + 32;
    let digits = text.slice(keyword.end..end);
    let joins = |byte: Option<u8>| {
        byte.is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/'))
    };
    let is_hash = digits.bytes().all(is_digit) && digits.len() == 32;
    if is_hash && !joins(text.byte_before(keyword.start)) && !joins(text.byte(end)) {
        found(&PASSWORD_HASH, keyword.start..end);
    }
}

/// Returns the end of the fields of a hash that begin with `$` at `at`, if the last one is long enough.
fn fields(text: &Text<'_>, at: usize) -> Option<usize> {
    let separator = match (text.byte(at), text.byte(at + 1)) {
        (Some(b'\\'), _) => "\\$",
        (_, Some(b'$')) => "$$",
        _ => "$",
    };
    let limit = at.saturating_add(LONGEST);
    let mut end = at;
    let mut count = 0;
    let mut last = 0;
    while end < limit && count < 6 && text.continues_with(end, separator) {
        let start = end + separator.len();
        end = run(text, start, |byte| {
            is_crypt(byte) || matches!(byte, b'=' | b',' | b'+' | b'-' | b':' | b'_')
        });
        last = end - start;
        count += 1;
    }
    // A shadow line and a list of users go on with a colon.
    let whole = text.slice(at..end);
    if let Some((before, _)) = whole.split_once(':')
        && before.len() >= 22
        && !text
            .slice(at.saturating_sub(16)..at)
            .to_ascii_lowercase()
            .contains("scram")
    {
        end = at + before.len();
        let start = before.rfind('$').map_or(at, |dollar| at + dollar + 1);
        last = end - start;
    }
    (count >= 2 && last >= 22 && end <= limit).then_some(end)
}

/// Returns the end of the bytes from `at` on that are of a class, at most [`LONGEST`] away.
fn run(text: &Text<'_>, at: usize, is: impl Fn(u8) -> bool) -> usize {
    let mut end = at;
    while end - at <= LONGEST && text.byte(end).is_some_and(&is) {
        end += 1;
    }
    end
}

fn is_crypt(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/')
}
