//! Every pod of `deploy/` meets the Pod Security Standard `restricted`
//! (kubernetes.io/docs/concepts/security/pod-security-standards), which its namespace enforces.

use serde_json::Value;
use step_observer_tests::available;
use step_observer_tests::manifests::{forms, kubectl, render};
use step_observer_tests::peer::Missing;
use step_observer_tests::pod_security::{RESTRICTED, looked_at, violated};

/// Sets a value at a pointer, and creates the objects on the way.
fn put(object: &mut Value, pointer: &str, value: Value) {
    match pointer
        .strip_prefix('/')
        .map(|rest| rest.split_once('/').unwrap_or((rest, "")))
    {
        None => *object = value,
        Some((name, rest)) => {
            let rest = if rest.is_empty() {
                String::new()
            } else {
                format!("/{rest}")
            };
            let next = match name.parse::<usize>() {
                Ok(index) => &mut object[index],
                Err(_) => &mut object[name],
            };
            put(next, &rest, value);
        }
    }
}

fn pods() -> Result<Vec<(String, Value)>, Missing> {
    kubectl()?;
    let of_form = |folder: std::path::PathBuf| {
        let name = folder.display().to_string();
        let objects = render(&folder).into_iter();
        objects
            .map(|object| object["spec"]["template"]["spec"].clone())
            .filter(|pod| !pod.is_null())
            .map(move |pod| (name.clone(), pod))
            .collect::<Vec<_>>()
    };
    Ok(forms().into_iter().flat_map(of_form).collect())
}

#[test]
fn every_pod_is_restricted() {
    for (form, pod) in available!(pods()) {
        assert_eq!(violated(&pod), [""; 0], "{form}");
        // Stricter than the standard requires.
        let container = &pod["containers"][0];
        assert_eq!(
            container["securityContext"]["readOnlyRootFilesystem"], true,
            "{form}"
        );
        assert!(
            container["resources"]["limits"]["memory"].is_string(),
            "{form}"
        );
        assert!(
            container["resources"]["requests"]["cpu"].is_string(),
            "{form}"
        );
    }
    for folder in forms() {
        let objects = render(&folder);
        let namespace = objects
            .iter()
            .find(|object| object["kind"] == "Namespace")
            .unwrap();
        let enforced = &namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"];
        assert_eq!(enforced, "restricted");
    }
}

/// Fields by which a pod would choose its own user or group. OpenShift's constraint `restricted-v2` (MustRunAsRange,
/// MustRunAs) refuses a pod whose choice is outside of the range of its namespace. The user of the image is number 65532, so
/// `runAsNonRoot` can be checked without any of them.
const CHOICES: [&str; 5] = [
    "runAsUser",
    "runAsGroup",
    "supplementalGroups",
    "seLinuxOptions",
    "fsGroup",
];

#[test]
fn only_volumes_have_a_fixed_group_and_nothing_is_fixed_for_openshift() {
    for (form, pod) in available!(pods()) {
        let containers = pod["containers"].as_array().unwrap().iter();
        for container in containers {
            for choice in CHOICES {
                assert_eq!(container["securityContext"][choice], Value::Null, "{form}");
            }
        }
        let chosen: Vec<&str> = CHOICES
            .into_iter()
            .filter(|choice| !pod["securityContext"][*choice].is_null())
            .collect();
        let has_volume = form.ends_with("/durable") || form.ends_with("/sharded");
        let expected: &[&str] = if has_volume { &["fsGroup"] } else { &[] };
        assert_eq!(chosen, expected, "{form}");
        if has_volume {
            // The group of a journal of version 0.1.0.
            assert_eq!(pod["securityContext"]["fsGroup"], 65532, "{form}");
        }
    }
}

#[test]
fn each_rule_refuses_its_violation() {
    for (form, pod) in available!(pods()) {
        for rule in &RESTRICTED {
            for place in looked_at(rule.of, &pod) {
                let mut pod = pod.clone();
                put(
                    &mut pod,
                    &format!("{place}{}", rule.field),
                    (rule.refused)(),
                );
                assert_eq!(violated(&pod), [rule.name], "{form}");
            }
        }
    }
}
