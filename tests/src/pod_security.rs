//! The Pod Security Standard `restricted` (kubernetes.io/docs/concepts/security/pod-security-standards), as rules for a pod.

use serde_json::{Value, json};

/// Objects that a rule checks.
#[derive(Clone, Copy, Debug)]
pub enum Of {
    /// The pod.
    Pod,
    /// Each container, init and ephemeral containers included.
    Container,
    /// Each volume.
    Volume,
}

/// A rule: its name, the checked objects, the field, the allowed values, and a value that it
/// refuses.
#[derive(Debug)]
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// What it checks.
    pub of: Of,
    /// Pointer to the field.
    pub field: &'static str,
    /// Returns true for allowed values.
    allowed: fn(&Value) -> bool,
    /// Returns a value that it refuses.
    pub refused: fn() -> Value,
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
pub const RESTRICTED: [Rule; 22] = [
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
#[must_use]
pub fn looked_at(of: Of, pod: &Value) -> Vec<String> {
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
#[must_use]
pub fn violated(pod: &Value) -> Vec<&'static str> {
    let violated = RESTRICTED.iter().filter(|rule| {
        looked_at(rule.of, pod).iter().any(|place| {
            let value = pod.pointer(&format!("{place}{}", rule.field));
            !(rule.allowed)(value.unwrap_or(&Value::Null))
        })
    });
    violated.map(|rule| rule.name).collect()
}
