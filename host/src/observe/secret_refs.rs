//! The Secrets that a Pod refers to. The author of the Pod chooses the names, and they become part
//! of request paths to the API server. So they are checked.

use super::elements;
use super::slim::SlimPod;
use crate::known_secrets::{MAX_SECRETS, SecretRef, SecretRefs};
use serde::{Deserialize, Deserializer};
use std::sync::Arc;

/// References to Secrets in a part of a Pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Refs {
    /// Each once, at most [`MAX_SECRETS`].
    secrets: Vec<SecretRef>,
    /// Number of references that `secrets` does not contain: those beyond the bound, and those with
    /// a name that no Secret can have.
    further: usize,
}

/// A reference by name.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Reference {
    /// `secretName` in volumes.
    #[serde(alias = "secretName")]
    name: Option<String>,
    optional: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Variable {
    value_from: Option<ValueFrom>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ValueFrom {
    secret_key_ref: Option<Reference>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct VariableSource {
    secret_ref: Option<Reference>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Volume {
    secret: Option<Reference>,
    projected: Option<Projected>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Projected {
    sources: Option<Vec<Projection>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Projection {
    secret: Option<Reference>,
}

impl Refs {
    fn add(&mut self, reference: Reference) {
        let Some(name) = reference.name.filter(|name| !name.is_empty()) else {
            return;
        };
        if !is_secret_name(&name) {
            self.further += 1;
            return;
        }
        self.merge_one(SecretRef {
            name: name.into(),
            is_optional: reference.optional == Some(true),
        });
    }

    fn merge_one(&mut self, secret: SecretRef) {
        let is_full = self.secrets.len() >= MAX_SECRETS;
        let mut known = self.secrets.iter_mut();
        match known.find(|known| known.name == secret.name) {
            Some(known) => known.is_optional &= secret.is_optional,
            None if is_full => self.further += 1,
            None => self.secrets.push(secret),
        }
    }

    fn merge(&mut self, other: &Self) {
        self.further += other.further;
        for secret in &other.secrets {
            self.merge_one(secret.clone());
        }
    }
}

/// Returns whether a text is a name that a Secret can have, a subdomain of RFC 1123.
#[must_use]
pub(crate) fn is_secret_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        label
            .bytes()
            .all(|byte| is_alphanumeric(byte) || byte == b'-')
            && label.bytes().next().is_some_and(is_alphanumeric)
            && label.bytes().next_back().is_some_and(is_alphanumeric)
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

fn fold<'de, D, T>(
    deserializer: D,
    expected: &'static str,
    references: impl Fn(T) -> Vec<Reference>,
) -> Result<Refs, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    elements::fold(
        deserializer,
        expected,
        Refs::default(),
        |refs, element: T| {
            references(element)
                .into_iter()
                .for_each(|reference| refs.add(reference));
            Ok(())
        },
    )
}

/// Reads `env` of a container.
pub(super) fn env<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Refs, D::Error> {
    fold(deserializer, "a list of variables", |variable: Variable| {
        let from = variable.value_from.and_then(|from| from.secret_key_ref);
        from.into_iter().collect()
    })
}

/// Reads `envFrom` of a container.
pub(super) fn env_from<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Refs, D::Error> {
    let expected = "a list of sources of variables";
    fold(deserializer, expected, |source: VariableSource| {
        source.secret_ref.into_iter().collect()
    })
}

/// Reads `volumes` of a Pod.
pub(super) fn volumes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Refs, D::Error> {
    fold(deserializer, "a list of volumes", |volume: Volume| {
        let projected = volume.projected.and_then(|projected| projected.sources);
        let projected = projected.into_iter().flatten();
        let projected = projected.filter_map(|source| source.secret);
        volume.secret.into_iter().chain(projected).collect()
    })
}

/// Reads `imagePullSecrets` of a Pod.
pub(super) fn pull_secrets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Refs, D::Error> {
    fold(deserializer, "a list of names", |name: Reference| {
        vec![name]
    })
}

impl SlimPod {
    /// Returns the Secrets that the Pod refers to; `None` if there are none.
    pub(super) fn secret_refs(&self, with_pull_secrets: bool) -> Option<SecretRefs> {
        let spec = &self.spec;
        let mut all = Refs::default();
        for container in &spec.containers {
            all.merge(&container.env);
            all.merge(&container.env_from);
        }
        for container in &spec.init_containers {
            all.merge(&container.env);
            all.merge(&container.env_from);
        }
        all.merge(&spec.volumes);
        if with_pull_secrets {
            all.merge(&spec.image_pull_secrets);
        }
        let Refs { secrets, further } = all;
        if secrets.is_empty() && further == 0 {
            return None;
        }
        Some(SecretRefs {
            namespace: self.metadata.namespace.clone().unwrap_or_default(),
            pod_uid: self.metadata.uid.clone().unwrap_or_default(),
            secrets,
            further,
            public_names: self.public_names(),
        })
    }

    /// Returns names that everybody knows.
    fn public_names(&self) -> Vec<Arc<str>> {
        let (metadata, spec) = (&self.metadata, &self.spec);
        let mut names: Vec<Arc<str>> = [
            &metadata.namespace,
            &metadata.name,
            &spec.service_account_name,
        ]
        .into_iter()
        .flatten()
        .cloned()
        .collect();
        names.extend(self.owner().map(|owner| owner.name.clone()));
        for container in &spec.containers {
            let step = container.name.strip_prefix("step-");
            names.extend(step.map(Into::into));
            names.push(container.name.clone());
            names.extend(image_names(&container.image));
        }
        let init = spec.init_containers.iter();
        names.extend(init.map(|container| container.name.clone()));
        names.sort_unstable();
        names.dedup();
        names.retain(|name| !name.is_empty());
        names
    }
}

/// Returns the names that an image reference contains: the reference with and without its tag and
/// digest, the tag, the registry, and each part of the path.
fn image_names(image: &Arc<str>) -> Vec<Arc<str>> {
    let (name, _) = image.split_once('@').unwrap_or((image, ""));
    let (folder, last) = name.rsplit_once('/').unwrap_or(("", name));
    let (last, tag) = last.split_once(':').unwrap_or((last, ""));
    let without_tag = match folder {
        "" => last.to_owned(),
        folder => format!("{folder}/{last}"),
    };
    let parts = folder.split('/').chain([name, last, tag, &without_tag]);
    let parts: Vec<Arc<str>> = parts.map(Into::into).collect();
    parts.into_iter().chain([image.clone()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(spec: &Value) -> SlimPod {
        let metadata = json!({"namespace": "ci", "name": "p", "uid": "u"});
        let pod = json!({"metadata": metadata, "spec": spec});
        serde_json::from_str(&pod.to_string()).unwrap()
    }

    fn names(refs: &SecretRefs) -> Vec<(&str, bool)> {
        let secrets = refs.secrets.iter();
        secrets
            .map(|secret| (&*secret.name, secret.is_optional))
            .collect()
    }

    #[test]
    fn every_kind_of_reference_is_found_once() {
        let key = |name: &str, optional: Value| json!({"name": "V", "valueFrom": {"secretKeyRef": {"name": name, "key": "k", "optional": optional}}});
        let spec = json!({
            "containers": [{
                "name": "step-a", "image": "registry.example/team/tool:v1",
                "env": [{"name": "PLAIN", "value": "x"}, key("of-env", json!(null)), key("twice", json!(true)),
                        {"name": "F", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}],
                "envFrom": [{"configMapRef": {"name": "no"}}, {"secretRef": {"name": "of-env-from", "optional": true}}],
            }],
            "initContainers": [{"name": "prepare", "env": [key("of-init", json!(false)), key("twice", json!(false))]}],
            "volumes": [
                {"name": "v", "secret": {"secretName": "of-volume"}},
                {"name": "w", "projected": {"sources": [{"secret": {"name": "of-projection"}}, {"serviceAccountToken": {"path": "t"}}]}},
                {"name": "x", "emptyDir": {}},
            ],
            "imagePullSecrets": [{"name": "of-pull"}],
            "serviceAccountName": "builder-1",
        });
        let all = [
            ("of-env", false),
            ("twice", false),
            ("of-env-from", true),
            ("of-init", false),
            ("of-volume", false),
            ("of-projection", false),
        ];
        let found = pod(&spec).secret_refs(false).unwrap();
        assert_eq!(names(&found), all);
        assert_eq!(
            (found.further, &*found.namespace, &*found.pod_uid),
            (0, "ci", "u")
        );
        for name in [
            "ci",
            "p",
            "step-a",
            "a",
            "prepare",
            "builder-1",
            "tool",
            "v1",
            "registry.example",
            "registry.example/team/tool",
        ] {
            assert!(
                found.public_names.iter().any(|known| **known == *name),
                "{name}"
            );
        }
        let with_pull = pod(&spec).secret_refs(true).unwrap();
        assert_eq!(with_pull.secrets.len(), all.len() + 1);
    }

    #[test]
    fn names_that_no_secret_can_have_are_counted_but_never_asked_for() {
        let volumes: Vec<Value> = ["a/../b", "..", "A", "", "-a", "a?b", "good.name-1"]
            .iter()
            .map(|name| json!({"secret": {"secretName": name}}))
            .collect();
        let found = pod(&json!({"volumes": volumes}))
            .secret_refs(false)
            .unwrap();
        assert_eq!(names(&found), [("good.name-1", false)]);
        assert_eq!(found.further, 5);
    }

    #[test]
    fn more_secrets_than_are_read_are_counted() {
        let volumes: Vec<Value> = (0..MAX_SECRETS + 7)
            .map(|number| json!({"secret": {"secretName": format!("s-{number}")}}))
            .collect();
        let found = pod(&json!({"volumes": volumes}))
            .secret_refs(false)
            .unwrap();
        assert_eq!((found.secrets.len(), found.further), (MAX_SECRETS, 7));
    }

    #[test]
    fn missing_and_empty_members_are_no_reference() {
        for spec in [
            json!({}),
            json!({"volumes": null, "imagePullSecrets": null, "containers": [{"name": "a", "env": null, "envFrom": null}]}),
            json!({"volumes": [{"secret": null}, {"projected": {"sources": null}}], "containers": [{"env": [{"valueFrom": null}]}]}),
            json!({"volumes": [{"secret": {"secretName": null}}]}),
        ] {
            assert_eq!(pod(&spec).secret_refs(true), None);
        }
    }
}
