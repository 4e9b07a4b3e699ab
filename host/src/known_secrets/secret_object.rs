//! Which values of a Kubernetes Secret are secret, by the type of the Secret.

use super::secret_value::SecretValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use zeroize::{Zeroize as _, Zeroizing};

/// A version of a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SecretId {
    /// UID of the Secret.
    pub uid: Arc<str>,
    /// `resourceVersion`.
    pub resource_version: Arc<str>,
}

/// The content of a Secret.
#[derive(Default)]
pub struct SecretObject {
    /// Its version.
    pub id: SecretId,
    /// `namespace/name`, for messages.
    pub name: String,
    /// `type`.
    pub kind: String,
    /// `data`, decoded.
    pub data: BTreeMap<String, Zeroizing<Vec<u8>>>,
}

impl fmt::Debug for SecretObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretObject")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Keys of any Secret that hold no secret.
const PUBLIC_KEYS: [&str; 5] = ["username", "ca.crt", "tls.crt", "known_hosts", "namespace"];

/// Returns the secret values of a Secret, each with the name of the Secret and its key for
/// messages. Includes the token of a service account only if `with_tokens` is true.
pub(super) fn secret_values(object: SecretObject, with_tokens: bool) -> Vec<(String, SecretValue)> {
    let SecretObject {
        name, kind, data, ..
    } = object;
    let only = |key: &str| Some(vec![key.to_owned()]);
    let wanted = match kind.as_str() {
        "kubernetes.io/tls" => only("tls.key"),
        "kubernetes.io/ssh-auth" => only("ssh-privatekey"),
        "kubernetes.io/basic-auth" => only("password"),
        "kubernetes.io/service-account-token" if with_tokens => only("token"),
        "kubernetes.io/service-account-token" => Some(Vec::new()),
        "bootstrap.kubernetes.io/token" => only("token-secret"),
        _ => None,
    };
    let is_wanted = |key: &str| match &wanted {
        Some(wanted) => wanted.iter().any(|one| one == key),
        None => !PUBLIC_KEYS.contains(&key),
    };
    let user = data.get("username").cloned();
    let mut values = Vec::new();
    for (key, bytes) in &data {
        let is_user = user.as_ref().is_some_and(|user| user == bytes);
        if !is_wanted(key) || is_user {
            continue;
        }
        let named = format!("Secret {name}, key {key}");
        match registry_passwords(key, bytes) {
            Some(passwords) => {
                values.extend(passwords.into_iter().map(|value| (named.clone(), value)));
            }
            None => values.push((named, SecretValue::new(bytes))),
        }
    }
    values
}

/// Returns the passwords in a configuration of Docker registries: `.dockerconfigjson`,
/// `.dockercfg`, or a file `config.json` with `auths`. Returns `None` if the value is no such
/// configuration.
fn registry_passwords(key: &str, bytes: &[u8]) -> Option<Vec<SecretValue>> {
    if !matches!(key, ".dockerconfigjson" | ".dockercfg" | "config.json") {
        return None;
    }
    let mut document: Value = serde_json::from_slice(bytes).ok()?;
    let registries = match key {
        ".dockercfg" => document.as_object(),
        _ => document.get("auths").and_then(Value::as_object),
    };
    let mut found = Vec::new();
    for registry in registries?.values() {
        for field in ["password", "auth", "identitytoken", "registrytoken"] {
            let Some(text) = registry.get(field).and_then(Value::as_str) else {
                continue;
            };
            found.push(SecretValue::new(text.as_bytes()));
            if field == "auth"
                && let Ok(pair) = STANDARD.decode(text).map(Zeroizing::new)
                && let Some(colon) = memchr::memchr(b':', &pair)
            {
                let password = pair.get(colon + 1..).unwrap_or_default();
                found.push(SecretValue::new(password));
            }
        }
    }
    overwrite(&mut document);
    Some(found)
}

