//! The case `known-secrets`: a run prints the Secrets that its pod refers to. It runs in two
//! namespaces: in one, the observer may read Secrets; in the other, it may not.

use super::Cluster;
use crate::known_secrets::encodings;
use crate::manifests::documents;
use crate::path;
use axum::http::Method;
use kube::config::Kubeconfig;
use serde_json::{Value, json};
use std::path::Path;

/// Name of the case, of its TaskRun, and of the observer's account and roles.
pub const NAME: &str = "known-secrets";

/// Number of Secrets that the pod refers to.
pub const SECRETS: u64 = 3;

/// Values of the Secrets.
pub const VALUES: [&str; 3] = [
    "env-Tr0ub4dor-value",
    "from-h0rse-staple-value",
    "volume-c0rrect-battery-value",
];

/// Returns the manifests of the Secrets, followed by the manifest of the TaskRun.
#[must_use]
pub fn manifests(image: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(path("e2e/known-secrets.yaml")).unwrap();
    documents(&text.replace("localhost/busybox:1.35", image))
}

/// Returns the rules of a ClusterRole of `deploy/`.
fn rules(file: &str, role: &str) -> Value {
    let text = std::fs::read_to_string(path(file)).unwrap();
    let documents = documents(&text);
    let role = documents
        .iter()
        .find(|document| document["kind"] == "ClusterRole" && document["metadata"]["name"] == role);
    role.unwrap()["rules"].clone()
}

/// Returns the Roles and RoleBindings that give the observer's account the rights of `deploy/` in
/// `namespace`. The account is in the namespace `home`. The rights of the component `known-secrets`
/// are included only if `reads_secrets`. All objects are deleted with their namespaces.
#[must_use]
pub fn rights(home: &str, namespace: &str, reads_secrets: bool) -> Vec<Value> {
    let base = rules("../deploy/base/rbac.yaml", "step-observer");
    let component = rules(
        "../deploy/components/known-secrets/rbac.yaml",
        "step-observer-known-secrets",
    );
    let chosen = [
        ("step-observer", base),
        ("step-observer-known-secrets", component),
    ];
    let version = "rbac.authorization.k8s.io/v1";
    let mut objects = Vec::new();
    for (name, rules) in chosen.into_iter().take(if reads_secrets { 2 } else { 1 }) {
        let metadata = json!({"name": name, "namespace": namespace});
        objects.push(json!({
            "apiVersion": version, "kind": "Role", "metadata": metadata, "rules": rules,
        }));
        objects.push(json!({
            "apiVersion": version, "kind": "RoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": home}],
        }));
    }
    objects
}

/// Returns the configuration of the observer.
#[must_use]
pub fn config(namespaces: [&str; 2], sink: &str, admin: &str) -> String {
    let namespaces = namespaces.join(", ");
    format!(
        "cluster: {{namespaces: [{namespaces}]}}\n\
         knownSecrets: {{requireSecrets: true, pods: {{namespaces: [{namespaces}]}}}}\n\
         admin: {{listen: '{admin}'}}\n\
         sinks: [{{name: sink, to: {{http: {{url: '{sink}'}}}}}}]\n"
    )
}

/// Returns the kubeconfig in this file, or the one of the environment, for the holder of a token.
///
/// # Errors
///
/// There is no usable kubeconfig.
pub fn kubeconfig(file: Option<&Path>, token: &str) -> Result<Value, String> {
    let read = match file {
        Some(file) => Kubeconfig::read_from(file),
        None => Kubeconfig::read(),
    };
    let read = read.map_err(|error| error.to_string())?;
    let context = read.current_context.clone();
    let mut config = serde_json::to_value(read).map_err(|error| error.to_string())?;
    let contexts = config["contexts"].as_array().into_iter().flatten();
    let mut used = contexts.filter(|entry| entry["name"].as_str() == context.as_deref());
    let cluster = used.next().ok_or("the kubeconfig has no context")?["context"]["cluster"].clone();
    config["users"] = json!([{"name": NAME, "user": {"token": token}}]);
    config["contexts"] = json!([{"name": NAME, "context": {"cluster": cluster, "user": NAME}}]);
    config["current-context"] = NAME.into();
    Ok(config)
}

/// Creates the account of the observer in the namespace `home`, with its rights in both namespaces.
/// Returns a token of the account.
///
/// # Errors
///
/// The API server refuses an object or the token.
pub async fn create_account(home: &Cluster, other: &Cluster) -> Result<String, String> {
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": NAME, "namespace": home.namespace},
    });
    home.create_object(&account).await?;
    for (cluster, reads_secrets) in [(home, true), (other, false)] {
        for object in rights(&home.namespace, &cluster.namespace, reads_secrets) {
            cluster.create_object(&object).await?;
        }
    }
    let path = format!(
        "/api/v1/namespaces/{}/serviceaccounts/{NAME}/token",
        home.namespace
    );
    let asked = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"expirationSeconds": 3600},
    });
    let given = home.request(Method::POST, &path, Some(asked)).await?;
    let token = given["status"]["token"].as_str();
    let token = token.ok_or("the API server gave no token")?.to_owned();
    Ok(token)
}

/// Creates the Secrets and the TaskRun in a namespace.
///
/// # Errors
///
/// The API server refuses one of them.
pub async fn start_run(cluster: &Cluster, image: &str) -> Result<(), String> {
    for object in manifests(image) {
        cluster.create_object(&object).await?;
    }
    Ok(())
}

/// Returns the log that the script prints.
#[must_use]
pub fn log() -> String {
    let lines = VALUES.iter().map(|value| {
        let base64 = |text: &str| encodings(text).swap_remove(1).1;
        let pair = base64(&format!("user:{value}"));
        let wrapped: Vec<&str> = pair
            .as_bytes()
            .chunks(10)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        format!(
            "raw {value}\nbase64 {}\nwrapped\n{}\n\n",
            base64(value),
            wrapped.join("\n")
        )
    });
    lines.collect()
}

/// Compares the received events of both namespaces with the expected ones. `seen` holds the data of
/// each event.
///
/// # Errors
///
/// Names the namespace and the difference.
pub fn judge(seen: &[Value], home: &str, other: &str) -> Result<(), String> {
    for (namespace, reads_secrets) in [(home, true), (other, false)] {
        let of_it = seen
            .iter()
            .filter(|data| data["podRef"]["namespace"] == namespace);
        let events: Vec<&Value> = of_it.collect();
        let [started, ended] = events[..] else {
            return Err(format!(
                "{namespace}: {} events came instead of 2",
                events.len()
            ));
        };
        let unread = (!reads_secrets).then_some(SECRETS);
        for event in [started, ended] {
            if event["unreadSecrets"].as_u64() != unread {
                let came = &event["unreadSecrets"];
                return Err(format!(
                    "{namespace}: unreadSecrets is {came} instead of {unread:?}"
                ));
            }
        }
        let log = ended["log"].as_str();
        match (reads_secrets, log) {
            (false, None) if ended["logInfo"]["unavailable"].is_string() => {}
            (true, Some(log)) if log.contains("raw [redacted:known-value]") => {}
            _ => return Err(format!("{namespace}: not the expected log: {ended}")),
        }
    }
    Ok(())
}
