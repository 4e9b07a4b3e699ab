//! Credentials of registries in Docker's `config.json`, which is also the content of a Secret of the type
//! `kubernetes.io/dockerconfigjson`. The entry for a repository is found as Kubernetes finds it (pkg/credentialprovider/keyring.go): `*`
//! stands for any characters within a label of the host, the path is a prefix, and the longest wins. Differs in one point: a path ends at
//! a `/`, so that the credentials of `team` do not go to `team-of-others`.

use crate::Reference;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;

/// How the observer identifies itself at a registry.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// A user and a password, or a token in its place.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// A token that is exchanged for others (`identitytoken`).
    Identity(String),
    /// A token for requests to the registry (`registrytoken`).
    Token(String),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password { .. } => "Password(***)",
            Self::Identity(_) => "Identity(***)",
            Self::Token(_) => "Token(***)",
        })
    }
}

/// Why credentials cannot be used. No message quotes one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// The text is not that of Docker's `config.json`.
    #[error("it is no config.json of Docker: line {line}, column {column}")]
    Json {
        /// Line of the error.
        line: usize,
        /// Column of the error.
        column: usize,
    },
    /// An entry holds no credential.
    #[error(
        "auths[{0:?}] has no credential: write auth (base64 of user:password), username and password, or identitytoken"
    )]
    Empty(String),
    /// The credential of an entry cannot be decoded.
    #[error("auths[{0:?}].auth is not base64 of user:password")]
    Auth(String),
    /// The credentials are in another program.
    #[error(
        "it leaves the credentials to a helper program ({0}), which cannot run here: write them into auths"
    )]
    Helper(&'static str),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, serde::de::IgnoredAny>,
    #[serde(default)]
    creds_store: Option<serde::de::IgnoredAny>,
}

#[derive(Default, Deserialize)]
struct Entry {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    identitytoken: String,
    #[serde(default)]
    registrytoken: String,
}

/// Finds the credential for a repository; `None` if no entry is for it.
///
/// # Errors
///
/// The text is no `config.json`, or the entry that is for the repository cannot be used.
pub fn find_credential(
    config: &[u8],
    reference: &Reference,
) -> Result<Option<Credential>, CredentialsError> {
    let document: Document =
        serde_json::from_slice(config).map_err(|error| CredentialsError::Json {
            line: error.line(),
            column: error.column(),
        })?;
    let matching = document.auths.iter().filter_map(|(key, entry)| {
        let pattern = Pattern::parse(key);
        pattern
            .matches(reference)
            .then(|| (pattern.rank(), key, entry))
    });
    if let Some((_, key, entry)) = matching.max_by(|(a, ..), (b, ..)| a.cmp(b)) {
        return entry.credential(key).map(Some);
    }
    let is_helped = document.cred_helpers.contains_key(reference.registry());
    match (is_helped, document.creds_store) {
        (true, _) => Err(CredentialsError::Helper("credHelpers")),
        (_, Some(_)) => Err(CredentialsError::Helper("credsStore")),
        _ => Ok(None),
    }
}

impl Entry {
    fn credential(&self, key: &str) -> Result<Credential, CredentialsError> {
        if !self.identitytoken.is_empty() {
            return Ok(Credential::Identity(self.identitytoken.clone()));
        }
        if !self.registrytoken.is_empty() {
            return Ok(Credential::Token(self.registrytoken.clone()));
        }
        if !self.username.is_empty() {
            return Ok(Credential::Password {
                user: self.username.clone(),
                password: self.password.clone(),
            });
        }
        if self.auth.is_empty() {
            return Err(CredentialsError::Empty(key.to_owned()));
        }
        let failed = || CredentialsError::Auth(key.to_owned());
        let decoded = STANDARD.decode(self.auth.trim()).map_err(|_| failed())?;
        let text = String::from_utf8(decoded).map_err(|_| failed())?;
        // The password may hold colons. Docker pads it with NUL.
        let (user, password) = text.split_once(':').ok_or_else(failed)?;
        Ok(Credential::Password {
            user: user.to_owned(),
            password: password.trim_end_matches('\0').to_owned(),
        })
    }
}

/// The key of an entry: `host`, `*.host`, `host:port/path`, with or without a scheme and the version of the API.
struct Pattern<'a> {
    host: &'a str,
    port: &'a str,
    path: &'a str,
}

impl<'a> Pattern<'a> {
    fn parse(key: &'a str) -> Self {
        let text = key.strip_prefix("https://").unwrap_or(key);
        let text = text.strip_prefix("http://").unwrap_or(text);
        let (authority, path) = text.split_once('/').unwrap_or((text, ""));
        let path = path
            .strip_prefix("v1")
            .or(path.strip_prefix("v2"))
            .map_or(path, |rest| {
                // `v1` may also be the beginning of a repository's name.
                match rest.is_empty() || rest.starts_with('/') {
                    true => rest,
                    false => path,
                }
            });
        let (host, port) = split_port(authority);
        Self {
            host,
            port,
            path: path.trim_matches('/'),
        }
    }

    fn matches(&self, reference: &Reference) -> bool {
        let (host, port) = split_port(reference.registry());
        let labels = || self.host.split('.').zip(host.split('.'));
        let is_host = self.host.split('.').count() == host.split('.').count()
            && labels().all(|(pattern, label)| glob(&pattern.to_ascii_lowercase(), label));
        let rest = reference.repository().strip_prefix(self.path);
        let is_path = self.path.is_empty()
            || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        is_host && self.port == port && is_path
    }

    /// Orders patterns: a longer path, then a host with more characters of its own.
    fn rank(&self) -> (usize, usize) {
        let own = self.host.bytes().filter(|byte| *byte != b'*').count();
        (self.path.len(), own)
    }
}

