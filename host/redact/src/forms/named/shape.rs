//! The shape of a value: whether it can be a secret, or is a variable, a word, a path, code.

use super::names::Strength;
use super::variable::{is_placeholder, is_variable};
use super::words::{classes, is_mixed_letters, is_sentence, is_wordy, looks_random};

/// How a value stands beside its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// In quotation marks.
    Quoted,
    /// The whole value of a member of JSON.
    Field,
    /// Directly after `=`: as in an environment or a shell.
    Tight,
    /// After a sign and blanks, alone up to the end of its line or list.
    Alone,
    /// The same in a line that holds nothing else, under the name `password`: YAML.
    Line,
    /// After a sign and blanks, with more words after it: YAML with a comment, or prose.
    Sentence,
    /// After blanks only: an option, a table, prose.
    Gap,
}

/// Returns true if a value under a name of this strength is a secret.
#[must_use]
pub(crate) fn is_secret(strength: Strength, style: Style, value: &str) -> bool {
    let value = value.trim();
    if value.len() < 2 || is_variable(value) || is_placeholder(value) || is_constant(value) {
        return false;
    }
    let is_text = matches!(style, Style::Quoted | Style::Field | Style::Tight);
    match strength {
        Strength::None => false,
        Strength::Strong => is_password(style, value),
        Strength::Loose => {
            let digits = value.bytes().filter(u8::is_ascii_digit).count();
            let letters = value.bytes().filter(u8::is_ascii_alphabetic).count();
            let plain = digits == 0 && is_wordy(value);
            value.len() >= 4
                && letters > 0
                && !is_path(value)
                && !is_code(value)
                && !value.contains(' ')
                && if is_text {
                    !plain
                } else {
                    !is_wordy(value) && digits > 0
                }
                && is_password(style, value)
        }
        Strength::Medium if style == Style::Field && value.contains(' ') => value.len() >= 6,
        Strength::Medium if is_text && is_word_with_digits(value) => true,
        Strength::Medium => {
            is_token(value) && (matches!(style, Style::Quoted | Style::Field) || !is_code(value))
        }
        Strength::Weak => {
            looks_random(value, 12) && is_token(value) && (is_text || !is_code(value))
        }
        Strength::Faint => {
            let (upper, lower, digit) = classes(value);
            upper
                && lower
                && digit
                && looks_random(value, 16)
                && is_token(value)
                && (style == Style::Quoted || !is_code(value))
        }
    }
}

/// Returns true for a word of small letters that no program prints after `password: `.
fn is_plain_password(value: &str) -> bool {
    (5..=24).contains(&value.len())
        && value.bytes().all(|b| b.is_ascii_lowercase())
        && !matches!(
            value,
            "accepted"
                | "cleared"
                | "compat"
                | "created"
                | "deleted"
                | "denied"
                | "encrypted"
                | "entered"
                | "expired"
                | "files"
                | "found"
                | "generated"
                | "granted"
                | "ignored"
                | "initial"
                | "locked"
                | "mismatch"
                | "missing"
                | "needed"
                | "omitted"
                | "password"
                | "passwords"
                | "present"
                | "prompted"
                | "protected"
                | "provided"
                | "received"
                | "removed"
                | "reset"
                | "secret"
                | "skipped"
                | "stored"
                | "success"
                | "supplied"
                | "updated"
                | "valid"
                | "verified"
                | "identifier"
        )
}

/// Returns true for words with an escaped quotation mark between them that do not begin as a sentence
/// does.
fn is_escaped_words(value: &str) -> bool {
    value.contains("\\\"") && !value.starts_with(|c: char| c.is_ascii_uppercase())
}

/// Returns true if signs stand in a value that do not join words.
fn has_unusual_signs(value: &str) -> bool {
    value.bytes().any(|b| {
        matches!(
            b,
            b'$' | b'&' | b';' | b'!' | b'#' | b'%' | b'^' | b'*' | b'?' | b'~'
        )
    })
}

fn is_password(style: Style, value: &str) -> bool {
    if is_path(value) || is_reference(value) || is_version(value) {
        return false;
    }
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    match style {
        Style::Quoted => {
            (!is_sentence(value) || is_escaped_words(value)) && !is_name_of_secret(value)
        }
        Style::Field => !is_name_of_secret(value),
        Style::Tight => !is_code(value) && !names_itself(value),
        Style::Line if is_plain_password(value) => true,
        Style::Alone | Style::Line => {
            if digits == value.len() {
                return digits >= 4;
            }
            let one_word = value.bytes().all(|b| b.is_ascii_alphanumeric());
            !is_code(value)
                && !names_itself(value)
                && (!is_wordy(value) || (digits > 0 && (one_word || has_unusual_signs(value))))
        }
        Style::Sentence | Style::Gap => {
            let signs = value.bytes().any(|b| b.is_ascii_punctuation());
            let letters = value.bytes().any(|b| b.is_ascii_alphabetic());
            value.len() >= 6
                && letters
                && (digits > 0 || signs || is_mixed_letters(value))
                && !is_wordy(value)
                && !is_code(value)
                && !is_digest(value)
                && !is_time(value)
        }
    }
}

