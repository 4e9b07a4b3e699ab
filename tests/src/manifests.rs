//! The objects that `deploy/` renders to.

use crate::path;
use crate::peer::{Missing, machine_program};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Checks that kubectl is available: it renders `deploy/`.
pub fn kubectl() -> Result<(), Missing> {
    let remedy = "install kubectl and put it on the PATH";
    machine_program("kubectl", &["version", "--client"], remedy)
        .map_err(|missing| missing.required_by("STEP_OBSERVER_KUBECTL"))
}

/// Returns the folders with a kustomization that can be applied: `base` and each overlay.
#[must_use]
pub fn forms() -> Vec<PathBuf> {
    let mut forms = below("../deploy/overlays");
    forms.push(path("../deploy/base"));
    forms
}

/// Returns the names of the components.
#[must_use]
pub fn components() -> Vec<String> {
    let folders = below("../deploy/components").into_iter();
    folders
        .map(|folder| folder.file_name().unwrap().to_str().unwrap().to_owned())
        .collect()
}

fn below(folder: &str) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = fs::read_dir(path(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    folders
}

/// Renders a kustomization. A warning, such as of a deprecated field, is a failure.
#[must_use]
pub fn render(folder: &Path) -> Vec<Value> {
    let output = Command::new("kubectl")
        .arg("kustomize")
        .arg(folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.is_empty(),
        "{folder:?}: {said}"
    );
    documents(&String::from_utf8(output.stdout).unwrap())
}

/// Parses the documents of a YAML text.
#[must_use]
pub fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap()
}

/// Copies `deploy/` to a folder, for kustomizations that do not belong to the repository.
pub fn copy_deploy(to: &Path) {
    copy(&path("../deploy"), to);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap().path();
        let target = to.join(entry.file_name().unwrap());
        match entry.is_dir() {
            true => copy(&entry, &target),
            false => drop(fs::copy(&entry, &target).unwrap()),
        }
    }
}

/// Renders `base`, each overlay, and `base` with all components. Returns the name and the objects
/// of each.
pub fn rendered() -> Result<Vec<(String, Vec<Value>)>, Missing> {
    kubectl()?;
    let named = |folder: &std::path::PathBuf| {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        (name, render(folder))
    };
    let mut rendered: Vec<_> = forms().iter().map(named).collect();
    rendered.push(("all components that go together".to_owned(), together()));
    Ok(rendered)
}

/// Renders `base` with all components.
fn together() -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    copy_deploy(&folder.path().join("deploy"));
    // `sharded` must come after `durable`; the order of the other components does not matter.
    let mut names = components();
    // Of a StatefulSet, each pod is the only one of its shard.
    names.retain(|name| name != "standby");
    names.sort_by_key(|name| name != "durable");
    let mut text = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n\
                    resources: [deploy/base]\ncomponents:\n"
        .to_owned();
    for name in names {
        text.push_str(&format!("- deploy/components/{name}\n"));
    }
    std::fs::write(folder.path().join("kustomization.yaml"), text).unwrap();
    render(folder.path())
}

/// Returns the objects of a kind.
#[must_use]
pub fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    let all = objects.iter();
    all.filter(|object| object["kind"] == kind).collect()
}

/// Returns the Deployment or StatefulSet.
#[must_use]
pub fn workload(objects: &[Value]) -> &Value {
    let mut found = of_kind(objects, "Deployment");
    found.extend(of_kind(objects, "StatefulSet"));
    assert_eq!(found.len(), 1, "one workload");
    found[0]
}

/// Returns the items of an array; none for any other value.
#[must_use]
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Returns a string; an empty one for any other value.
#[must_use]
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Returns the configuration file of a form.
#[must_use]
pub fn config(objects: &[Value]) -> &str {
    let maps = of_kind(objects, "ConfigMap");
    let map = maps
        .iter()
        .find(|map| map["metadata"]["name"] == "step-observer");
    text(&map.unwrap()["data"]["config.yaml"])
}

/// Parses an object as its Kubernetes type, and returns the parsed content: without the fields that Kubernetes does not know. `None`
/// for kinds of other projects.
///
/// # Panics
///
/// If the kind is new.
#[must_use]
pub fn understood(object: &Value) -> Option<Value> {
    use k8s_openapi::api::{apps, core, networking, policy, rbac};
    use k8s_openapi::serde::{Serialize, de::DeserializeOwned};
    fn typed<T: DeserializeOwned + Serialize>(object: &Value) -> Value {
        let read: T = serde_json::from_value(object.clone()).unwrap();
        serde_json::to_value(read).unwrap()
    }
    let read = match text(&object["kind"]) {
        "Namespace" => typed::<core::v1::Namespace>,
        "ServiceAccount" => typed::<core::v1::ServiceAccount>,
        "ConfigMap" => typed::<core::v1::ConfigMap>,
        "Service" => typed::<core::v1::Service>,
        "Deployment" => typed::<apps::v1::Deployment>,
        "StatefulSet" => typed::<apps::v1::StatefulSet>,
        "PodDisruptionBudget" => typed::<policy::v1::PodDisruptionBudget>,
        "NetworkPolicy" => typed::<networking::v1::NetworkPolicy>,
        "ClusterRole" => typed::<rbac::v1::ClusterRole>,
        "ClusterRoleBinding" => typed::<rbac::v1::ClusterRoleBinding>,
        "Role" => typed::<rbac::v1::Role>,
        "RoleBinding" => typed::<rbac::v1::RoleBinding>,
        // Kinds of other projects, which have no types here.
        "ServiceMonitor" | "PrometheusRule" | "SinkBinding" => return None,
        other => panic!("{other} is new: read it here"),
    };
    Some(read(object))
}
