//! Renders the chart with Helm's own library, which `cargo xtask receivers` installs.

use crate::manifests::documents;
use crate::path;
use crate::peer::Missing;
use crate::receivers::installed;
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::{Command, Stdio};

/// What `helm install` is given.
#[derive(Debug, Clone)]
pub struct Case {
    /// Values: an object, or the text of a file.
    pub values: Value,
    /// Name of the release.
    pub release: String,
    /// Namespace of the release.
    pub namespace: String,
}

impl Case {
    /// The release `step-observer` in the namespace `step-observer`, as the objects of kustomize are named. Adds an image.
    #[must_use]
    pub fn new(mut values: Value) -> Self {
        if values.is_object() && values["image"].is_null() {
            values["image"] = json!({"repository": "step-observer"});
        }
        Self {
            values,
            release: "step-observer".to_owned(),
            namespace: "step-observer".to_owned(),
        }
    }
}

/// What Helm makes of a case.
#[derive(Debug, Deserialize)]
pub struct Rendered {
    /// `NOTES.txt`.
    pub notes: String,
    documents: Vec<String>,
    /// The objects, as Helm's reader of YAML understands them.
    pub objects: Vec<Value>,
    /// Warnings and errors of `helm lint --strict`.
    pub findings: Vec<String>,
}

impl Rendered {
    /// Checks that a reader of YAML 1.2 understands the same as Helm's, which reads YAML 1.1.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub fn assert_unambiguous(&self) {
        for (text, object) in self.documents.iter().zip(&self.objects) {
            assert_eq!(&documents(text), std::slice::from_ref(object), "{text}");
        }
    }
}

/// An answer of the script.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Refused { error: String },
    Rendered(Rendered),
}

/// Renders `deploy/chart` once for each case. A refusal is its text.
///
/// # Panics
///
/// If Helm cannot be started, or cannot read the chart.
pub fn render(cases: &[Case]) -> Result<Vec<Result<Rendered, String>>, Missing> {
    let python = installed("helm/bin/python")?;
    let cases: Vec<Value> = cases
        .iter()
        .map(|case| json!({"values": case.values, "name": case.release, "namespace": case.namespace}))
        .collect();
    let request = json!({"chart": path("../deploy/chart"), "cases": cases});
    let mut helm = Command::new(python)
        .arg(path("receivers/helm.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The script reads all of it before it writes anything.
    let mut input = helm.stdin.take().unwrap();
    input.write_all(request.to_string().as_bytes()).unwrap();
    drop(input);
    let output = helm.wait_with_output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    let answers: Vec<Answer> = serde_json::from_slice(&output.stdout).unwrap();
    let answers = answers.into_iter().map(|answer| match answer {
        Answer::Refused { error } => Err(error),
        Answer::Rendered(rendered) => Ok(rendered),
    });
    Ok(answers.collect())
}
