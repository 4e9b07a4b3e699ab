//! What `deploy/` renders to.

use crate::path;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Whether there is a kubectl. Where there is none, says so, and fails where it is required.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "what a developer asks for stands in the environment"
)]
pub fn kubectl_is_there() -> bool {
    let found = Command::new("kubectl")
        .args(["version", "--client"])
        .output();
    let there = found.is_ok_and(|output| output.status.success());
    let required = std::env::var("STEP_OBSERVER_KUBECTL").is_ok_and(|value| value == "required");
    assert!(there || !required, "kubectl is required and not there");
    if !there {
        #[expect(clippy::print_stderr, reason = "nothing is left out in silence")]
        {
            eprintln!("NOT RUN: there is no kubectl to render deploy/ with");
        }
    }
    there
}

/// Folders with a kustomization that can be applied: `base` and each overlay.
#[must_use]
pub fn forms() -> Vec<PathBuf> {
    let mut forms = below("../deploy/overlays");
    forms.push(path("../deploy/base"));
    forms
}

/// Names of the components.
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

/// The objects of a kustomization. A warning, such as of a field that is deprecated, is a failure.
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

/// The documents of a YAML text.
#[must_use]
pub fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap()
}

/// A copy of `deploy/` below a folder, for kustomizations that must not stand in the repository.
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
