//! A real API server as a source.

use super::slim::{SlimPod, SlimTaskRun};
use super::tracker::Change;
use super::watches::{Listening, Watches};
use super::{ObserveError, Seen};
use crate::clock;
use futures::StreamExt as _;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::ConfigExt as _;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use step_observer_core::Shard;
use tokio::sync::mpsc;
use tracing::{info, warn};

/// Longest wait for a connection, and for the first byte of an answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for an answer to begin.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest silence on a connection: more than the 290 s after which a watch is renewed.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(300);
/// TCP keepalive: finds out that the other side is gone.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// After so many failures in a row to start a watch it is made anew, with a new list: kube-runtime
/// asks from the same resource version for ever (kube-rs #1042).
const REBUILD_AFTER: u32 = 4;

/// Objects in one page of a list: a page is held whole while it is read.
const PAGE: u32 = 50;

/// What to watch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClusterConfig {
    /// Namespaces to watch; empty: all.
    pub namespaces: Vec<String>,
    /// Further label selector for Pods and TaskRuns.
    pub label_selector: Option<String>,
    /// How many observers share the work: each tells of its part of the TaskRuns, by a hash of their UIDs. All must
    /// say the same number; while they do not, events may come twice, with the same ids.
    #[serde(deserialize_with = "crate::bounded::between::<1, 1024, _, _>")]
    #[schemars(range(min = 1, max = 1024))]
    pub shards: u32,
    /// Which of them this one is, from 0; usually given by `--shard`, as the ordinal of a StatefulSet's pod.
    #[serde(deserialize_with = "crate::bounded::between::<0, 1023, _, _>")]
    #[schemars(range(min = 0, max = 1023))]
    pub shard: u32,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            namespaces: Vec::new(),
            label_selector: None,
            shards: 1,
            shard: 0,
        }
    }
}

impl ClusterConfig {
    /// Which TaskRuns this observer tells of.
    ///
    /// # Errors
    ///
    /// There is no shard with this number.
    pub fn part(&self) -> Result<Shard, ObserveError> {
        let Self { shard, shards, .. } = *self;
        Shard::new(shard, shards).ok_or(ObserveError::NoShard { shard, shards })
    }
}

/// Connects as KUBECONFIG or the pod's service account says. How fresh the watches of this client are is told
/// beside it.
///
/// # Errors
///
/// There is no configuration, or it is not usable.
pub async fn connect() -> Result<(Client, Watches), ObserveError> {
    let config = kube::Config::infer()
        .await
        .map_err(|error| ObserveError::Config(error.to_string()))?;
    let watches = Watches::default();
    let client = client(&config, watches.clone());
    client
        .map(|client| (client, watches))
        .map_err(|error| ObserveError::Config(error.to_string()))
}

/// kube sets neither keepalive nor, by default, a timeout on what it reads.
fn client(config: &kube::Config, watches: Watches) -> Result<Client, kube::Error> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_connect_timeout(Some(CONNECT_TIMEOUT));
    http.set_keepalive(Some(KEEPALIVE));
    http.set_keepalive_interval(Some(KEEPALIVE));
    http.set_keepalive_retries(Some(3));
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(http)?);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_read_timeout(Some(SILENCE_TIMEOUT));
    connector.set_write_timeout(Some(ANSWER_TIMEOUT));
    let hyper = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector);
    let service = tower::ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .timeout(ANSWER_TIMEOUT)
        .map_err(tower::BoxError::from)
        .service(hyper);
    let listening = Listening {
        inner: service,
        watches,
    };
    Ok(Client::new(listening, &config.default_namespace))
}

