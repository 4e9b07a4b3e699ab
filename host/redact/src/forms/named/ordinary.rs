//! Values that are no secrets: words that programs print, paths, references, digests, times,
//! versions, source code.

use super::words::is_wordy;
use crate::word_table::WordTable;
use std::sync::LazyLock;

/// Words that programs print as values, and types.
static CONSTANTS: LazyLock<WordTable<()>> = LazyLock::new(|| {
    let words = [
        "true",
        "false",
        "null",
        "nil",
        "none",
        "undefined",
        "yes",
        "no",
        "on",
        "off",
        "ok",
        "required",
        "optional",
        "string",
        "str",
        "bytes",
        "bool",
        "boolean",
        "int",
        "integer",
        "number",
        "any",
        "object",
        "text",
        "char",
        "default",
        "unset",
        "empty",
        "missing",
        "invalid",
        "enabled",
        "disabled",
        "set",
        "n/a",
        "failed",
        "passed",
        "error",
        "unknown",
        "never",
        "always",
        "prompt",
        "basic",
        "bearer",
        "hidden",
        "sensitive",
        "redacted",
        "masked",
        "void",
        "self",
        "this",
        "env",
        "is",
        "must",
        "changed",
        "expired",
        "accepted",
        "rejected",
        "correct",
        "incorrect",
        "wrong",
        "blank",
        "stdin",
        "or",
        "and",
        "not",
        "has",
        "&str",
        "vec<u8>",
        "[]byte",
        "byte[]",
        "u8",
        "u64",
        "i64",
        "usize",
        "float",
        "varchar",
        "bcrypt",
        "scram",
        "md5",
        "plain",
        "plaintext",
        "ask",
        "auto",
    ];
    WordTable::new(words.map(|word| (word, ())))
});

/// Returns true for words that programs print as values, and for types.
pub(super) fn is_constant(value: &str) -> bool {
    let word = value.trim_end_matches([',', ';', '.', '!', '?']);
    value.len() <= 12 && CONSTANTS.get_any_case(word.as_bytes()).is_some()
}

/// Returns true for a path: its first parts are words.
pub(super) fn is_path(value: &str) -> bool {
    let rest = value
        .strip_prefix("~/")
        .or_else(|| value.strip_prefix("./"))
        .or_else(|| value.strip_prefix("../"))
        .or_else(|| value.strip_prefix('/'));
    let Some(rest) = rest else {
        let drive = value.as_bytes();
        return drive.get(1) == Some(&b':')
            && matches!(drive.get(2), Some(b'\\' | b'/'))
            && drive.first().is_some_and(u8::is_ascii_alphabetic);
    };
    let mut parts = rest.split('/');
    let first = parts.next().unwrap_or_default();
    let second = parts.next();
    let known = matches!(
        first,
        "run"
            | "var"
            | "etc"
            | "home"
            | "usr"
            | "opt"
            | "tmp"
            | "root"
            | "mnt"
            | "secrets"
            | "workspace"
            | "tekton"
            | "dev"
            | "proc"
            | "data"
            | "srv"
            | "app"
            | "builds"
    );
    (known && (second.is_some() || rest.len() == first.len()))
        || is_wordy(rest)
        || (is_wordy(first)
            && first.len() > 1
            && second.is_some_and(|part| is_wordy(part) && part.len() > 1))
}

/// Returns true for a value that says where a secret is: an address, a resource, an encrypted value.
pub(super) fn is_reference(value: &str) -> bool {
    let starts = [
        "http://",
        "https://",
        "arn:",
        "op://",
        "vault:",
        "ref+",
        "ENC[",
        "ENC(",
        "{cipher}",
        "projects/",
        "file:",
        "env:",
        "aws:",
        "secretsmanager:",
        "ssm:",
        "oci://",
        "docker://",
        "urn:",
        "sha256:",
        "sha512:",
        "data:",
        "//",
    ];
    starts.iter().any(|start| value.starts_with(start))
}

/// Returns true if a text begins with a word, in letters of any case.
pub(super) fn begins_with(text: &str, word: &str) -> bool {
    let begin = text.as_bytes().get(..word.len());
    begin.is_some_and(|begin| begin.eq_ignore_ascii_case(word.as_bytes()))
}

