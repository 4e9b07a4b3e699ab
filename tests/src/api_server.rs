//! A small API server: Pods, TaskRuns and ConfigMaps with list, watch, logs, Events, and faults on
//! demand.
//!
//! It keeps what a client relies on: a revision that only grows, lists in pages with `continue`,
//! watches from a revision, bookmarks, 410 for revisions that are forgotten, label selectors, and
//! who may do what.

use crate::sink::PATIENCE;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures::stream;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// `pods`
    Pods,
    /// `taskruns.tekton.dev`
    TaskRuns,
    /// `configmaps`
    ConfigMaps,
}

impl Resource {
    fn plural(self) -> &'static str {
        match self {
            Self::Pods => "pods",
            Self::TaskRuns => "taskruns",
            Self::ConfigMaps => "configmaps",
        }
    }

    fn kind(self) -> (&'static str, &'static str) {
        match self {
            Self::Pods => ("v1", "Pod"),
            Self::TaskRuns => ("tekton.dev/v1", "TaskRun"),
            Self::ConfigMaps => ("v1", "ConfigMap"),
        }
    }
}

/// A running server. It ends when it is dropped.
#[derive(Debug)]
pub struct ApiServer {
    /// Where it is.
    pub url: String,
    shared: Arc<Shared>,
    _server: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<Model>,
    /// Changes with every change of the state.
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Model {
    revision: u64,
    /// Watches from before this are answered 410.
    forgotten: u64,
    /// Watches that began before this many closings end.
    closings: u64,
    objects: BTreeMap<(Resource, String, String), Value>,
    history: Vec<Past>,
    /// Events that were written (events.k8s.io/v1).
    notes: Vec<Value>,
    logs: HashMap<String, String>,
    denied: HashSet<&'static str>,
    /// Lists that are answered 500 before one is answered well.
    failing_lists: u32,
    requests: Vec<String>,
    watches: u64,
}

/// A change: what an object was before, and what it is.
#[derive(Debug)]
struct Past {
    revision: u64,
    resource: Resource,
    before: Option<Value>,
    now: Option<Value>,
}

type Parameters = HashMap<String, String>;

impl ApiServer {
    /// Starts an empty cluster.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: watch::channel(0).0,
        });
        shared.state.lock().unwrap().revision = 1;
        let pods = |state, query: &Parameters| collection(state, query, Resource::Pods, None);
        let runs = |state, query: &Parameters| collection(state, query, Resource::TaskRuns, None);
        let router = Router::new()
            .route(
                "/api/v1/pods",
                get(move |state, Query(query)| async move { pods(state, &query) }),
            )
            .route(
                "/apis/tekton.dev/v1/taskruns",
                get(move |state, Query(query)| async move { runs(state, &query) }),
            )
            .route(
                "/api/v1/namespaces/{namespace}/pods",
                get(async |state, Path(namespace), Query(query)| {
                    collection(state, &query, Resource::Pods, Some(namespace))
                }),
            )
            .route(
                "/apis/tekton.dev/v1/namespaces/{namespace}/taskruns",
                get(async |state, Path(namespace), Query(query)| {
                    collection(state, &query, Resource::TaskRuns, Some(namespace))
                }),
            )
            .route("/api/v1/namespaces/{namespace}/pods/{pod}/log", get(log))
            .route(
                "/api/v1/namespaces/{namespace}/configmaps",
                get(async |state, Path(namespace), Query(query)| {
                    collection(state, &query, Resource::ConfigMaps, Some(namespace))
                }),
            )
            .route(
                "/api/v1/namespaces/{namespace}/configmaps/{name}",
                get(config_map),
            )
            .route(
                "/apis/events.k8s.io/v1/namespaces/{namespace}/events",
                axum::routing::post(write_note),
            )
            .with_state(shared.clone());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            shared,
            _server: server,
        }
    }

    /// Writes a kubeconfig for this server.
    pub fn kubeconfig(&self, folder: &std::path::Path) -> std::path::PathBuf {
        let file = folder.join("kubeconfig");
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": self.url}}],
            "users": [{"name": "test", "user": {}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        });
        std::fs::write(&file, config.to_string()).unwrap();
        file
    }

    fn change<R>(&self, change: impl FnOnce(&mut Model) -> R) -> R {
        let mut model = self.shared.state.lock().unwrap();
        let result = change(&mut model);
        drop(model);
        self.shared.changed.send_modify(|count| *count += 1);
        result
    }

    /// Plays one watch event of a recording: the object is added, modified or deleted.
    pub fn play(&self, event: &Value) {
        self.change(|model| model.apply(event["type"].as_str().unwrap(), event["object"].clone()));
    }

    /// Removes an object without any watch telling so: it is not in the next list.
    pub fn lose(&self, event: &Value) {
        self.change(|model| {
            model.objects.remove(&key(&event["object"]));
        });
    }

    /// Creates or replaces an object.
    pub fn put(&self, object: Value) {
        self.change(|model| model.apply("MODIFIED", object));
    }

    /// Deletes an object.
    pub fn delete(&self, object: Value) {
        self.change(|model| model.apply("DELETED", object));
    }

    /// Events that were written.
    #[must_use]
    pub fn notes(&self) -> Vec<Value> {
        self.shared.state.lock().unwrap().notes.clone()
    }

    /// Waits until so many Events were written in all.
    pub async fn wait_for_notes(&self, count: usize) {
        self.wait_for(|model| model.notes.len() >= count).await;
    }

    /// Waits until an Event with this reason was written, and gives the newest.
    pub async fn wait_for_note(&self, reason: &str) -> Value {
        let newest = |model: &Model| {
            let found = model.notes.iter().rfind(|note| note["reason"] == reason);
            found.cloned()
        };
        self.wait_for(|model| newest(model).is_some()).await;
        newest(&self.shared.state.lock().unwrap()).unwrap()
    }

    /// Sets the log of a container.
    pub fn set_log(&self, pod_container: &str, text: &str) {
        self.change(|model| model.logs.insert(pod_container.to_owned(), text.to_owned()));
    }

    /// Forgets all revisions: watches that go on from an old one are answered 410, in the stream.
    pub fn forget_history(&self) {
        self.change(|model| {
            model.revision += 1;
            model.forgotten = model.revision;
            model.history.clear();
        });
    }

    /// Ends all watches.
    pub fn close_watches(&self) {
        self.change(|model| model.closings += 1);
    }

    /// Denies or allows a resource: `pods`, `taskruns` or `pods/log`.
    pub fn deny(&self, resource: &'static str, denied: bool) {
        self.change(|model| {
            if denied {
                model.denied.insert(resource)
            } else {
                model.denied.remove(resource)
            }
        });
    }

    /// Answers the next lists with 500.
    pub fn fail_lists(&self, count: u32) {
        self.change(|model| model.failing_lists = count);
    }

    /// Requests so far, with their queries.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.shared.state.lock().unwrap().requests.clone()
    }

    /// Waits until so many watches were begun in all.
    pub async fn wait_for_watches(&self, count: u64) {
        self.wait_for(|model| model.watches >= count).await;
    }

    /// Waits until a request was made that contains a text.
    pub async fn wait_for_request(&self, text: &str) {
        self.wait_for(|model| model.requests.iter().any(|request| request.contains(text)))
            .await;
    }

    async fn wait_for(&self, condition: impl Fn(&Model) -> bool) {
        let mut changed = self.shared.changed.subscribe();
        let met = async {
            while !condition(&self.shared.state.lock().unwrap()) {
                changed.changed().await.unwrap();
            }
        };
        let met = tokio::time::timeout(PATIENCE, met).await;
        assert!(met.is_ok(), "{:#?}", self.requests());
    }
}