/// Watches Pods and TaskRuns until nobody listens any more. Sends [`Change::Listed`] once all first
/// lists are complete.
pub async fn watch(client: Client, config: ClusterConfig, changes: mpsc::Sender<Seen>) {
    let chosen: BTreeSet<&String> = config.namespaces.iter().collect();
    let scopes: Vec<Option<String>> = match chosen.is_empty() {
        true => vec![None],
        false => chosen.into_iter().cloned().map(Some).collect(),
    };
    let selector = |own: Option<&str>| {
        let parts: Vec<_> = own
            .into_iter()
            .chain(config.label_selector.as_deref())
            .collect();
        let selector = parts.join(",");
        let config = watcher::Config::default().page_size(PAGE);
        if selector.is_empty() {
            config
        } else {
            config.labels(&selector)
        }
    };
    let output = Output {
        changes,
        // It is checked before.
        part: config.part().unwrap_or_default(),
        unlisted: Arc::new(AtomicUsize::new(scopes.len() * 2)),
    };
    let watches = scopes.iter().map(|scope| {
        let pods = follow::<SlimPod>(
            api(&client, scope.as_deref()),
            selector(Some("tekton.dev/taskRun")),
            output.clone(),
        );
        let runs = follow::<SlimTaskRun>(
            api(&client, scope.as_deref()),
            selector(None),
            output.clone(),
        );
        futures::future::join(pods, runs)
    });
    futures::future::join_all(watches).await;
}

fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// A kind that is watched.
trait Watched:
    kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static
{
    const WHAT: &'static str;
    fn changed(self) -> Change;
    /// UID of the TaskRun that it belongs to; `None` where it is none of ours.
    fn run_uid(&self) -> Option<Arc<str>>;
    /// The change that its deletion is.
    fn gone(uid: Arc<str>, run_uid: Arc<str>) -> Change;
}

impl Watched for SlimPod {
    const WHAT: &'static str = "pods";
    fn changed(self) -> Change {
        Change::Pod(Box::new(self))
    }
    fn run_uid(&self) -> Option<Arc<str>> {
        self.owner().map(|owner| owner.uid.as_str().into())
    }
    fn gone(uid: Arc<str>, run_uid: Arc<str>) -> Change {
        Change::PodGone { uid, run_uid }
    }
}

impl Watched for SlimTaskRun {
    const WHAT: &'static str = "taskruns.tekton.dev";
    fn changed(self) -> Change {
        Change::TaskRun(Box::new(self))
    }
    fn run_uid(&self) -> Option<Arc<str>> {
        self.metadata.uid.as_deref().map(Into::into)
    }
    fn gone(uid: Arc<str>, _run_uid: Arc<str>) -> Change {
        Change::TaskRunGone { uid }
    }
}

#[derive(Clone)]
struct Output {
    changes: mpsc::Sender<Seen>,
    /// What others tell of goes no further.
    part: Shard,
    /// First lists that are not complete.
    unlisted: Arc<AtomicUsize>,
}

/// Nobody listens any more.
struct Closed;

impl Output {
    async fn send(&self, change: Change) -> Result<(), Closed> {
        let at = clock::now();
        self.changes
            .send(Seen {
                at,
                now: true,
                change,
            })
            .await
            .map_err(|_| Closed)
    }

    fn is_others<K: Watched>(&self, event: &Event<K>) -> bool {
        match event {
            Event::InitApply(object) | Event::Apply(object) | Event::Delete(object) => {
                let run = object.run_uid();
                run.is_some_and(|run| !self.part.owns(&run))
            }
            Event::Init | Event::InitDone => false,
        }
    }

    async fn listed(&self) -> Result<(), Closed> {
        if self.unlisted.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.send(Change::Listed).await?;
        }
        Ok(())
    }
}

