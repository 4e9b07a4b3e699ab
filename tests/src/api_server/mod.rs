//! A small API server: Pods, TaskRuns and ConfigMaps with list, watch, logs, Events, and faults on
//! request.
//!
//! It has the properties on which clients rely: a revision that only grows, lists in pages with
//! `continue` that all show the same revision, watches from a revision with a time limit,
//! bookmarks, 410 for forgotten revisions, label and field selectors, and authorization by the
//! rules of RBAC.

pub mod authorise;
mod discovery;
mod faults;
mod generated;
mod lease;
mod log;
mod model;
mod objects;
mod request;
mod review;
mod selector;
mod watch;

pub use faults::Fault;
pub use generated::GeneratedList;
pub use model::Resource;

use crate::sink::PATIENCE;
use crate::tls::TlsListener;
use authorise::Authoriser;
use axum::Router;
use axum::serve::ListenerExt as _;
use jiff::SignedDuration;
use model::{Model, key};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::sync::watch::{Sender, channel};
use tokio::task::JoinSet;

/// A running server. It ends when this value is dropped.
#[derive(Debug)]
pub struct ApiServer {
    /// URL of the server, or of a proxy in front of it.
    pub url: String,
    shared: Arc<Shared>,
    _server: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<Model>,
    /// Changes with every change of the state.
    changed: Sender<u64>,
}

/// Disables Nagle's algorithm, as Go servers do. Otherwise each chunk of a watch or a log waits for
/// the acknowledgement of the one before.
fn at_once(stream: &mut tokio::net::TcpStream) {
    stream.set_nodelay(true).ok();
}

async fn listener() -> tokio::net::TcpListener {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await;
    listener.unwrap()
}

impl ApiServer {
    /// Starts an empty cluster.
    pub async fn start() -> Self {
        let listener = listener().await;
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self::serve(listener.tap_io(at_once), url)
    }

    /// Starts an empty cluster with TLS.
    pub async fn start_tls(tls: rustls::ServerConfig) -> Self {
        let listener = listener().await;
        let url = format!("https://{}", listener.local_addr().unwrap());
        let tls = Arc::new(Mutex::new(tls.into()));
        Self::serve(TlsListener { listener, tls }, url)
    }

