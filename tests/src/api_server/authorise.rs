//! Decides requests as Kubernetes' RBAC does, from Roles and their bindings.

use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Attributes of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `get`, `list`, `watch`, `create`.
    pub verb: &'static str,
    /// API group; empty for the core group.
    pub group: String,
    /// Plural name, followed by a slash and the subresource if there is one.
    pub resource: String,
    /// `None` for all namespaces.
    pub namespace: Option<String>,
    /// Name of the single requested object: from the path, or from the field selector
    /// `metadata.name=NAME` of a list or watch.
    pub name: Option<String>,
}

/// A rule that a binding grants to the service account. `namespace` limits where it applies.
#[derive(Clone, Debug)]
struct Grant {
    /// `None` for all namespaces.
    namespace: Option<String>,
    right: String,
    groups: Vec<String>,
    resources: Vec<String>,
    names: Vec<String>,
    verbs: Vec<String>,
}

/// Decides the requests of one service account.
#[derive(Clone, Debug)]
pub struct Authoriser {
    user: String,
    grants: Vec<Grant>,
}

impl Authoriser {
    /// Collects the rights that the Roles, ClusterRoles and bindings among these documents grant to
    /// the service account `name` in `namespace`.
    #[must_use]
    pub fn new(documents: &[Value], namespace: &str, name: &str) -> Self {
        let account = json!({"kind": "ServiceAccount", "namespace": namespace, "name": name});
        let binds = |binding: &&Value| {
            let subjects = binding["subjects"].as_array();
            subjects.into_iter().flatten().any(|subject| {
                ["kind", "namespace", "name"]
                    .iter()
                    .all(|field| subject[*field] == account[*field])
            })
        };
        let bindings = documents.iter().filter(|document| {
            document["kind"] == "RoleBinding" || document["kind"] == "ClusterRoleBinding"
        });
        let grants = bindings.filter(binds).flat_map(|binding| {
            let everywhere = binding["kind"] == "ClusterRoleBinding";
            let scope = (!everywhere).then(|| text(&binding["metadata"]["namespace"]));
            let role = documents.iter().find(|role| {
                role["kind"] == binding["roleRef"]["kind"]
                    && role["metadata"]["name"] == binding["roleRef"]["name"]
                    && (role["kind"] == "ClusterRole"
                        || role["metadata"]["namespace"] == binding["metadata"]["namespace"])
            });
            let role = role.unwrap_or_else(|| panic!("there is no {}", binding["roleRef"]));
            rules(role).map(move |rule| Grant {
                namespace: scope.clone(),
                right: describe(role, rule),
                groups: texts(&rule["apiGroups"]),
                resources: texts(&rule["resources"]),
                names: texts(&rule["resourceNames"]),
                verbs: texts(&rule["verbs"]),
            })
        });
        Self {
            user: format!("system:serviceaccount:{namespace}:{name}"),
            grants: grants.collect(),
        }
    }

    /// Returns the right that allows a request.
    ///
    /// # Errors
    ///
    /// No right allows the request. The text is the message of an API server.
    pub fn decide(&self, asked: &Attributes) -> Result<&str, String> {
        let granted = self.grants.iter().find(|grant| grant.allows(asked));
        granted
            .map(|grant| grant.right.as_str())
            .ok_or_else(|| self.denial(asked))
    }

    fn denial(&self, asked: &Attributes) -> String {
        let Attributes {
            verb,
            group,
            resource,
            namespace,
            name,
        } = asked;
        let (plural, _) = resource.split_once('/').unwrap_or((resource, ""));
        let dot = if group.is_empty() { "" } else { "." };
        let name = name.as_ref().map(|name| format!(" \"{name}\""));
        let scope = match namespace {
            Some(namespace) => format!("in the namespace \"{namespace}\""),
            None => "at the cluster scope".to_owned(),
        };
        format!(
            "{plural}{dot}{group}{} is forbidden: User \"{}\" cannot {verb} resource \"{resource}\" in API group \
             \"{group}\" {scope}",
            name.unwrap_or_default(),
            self.user
        )
    }
}

impl Grant {
    fn allows(&self, asked: &Attributes) -> bool {
        let here = self.namespace.is_none() || self.namespace == asked.namespace;
        let named = |name: &String| self.names.contains(name);
        here && has(&self.verbs, asked.verb)
            && has(&self.groups, &asked.group)
            && has(&self.resources, &asked.resource)
            && (self.names.is_empty() || asked.name.as_ref().is_some_and(named))
    }
}

/// Returns the documents with all rules split: one verb, one resource and at most one name in each.
#[must_use]
pub fn take_apart(documents: &[Value]) -> Vec<Value> {
    let apart = |document: &Value| {
        let mut document = document.clone();
        let parts: Vec<Value> = rules(&document).flat_map(parts).collect();
        if !parts.is_empty() {
            document["rules"] = parts.into();
        }
        document
    };
    documents.iter().map(apart).collect()
}

fn parts(rule: &Value) -> Vec<Value> {
    let names = match texts(&rule["resourceNames"]) {
        none if none.is_empty() => vec![json!([])],
        names => names.into_iter().map(|name| json!([name])).collect(),
    };
    let mut parts = Vec::new();
    for group in texts(&rule["apiGroups"]) {
        for resource in texts(&rule["resources"]) {
            for verb in texts(&rule["verbs"]) {
                for name in &names {
                    parts.push(json!({
                        "apiGroups": [group], "resources": [resource], "verbs": [verb], "resourceNames": name,
                    }));
                }
            }
        }
    }
    parts
}