/// Returns true for a digest with the name of its algorithm.
pub(super) fn is_digest(value: &str) -> bool {
    let names = ["sha1", "sha256", "sha384", "sha512", "md5", "blake", "h1:"];
    let begin = value.get(..value.len().min(8)).unwrap_or_default();
    names.iter().any(|name| begins_with(begin, name)) && value.contains([':', '-'])
        || begins_with(begin, "0x") && value.bytes().skip(2).all(|b| b.is_ascii_hexdigit())
}

/// Returns true for dates, times, versions and numeric addresses.
pub(super) fn is_time(value: &str) -> bool {
    let bytes = value.as_bytes();
    let number = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let date = number(0)
        && number(1)
        && number(2)
        && number(3)
        && bytes.get(4) == Some(&b'-')
        && number(5);
    let clock = number(0) && number(1) && bytes.get(2) == Some(&b':') && number(3);
    let numbers = bytes
        .iter()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b':' | b'-' | b'+' | b',' | b'/' | b'v'));
    // `131080u32`.
    let digits = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    let suffix = value
        .get(digits..)
        .unwrap_or_default()
        .trim_end_matches([';', ',']);
    let typed = digits > 0
        && matches!(
            suffix,
            "u8" | "u16"
                | "u32"
                | "u64"
                | "i8"
                | "i16"
                | "i32"
                | "i64"
                | "usize"
                | "isize"
                | "f32"
                | "f64"
                | "UL"
                | "ULL"
        );
    date || clock || numbers || typed
}

/// Returns true for a range of versions (`^7.1.3`, `>=2.0`), or for the version of a Debian package
/// (`1:4.13+dfsg1-1`).
pub(super) fn is_version(value: &str) -> bool {
    let first = value.bytes().next();
    if !matches!(
        first,
        Some(b'0'..=b'9' | b'^' | b'~' | b'>' | b'<' | b'=' | b' ' | b'.')
    ) {
        return false;
    }
    let number = value.trim_start_matches(['^', '~', '>', '<', '=', ' ']);
    let is_range = number.len() < value.len()
        && number.contains('.')
        && number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let upstream = value.split_once(':').map_or(value, |(epoch, rest)| {
        let is_epoch = !epoch.is_empty() && epoch.bytes().all(|b| b.is_ascii_digit());
        if is_epoch { rest } else { value }
    });
    let numbers = upstream.split(['+', '-', '~']).next().unwrap_or_default();
    let is_package = numbers.len() < upstream.len()
        && numbers.contains('.')
        && numbers.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && upstream
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-~.".contains(&b));
    is_range || is_package
}

/// Returns true for source code: a call, a member, a pointer.
pub(super) fn is_code(value: &str) -> bool {
    let value = value
        .strip_prefix(['&', '*'])
        .filter(|rest| is_code(rest))
        .unwrap_or(value);
    let is_name =
        |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'!' | b'?');
    let name = value.bytes().take_while(is_name).count();
    let (before, after) = value.split_at_checked(name).unwrap_or((value, ""));
    let begins = value
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if begins && before.len() > 1 {
        let wordy = is_wordy(before);
        let path = before.contains("::");
        let dotted = path || before.contains('.');
        if after.starts_with(['(', '[', '{'])
            && (wordy
                || dotted
                || is_algorithm(before)
                || !has_inner_digit(before) && value.ends_with([')', ']']))
        {
            return true;
        }
        if after.starts_with('<') && after.contains('>') {
            return true;
        }
        let digits = before.bytes().any(|b| b.is_ascii_digit());
        if (wordy && dotted && !digits || path) && after.len() <= 2 {
            return true;
        }
    }
    let pointed = value.starts_with(['&', '*', '!', '(']) && is_wordy(value);
    pointed
        || value.contains("::") && is_wordy(value)
        || value.contains("()")
        || value.contains("->")
        || value.starts_with("0x") && value.len() <= 18
}

/// Returns true if a digit stands before a letter, which is rare in names of functions.
fn has_inner_digit(name: &str) -> bool {
    name.bytes()
        .zip(name.bytes().skip(1))
        .any(|(before, next)| before.is_ascii_digit() && next.is_ascii_alphabetic())
}

/// Returns true for names of functions that name an algorithm or a size: `sha256sum`, `b64encode`.
fn is_algorithm(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    [
        "sha", "md5", "64", "32", "utf8", "utf16", "argon2", "2str", "v1", "v2", "k8s", "s3",
        "ec2", "i18n", "l10n", "oauth2", "x509",
    ]
    .iter()
    .any(|word| lower.contains(word))
}
