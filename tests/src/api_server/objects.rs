//! Answers requests: authorization, lists, single objects, Events.

use super::Shared;
use super::discovery::discover;
use super::faults::Fault;
use super::lease;
use super::log::log;
use super::model::{Model, Resource};
use super::request::{Parameters, Request};
use super::review;
use super::watch::watch;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::header::DATE;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;

/// Returns a Status, as in all refusals.
pub(super) fn status(code: u16, reason: &str, message: &str) -> Response {
    let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code,
                      "reason": reason, "message": message});
    (StatusCode::from_u16(code).unwrap(), axum::Json(body)).into_response()
}

pub(super) async fn answer(
    shared: State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    query: Query<Parameters>,
    body: Bytes,
) -> Response {
    let ahead = shared.state.lock().unwrap().clock_ahead;
    let mut answer = decide(shared, method, uri, query, body).await;
    #[expect(clippy::disallowed_methods, reason = "a server has a clock")]
    let now = jiff::Timestamp::now() + ahead;
    let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    answer.headers_mut().insert(DATE, date.parse().unwrap());
    answer
}

async fn decide(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    Query(query): Query<Parameters>,
    body: Bytes,
) -> Response {
    if let Some(found) = discover(uri.path()).filter(|_| method == Method::GET) {
        return found;
    }
    let Some(request) = Request::read(&method, &uri, query) else {
        return status(
            404,
            "NotFound",
            "the server could not find the requested resource",
        );
    };
    let (fault, denied) = {
        let mut model = shared.state.lock().unwrap();
        let described = request.describe();
        let fault = model.script.next(&described);
        model.requests.push(described);
        model.times.push(Instant::now());
        model.watches += u64::from(request.asked.verb == "watch");
        (fault, model.denial(&request))
    };
    shared.changed.send_modify(|count| *count += 1);
    if let Some(message) = denied {
        return status(403, "Forbidden", &message);
    }
    if let Some(instead) = fault.instead().await {
        return instead;
    }
    let answer = serve(&shared, request, &body).await;
    if fault == Fault::Pass {
        answer
    } else {
        fault.spoil(answer)
    }
}

async fn serve(shared: &Arc<Shared>, request: Request, body: &[u8]) -> Response {
    let asked = &request.asked;
    if asked.resource == "pods/log" {
        return log(shared, &request).await;
    }
    if (asked.verb, asked.resource.as_str()) == ("create", "events") {
        return write_note(shared, body);
    }
    if (asked.group.as_str(), asked.resource.as_str()) == ("coordination.k8s.io", "leases") {
        return lease::answer(shared, asked, body);
    }
    match (asked.verb, asked.group.as_str(), asked.resource.as_str()) {
        ("create", "authentication.k8s.io", "tokenreviews") => return review::token(shared, body),
        ("create", "authorization.k8s.io", "subjectaccessreviews") => {
            return review::access(shared, body);
        }
        ("create", "authorization.k8s.io", "selfsubjectaccessreviews") => {
            return review::own_access(shared, body);
        }
        _ => {}
    }
    let Some(resource) = Resource::named(&asked.group, &asked.resource) else {
        return status(
            404,
            "NotFound",
            "the server could not find the requested resource",
        );
    };
    match asked.verb {
        "list" => {
            let mut model = shared.state.lock().unwrap();
            match model.generated.get(&resource).cloned() {
                Some(generated) => {
                    let revision = model.revision;
                    drop(model);
                    generated.page(&request, resource, revision)
                }
                None => list(&mut model, &request, resource),
            }
        }
        "watch" => watch(shared, request, resource),
        "get" => get(&shared.state.lock().unwrap(), &request, resource),
        _ => status(
            405,
            "MethodNotAllowed",
            "the server does not allow this method",
        ),
    }
}

