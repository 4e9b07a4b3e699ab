//! Leases, with optimistic concurrency as an API server has it.

use super::Shared;
use super::authorise::Attributes;
use super::model::Model;
use super::objects::status;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

/// Answers a request for a Lease.
pub(super) fn answer(shared: &Shared, asked: &Attributes, body: &[u8]) -> Response {
    let namespace = asked.namespace.clone().unwrap_or_default();
    let answer = {
        let mut model = shared.state.lock().unwrap();
        if asked.verb == "get" {
            let name = asked.name.clone().unwrap_or_default();
            let missing = format!("leases.coordination.k8s.io \"{name}\" not found");
            return match model.leases.get(&(namespace, name)) {
                Some(lease) => axum::Json(lease.clone()).into_response(),
                None => status(404, "NotFound", &missing),
            };
        }
        let Ok(lease) = serde_json::from_slice::<Value>(body) else {
            return status(400, "BadRequest", "the body is not JSON");
        };
        write(&mut model, asked.verb, &namespace, lease)
    };
    shared.changed.send_modify(|count| *count += 1);
    answer
}

fn write(model: &mut Model, verb: &str, namespace: &str, mut lease: Value) -> Response {
    lease["metadata"]["namespace"] = namespace.into();
    if let Some(problem) = invalid(&lease) {
        return status(422, "Invalid", problem);
    }
    let present = model.leases.get(&key(&lease));
    let version = &lease["metadata"]["resourceVersion"];
    let refused = match (verb, present) {
        ("create", None) => None,
        ("create", Some(_)) => Some((409, "AlreadyExists", "the Lease already exists")),
        ("update", None) => Some((404, "NotFound", "the Lease does not exist")),
        ("update", Some(present)) if present["metadata"]["resourceVersion"] == *version => None,
        ("update", Some(_)) => Some((
            409,
            "Conflict",
            "the object has been modified; please apply your changes to the latest version",
        )),
        _ => Some((
            405,
            "MethodNotAllowed",
            "the server does not allow this method",
        )),
    };
    if let Some((code, reason, message)) = refused {
        return status(code, reason, message);
    }
    let lease = store(model, lease);
    let code = match verb {
        "create" => StatusCode::CREATED,
        _ => StatusCode::OK,
    };
    (code, axum::Json(lease)).into_response()
}

/// Stores a Lease under a new version, and returns it.
pub(super) fn store(model: &mut Model, mut lease: Value) -> Value {
    model.revision += 1;
    lease["metadata"]["resourceVersion"] = model.revision.to_string().into();
    let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
    if model.holders.last().is_none_or(|last| last != holder) {
        model.holders.push(holder.to_owned());
    }
    model.leases.insert(key(&lease), lease.clone());
    lease
}

/// Returns why an API server refuses a Lease.
fn invalid(lease: &Value) -> Option<&'static str> {
    let spec = &lease["spec"];
    let time = spec["renewTime"].as_str().unwrap_or_default();
    let fraction = time.split_once('.').map_or("", |(_, fraction)| fraction);
    if fraction.len() != 7 || !fraction.ends_with('Z') {
        return Some("spec.renewTime: a MicroTime has six digits");
    }
    if spec["leaseDurationSeconds"]
        .as_i64()
        .is_none_or(|seconds| seconds < 1)
    {
        return Some("spec.leaseDurationSeconds: must be greater than 0");
    }
    None
}

fn key(lease: &Value) -> (String, String) {
    let text = |field: &str| {
        let text = lease["metadata"][field].as_str();
        text.unwrap_or_default().to_owned()
    };
    (text("namespace"), text("name"))
}
