//! What the server answers: lists, watches, logs, single objects, Events.

use super::{Model, Parameters, Resource, Shared};
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use serde_json::{Value, json};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

fn status(code: u16, reason: &str, message: &str) -> Response {
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message});
    (StatusCode::from_u16(code).unwrap(), axum::Json(body)).into_response()
}

pub(super) fn collection(
    State(shared): State<Arc<Shared>>,
    query: &Parameters,
    resource: Resource,
    namespace: Option<String>,
) -> Response {
    let mut model = shared.state.lock().unwrap();
    let name = resource.plural();
    let watching = query
        .get("watch")
        .is_some_and(|value| value == "true" || value == "1");
    model.requests.push(format!(
        "{} {name} {query:?}",
        if watching { "watch" } else { "list" }
    ));
    if model.denied.contains(name) {
        drop(model);
        shared.changed.send_modify(|count| *count += 1);
        return status(403, "Forbidden", &format!("{name} is forbidden"));
    }
    // The only field that is selected by is `metadata.name`, which is no label's name.
    let selectors = ["labelSelector", "fieldSelector"];
    let selectors = selectors.iter().filter_map(|name| query.get(*name));
    let selector = selectors.cloned().collect::<Vec<_>>().join(",");
    if watching {
        model.watches += 1;
        let from: u64 = query
            .get("resourceVersion")
            .and_then(|version| version.parse().ok())
            .unwrap_or_default();
        let closings = model.closings;
        drop(model);
        shared.changed.send_modify(|count| *count += 1);
        return watch_response(Watch {
            shared,
            resource,
            namespace,
            selector,
            from,
            closings,
            done: false,
        });
    }
    if model.failing_lists > 0 {
        model.failing_lists -= 1;
        return status(500, "InternalError", "the server is not well");
    }
    list(&model, query, resource, namespace.as_deref(), &selector)
}

fn list(
    model: &MutexGuard<'_, Model>,
    query: &Parameters,
    resource: Resource,
    namespace: Option<&str>,
    selector: &str,
) -> Response {
    let wanted: Vec<&Value> = model
        .objects
        .iter()
        .filter(|((kind, ..), object)| {
            *kind == resource && Model::wanted(object, namespace, selector)
        })
        .map(|(_, object)| object)
        .collect();
    let limit: usize = query
        .get("limit")
        .and_then(|limit| limit.parse().ok())
        .unwrap_or(usize::MAX);
    let (revision, start) = match query.get("continue").filter(|token| !token.is_empty()) {
        None => (model.revision, 0),
        Some(token) => {
            let (revision, start) = token.split_once(':').unwrap();
            (
                revision.parse::<u64>().unwrap(),
                start.parse::<usize>().unwrap(),
            )
        }
    };
    if revision < model.forgotten {
        return status(410, "Expired", "the continue token is too old");
    }
    let page: Vec<&Value> = wanted.iter().skip(start).take(limit).copied().collect();
    let next = start + page.len();
    let token = if next < wanted.len() {
        format!("{revision}:{next}")
    } else {
        String::new()
    };
    let (version, kind) = resource.kind();
    let list = json!({
        "apiVersion": version, "kind": format!("{kind}List"),
        "metadata": {"resourceVersion": revision.to_string(), "continue": token},
        "items": page,
    });
    axum::Json(list).into_response()
}

struct Watch {
    shared: Arc<Shared>,
    resource: Resource,
    namespace: Option<String>,
    selector: String,
    from: u64,
    closings: u64,
    done: bool,
}

