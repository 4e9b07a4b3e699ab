//! Names of secrets: whether an identifier names a secret, and how surely.

use super::name_words::{Word, classify};
use crate::memo::Question;
use crate::text::Text;

/// Longest name in bytes. A longer identifier is data.
pub(crate) const MAX_NAME: usize = 96;

/// Maximum number of words of a name that are read.
const MAX_WORDS: usize = 20;

/// How surely a name says that its value is a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Strength {
    /// It does not.
    None,
    /// `key`, `auth` alone: the value must look random and have letters of both cases.
    Faint,
    /// `deploy_key`, `redis_auth`: the value must look random.
    Weak,
    /// `token`, `client_secret`, `api_key`: the value must not be a plain word.
    Medium,
    /// `pass` alone, which also counts tests: the value must have letters and more.
    Loose,
    /// `password`: any value.
    Strong,
}

impl Strength {
    const ALL: [Self; 6] = [
        Self::None,
        Self::Faint,
        Self::Weak,
        Self::Medium,
        Self::Loose,
        Self::Strong,
    ];
}

/// Judges a name in a text as [`judge`] does, and remembers the result.
pub(super) fn judge_in<'t>(text: &Text<'t>, name: &'t str) -> Strength {
    let strength = text.recall(Question::Name, name, || judge(name) as u8);
    let known = Strength::ALL.get(usize::from(strength));
    known.copied().unwrap_or(Strength::None)
}

/// Judges a name in any spelling: `DB_PASSWORD_1`, `db.password`, `dbPassword`, `db-password`.
#[must_use]
pub(crate) fn judge(name: &str) -> Strength {
    judge_after("", name)
}

/// Judges a name that consists of the word before (`API` in `API key`) and an identifier.
#[must_use]
pub(crate) fn judge_after(before: &str, name: &str) -> Strength {
    let mut lower = [0_u8; 2 * MAX_NAME];
    let mut ends = [(0_u8, 0_u8); MAX_WORDS];
    let (count, written) = split(before, name, &mut lower, &mut ends);
    let lower = lower.get(..written).unwrap_or_default();
    let lower = std::str::from_utf8(lower).unwrap_or_default();
    let word = |index: usize| {
        let (start, end) = ends.get(index).copied().unwrap_or_default();
        let range = usize::from(start)..usize::from(end);
        lower.get(range).unwrap_or_default()
    };
    let mut head = Strength::None;
    let mut strongest = Strength::None;
    for index in 0..count {
        let here = word(index);
        let class = classify(here);
        let found = match class {
            Word::Secret(strength) => strength,
            Word::Key if index == 0 && count == 1 => Strength::Faint,
            Word::Key if index == 0 => Strength::Weak,
            Word::Key => key_after(word(index - 1), index == 1),
            // The name of a secret may still follow: `key_store_password`.
            Word::About => {
                head = match here {
                    "hash" if strongest == Strength::Strong => Strength::Weak,
                    "id" if index > 0 && matches!(word(index - 1), "reporter" | "secret") => {
                        Strength::Weak
                    }
                    _ => Strength::None,
                };
                strongest = Strength::None;
                continue;
            }
            // In `sonar.login`, a token takes the place of the user.
            Word::Other if here == "login" && index > 0 && word(index - 1).ends_with("sonar") => {
                Strength::Weak
            }
            Word::Choice if index + 1 < count && head == Strength::None => return Strength::None,
            _ => continue,
        };
        if matches!(class, Word::Key) && found == Strength::None {
            return Strength::None;
        }
        strongest = strongest.max(found);
        head = if found < Strength::Medium && strongest >= Strength::Medium {
            Strength::Medium
        } else if found == Strength::Loose && count > 1 {
            Strength::Strong
        } else if found == Strength::Faint && count > 1 && !matches!(class, Word::Key) {
            Strength::Weak
        } else {
            found
        };
    }
    head
}