/// Overwrites all strings of a document.
fn overwrite(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(overwrite),
        Value::Object(members) => members.values_mut().for_each(overwrite),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the keys of the secret values, each with its value.
    fn values(kind: &str, data: &[(&str, &str)], with_tokens: bool) -> Vec<(String, SecretValue)> {
        let data = data
            .iter()
            .map(|(key, value)| ((*key).to_owned(), Zeroizing::new(value.as_bytes().to_vec())));
        let object = SecretObject {
            name: "ci/a".to_owned(),
            kind: kind.to_owned(),
            data: data.collect(),
            ..SecretObject::default()
        };
        secret_values(object, with_tokens)
    }

    fn expected(values: &[(&str, &str)]) -> Vec<(String, SecretValue)> {
        let named = |(key, value): &(&str, &str)| {
            let value = SecretValue::new(value.as_bytes());
            (format!("Secret ci/a, key {key}"), value)
        };
        values.iter().map(named).collect()
    }

    #[test]
    fn the_type_of_a_secret_decides_which_keys_are_secret() {
        let all = [
            ("ca.crt", "public-ca"),
            ("known_hosts", "public-hosts"),
            ("other", "other-value"),
            ("password", "pass-word"),
            ("ssh-privatekey", "ssh-key"),
            ("tls.crt", "public-cert"),
            ("tls.key", "tls-key"),
            ("token", "a-token"),
            ("username", "robot"),
        ];
        for (kind, keys) in [
            ("kubernetes.io/tls", &["tls.key"][..]),
            ("kubernetes.io/ssh-auth", &["ssh-privatekey"]),
            ("kubernetes.io/basic-auth", &["password"]),
            ("kubernetes.io/service-account-token", &[]),
            (
                "Opaque",
                &["other", "password", "ssh-privatekey", "tls.key", "token"],
            ),
            (
                "",
                &["other", "password", "ssh-privatekey", "tls.key", "token"],
            ),
        ] {
            let wanted: Vec<_> = all
                .iter()
                .filter(|(key, _)| keys.contains(key))
                .copied()
                .collect();
            assert_eq!(values(kind, &all, false), expected(&wanted), "{kind}");
        }
        let token = values("kubernetes.io/service-account-token", &all, true);
        assert_eq!(token, expected(&[("token", "a-token")]));
    }

    #[test]
    fn a_value_that_is_equal_to_the_user_name_is_not_secret() {
        let found = values(
            "Opaque",
            &[
                ("id", "robot-1"),
                ("key", "k-e-y-1"),
                ("username", "robot-1"),
            ],
            false,
        );
        assert_eq!(found, expected(&[("key", "k-e-y-1")]));
    }

    #[test]
    fn passwords_of_registries_are_taken_out_of_their_document() {
        let auth = STANDARD.encode("robot:Tr0ub:4dor");
        let key = ".dockerconfigjson";
        let document = format!(
            r#"{{"auths":{{"registry.example":{{"username":"robot","password":"pass-word-1","auth":"{auth}"}},
               "other.example":{{"identitytoken":"identity-1"}}}},"credsStore":"desktop"}}"#
        );
        let found = values("kubernetes.io/dockerconfigjson", &[(key, &document)], false);
        let wanted = ["identity-1", "pass-word-1", &auth, "Tr0ub:4dor"].map(|value| (key, value));
        assert_eq!(found, expected(&wanted));
        // A value that cannot be parsed as a configuration of registries counts as one secret
        // value.
        let found = values(
            "kubernetes.io/dockerconfigjson",
            &[(key, "{no json")],
            false,
        );
        assert_eq!(found, expected(&[(key, "{no json")]));
        let old = format!(r#"{{"registry.example":{{"auth":"{auth}"}}}}"#);
        let found = values("kubernetes.io/dockercfg", &[(".dockercfg", &old)], false);
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn debug_output_shows_no_value() {
        let object = SecretObject {
            data: [("a".to_owned(), Zeroizing::new(b"s3cr3t".to_vec()))].into(),
            ..SecretObject::default()
        };
        assert!(!format!("{object:?}").contains("115, 51"));
    }
}
