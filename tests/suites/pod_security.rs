//! Every pod of `deploy/` meets the Pod Security Standard `restricted`
//! (kubernetes.io/docs/concepts/security/pod-security-standards), which its namespace enforces.

use serde_json::{Value, json};
use step_observer_tests::available;
use step_observer_tests::manifests::{forms, kubectl, render};
use step_observer_tests::peer::Missing;

/// Objects that a rule checks.
#[derive(Clone, Copy)]
enum Of {
    Pod,
    /// Each container, init and ephemeral containers included.
    Container,
    Volume,
}

/// A rule: its name, the checked objects, the field, the allowed values, and a value that it
/// refuses.
struct Rule {
    name: &'static str,
    of: Of,
    field: &'static str,
    allowed: fn(&Value) -> bool,
    refused: fn() -> Value,
}

const fn rule(
    name: &'static str,
    of: Of,
    field: &'static str,
    allowed: fn(&Value) -> bool,
    refused: fn() -> Value,
) -> Rule {
    Rule {
        name,
        of,
        field,
        allowed,
        refused,
    }
}

fn absent_or_false(value: &Value) -> bool {
    matches!(value, Value::Null | Value::Bool(false))
}

fn absent(value: &Value) -> bool {
    value.is_null()
}

fn yes() -> Value {
    true.into()
}

/// Rules of the Pod Security Standards. A field that exists in the pod and in its containers is
/// checked in both; `deploy/` sets it once, in the pod.
const RESTRICTED: [Rule; 22] = [
    // Rules of the standard `baseline`.
    rule(
        "host process",
        Of::Pod,
        "/securityContext/windowsOptions/hostProcess",
        absent_or_false,
        yes,
    ),
    rule(
        "host process",
        Of::Container,
        "/securityContext/windowsOptions/hostProcess",
        absent_or_false,
        yes,
    ),
    rule(
        "host network",
        Of::Pod,
        "/hostNetwork",
        absent_or_false,
        yes,
    ),
    rule("host PID", Of::Pod, "/hostPID", absent_or_false, yes),
    rule("host IPC", Of::Pod, "/hostIPC", absent_or_false, yes),
    rule(
        "privileged",
        Of::Container,
        "/securityContext/privileged",
        absent_or_false,
        yes,
    ),
    rule(
        "host ports",
        Of::Container,
        "/ports",
        no_host_ports,
        || json!([{"hostPort": 80}]),
    ),
    rule(
        "AppArmor",
        Of::Pod,
        "/securityContext/appArmorProfile/type",
        confined,
        || "Unconfined".into(),
    ),
    rule(
        "AppArmor",
        Of::Container,
        "/securityContext/appArmorProfile/type",
        confined,
        || "Unconfined".into(),
    ),
    rule(
        "SELinux",
        Of::Pod,
        "/securityContext/seLinuxOptions",
        absent,
        || json!({"type": "spc_t"}),
    ),
    rule(
        "SELinux",
        Of::Container,
        "/securityContext/seLinuxOptions",
        absent,
        || json!({"user": "root"}),
    ),
    rule(
        "/proc mount",
        Of::Container,
        "/securityContext/procMount",
        proc_mount,
        || "Unmasked".into(),
    ),
    rule(
        "sysctls",
        Of::Pod,
        "/securityContext/sysctls",
        absent,
        || json!([{"name": "kernel.msgmax"}]),
    ),
    rule(
        "probes stay in the pod",
        Of::Container,
        "/livenessProbe/httpGet/host",
        absent,
        || "10.0.0.1".into(),
    ),
    // restricted
    rule(
        "volume types",
        Of::Volume,
        "",
        volume_type,
        || json!({"name": "host", "hostPath": {"path": "/"}}),
    ),
    rule(
        "privilege escalation",
        Of::Container,
        "/securityContext/allowPrivilegeEscalation",
        |value| *value == Value::Bool(false),
        || Value::Null,
    ),
    rule(
        "not root",
        Of::Pod,
        "/securityContext/runAsNonRoot",
        |value| *value == Value::Bool(true),
        || false.into(),
    ),
    rule(
        "not root",
        Of::Container,
        "/securityContext/runAsNonRoot",
        |value| *value != Value::Bool(false),
        || false.into(),
    ),
    rule(
        "a user that is not root",
        Of::Pod,
        "/securityContext/runAsUser",
        |value| *value != json!(0),
        || 0.into(),
    ),
    rule(
        "a user that is not root",
        Of::Container,
        "/securityContext/runAsUser",
        |value| *value != json!(0),
        || 0.into(),
    ),
    rule(
        "seccomp",
        Of::Pod,
        "/securityContext/seccompProfile/type",
        seccomp,
        || "Unconfined".into(),
    ),
    rule(
        "capabilities",
        Of::Container,
        "/securityContext/capabilities",
        capabilities,
        || json!({"drop": ["ALL"], "add": ["NET_ADMIN"]}),
    ),
];

fn no_host_ports(ports: &Value) -> bool {
    let ports = ports.as_array().into_iter().flatten();
    ports
        .into_iter()
        .all(|port| port["hostPort"].is_null() || port["hostPort"] == 0)
}

fn confined(profile: &Value) -> bool {
    profile.is_null()
        || ["RuntimeDefault", "Localhost"]
            .iter()
            .any(|allowed| profile == allowed)
}

fn proc_mount(mount: &Value) -> bool {
    mount.is_null() || mount == "Default"
}

fn seccomp(profile: &Value) -> bool {
    !profile.is_null() && confined(profile)
}

fn volume_type(volume: &Value) -> bool {
    const ALLOWED: [&str; 9] = [
        "name",
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    volume
        .as_object()
        .unwrap()
        .keys()
        .all(|field| ALLOWED.contains(&field.as_str()))
}

fn capabilities(capabilities: &Value) -> bool {
    let added = capabilities["add"].as_array().into_iter().flatten();
    let dropped = capabilities["drop"].as_array().into_iter().flatten();
    dropped.into_iter().any(|name| name == "ALL")
        && added.into_iter().all(|name| name == "NET_BIND_SERVICE")
}

/// Returns pointers to the objects that a rule checks in a pod.
fn looked_at(of: Of, pod: &Value) -> Vec<String> {
    let lists: &[&str] = match of {
        Of::Pod => return vec![String::new()],
        Of::Container => &["containers", "initContainers", "ephemeralContainers"],
        Of::Volume => &["volumes"],
    };
    let each = |list: &&str| {
        let count = pod[*list].as_array().map_or(0, Vec::len);
        (0..count)
            .map(|index| format!("/{list}/{index}"))
            .collect::<Vec<_>>()
    };
    lists.iter().flat_map(each).collect()
}

/// Names of the rules that a pod does not meet.
pub(super) fn violated(pod: &Value) -> Vec<&'static str> {
    let violated = RESTRICTED.iter().filter(|rule| {
        looked_at(rule.of, pod).iter().any(|place| {
            let value = pod.pointer(&format!("{place}{}", rule.field));
            !(rule.allowed)(value.unwrap_or(&Value::Null))
        })
    });
    violated.map(|rule| rule.name).collect()
}

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
