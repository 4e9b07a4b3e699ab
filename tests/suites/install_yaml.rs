//! `cargo xtask install-yaml`: the file for `kubectl apply -f`.

use serde_json::Value;
use std::process::{Command, Output};
use step_observer_tests::available;
use step_observer_tests::manifests::{config, documents, kubectl, render, workload};
use step_observer_tests::path;
use step_observer_tests::program::Program;

const IMAGE: &str = "registry.local:5000/ci/step-observer:0.1.0";

/// Runs xtask, which is built with the workspace.
fn install_yaml(args: &[&str]) -> Output {
    let xtask = Program::path().with_file_name("xtask");
    let output = Command::new(xtask).arg("install-yaml").args(args).output();
    output.expect("`cargo build --workspace` builds xtask")
}

#[test]
fn it_has_the_objects_of_the_overlay_redact_with_the_image() {
    available!(kubectl());
    let output = install_yaml(&["--image", IMAGE]);
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{problem}");
    let again = install_yaml(&["--image", IMAGE]);
    assert_eq!(output.stdout, again.stdout);
    let text = String::from_utf8(output.stdout).unwrap();
    let mut expected = render(&path("../deploy/overlays/redact"));
    for object in &mut expected {
        if let Some(image) = object.pointer_mut("/spec/template/spec/containers/0/image") {
            *image = IMAGE.into();
        }
    }
    let name = |object: &Value| {
        let metadata = &object["metadata"];
        [&object["kind"], &metadata["namespace"], &metadata["name"]].map(ToString::to_string)
    };
    let mut made = documents(&text);
    // The namespace comes first, so that one `kubectl apply` is enough.
    assert_eq!(made[0]["kind"], "Namespace");
    made.sort_by_key(name);
    expected.sort_by_key(name);
    assert_eq!(made, expected);
    let workload = workload(&made);
    assert_eq!(
        workload["spec"]["template"]["spec"]["containers"][0]["image"],
        IMAGE
    );
    assert!(config(&made).contains("bundled: redact-secrets"));
    // Nothing of the folder or the machine where it was made.
    assert!(!text.contains(&path("..").display().to_string()));
    let namespaced = expected
        .iter()
        .filter(|object| object["metadata"]["namespace"] == Value::Null);
    assert_eq!(
        namespaced.count(),
        3,
        "Namespace, ClusterRole, ClusterRoleBinding"
    );
}

#[test]
fn it_is_not_made_without_an_image_that_a_cluster_can_pull() {
    for (args, why) in [
        (&[][..], "--image REGISTRY/NAME:TAG"),
        (&["--image"], "--image REGISTRY/NAME:TAG"),
        (&["--image", ""], "name the registry"),
        (&["--image", "step-observer:0.1.0"], "name the registry"),
        (
            &["--image", "registry.example/x:1"],
            "stands for a real name",
        ),
        (&["--image", "registry.local/x"], "add a tag or a digest"),
        (
            &["--image", "registry.local/x:1\nkind: Secret"],
            "cannot be in the name",
        ),
    ] {
        let output = install_yaml(args);
        let problem = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && problem.contains(why),
            "{args:?}: {problem}"
        );
        assert_eq!(output.stdout, b"", "{args:?}");
    }
}