/// Watches one kind for ever: what vanishes between two lists is told as deleted, which
/// kube-runtime does not.
async fn follow<K: Watched>(api: Api<K>, config: watcher::Config, output: Output) {
    let mut present = Present::default();
    loop {
        let mut stream = std::pin::pin!(watcher(api.clone(), config.clone()).default_backoff());
        let mut failures = 0;
        while let Some(event) = stream.next().await {
            let event = match event {
                Ok(event) => event,
                Err(error) => {
                    let refused = refusal(&error);
                    warn!(
                        kind = K::WHAT,
                        error = describe(&error),
                        remedy = refused,
                        "watch failed, retrying"
                    );
                    failures += 1;
                    // Without this right for good, all others would never be told either.
                    if failures >= REBUILD_AFTER
                        && refused.is_some()
                        && present.give_up_listing(&output).await.is_err()
                    {
                        return;
                    }
                    if failures >= REBUILD_AFTER
                        && matches!(error, watcher::Error::WatchStartFailed(_))
                    {
                        break;
                    }
                    continue;
                }
            };
            failures = 0;
            if output.is_others(&event) {
                continue;
            }
            if present.take(event, &output).await.is_err() {
                return;
            }
        }
        info!(kind = K::WHAT, "watch is rebuilt with a new list");
    }
}

/// What is known to exist.
#[derive(Default)]
struct Present {
    /// UID of an object to UID of its TaskRun.
    known: HashMap<Arc<str>, Arc<str>>,
    /// UIDs of the list that is being read.
    listing: HashSet<Arc<str>>,
    listed: bool,
}

impl Present {
    async fn take<K: Watched>(&mut self, event: Event<K>, output: &Output) -> Result<(), Closed> {
        match event {
            Event::Init => self.listing.clear(),
            Event::InitApply(object) => {
                self.listing.insert(uid(&object));
                self.apply(object, output).await?;
            }
            Event::InitDone => {
                let listing = std::mem::take(&mut self.listing);
                let vanished: Vec<_> = self
                    .known
                    .extract_if(|uid, _| !listing.contains(uid))
                    .collect();
                for (uid, run_uid) in vanished {
                    output.send(K::gone(uid, run_uid)).await?;
                }
                if !std::mem::replace(&mut self.listed, true) {
                    info!(kind = K::WHAT, count = self.known.len(), "listed");
                    output.listed().await?;
                }
            }
            Event::Apply(object) => self.apply(object, output).await?,
            Event::Delete(object) => {
                let known = self.known.remove(&uid(&object));
                let gone = known
                    .or(object.run_uid())
                    .map(|run_uid| K::gone(uid(&object), run_uid));
                output.send(object.changed()).await?;
                if let Some(change) = gone {
                    output.send(change).await?;
                }
            }
        }
        Ok(())
    }

    /// Goes on without this list.
    async fn give_up_listing(&mut self, output: &Output) -> Result<(), Closed> {
        if std::mem::replace(&mut self.listed, true) {
            return Ok(());
        }
        output.listed().await
    }

    async fn apply<K: Watched>(&mut self, object: K, output: &Output) -> Result<(), Closed> {
        if let Some(run_uid) = object.run_uid() {
            let uid = uid(&object);
            let run_uid = if uid == run_uid { uid.clone() } else { run_uid };
            self.known.insert(uid, run_uid);
        }
        output.send(object.changed()).await
    }
}

fn uid<K: kube::Resource>(object: &K) -> Arc<str> {
    object.meta().uid.as_deref().unwrap_or_default().into()
}

/// The error in words, without anything of the object that could not be read: it may hold secrets.
pub(super) fn describe(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(kube::Error::SerdeError(cause))
        | watcher::Error::WatchStartFailed(kube::Error::SerdeError(cause))
        | watcher::Error::WatchFailed(kube::Error::SerdeError(cause)) => {
            format!(
                "failed to read an object, at column {} of the answer",
                cause.column()
            )
        }
        other => other.to_string(),
    }
}

/// What an operator can do about an error that does not go away by itself.
fn refusal(error: &watcher::Error) -> Option<&'static str> {
    let (watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error)) =
        error
    else {
        return None;
    };
    match error {
        kube::Error::Api(status) => match status.code {
            401 => Some(
                "the API server does not accept the credentials: check KUBECONFIG or the service account",
            ),
            403 => Some(
                "grant get, list and watch on pods and taskruns.tekton.dev to the service account",
            ),
            404 => Some("the API server does not know this kind: is Tekton Pipelines installed?"),
            _ => None,
        },
        _ => None,
    }
}