fn split_port(authority: &str) -> (&str, &str) {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port),
        _ => (authority, ""),
    }
}

/// Compares a label with a pattern in which `*` stands for any characters.
fn glob(pattern: &str, label: &str) -> bool {
    let Some((begin, rest)) = pattern.split_once('*') else {
        return pattern == label;
    };
    let Some(label) = label.strip_prefix(begin) else {
        return false;
    };
    // The last star may take as much as is left; earlier ones take as little as possible.
    let mut left = label;
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return left.ends_with(part);
        }
        let Some((_, after)) = left.split_once(part) else {
            return false;
        };
        left = after;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn found(auths: &serde_json::Value, repository: &str) -> Option<String> {
        let config = json!({"auths": auths}).to_string();
        let reference = format!("{repository}:1").parse().unwrap();
        let credential = find_credential(config.as_bytes(), &reference).unwrap()?;
        Some(match credential {
            Credential::Password { user, password } => format!("{user}:{password}"),
            Credential::Identity(token) => format!("identity {token}"),
            Credential::Token(token) => format!("token {token}"),
        })
    }

    #[test]
    fn a_credential_has_the_forms_of_docker() {
        for (entry, expected) in [
            (
                json!({"auth": STANDARD.encode("ci:pass:word")}),
                "ci:pass:word",
            ),
            (
                json!({"auth": STANDARD.encode("ci:padded\0\0")}),
                "ci:padded",
            ),
            (
                json!({"username": "ci", "password": "word", "auth": "ignored"}),
                "ci:word",
            ),
            (
                json!({"auth": STANDARD.encode("ci:"), "identitytoken": "abc"}),
                "identity abc",
            ),
            (json!({"registrytoken": "abc"}), "token abc"),
        ] {
            let auths = json!({"registry.example": entry});
            assert_eq!(
                found(&auths, "registry.example/a").as_deref(),
                Some(expected)
            );
        }
    }

    #[test]
    fn the_most_specific_entry_is_the_credential() {
        let entry = |name: &str| json!({"username": name});
        let auths = json!({
            "https://registry.example/v1/": entry("host"),
            "registry.example/team": entry("team"),
            "registry.example/team/deep": entry("deep"),
            "registry.example:5000": entry("port"),
            "*.clouds.example": entry("star"),
            "eu.clouds.example": entry("eu"),
            "a*b*c.clouds.example": entry("abc"),
        });
        for (repository, expected) in [
            ("registry.example/other", Some("host:")),
            ("registry.example/team", Some("team:")),
            ("registry.example/team/x", Some("team:")),
            ("registry.example/team/deep/x", Some("deep:")),
            ("registry.example/team-of-others", Some("host:")),
            ("registry.example:5000/team", Some("port:")),
            ("registry.example:5001/team", None),
            ("us.clouds.example/x", Some("star:")),
            ("eu.clouds.example/x", Some("eu:")),
            ("axbxc.clouds.example/x", Some("abc:")),
            ("acb.clouds.example/x", Some("star:")),
            // A star is one label, so that its credentials do not go to the hosts of others.
            ("a.b.clouds.example/x", None),
            ("clouds.example/x", None),
            ("evilregistry.example/x", None),
        ] {
            assert_eq!(
                found(&auths, repository).as_deref(),
                expected,
                "{repository}"
            );
        }
        let named = json!({"registry.example/v1tools": entry("v1tools")});
        assert_eq!(
            found(&named, "registry.example/v1tools").as_deref(),
            Some("v1tools:")
        );
        assert_eq!(found(&named, "registry.example/tools"), None);
    }

    #[test]
    fn what_cannot_be_used_is_named_without_its_content() {
        let secret = "hunter2hunter2";
        for (config, expected) in [
            (
                format!("{{\"auths\": \"{secret}\"}}"),
                "it is no config.json of Docker: line 1, column",
            ),
            (
                format!("{{\"auths\": {{\"registry.example\": {{\"auth\": \"{secret}!\"}}}}}}"),
                "auths[\"registry.example\"].auth is not base64",
            ),
            (
                "{\"auths\": {\"registry.example\": {}}}".to_owned(),
                "auths[\"registry.example\"] has no credential",
            ),
            (
                "{\"credsStore\": \"desktop\"}".to_owned(),
                "it leaves the credentials to a helper program (credsStore)",
            ),
            (
                "{\"credHelpers\": {\"registry.example\": \"ecr-login\"}}".to_owned(),
                "it leaves the credentials to a helper program (credHelpers)",
            ),
        ] {
            let reference = "registry.example/a:1".parse().unwrap();
            let error = find_credential(config.as_bytes(), &reference)
                .unwrap_err()
                .to_string();
            assert!(
                error.starts_with(expected) && !error.contains(secret),
                "{error}"
            );
        }
        let shown = format!("{:?}", Credential::Token(secret.to_owned()));
        assert!(!shown.contains(secret));
    }

    proptest! {
        #[test]
        fn a_pattern_without_a_star_is_the_label(pattern in "[a-c]{0,4}", label in "[a-c]{0,4}") {
            prop_assert_eq!(glob(&pattern, &label), pattern == label);
        }

        #[test]
        fn a_star_stands_for_any_characters(a in "[a-c]{0,3}", b in "[a-c]{0,3}", c in "[a-c]{0,3}", x in "[a-c]{0,3}", y in "[a-c]{0,3}") {
            let (pattern, label) = (format!("{a}*{b}*{c}"), format!("{a}{x}{b}{y}{c}"));
            prop_assert!(glob(&pattern, &label), "{} {}", pattern, label);
        }
    }
}
