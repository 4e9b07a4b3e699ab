//! Selects the members of a Pod or TaskRun that identify it and describe its progress. They stay
//! unchanged in a recording even if a rule matches them, because plugins cannot change them in an
//! event either.

use serde_json::{Map, Value};

/// Bounds the bytes of a text that counts as a name, a reason or a time.
const MAX_TEXT: usize = 512;

/// Paths of members: `>` separates levels, `|` separates alternatives, `*` stands for every item of
/// a list.
const COMMON: &[&str] = &[
    "apiVersion|kind",
    "metadata>name|namespace|uid|resourceVersion|generation|creationTimestamp",
    "metadata>deletionTimestamp|deletionGracePeriodSeconds",
    "metadata>ownerReferences>*>apiVersion|kind|name|uid|controller|blockOwnerDeletion",
    "metadata>labels>tekton.dev/taskRun|tekton.dev/taskRunUID|tekton.dev/task",
    "metadata>labels>tekton.dev/pipelineRun|tekton.dev/pipelineTask|tekton.dev/pipeline",
    "metadata>annotations>tekton.dev/ready|tekton.dev/cancel",
];
const POD: &[&str] = &[
    "spec>containers|initContainers>*>name|restartPolicy",
    "status>phase|reason|startTime",
    "status>containerStatuses|initContainerStatuses>*>name|restartCount|started|ready",
    "status>containerStatuses|initContainerStatuses>*>state|lastState>waiting>reason",
    "status>containerStatuses|initContainerStatuses>*>state|lastState>running>startedAt",
    "status>containerStatuses|initContainerStatuses>*>state|lastState>terminated>exitCode|signal|reason",
    "status>containerStatuses|initContainerStatuses>*>state|lastState>terminated>startedAt|finishedAt|containerID",
];
const TASK_RUN: &[&str] = &["spec>managedBy", "spec>taskSpec>steps>*>name"];
/// Paths below the `status` of a TaskRun and below each entry of its `retriesStatus`.
const ATTEMPT: &[&str] = &[
    "podName|startTime|completionTime",
    "taskSpec>steps>*>name",
    "conditions>*>type|status|reason|lastTransitionTime",
    "steps>*>name|container|terminationReason",
    "steps>*>waiting>reason",
    "steps>*>running>startedAt",
    "steps>*>terminated>exitCode|signal|reason|startedAt|finishedAt|containerID",
];

/// Restores the structural members that rules have changed in an object. Members that are missing
/// in `masked` are created.
pub(super) fn restore(masked: &mut Value, original: &Value, kind: &str) {
    let own = if kind == "Pod" { POD } else { TASK_RUN };
    for path in COMMON.iter().chain(own) {
        restore_path(masked, original, path);
    }
    if kind == "Pod" {
        return;
    }
    for path in ATTEMPT {
        restore_path(masked, original, &format!("status>{path}"));
        restore_path(masked, original, &format!("status>retriesStatus>*>{path}"));
    }
}

fn restore_path(masked: &mut Value, original: &Value, path: &str) {
    let (names, rest) = match path.split_once('>') {
        Some((names, rest)) => (names, Some(rest)),
        None => (path, None),
    };
    if names == "*" {
        restore_items(masked, original, rest.unwrap_or_default());
        return;
    }
    for name in names.split('|') {
        let Some(original) = original.get(name) else {
            continue;
        };
        let place = match rest {
            None if !is_structure(original) => continue,
            None | Some(_) => member(masked, name),
        };
        match (place, rest) {
            (Some(place), None) => place.clone_from(original),
            (Some(place), Some(rest)) => restore_path(place, original, rest),
            (None, _) => {}
        }
    }
}

fn restore_items(masked: &mut Value, original: &Value, rest: &str) {
    let Some(originals) = original.as_array() else {
        return;
    };
    if masked.is_null() {
        *masked = Value::Array(vec![Value::Null; originals.len()]);
    }
    let items = masked.as_array_mut().into_iter().flatten();
    for (item, original) in items.zip(originals) {
        restore_path(item, original, rest);
    }
}

/// Returns a member of an object and creates it if it is missing; `None` if the value is not an
/// object.
fn member<'a>(value: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    Some(value.as_object_mut()?.entry(name).or_insert(Value::Null))
}

fn is_structure(value: &Value) -> bool {
    match value {
        Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => text.len() <= MAX_TEXT,
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}