/// Returns true for a word of eight letters and digits or more that ends in at least three digits,
/// but not in a year: `hunter2222`.
fn is_word_with_digits(value: &str) -> bool {
    let digits = value.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (letters, number) = value
        .split_at_checked(value.len() - digits)
        .unwrap_or_default();
    let is_year = digits == 4 && (number.starts_with("19") || number.starts_with("20"));
    value.len() >= 8
        && digits >= 3
        && !is_year
        && letters.len() >= 3
        && letters.bytes().all(|b| b.is_ascii_lowercase())
}

/// Returns true for what can be a token: at least six characters that are no words, no number, no
/// digest, no date, no address.
fn is_token(value: &str) -> bool {
    value.len() >= 6
        && value.bytes().any(|b| b.is_ascii_alphabetic())
        && !is_path(value)
        && !is_wordy(value)
        && !is_digest(value)
        && !is_time(value)
        && !is_reference(value)
        && !is_sentence(value)
        && !["[0-9", "0-9]", "a-z", "A-Z"]
            .iter()
            .any(|class| value.contains(class))
}

/// Returns true for words that programs print as values, and for types.
fn is_constant(value: &str) -> bool {
    if value.len() > 12 {
        return false;
    }
    let lower = value.to_ascii_lowercase();
    matches!(
        lower.trim_end_matches([',', ';', '.', '!', '?']),
        "true"
            | "false"
            | "null"
            | "nil"
            | "none"
            | "undefined"
            | "yes"
            | "no"
            | "on"
            | "off"
            | "ok"
            | "required"
            | "optional"
            | "string"
            | "str"
            | "bytes"
            | "bool"
            | "boolean"
            | "int"
            | "integer"
            | "number"
            | "any"
            | "object"
            | "text"
            | "char"
            | "default"
            | "unset"
            | "empty"
            | "missing"
            | "invalid"
            | "enabled"
            | "disabled"
            | "set"
            | "n/a"
            | "failed"
            | "passed"
            | "error"
            | "unknown"
            | "never"
            | "always"
            | "prompt"
            | "basic"
            | "bearer"
            | "hidden"
            | "sensitive"
            | "redacted"
            | "masked"
            | "void"
            | "self"
            | "this"
            | "env"
            | "is"
            | "must"
            | "changed"
            | "expired"
            | "accepted"
            | "rejected"
            | "correct"
            | "incorrect"
            | "wrong"
            | "blank"
            | "stdin"
            | "or"
            | "and"
            | "not"
            | "has"
            | "&str"
            | "vec<u8>"
            | "[]byte"
            | "byte[]"
            | "u8"
            | "u64"
            | "i64"
            | "usize"
            | "float"
            | "varchar"
            | "bcrypt"
            | "scram"
            | "md5"
            | "plain"
            | "plaintext"
            | "ask"
            | "auto"
    )
}

/// Returns true for a path: its first parts are words.
fn is_path(value: &str) -> bool {
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
fn is_reference(value: &str) -> bool {
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

/// Returns true for a digest with the name of its algorithm.
fn is_digest(value: &str) -> bool {
    let names = ["sha1", "sha256", "sha384", "sha512", "md5", "blake", "h1:"];
    let lower = value
        .get(..value.len().min(8))
        .unwrap_or_default()
        .to_ascii_lowercase();
    names.iter().any(|name| lower.starts_with(name)) && value.contains([':', '-'])
        || lower.starts_with("0x") && value.bytes().skip(2).all(|b| b.is_ascii_hexdigit())
}

/// Returns true for dates, times, versions and addresses of numbers.
fn is_time(value: &str) -> bool {
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
fn is_version(value: &str) -> bool {
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
fn is_code(value: &str) -> bool {
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
        let wordy = is_wordy(before) || is_algorithm(before);
        let path = before.contains("::");
        let dotted = path || before.contains('.');
        if after.starts_with(['(', '[', '{'])
            && (wordy || dotted || !has_inner_digit(before) && value.ends_with([')', ']']))
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

/// Returns true if a digit stands before a letter, as in few names of functions.
fn has_inner_digit(name: &str) -> bool {
    name.bytes()
        .zip(name.bytes().skip(1))
        .any(|(before, next)| before.is_ascii_digit() && next.is_ascii_alphabetic())
}

/// Returns true for names of functions that name an algorithm or a size: `sha256sum`, `b64encode`.
fn is_algorithm(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    [
        "sha", "md5", "64", "32", "utf8", "utf16", "argon2", "2str", "to", "v1", "v2", "k8s", "s3",
        "ec2", "i18n", "l10n", "oauth2", "x509",
    ]
    .iter()
    .any(|word| lower.contains(word))
}

/// Returns true if a value repeats the name of a secret: `password=db_password`.
fn names_itself(value: &str) -> bool {
    value.len() <= 60
        && value.bytes().all(|b| {
            b.is_ascii_alphabetic() || matches!(b, b'_' | b'-' | b'.' | b'?' | b',' | b';' | b')')
        })
        && !is_mixed_letters(value)
        && {
            let lower = value.to_ascii_lowercase();
            ["pass", "pwd", "secret", "token", "credential"]
                .iter()
                .any(|word| lower.contains(word))
        }
}

/// Returns true for a value that is only the word for a secret.
fn is_name_of_secret(value: &str) -> bool {
    [
        "password",
        "passwd",
        "passphrase",
        "pass",
        "secret",
        "token",
        "user_password",
    ]
    .iter()
    .any(|word| value.eq_ignore_ascii_case(word))
}
