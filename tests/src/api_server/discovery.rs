//! Serves the lists of resources that clients discover.

use super::model::Resource;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

/// Answers a discovery request; `None` for other requests.
pub(super) fn discover(path: &str) -> Option<Response> {
    let version = |group: &str| json!({"groupVersion": format!("{group}/v1"), "version": "v1"});
    let answer = match path {
        "/version" => json!({"major": "1", "minor": "36", "gitVersion": "v1.36.2"}),
        "/api" => {
            json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
        }
        "/apis" => json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [{
            "name": "tekton.dev", "versions": [version("tekton.dev")], "preferredVersion": version("tekton.dev"),
        }]}),
        "/api/v1" => resources("v1", &[Resource::Pods, Resource::ConfigMaps]),
        "/apis/tekton.dev/v1" => resources("tekton.dev/v1", &[Resource::TaskRuns]),
        _ => return None,
    };
    Some(axum::Json(answer).into_response())
}

fn resources(version: &str, resources: &[Resource]) -> Value {
    let one = |resource: &Resource| {
        let (_, kind) = resource.kind();
        let singular = kind.to_lowercase();
        json!({"name": format!("{singular}s"), "singularName": singular, "namespaced": true, "kind": kind,
               "verbs": ["get", "list", "watch"]})
    };
    let resources: Vec<_> = resources.iter().map(one).collect();
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources})
}