    fn serve<L>(listener: L, url: String) -> Self
    where
        L: axum::serve::Listener,
        L::Addr: std::fmt::Debug,
    {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: channel(0).0,
        });
        shared.state.lock().unwrap().revision = 1;
        let router = Router::new()
            .fallback(objects::answer)
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
        self.kubeconfig_of(folder, "default")
    }

    /// Writes a kubeconfig for this server whose context has a namespace.
    pub fn kubeconfig_of(&self, folder: &std::path::Path, namespace: &str) -> std::path::PathBuf {
        let file = folder.join("kubeconfig");
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": self.url}}],
            "users": [{"name": "test", "user": {}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}],
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

    /// Plays one watch event. Watches report it with exactly this text, except for the resource
    /// version. [`ApiServer::play`] instead sorts the members of an object by name.
    pub fn play_text(&self, line: &str) {
        let event: Value = serde_json::from_str(line).unwrap();
        let kind = event["type"].as_str().unwrap();
        self.change(|model| model.apply_line(kind, event["object"].clone(), Some(line)));
    }

    /// Answers lists of a resource with generated items instead of the objects of this cluster.
    pub fn generate(&self, resource: Resource, list: GeneratedList) {
        self.change(|model| model.generated.insert(resource, Arc::new(list)));
    }

    /// Removes an object without a watch event: it is missing in the next list.
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

    /// Returns the Events that were created.
    #[must_use]
    pub fn notes(&self) -> Vec<Value> {
        self.shared.state.lock().unwrap().notes.clone()
    }

    /// Waits until `count` Events were created in total.
    pub async fn wait_for_notes(&self, count: usize) {
        self.wait_for(|model| model.notes.len() >= count).await;
    }

    /// Waits until an Event with this reason was created, and returns the newest.
    pub async fn wait_for_note(&self, reason: &str) -> Value {
        let newest = |model: &Model| {
            let found = model.notes.iter().rfind(|note| note["reason"] == reason);
            found.cloned()
        };
        self.wait_for(|model| newest(model).is_some()).await;
        newest(&self.shared.state.lock().unwrap()).unwrap()
    }

    /// Returns a Lease.
    #[must_use]
    pub fn lease(&self, namespace: &str, name: &str) -> Option<Value> {
        let key = (namespace.to_owned(), name.to_owned());
        self.shared.state.lock().unwrap().leases.get(&key).cloned()
    }

    /// Creates or replaces a Lease, whatever its version is.
    pub fn put_lease(&self, lease: Value) {
        self.change(|model| lease::store(model, lease));
    }

    /// Returns all holders of Leases so far, in their order, each once in a row; an empty text for nobody.
    #[must_use]
    pub fn holders(&self) -> Vec<String> {
        self.shared.state.lock().unwrap().holders.clone()
    }

    /// Waits until the holders so far meet a condition.
    pub async fn wait_for_holders(&self, condition: impl Fn(&[String]) -> bool) {
        self.wait_for(|model| condition(&model.holders)).await;
    }

    /// Appends to the log of a container.
    pub fn append_log(&self, pod_container: &str, text: &str) {
        self.change(|model| {
            model
                .logs
                .entry(pod_container.to_owned())
                .or_default()
                .push_str(text)
        });
    }

    /// Sets the log of a container.
    pub fn set_log(&self, pod_container: &str, text: &str) {
        self.change(|model| model.logs.insert(pod_container.to_owned(), text.to_owned()));
    }

    /// Blocks reads of this pod's logs until [`Self::release_logs`]. Then they return the log that
    /// the pod of this name has at that time.
    pub fn hold_logs(&self, pod: &str) {
        self.change(|model| model.held_logs.insert(pod.to_owned()));
    }

    /// Releases all blocked reads.
    pub fn release_logs(&self) {
        self.change(|model| model.held_logs.clear());
    }

    /// Forgets all revisions: a watch from a forgotten revision receives 410 in its stream.
    pub fn forget_history(&self) {
        self.change(|model| {
            model.revision += 1;
            model.forgotten = model.revision;
            model.history.clear();
        });
    }

    /// Forgets all revisions and ends all watches. A new watch from a forgotten revision gets HTTP
    /// 410, as proxies and aggregated APIs answer.
    pub fn forget_history_by_http(&self) {
        self.change(|model| {
            model.revision += 1;
            model.forgotten = model.revision;
            model.history.clear();
            model.gone_by_http = true;
            model.closings += 1;
        });
    }

    /// Answers watches that request initial events with this status, as servers without streaming
    /// lists do.
    pub fn without_streaming_lists(&self, code: u16) {
        self.change(|model| model.no_streaming_lists = Some(code));
    }

    /// Expires the `continue` tokens of all lists so far.
    pub fn expire_pages(&self) {
        self.change(|model| model.snapshots.clear());
    }

    /// Ends all watches.
    pub fn close_watches(&self) {
        self.change(|model| model.closings += 1);
    }

    /// Ends all watches after every `changes` changes.
    pub fn close_watches_every(&self, changes: u64) {
        self.change(|model| model.close_every = changes);
    }

    /// Keeps all present watches open, but never sends anything on them again.
    pub fn stall_watches(&self) {
        self.change(|model| model.stalls += 1);
    }

    /// Authorizes requests by the Roles and bindings among these documents, for the service account
    /// `namespace/name`.
    pub fn authorise(&self, documents: &[Value], account: &str) {
        let (namespace, name) = account.split_once('/').unwrap();
        let rbac = Authoriser::new(documents, namespace, name);
        self.change(|model| model.rbac = Some(rbac));
    }

    /// Assigns a token to this user, or revokes it.
    pub fn give_token(&self, token: &str, user: Option<&str>) {
        let info = |name: &str| json!({"username": name, "uid": format!("uid-of-{name}"), "groups": ["system:authenticated"]});
        self.change(|model| match user {
            Some(name) => drop(model.users.insert(token.to_owned(), info(name))),
            None => drop(model.users.remove(token)),
        });
    }

    /// Allows a user to `get` a non-resource path.
    pub fn let_get(&self, user: &str, path: &str) {
        self.change(|model| model.visits.insert((user.to_owned(), path.to_owned())));
    }

    /// Returns the rights that have allowed a request so far.
    #[must_use]
    pub fn rights_used(&self) -> BTreeSet<String> {
        self.shared.state.lock().unwrap().used.clone()
    }

    /// Waits until all these rights were used.
    pub async fn wait_for_rights(&self, rights: &BTreeSet<String>) {
        self.wait_for(|model| model.used.is_superset(rights)).await;
    }

    /// Returns the messages of all forbidden requests.
    #[must_use]
    pub fn denials(&self) -> Vec<String> {
        self.shared.state.lock().unwrap().denials.clone()
    }

    /// Sets the server's clock ahead of this machine's; a negative value sets it behind.
    pub fn set_clock(&self, ahead: SignedDuration) {
        self.change(|model| model.clock_ahead = ahead);
    }

    /// Returns the times of all requests whose description begins with this text.
    #[must_use]
    pub fn times_of(&self, requests: &str) -> Vec<Instant> {
        let model = self.shared.state.lock().unwrap();
        let chosen = model.requests.iter().zip(&model.times);
        chosen
            .filter(|(request, _)| request.starts_with(requests))
            .map(|(_, at)| *at)
            .collect()
    }

    /// Applies faults to the next requests whose description begins with this text (`list pods`,
    /// `watch`, `log`).
    pub fn script(&self, requests: &str, faults: impl IntoIterator<Item = Fault>) {
        self.change(|model| model.script.add(requests, faults));
    }

    /// Returns the number of faults that have not been applied to a request yet.
    #[must_use]
    pub fn unused_faults(&self) -> usize {
        self.shared.state.lock().unwrap().script.unused()
    }

    /// Forbids or allows a resource: `pods`, `taskruns`, `pods/log`, or `namespace/pods` in one
    /// namespace.
    pub fn deny(&self, resource: &str, denied: bool) {
        self.change(|model| {
            if denied {
                model.denied.insert(resource.to_owned())
            } else {
                model.denied.remove(resource)
            }
        });
    }

    /// Answers the next lists with 500.
    pub fn fail_lists(&self, count: u32) {
        self.script("list", (0..count).map(|_| Fault::Status(500)));
    }

    /// Returns all requests so far, with their queries.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.shared.state.lock().unwrap().requests.clone()
    }

    /// Returns the number of watches so far.
    #[must_use]
    pub fn watches(&self) -> u64 {
        self.shared.state.lock().unwrap().watches
    }

    /// Waits until `count` watches have begun in total.
    pub async fn wait_for_watches(&self, count: u64) {
        self.wait_for(|model| model.watches >= count).await;
    }

    /// Waits for a request that contains a text.
    pub async fn wait_for_request(&self, text: &str) {
        self.wait_for(|model| model.requests.iter().any(|request| request.contains(text)))
            .await;
    }

    /// Waits until a condition holds for all requests so far.
    pub async fn wait_until(&self, condition: impl Fn(&mut dyn Iterator<Item = &str>) -> bool) {
        self.wait_for(|model| condition(&mut model.requests.iter().map(String::as_str)))
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
