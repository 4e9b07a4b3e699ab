//! A small API server: Pods, TaskRuns and ConfigMaps with list, watch, logs, Events, and faults on
//! demand.
//!
//! It keeps what a client relies on: a revision that only grows, lists in pages with `continue`,
//! watches from a revision, bookmarks, 410 for revisions that are forgotten, label selectors, and
//! who may do what.

mod answers;

use crate::sink::PATIENCE;
use answers::{collection, config_map, log, write_note};
use axum::Router;
use axum::extract::{Path, Query};
use axum::routing::get;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
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

    /// Watches that were begun so far.
    #[must_use]
    pub fn watches(&self) -> u64 {
        self.shared.state.lock().unwrap().watches
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
                Some(("metadata.name", name)) => object["metadata"]["name"] == name,
                Some((name, value)) => labels[name] == value,
                None => labels.get(part).is_some(),
            })
    }
}