impl Watch {
    /// What there is to send now; `None` where there is nothing yet.
    fn next(&mut self) -> Option<String> {
        let model = self.shared.state.lock().unwrap();
        if self.from < model.forgotten {
            self.done = true;
            let gone = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired",
                              "message": "too old resource version"});
            return Some(format!("{}\n", json!({"type": "ERROR", "object": gone})));
        }
        if model.closings > self.closings {
            self.done = true;
            return Some(String::new());
        }
        if self.from == model.revision {
            return None;
        }
        let mut lines = String::new();
        let seen = model
            .history
            .partition_point(|past| past.revision <= self.from);
        for past in &model.history[seen..] {
            if past.resource != self.resource {
                continue;
            }
            let wanted = |object: &Option<Value>| {
                let object = object.as_ref()?;
                Model::wanted(object, self.namespace.as_deref(), &self.selector)
                    .then_some(object.clone())
            };
            // Whoever watches by label sees what loses the label go.
            let (kind, object) = match (wanted(&past.before), wanted(&past.now)) {
                (None, None) => continue,
                (None, Some(now)) => ("ADDED", now),
                (Some(_), Some(now)) => ("MODIFIED", now),
                (Some(before), None) => ("DELETED", past.now.clone().unwrap_or(before)),
            };
            lines.push_str(&format!("{}\n", json!({"type": kind, "object": object})));
        }
        self.from = model.revision;
        if lines.is_empty() {
            let (version, kind) = self.resource.kind();
            let bookmark = json!({"apiVersion": version, "kind": kind, "metadata": {"resourceVersion": model.revision.to_string()}});
            lines = format!("{}\n", json!({"type": "BOOKMARK", "object": bookmark}));
        }
        Some(lines)
    }
}

fn watch_response(watch: Watch) -> Response {
    let changed = watch.shared.changed.subscribe();
    let lines = stream::unfold((watch, changed), async |(mut watch, mut changed)| {
        if watch.done {
            return None;
        }
        loop {
            changed.mark_unchanged();
            if let Some(lines) = watch.next() {
                return Some((Ok::<Bytes, std::io::Error>(lines.into()), (watch, changed)));
            }
            changed.changed().await.ok()?;
        }
    });
    Response::new(Body::from_stream(lines))
}

pub(super) async fn config_map(
    State(shared): State<Arc<Shared>>,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    let model = shared.state.lock().unwrap();
    match model
        .objects
        .get(&(Resource::ConfigMaps, namespace, name.clone()))
    {
        Some(object) => axum::Json(object.clone()).into_response(),
        None => status(404, "NotFound", &format!("configmaps \"{name}\" not found")),
    }
}

pub(super) async fn write_note(
    State(shared): State<Arc<Shared>>,
    axum::Json(note): axum::Json<Value>,
) -> Response {
    let mut model = shared.state.lock().unwrap();
    if model.denied.contains("events") {
        return status(403, "Forbidden", "events is forbidden");
    }
    model.notes.push(note.clone());
    drop(model);
    shared.changed.send_modify(|count| *count += 1);
    (StatusCode::CREATED, axum::Json(note)).into_response()
}

pub(super) async fn log(
    State(shared): State<Arc<Shared>>,
    Path((namespace, pod)): Path<(String, String)>,
    Query(query): Query<Parameters>,
) -> Response {
    let container = query.get("container").cloned().unwrap_or_default();
    let follow = query.get("follow").is_some_and(|value| value == "true");
    let key = (Resource::Pods, namespace, pod.clone());
    let exists = move |model: &Model| model.objects.contains_key(&key);
    let (text, denied, there) = {
        let mut model = shared.state.lock().unwrap();
        model
            .requests
            .push(format!("log {pod} {container} {query:?}"));
        let text = model.logs.get(&format!("{pod}-{container}")).cloned();
        (text, model.denied.contains("pods/log"), exists(&model))
    };
    shared.changed.send_modify(|count| *count += 1);
    if denied {
        return status(403, "Forbidden", "pods/log is forbidden");
    }
    if !there {
        return status(404, "NotFound", &format!("pods \"{pod}\" not found"));
    }
    let Some(text) = text else {
        return status(
            400,
            "BadRequest",
            &format!("container \"{container}\" in pod \"{pod}\" is waiting to start"),
        );
    };
    if !follow {
        return text.into_response();
    }
    // What is there now, then nothing until the pod is gone.
    let gone = stream::once(async move {
        let mut changed = shared.changed.subscribe();
        let waited = async {
            while exists(&shared.state.lock().unwrap()) {
                changed.changed().await.ok();
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waited)
            .await
            .ok();
        Bytes::new()
    });
    let text = stream::once(async move { Bytes::from(text) });
    let body = futures::StreamExt::map(
        futures::StreamExt::chain(text, gone),
        Ok::<Bytes, std::io::Error>,
    );
    Response::new(Body::from_stream(body))
}