/// Returns all granted rights in words.
#[must_use]
pub fn rights(documents: &[Value]) -> BTreeSet<String> {
    let of_role = |role| rules(role).map(move |rule| describe(role, rule));
    documents.iter().flat_map(of_role).collect()
}

/// Returns the documents without one of the rights.
#[must_use]
pub fn without(documents: &[Value], right: &str) -> Vec<Value> {
    let keep = |document: &Value| {
        let mut document = document.clone();
        let rest: Vec<Value> = rules(&document)
            .filter(|rule| describe(&document, rule) != right)
            .cloned()
            .collect();
        if document["rules"].is_array() {
            document["rules"] = rest.into();
        }
        document
    };
    documents.iter().map(keep).collect()
}

/// Describes a rule in words: `Role tekton-pipelines/sink: list configmaps config-events`.
fn describe(role: &Value, rule: &Value) -> String {
    let metadata = &role["metadata"];
    let namespace = metadata["namespace"].as_str();
    let words = ["verbs", "resources", "resourceNames"]
        .map(|field| texts(&rule[field]).join(","))
        .join(" ");
    format!(
        "{} {}{}: {}",
        text(&role["kind"]),
        namespace.map(|name| format!("{name}/")).unwrap_or_default(),
        text(&metadata["name"]),
        words.trim_end()
    )
}

fn rules(role: &Value) -> impl Iterator<Item = &Value> {
    role["rules"].as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(values: &Value) -> Vec<String> {
    values
        .as_array()
        .map(|values| values.iter().map(text).collect())
        .unwrap_or_default()
}

fn has(allowed: &[String], wanted: &str) -> bool {
    allowed.iter().any(|one| one == "*" || one == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents() -> Vec<Value> {
        let subjects = json!([{"kind": "ServiceAccount", "namespace": "us", "name": "observer"}]);
        vec![
            json!({"kind": "ClusterRole", "metadata": {"name": "all"}, "rules": [
                {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]}]}),
            json!({"kind": "ClusterRoleBinding", "metadata": {"name": "all"}, "subjects": subjects,
                   "roleRef": {"kind": "ClusterRole", "name": "all"}}),
            json!({"kind": "Role", "metadata": {"name": "maps", "namespace": "tekton"}, "rules": [
                {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a", "b"], "verbs": ["list"]}]}),
            json!({"kind": "RoleBinding", "metadata": {"name": "maps", "namespace": "tekton"}, "subjects": subjects,
                   "roleRef": {"kind": "Role", "name": "maps"}}),
        ]
    }

    fn ask(verb: &'static str, resource: &str, place: &str) -> Attributes {
        let (namespace, name) = place.split_once('/').unwrap_or((place, ""));
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Attributes {
            verb,
            group: String::new(),
            resource: resource.to_owned(),
            namespace: some(namespace),
            name: some(name),
        }
    }

    #[test]
    fn only_granted_requests_are_allowed() {
        let rbac = Authoriser::new(&documents(), "us", "observer");
        for asked in [
            ask("list", "pods", ""),
            ask("list", "pods", "anywhere"),
            ask("get", "pods/log", "anywhere/pod"),
            ask("list", "configmaps", "tekton/a"),
        ] {
            assert!(rbac.decide(&asked).is_ok(), "{asked:?}");
        }
        for asked in [
            ask("watch", "pods", ""),
            ask("get", "pods/exec", "anywhere/pod"),
            ask("list", "configmaps", "tekton"),
            ask("list", "configmaps", "tekton/c"),
            ask("list", "configmaps", "us/a"),
            Attributes {
                group: "metrics.k8s.io".to_owned(),
                ..ask("list", "pods", "")
            },
        ] {
            assert!(rbac.decide(&asked).is_err(), "{asked:?}");
        }
        let stranger = Authoriser::new(&documents(), "them", "observer");
        assert!(stranger.decide(&ask("list", "pods", "")).is_err());
    }

    #[test]
    fn a_denial_is_worded_as_an_api_server_does() {
        let rbac = Authoriser::new(&documents(), "us", "observer");
        assert_eq!(
            rbac.decide(&ask("watch", "pods", "")).unwrap_err(),
            "pods is forbidden: User \"system:serviceaccount:us:observer\" cannot watch resource \"pods\" in API \
             group \"\" at the cluster scope"
        );
        assert_eq!(
            rbac.decide(&ask("create", "pods/log", "ci/p")).unwrap_err(),
            "pods \"p\" is forbidden: User \"system:serviceaccount:us:observer\" cannot create resource \"pods/log\" \
             in API group \"\" in the namespace \"ci\""
        );
    }

    #[test]
    fn a_right_is_taken_away_alone() {
        let apart = take_apart(&documents());
        let all = rights(&apart);
        assert_eq!(all.len(), 6, "{all:#?}");
        for right in &all {
            let rest = rights(&without(&apart, right));
            assert_eq!(rest.len(), 5);
            assert!(!rest.contains(right));
        }
    }
}
