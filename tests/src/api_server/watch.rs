//! Watches: changes since a revision, in their order.

use super::Shared;
use super::model::{Model, Resource};
use super::objects::{status, too_large};
use super::request::Request;
use axum::body::{Body, Bytes};
use axum::response::Response;
use futures::stream;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch::Receiver;
use tokio::time::Instant;

struct Watch {
    shared: Arc<Shared>,
    request: Request,
    resource: Resource,
    from: u64,
    /// Sent before anything else.
    first: String,
    bookmarks: bool,
    closings: u64,
    stalls: u64,
    done: bool,
}

/// Next action of a watch.
enum Next {
    Send(String),
    Wait,
    Stall,
}

pub(super) fn watch(shared: &Arc<Shared>, request: Request, resource: Resource) -> Response {
    let model = shared.state.lock().unwrap();
    let wanted = request.number("resourceVersion").unwrap_or_default();
    let streaming_list = request.is("sendInitialEvents");
    if let Some(code) = model.no_streaming_lists.filter(|_| streaming_list) {
        let message =
            "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
        return status(code, "Invalid", message);
    }
    if wanted > model.revision {
        return too_large(wanted, model.revision);
    }
    let from_now = wanted == 0 || streaming_list;
    if !from_now && wanted < model.forgotten && model.gone_by_http {
        return status(410, "Expired", &too_old(wanted, model.forgotten));
    }
    let bookmarks = request.is("allowWatchBookmarks");
    let mut first = String::new();
    if from_now {
        for object in model.matching(&request, resource) {
            first += &line("ADDED", object);
        }
    }
    if streaming_list {
        let annotations = json!({"k8s.io/initial-events-end": "true"});
        first += &bookmark(resource, model.revision, &annotations);
    }
    let seconds = request.number("timeoutSeconds").unwrap_or(3600);
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let watch = Watch {
        shared: shared.clone(),
        request,
        resource,
        from: if from_now { model.revision } else { wanted },
        first,
        bookmarks,
        closings: model.closings,
        stalls: model.stalls,
        done: false,
    };
    drop(model);
    let changed = shared.changed.subscribe();
    let lines = stream::unfold(
        (watch, changed),
        move |(mut watch, mut changed): (Watch, Receiver<u64>)| async move {
            while !watch.done {
                changed.mark_unchanged();
                match watch.next() {
                    Next::Send(lines) => {
                        let lines: Result<Bytes, std::io::Error> = Ok(lines.into());
                        return Some((lines, (watch, changed)));
                    }
                    Next::Stall => std::future::pending().await,
                    Next::Wait => {
                        let waited = tokio::time::timeout_at(deadline, changed.changed()).await;
                        // Sends a bookmark, as real servers do, so that the client learns the
                        // current revision.
                        let Ok(Ok(())) = waited else {
                            watch.done = true;
                            let last = if watch.bookmarks {
                                bookmark(watch.resource, watch.from, &Value::Null)
                            } else {
                                String::new()
                            };
                            return Some((Ok(last.into()), (watch, changed)));
                        };
                    }
                }
            }
            None
        },
    );
    Response::new(Body::from_stream(lines))
}

impl Watch {
    fn next(&mut self) -> Next {
        let model = self.shared.state.lock().unwrap();
        if model.stalls > self.stalls {
            return Next::Stall;
        }
        if !self.first.is_empty() {
            return Next::Send(std::mem::take(&mut self.first));
        }
        if model.closings > self.closings {
            self.done = true;
            return Next::Send(String::new());
        }
        if self.from < model.forgotten {
            self.done = true;
            let message = too_old(self.from, model.forgotten);
            let gone = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                              "code": 410, "reason": "Expired", "message": message});
            return Next::Send(line("ERROR", &gone));
        }
        if self.from == model.revision {
            return Next::Wait;
        }
        let mut lines = self.changes(&model);
        self.from = model.revision;
        if lines.is_empty() && self.bookmarks {
            lines = bookmark(self.resource, model.revision, &Value::Null);
        }
        if lines.is_empty() {
            Next::Wait
        } else {
            Next::Send(lines)
        }
    }

    fn changes(&self, model: &Model) -> String {
        let seen = model
            .history
            .partition_point(|past| past.revision <= self.from);
        let mut lines = String::new();
        for past in &model.history[seen..] {
            if past.resource != self.resource {
                continue;
            }
            let wanted = |object: &Option<Value>| {
                let object = object.as_ref().filter(|object| self.request.wants(object));
                object.cloned()
            };
            // A watch by label sees a deletion when an object loses the label.
            let (kind, object) = match (wanted(&past.before), wanted(&past.now)) {
                (None, None) => continue,
                (None, Some(now)) => ("ADDED", now),
                (Some(_), Some(now)) => ("MODIFIED", now),
                (Some(before), None) => ("DELETED", past.now.clone().unwrap_or(before)),
            };
            match &past.line {
                Some(line) => lines += line,
                None => lines += &line(kind, &object),
            }
        }
        lines
    }
}

fn line(kind: &str, object: &Value) -> String {
    format!("{}\n", json!({"type": kind, "object": object}))
}

fn bookmark(resource: Resource, revision: u64, annotations: &Value) -> String {
    let (version, kind) = resource.kind();
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    if !annotations.is_null() {
        metadata["annotations"] = annotations.clone();
    }
    line(
        "BOOKMARK",
        &json!({"apiVersion": version, "kind": kind, "metadata": metadata}),
    )
}

fn too_old(asked: u64, oldest: u64) -> String {
    format!("too old resource version: {asked} ({oldest})")
}