impl Model {
    /// Returns the reason why a request is forbidden.
    fn denial(&mut self, request: &Request) -> Option<String> {
        let asked = &request.asked;
        // Allows this review: the default ClusterRole `system:basic-user` gives it to every user.
        if asked.resource == "selfsubjectaccessreviews" {
            return None;
        }
        if self.denied.contains(asked.resource.as_str())
            || asked.namespace.as_ref().is_some_and(|namespace| {
                self.denied
                    .contains(format!("{namespace}/{}", asked.resource).as_str())
            })
        {
            return Some(format!("{} is forbidden", asked.resource));
        }
        match self.rbac.as_ref()?.decide(asked) {
            Ok(right) => {
                self.used.insert(right.to_owned());
                None
            }
            Err(denial) => {
                self.denials.push(denial.clone());
                Some(denial)
            }
        }
    }
}

/// Returns a page of a list. All pages show the state at the time of the first.
fn list(model: &mut Model, request: &Request, resource: Resource) -> Response {
    let token = request.parameter("continue");
    let (revision, all, start) = if token.is_empty() {
        let wanted = request.number("resourceVersion").unwrap_or_default();
        if wanted > model.revision {
            return too_large(wanted, model.revision);
        }
        if request.parameter("resourceVersionMatch") == "Exact" && wanted < model.forgotten {
            return status(
                410,
                "Expired",
                &format!("The resourceVersion for the provided list is too old: {wanted}"),
            );
        }
        let all: Vec<Value> = model.matching(request, resource).cloned().collect();
        (model.revision, Arc::new(all), 0)
    } else {
        let (id, start) = token.split_once(':').unwrap();
        match model.snapshots.get(&id.parse::<u64>().unwrap()) {
            Some((revision, all)) if *revision >= model.forgotten => {
                (*revision, all.clone(), start.parse().unwrap())
            }
            Some(_) | None => {
                return status(
                    410,
                    "Expired",
                    "The provided continue parameter is too old to display a consistent list result. You can \
                     start a new list without the continue parameter.",
                );
            }
        }
    };
    let limit = match request.number("limit") {
        Some(0) | None => usize::MAX,
        Some(limit) => usize::try_from(limit).unwrap(),
    };
    let page: Vec<Value> = all.iter().skip(start).take(limit).cloned().collect();
    let next = start + page.len();
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    if next < all.len() {
        metadata["remainingItemCount"] = (all.len() - next).into();
        let id = match token.split_once(':') {
            Some((id, _)) => id.parse().unwrap(),
            None => model.keep(revision, all),
        };
        metadata["continue"] = format!("{id}:{next}").into();
    }
    let (version, kind) = resource.kind();
    let list = json!({"apiVersion": version, "kind": format!("{kind}List"), "metadata": metadata, "items": page});
    axum::Json(list).into_response()
}

/// Returns the error for a revision in the future, as a client gets it when the server was restored
/// from a backup.
pub(super) fn too_large(wanted: u64, current: u64) -> Response {
    status(
        504,
        "Timeout",
        &format!("Too large resource version: {wanted}, current: {current}"),
    )
}

fn get(model: &Model, request: &Request, resource: Resource) -> Response {
    let asked = &request.asked;
    let name = asked.name.clone().unwrap_or_default();
    let key = (resource, asked.namespace.clone().unwrap_or_default(), name);
    match model.objects.get(&key) {
        Some(object) => axum::Json(object.clone()).into_response(),
        None => status(
            404,
            "NotFound",
            &format!("{} \"{}\" not found", asked.resource, key.2),
        ),
    }
}

fn write_note(shared: &Shared, body: &[u8]) -> Response {
    let Ok(note) = serde_json::from_slice::<Value>(body) else {
        return status(400, "BadRequest", "the body is not JSON");
    };
    shared.state.lock().unwrap().notes.push(note.clone());
    shared.changed.send_modify(|count| *count += 1);
    (StatusCode::CREATED, axum::Json(note)).into_response()
}