/// Splits a name into words, in lower case and without the numbers at their ends. Returns the
/// number of words, and the number of bytes written.
fn split(
    before: &str,
    name: &str,
    lower: &mut [u8; 2 * MAX_NAME],
    ends: &mut [(u8, u8); MAX_WORDS],
) -> (usize, usize) {
    let mut count = 0;
    let mut written = 0;
    let mut start = 0;
    let mut previous = b' ';
    let both = before
        .bytes()
        .chain(std::iter::once(b' '))
        .chain(name.bytes());
    let mut bytes = both.take(2 * MAX_NAME - 1).peekable();
    let mut close = |start: usize, end: usize, lower: &[u8], count: &mut usize| {
        let word = lower.get(start..end).unwrap_or_default();
        let digits = word.iter().rev().take_while(|b| b.is_ascii_digit()).count();
        if word.len() > digits
            && let Some(place) = ends.get_mut(*count)
        {
            let byte = |place| u8::try_from(place).unwrap_or(u8::MAX);
            *place = (byte(start), byte(end - digits));
            *count += 1;
        }
    };
    while let Some(byte) = bytes.next() {
        let is_letter = byte.is_ascii_alphanumeric() || byte >= 0x80;
        let next_is_lower = bytes.peek().is_some_and(u8::is_ascii_lowercase);
        let begins = byte.is_ascii_uppercase()
            && (previous.is_ascii_lowercase() || (previous.is_ascii_uppercase() && next_is_lower));
        if (!is_letter || begins) && start < written {
            close(start, written, lower, &mut count);
            start = written;
        }
        if is_letter {
            if let Some(place) = lower.get_mut(written) {
                *place = byte.to_ascii_lowercase();
            }
            written += 1;
        }
        previous = byte;
    }
    close(start, written, lower, &mut count);
    (count, written)
}

/// Returns the strength of `… key`, by the word before it.
fn key_after(before: &str, is_second: bool) -> Strength {
    match before {
        "api" | "apis" | "secret" | "access" | "private" | "priv" | "account" | "encryption"
        | "encrypt" | "encrypted" | "decryption" | "signing" | "master" | "auth" | "shared"
        | "subscription" | "hmac" | "aes" | "cipher" | "license" | "licence" | "root"
        | "password" | "token" | "client" | "admin" => Strength::Medium,
        "public" | "pub" | "cache" | "idempotency" | "primary" | "sort" | "foreign"
        | "partition" | "routing" | "row" | "index" | "unique" | "object" | "gpg" | "pgp"
        | "dedup" | "deduplication" | "hash" | "group" | "item" | "sub" | "translation"
        | "message" | "known" | "issue" | "trust" | "bucket" | "restore" | "lookup" | "map"
        | "host" | "correlation" | "legacy" | "sorted" | "composite" | "query" | "cached"
        | "kms" | "search" | "build" | "lock" | "memo" => Strength::None,
        // `the key`, `a key`: prose.
        "the" | "a" | "an" | "this" | "each" | "any" | "by" | "for" | "with" | "of" | "to"
        | "no" | "and" | "or" | "in" | "new" | "same"
            if is_second =>
        {
            Strength::Faint
        }
        _ => Strength::Weak,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_in_every_spelling() {
        let cases = [
            (
                Strength::Strong,
                "DB_PASSWORD_PROD password db-password dbPassword PGPASSWORD SSHPASS passwort contraseña mot_de_passe psk passphrase signing.password nexusPassword PASSWORD_2 DB_PASS MYSQL_PWD keyStorePassword storepass srcstorepass TWINE_PASSWORD_TEST LDAPBindPwd ansible_become_pass",
            ),
            (
                Strength::Medium,
                "SECRET_KEY API_KEY_1 x.api.key GITHUB_TOKEN_RW clientSecret SECRET_KEY_BASE ENCRYPTION_KEY LICENSE_KEY WEBHOOK_SECRET SUMO_ACCESS_KEY rootKey accessToken apikey APIKey authtoken client_secret credentials aws.secretKey privateKey",
            ),
            (
                Strength::Weak,
                "APP_KEY DEPLOY_KEY SA_KEY CC_TEST_REPORTER_ID AZURE_DEVOPS_EXT_PAT FCM_SERVER_KEY AIRBRAKE_PROJECT_KEY REDISCLI_AUTH npm_auth",
            ),
            (Strength::Faint, "key auth Key"),
            (Strength::Loose, "pass pwd PASS PWD"),
            (
                Strength::None,
                "public_key cacheKey idempotency-key primary_key sortKey password_file PASSWORD_FILE secretName token_url max_tokens TOKEN_COUNT password_policy tokenizer keyboard monkey bypass compass expires token.go private_key_path passwordless author kms_key_id key_name password.length imagePath is_secret SSH_AUTH_SOCK",
            ),
        ];
        for (strength, names) in cases {
            for name in names.split(' ') {
                let judged = judge(name);
                assert_eq!(judged, strength, "{name}");
            }
        }
        assert_eq!(judge_after("API", "key"), Strength::Medium);
        assert_eq!(judge_after("cache", "key"), Strength::None);
    }
}
