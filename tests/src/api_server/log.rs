//! Logs of containers.

use super::Shared;
use super::model::{Model, Resource};
use super::objects::status;
use super::request::Request;
use axum::body::{Body, Bytes};
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use tokio::sync::watch::Receiver;

/// Returns the present log; with `follow` also later lines, until the pod is gone.
pub(super) async fn log(shared: &Arc<Shared>, request: &Request) -> Response {
    let pod = request.asked.name.clone().unwrap_or_default();
    let container = request.parameter("container").to_owned();
    let namespace = request.asked.namespace.clone().unwrap_or_default();
    let limit = request.number("limitBytes").map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    let source = Source {
        key: (Resource::Pods, namespace, pod.clone()),
        log: format!("{pod}-{container}"),
        container: container.to_owned(),
        stamped: request.is("timestamps"),
        after: request.parameter("sinceTime").parse().ok(),
        last: request
            .number("tailLines")
            .and_then(|lines| usize::try_from(lines).ok()),
    };
    if !source.exists(&shared.state.lock().unwrap()) {
        return status(404, "NotFound", &format!("pods \"{pod}\" not found"));
    }
    let mut changed = shared.changed.subscribe();
    let is_held = || shared.state.lock().unwrap().held_logs.contains(&pod);
    // Ends also when the server ends: its sender is dropped then.
    while is_held() && changed.changed().await.is_ok() {}
    let text = source.since(&shared.state.lock().unwrap(), 0, limit);
    let Some(text) = text else {
        let message = format!("container \"{container}\" in pod \"{pod}\" is waiting to start");
        return status(400, "BadRequest", &message);
    };
    if !request.is("follow") {
        return text.into_response();
    }
    let changed = shared.changed.subscribe();
    let follower = (shared.clone(), source, changed, 0);
    let pieces = stream::unfold(
        follower,
        move |(shared, source, mut changed, sent): Follower| async move {
            loop {
                changed.mark_unchanged();
                let (piece, over) = {
                    let model = shared.state.lock().unwrap();
                    let piece = source.since(&model, sent, limit).unwrap_or_default();
                    (piece, sent >= limit || source.has_ended(&model))
                };
                if !piece.is_empty() {
                    let sent = sent + piece.len();
                    let piece: Result<Bytes, std::io::Error> = Ok(piece.into());
                    return Some((piece, (shared, source, changed, sent)));
                }
                if over {
                    return None;
                }
                changed.changed().await.ok()?;
            }
        },
    );
    Response::new(Body::from_stream(pieces))
}

type Follower = (Arc<Shared>, Source, Receiver<u64>, usize);

struct Source {
    key: (Resource, String, String),
    log: String,
    container: String,
    /// Each line begins with its time.
    stamped: bool,
    /// Lines before this time are omitted.
    after: Option<Timestamp>,
    /// Only this many lines from the end are returned.
    last: Option<usize>,
}

/// Returns the time of a line: 400 ms after the previous one.
fn time_of(line: usize) -> Timestamp {
    let first: Timestamp = "2026-11-22T12:00:00.3Z".parse().unwrap();
    first + SignedDuration::from_millis(400 * i64::try_from(line).unwrap())
}

impl Source {
    fn exists(&self, model: &Model) -> bool {
        model.objects.contains_key(&self.key)
    }

    /// Returns true if the container has ended, so that no line follows.
    fn has_ended(&self, model: &Model) -> bool {
        let Some(pod) = model.objects.get(&self.key) else {
            return true;
        };
        let containers = pod["status"]["containerStatuses"].as_array();
        let own = containers
            .into_iter()
            .flatten()
            .find(|status| status["name"] == *self.container);
        own.is_some_and(|status| status["state"]["terminated"].is_object())
    }

    fn text(&self, model: &Model) -> Option<String> {
        let log = model.logs.get(&self.log)?;
        let skipped = self.last.map_or(0, |last| {
            let lines = log.split_inclusive('\n').count();
            lines.saturating_sub(last)
        });
        let lines = log.split_inclusive('\n').enumerate().skip(skipped);
        let wanted =
            lines.filter(|(line, _)| self.after.is_none_or(|after| time_of(*line) >= after));
        let text = wanted.map(|(line, text)| match self.stamped {
            true => format!("{} {text}", time_of(line)),
            false => text.to_owned(),
        });
        Some(text.collect())
    }

    fn since(&self, model: &Model, start: usize, limit: usize) -> Option<Vec<u8>> {
        let text = self.text(model)?;
        let text = text.as_bytes();
        let end = text.len().min(limit);
        Some(text.get(start..end).unwrap_or_default().to_vec())
    }
}
