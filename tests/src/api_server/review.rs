//! TokenReview, SubjectAccessReview and SelfSubjectAccessReview: the user of a token, and the rights of a
//! user.

use super::Shared;
use super::authorise::Attributes;
use super::objects::status;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

/// Audience of tokens for the server itself.
const OWN_AUDIENCE: &str = "https://kubernetes.default.svc";

/// Answers a review: returns the object that the client sent, with its status filled in.
fn answered(body: &[u8], answer: impl FnOnce(&Value) -> Value) -> Response {
    let Ok(mut review) = serde_json::from_slice::<Value>(body) else {
        return status(400, "BadRequest", "the body is not JSON");
    };
    review["status"] = answer(&review["spec"]);
    (StatusCode::CREATED, axum::Json(review)).into_response()
}

pub(super) fn token(shared: &Shared, body: &[u8]) -> Response {
    answered(body, |spec| {
        let model = shared.state.lock().unwrap();
        let user = model.users.get(spec["token"].as_str().unwrap_or_default());
        let asked = spec["audiences"].as_array();
        let is_ours = asked.is_none_or(|asked| asked.contains(&OWN_AUDIENCE.into()));
        match user.filter(|_| is_ours) {
            Some(user) => {
                json!({"authenticated": true, "user": user, "audiences": [OWN_AUDIENCE]})
            }
            None => json!({"user": {}, "error": "[invalid bearer token, unknown]"}),
        }
    })
}

pub(super) fn access(shared: &Shared, body: &[u8]) -> Response {
    answered(body, |spec| {
        let model = shared.state.lock().unwrap();
        let asked = &spec["nonResourceAttributes"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let visit = (text(&spec["user"]), text(&asked["path"]));
        let allowed = asked["verb"] == "get" && model.visits.contains(&visit);
        json!({"allowed": allowed, "reason": ""})
    })
}

/// Returns whether the client itself may read all objects of a kind in a namespace.
pub(super) fn own_access(shared: &Shared, body: &[u8]) -> Response {
    answered(body, |spec| {
        let model = shared.state.lock().unwrap();
        let asked = &spec["resourceAttributes"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let attributes = Attributes {
            verb: if asked["verb"] == "get" {
                "get"
            } else {
                "list"
            },
            group: text(&asked["group"]),
            resource: text(&asked["resource"]),
            namespace: Some(text(&asked["namespace"])),
            name: None,
        };
        let rbac = model.rbac.as_ref();
        let allowed = rbac.is_none_or(|rbac| rbac.decide(&attributes).is_ok());
        json!({"allowed": allowed, "reason": ""})
    })
}