fn key(object: &Value) -> (Resource, String, String) {
    let resource = match object["kind"].as_str() {
        Some("Pod") => Resource::Pods,
        Some("ConfigMap") => Resource::ConfigMaps,
        _ => Resource::TaskRuns,
    };
    let text = |field: &str| {
        object["metadata"][field]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    (resource, text("namespace"), text("name"))
}

impl Model {
    fn apply(&mut self, kind: &str, mut object: Value) {
        self.revision += 1;
        object["metadata"]["resourceVersion"] = self.revision.to_string().into();
        let key = key(&object);
        let resource = key.0;
        let now = (kind != "DELETED").then_some(object);
        let before = match &now {
            None => self.objects.remove(&key),
            Some(object) => self.objects.insert(key, object.clone()),
        };
        self.history.push(Past {
            revision: self.revision,
            resource,
            before,
            now,
        });
    }

    fn wanted(object: &Value, namespace: Option<&str>, selector: &str) -> bool {
        let labels = &object["metadata"]["labels"];
        let here = namespace.is_none_or(|namespace| object["metadata"]["namespace"] == namespace);
        here && selector
            .split(',')
            .filter(|part| !part.is_empty())
            .all(|part| match part.split_once('=') {
                Some((name, value)) => labels[name] == value,
                None => labels.get(part).is_some(),
            })
    }
}

fn status(code: u16, reason: &str, message: &str) -> Response {
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message});
    (StatusCode::from_u16(code).unwrap(), axum::Json(body)).into_response()
}

fn collection(
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
    let selector = query.get("labelSelector").cloned().unwrap_or_default();
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

async fn config_map(
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

async fn write_note(
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

async fn log(
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
