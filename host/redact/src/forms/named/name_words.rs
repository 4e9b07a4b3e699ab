//! Words of names: words for secrets, and words that say that the value is something else.

use super::names::Strength;
use crate::word_table::WordTable;
use std::sync::LazyLock;

/// What a word contributes to a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Names a secret.
    Secret(Strength),
    /// `key`, whose meaning depends on the word before.
    Key,
    /// Stands after the name of a secret. The value is then not the secret itself (`token_url`).
    About,
    /// Stands before the name of a secret. The value is then a number or a choice (`max_tokens`).
    Choice,
    Other,
}

/// Words of names with their meanings.
const WORDS: &[(Word, &[&str])] = &[
    (
        Word::Secret(Strength::Strong),
        &[
            "password",
            "passwords",
            "passwd",
            "pswd",
            "passw",
            "passphrase",
            "passwort",
            "passcode",
            "psk",
            "contraseña",
            "contrasena",
            "senha",
            "kennwort",
            "wachtwoord",
            "passe",
            "haslo",
            "hasło",
            "heslo",
            "parola",
            "lösenord",
            "losenord",
            "adgangskode",
            "salasana",
            "jelszo",
            "jelszó",
            "пароль",
            "sshpass",
            "bindpw",
            "rootbindpw",
            "masterauth",
        ],
    ),
    (Word::Secret(Strength::Loose), &["pass", "pwd", "pw"]),
    (
        Word::Secret(Strength::Medium),
        &[
            "secret",
            "secrets",
            "token",
            "credential",
            "credentials",
            "creds",
            "cred",
            "apikey",
            "authkey",
            "authtok",
            "jwt",
            "mnemonic",
        ],
    ),
    (
        Word::Secret(Strength::Weak),
        &["tokens", "pat", "otp", "pin", "salt", "passkey", "authcode"],
    ),
    (Word::Secret(Strength::Faint), &["auth", "bearer"]),
    (Word::Key, &["key"]),
    (
        Word::About,
        &[
            "path",
            "paths",
            "file",
            "files",
            "filename",
            "dir",
            "directory",
            "folder",
            "name",
            "names",
            "length",
            "len",
            "size",
            "count",
            "counts",
            "number",
            "url",
            "uri",
            "urls",
            "endpoint",
            "host",
            "hostname",
            "port",
            "address",
            "addr",
            "type",
            "types",
            "kind",
            "ttl",
            "expiry",
            "expire",
            "expires",
            "expired",
            "expiration",
            "exp",
            "lifetime",
            "age",
            "timeout",
            "policy",
            "policies",
            "ref",
            "refs",
            "reference",
            "id",
            "ids",
            "hint",
            "label",
            "description",
            "desc",
            "title",
            "prompt",
            "placeholder",
            "field",
            "column",
            "attribute",
            "param",
            "parameter",
            "prefix",
            "suffix",
            "pattern",
            "format",
            "regex",
            "algorithm",
            "alg",
            "algo",
            "encoding",
            "scope",
            "scopes",
            "issuer",
            "audience",
            "rotation",
            "version",
            "limit",
            "enabled",
            "disabled",
            "required",
            "optional",
            "valid",
            "invalid",
            "status",
            "state",
            "error",
            "errors",
            "failed",
            "failure",
            "missing",
            "exists",
            "manager",
            "provider",
            "source",
            "backend",
            "driver",
            "plugin",
            "class",
            "handler",
            "controller",
            "helper",
            "util",
            "utils",
            "template",
            "templates",
            "strategy",
            "mode",
            "method",
            "usage",
            "changed",
            "updated",
            "created",
            "at",
            "date",
            "time",
            "timestamp",
            "strength",
            "validator",
            "validation",
            "generator",
            "stdin",
            "var",
            "variable",
            "script",
            "command",
            "cmd",
            "fd",
            "sock",
            "socket",
            "info",
            "hash",
            "go",
            "rs",
            "py",
            "js",
            "ts",
            "java",
            "md",
            "txt",
            "json",
            "yaml",
            "yml",
            "html",
            "css",
            "c",
            "h",
            "cpp",
            "rb",
            "php",
            "sh",
            "log",
            "xml",
            "svg",
            "png",
            "lock",
            "tmpl",
            "tpl",
            "com",
            "org",
            "net",
            "io",
            "fingerprint",
            "thumbprint",
            "checksum",
            "digest",
            "list",
            "index",
            "revision",
            "position",
            "offset",
            "line",
            "config",
            "store",
            "bytes",
            "bits",
            "affinity",
            "review",
            "reviews",
            "request",
            "crt",
            "pem",
            "pub",
            "class_name",
            "stream",
            "hashes",
            "by",
            "through",
            "thru",
            "rate",
            "fail",
            "fails",
            "ratio",
            "threshold",
            "arg",
            "args",
        ],
    ),
    (
        Word::Choice,
        &[
            "max",
            "min",
            "num",
            "total",
            "no",
            "has",
            "is",
            "use",
            "enable",
            "disable",
            "require",
            "requires",
            "allow",
            "show",
            "hide",
            "without",
            "unexpected",
            "validate",
            "skip",
        ],
    ),
];

/// Returns what a word of a name means.
pub(super) fn classify(word: &str) -> Word {
    static MEANINGS: LazyLock<WordTable<Word>> = LazyLock::new(|| {
        let words = WORDS.iter();
        WordTable::new(
            words.flat_map(|(meaning, words)| words.iter().map(|word| (*word, *meaning))),
        )
    });
    let known = MEANINGS.get(word.as_bytes());
    known.unwrap_or_else(|| classify_glued(word))
}

/// Returns the meaning of a compound word without separators (`pgpassword`).
fn classify_glued(word: &str) -> Word {
    use Strength::{Medium, Strong};
    if word.len() < 5 {
        return match word {
            "upw" | "dbpw" | "mypw" => Word::Secret(Strong),
            _ => Word::Other,
        };
    }
    for stem in ["password", "passwd", "passphrase", "passwort", "passcode"] {
        if word.ends_with(stem) {
            return Word::Secret(Strong);
        }
        if let Some(rest) = word.strip_prefix(stem) {
            return match classify(rest) {
                Word::About => Word::About,
                _ if rest == "less" => Word::About,
                _ => Word::Secret(Strong),
            };
        }
    }
    let ends = |ends: &[&str]| ends.iter().any(|end| word.ends_with(end));
    if ends(&["pass", "pwd", "psk"]) {
        return match word {
            "bypass" | "compass" | "trespass" | "encompass" | "overpass" | "underpass"
            | "surpass" | "multipass" | "getpass" | "minipass" | "subpass" | "renderpass" => {
                Word::Other
            }
            _ => Word::Secret(Strong),
        };
    }
    if ends(&[
        "token",
        "secret",
        "apikey",
        "secretkey",
        "accesskey",
        "privatekey",
        "privkey",
        "authkey",
        "signingkey",
        "encryptionkey",
        "masterkey",
        "licensekey",
        "sharedkey",
        "accountkey",
    ]) {
        return Word::Secret(Medium);
    }
    if ends(&[
        "sshkey",
        "appkey",
        "deploykey",
        "rootkey",
        "rootpw",
        "userpw",
        "dbpw",
        "adminpw",
    ]) {
        return Word::Secret(if word.ends_with("pw") {
            Strong
        } else {
            Strength::Weak
        });
    }
    Word::Other
}
