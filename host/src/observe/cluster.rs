//! Watches a cluster: the Pods and TaskRuns of an API server become changes.

use super::change::{Change, TimedChange};
use super::error::ObserveError;
use super::initial_lists::{InitialLists, Scope};
use super::pipeline_runs::SlimPipelineRun;
use super::raw_events::{RawEvent, RawEventHook, WithJson};
use super::slim::{SlimPod, SlimTaskRun};
use super::watch::{self, WatchConfig};
use super::watch_event::{Event, Object, WatchError};
use crate::bounded::{Bounded, namespace_names};
use crate::clock;
use crate::locked::Locked;
use futures::future::{OptionFuture, join};
use futures::{FutureExt as _, StreamExt as _};
use kube::Client;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use step_observer_core::Shard;
use tokio::sync::mpsc;
use tracing::{info, warn};

/// Number of consecutive refusals after which the other namespaces no longer wait for this one.
const MAX_REFUSALS: u32 = 4;

/// Maximum number of objects in one page of a list, as in client-go.
const MAX_PAGE_SIZE: u32 = 500;

/// The objects that the observer watches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClusterConfig {
    /// Namespaces to watch; empty: all.
    #[serde(deserialize_with = "namespace_names")]
    pub namespaces: Vec<String>,
    /// Further label selector for Pods and TaskRuns.
    pub label_selector: Option<String>,
    /// Number of observers that share the work. Each emits the events of its part of the TaskRuns,
    /// which a hash of their UIDs selects. All observers must have the same number; until they do,
    /// an event may be sent twice, with the same id.
    pub shards: Bounded<1, 1024, u32>,
    /// Number of this observer among all `shards`, from 0. `--shard` usually sets it from the
    /// ordinal of a StatefulSet's pod.
    pub shard: Bounded<0, 1023, u32>,
    /// Seconds after which a watch is renewed. A watch that stays silent because a component on the
    /// path has lost it is noticed 5 seconds later.
    pub watch_timeout_seconds: Bounded<1, 290, u32>,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            namespaces: Vec::new(),
            label_selector: None,
            shards: Bounded::new(1),
            shard: Bounded::new(0),
            watch_timeout_seconds: Bounded::new(watch::DEFAULT_TIMEOUT_SECONDS),
        }
    }
}

impl ClusterConfig {
    /// Returns the shard of this observer: the TaskRuns whose events it emits.
    ///
    /// # Errors
    ///
    /// The number of the shard is not less than the number of shards.
    pub fn own_shard(&self) -> Result<Shard, ObserveError> {
        let (shard, shards) = (self.shard.get(), self.shards.get());
        Shard::new(shard, shards).ok_or(ObserveError::InvalidShard { shard, shards })
    }
}

/// Watches Pods and TaskRuns until the receiver of `changes` is dropped. Sends [`Change::Listed`]
/// once all initial lists are complete, except those that are refused. `hook` receives each event
/// first. With `pipeline_runs`, watches PipelineRuns, too; nothing waits for them.
pub async fn watch(
    client: Client,
    config: ClusterConfig,
    changes: mpsc::Sender<TimedChange>,
    hook: Option<RawEventHook>,
    pipeline_runs: bool,
) {
    let chosen: BTreeSet<&String> = config.namespaces.iter().collect();
    let scopes: Vec<Scope> = if chosen.is_empty() {
        vec![None]
    } else {
        chosen
            .into_iter()
            .map(|name| Some(name.as_str().into()))
            .collect()
    };
    let selector = |own: Option<&str>| {
        let parts: Vec<_> = own
            .into_iter()
            .chain(config.label_selector.as_deref())
            .collect();
        WatchConfig {
            labels: Some(parts.join(",")).filter(|selector| !selector.is_empty()),
            fields: None,
            timeout_seconds: config.watch_timeout_seconds.get(),
            max_page_size: MAX_PAGE_SIZE,
        }
    };
    // Pods and TaskRuns.
    let initial_lists = Arc::new(Locked::new(InitialLists::new(&scopes, 2)));
    let pipeline_run_lists = Arc::new(Locked::new(InitialLists::new(&scopes, 1)));
    let watches = scopes.iter().map(|scope| {
        let output = ChangeSender {
            changes: changes.clone(),
            // The configuration was checked before.
            shard: config.own_shard().unwrap_or_default(),
            lists: initial_lists.clone(),
            scope: scope.clone(),
            hook: hook.clone(),
        };
        let (pods, task_runs) = (selector(Some("tekton.dev/taskRun")), selector(None));
        let client = client.clone();
        let pipeline_runs = pipeline_runs.then(|| {
            let output = ChangeSender {
                lists: pipeline_run_lists.clone(),
                ..output.clone()
            };
            let selector = selector(None);
            watch_kind::<SlimPipelineRun>(client.clone(), selector, output).boxed()
        });
        let pipeline_runs = OptionFuture::from(pipeline_runs);
        let steps = match hook {
            None => join(
                watch_kind::<SlimPod>(client.clone(), pods, output.clone()).boxed(),
                watch_kind::<SlimTaskRun>(client, task_runs, output).boxed(),
            ),
            Some(_) => join(
                watch_kind::<WithJson<SlimPod>>(client.clone(), pods, output.clone()).boxed(),
                watch_kind::<WithJson<SlimTaskRun>>(client, task_runs, output).boxed(),
            ),
        };
        join(steps, pipeline_runs)
    });
    futures::future::join_all(watches).await;
}

/// A kind of object that is watched.
trait WatchedKind: Object {
    fn uid(&self) -> Arc<str>;
    fn into_change(self) -> Change;
    /// Returns the UID of the TaskRun to which the object belongs, if any.
    fn run_uid(&self) -> Option<Arc<str>>;
    /// Returns the change that reports the deletion of an object.
    fn gone(uid: Arc<str>, run_uid: Arc<str>) -> Change;
    /// Whether the transitions of steps wait for the initial lists of this kind.
    const IS_AWAITED: bool = true;
    /// API version and kind.
    const API_VERSION_AND_KIND: (&'static str, &'static str);
    /// Returns the JSON from which the object was parsed, if it was kept.
    fn json(&self) -> Option<&str> {
        None
    }
}

impl WatchedKind for SlimPod {
    const API_VERSION_AND_KIND: (&'static str, &'static str) = ("v1", "Pod");

    fn uid(&self) -> Arc<str> {
        self.metadata.uid.clone().unwrap_or_default()
    }
    fn into_change(self) -> Change {
        Change::Pod(Box::new(self))
    }
    fn run_uid(&self) -> Option<Arc<str>> {
        self.owner().map(|owner| owner.uid.clone())
    }
    fn gone(uid: Arc<str>, run_uid: Arc<str>) -> Change {
        Change::PodGone { uid, run_uid }
    }
}

impl WatchedKind for SlimTaskRun {
    const API_VERSION_AND_KIND: (&'static str, &'static str) = ("tekton.dev/v1", "TaskRun");

    fn uid(&self) -> Arc<str> {
        self.metadata.uid.clone().unwrap_or_default()
    }
    fn into_change(self) -> Change {
        Change::TaskRun(Box::new(self))
    }
    fn run_uid(&self) -> Option<Arc<str>> {
        self.metadata.uid.clone()
    }
    fn gone(uid: Arc<str>, _run_uid: Arc<str>) -> Change {
        Change::TaskRunGone { uid }
    }
}

impl WatchedKind for SlimPipelineRun {
    const IS_AWAITED: bool = false;
    const API_VERSION_AND_KIND: (&'static str, &'static str) = ("tekton.dev/v1", "PipelineRun");

    fn uid(&self) -> Arc<str> {
        self.metadata.uid.clone().unwrap_or_default()
    }
    fn into_change(self) -> Change {
        Change::PipelineRun(Box::new(self))
    }
    fn run_uid(&self) -> Option<Arc<str>> {
        self.metadata.uid.clone()
    }
    fn gone(uid: Arc<str>, _run_uid: Arc<str>) -> Change {
        Change::PipelineRunGone { uid }
    }
}

impl<K: WatchedKind> WatchedKind for WithJson<K> {
    const API_VERSION_AND_KIND: (&'static str, &'static str) = K::API_VERSION_AND_KIND;

    fn uid(&self) -> Arc<str> {
        self.object.uid()
    }
    fn into_change(self) -> Change {
        self.object.into_change()
    }
    fn run_uid(&self) -> Option<Arc<str>> {
        self.object.run_uid()
    }
    fn gone(uid: Arc<str>, run_uid: Arc<str>) -> Change {
        K::gone(uid, run_uid)
    }
    fn json(&self) -> Option<&str> {
        Some(self.json.get())
    }
}

/// Sends the changes of one kind in one scope.
#[derive(Clone)]
struct ChangeSender {
    changes: mpsc::Sender<TimedChange>,
    /// The shard of this observer. Objects of other shards are dropped.
    shard: Shard,
    lists: Arc<Locked<InitialLists>>,
    scope: Scope,
    hook: Option<RawEventHook>,
}

/// The receiver of the changes was dropped.
struct ReceiverClosed;

impl ChangeSender {
    async fn send(&self, change: Change) -> Result<(), ReceiverClosed> {
        let at = clock::now();
        self.changes
            .send(TimedChange {
                at,
                is_live: true,
                change,
            })
            .await
            .map_err(|_| ReceiverClosed)
    }

    fn hook<K: WatchedKind>(&self, event: &'static str, object: &K) {
        if let (Some(hook), Some(json)) = (&self.hook, object.json()) {
            let (api_version, kind) = K::API_VERSION_AND_KIND;
            let tapped = RawEvent::Object {
                event,
                api_version,
                kind,
                uid: &object.uid(),
                run_uid: object.run_uid(),
                json,
            };
            hook(clock::now(), tapped);
        }
    }

    /// Sends the deletion of an object whose last state is unknown.
    async fn send_gone<K: WatchedKind>(
        &self,
        uid: Arc<str>,
        run_uid: Arc<str>,
    ) -> Result<(), ReceiverClosed> {
        if let Some(hook) = &self.hook {
            hook(clock::now(), RawEvent::Gone { uid: &uid });
        }
        self.send(K::gone(uid, run_uid)).await
    }

    /// Returns whether an event belongs to a TaskRun of another observer.
    fn is_of_other_shard<K: WatchedKind>(&self, event: &Event<K>) -> bool {
        match event {
            Event::Listed(object) | Event::Changed(object) | Event::Deleted(object) => {
                let run = object.run_uid();
                run.is_some_and(|run| !self.shard.owns(&run))
            }
            Event::ListBegins
            | Event::ListComplete
            | Event::Unreadable(_)
            | Event::UnreadableDeleted(_) => false,
        }
    }

    /// Sends [`Change::PipelineRunsListed`] once the lists of all scopes are complete.
    async fn report_pipeline_runs(&self) -> Result<(), ReceiverClosed> {
        let change = self.lists.lock().complete(&self.scope);
        match change {
            Some(_) => self.send(Change::PipelineRunsListed).await,
            None => Ok(()),
        }
    }

    /// Updates the state of the scope's initial lists and sends the change that this causes, if
    /// any.
    async fn report_lists(
        &self,
        event: fn(&mut InitialLists, &Scope) -> Option<Change>,
    ) -> Result<(), ReceiverClosed> {
        let change = {
            let mut lists = self.lists.lock();
            event(&mut lists, &self.scope)
        };
        let Some(change) = change else {
            return Ok(());
        };
        if let (Some(hook), Change::Listed { .. }) = (&self.hook, &change) {
            hook(clock::now(), RawEvent::Listed);
        }
        self.send(change).await
    }
}

/// Watches one kind for ever. An object that is missing from a later list counts as deleted.
async fn watch_kind<K: WatchedKind>(client: Client, config: WatchConfig, output: ChangeSender) {
    let mut known = KnownObjects::default();
    let scope = output.scope.clone();
    let mut watch = std::pin::pin!(watch::watch_objects::<K>(client, scope.as_deref(), config));
    while let Some(item) = watch.next().await {
        let done = match item.event {
            Ok(event) if output.is_of_other_shard(&event) => Ok(()),
            Ok(event) => known.handle(event, &output).await,
            Err(error) => {
                let remedy = remedy(&error, K::KIND);
                let namespace = output.scope.as_deref();
                warn!(
                    kind = K::KIND,
                    namespace,
                    error = %error,
                    remedy,
                    "watch failed, retrying"
                );
                // Without this step, a permanently missing right would keep all other namespaces
                // from being listed.
                if item.failures >= MAX_REFUSALS
                    && remedy.is_some()
                    && !known.is_listed
                    && K::IS_AWAITED
                {
                    output.report_lists(InitialLists::exclude).await
                } else {
                    Ok(())
                }
            }
        };
        if done.is_err() {
            return;
        }
    }
}

/// The known objects of one kind in one scope.
#[derive(Default)]
struct KnownObjects {
    /// Maps the UID of an object to the UID of its TaskRun.
    run_uids: HashMap<Arc<str>, Arc<str>>,
    /// UIDs of the objects in the list that is being read.
    listing: HashSet<Arc<str>>,
    is_listed: bool,
}

impl KnownObjects {
    async fn handle<K: WatchedKind>(
        &mut self,
        event: Event<K>,
        output: &ChangeSender,
    ) -> Result<(), ReceiverClosed> {
        match event {
            Event::ListBegins => self.listing.clear(),
            Event::Listed(object) => {
                self.listing.insert(object.uid());
                self.apply(object, output).await?;
            }
            Event::ListComplete => {
                let listing = std::mem::take(&mut self.listing);
                let vanished: Vec<_> = self
                    .run_uids
                    .extract_if(|uid, _| !listing.contains(uid))
                    .collect();
                for (uid, run_uid) in vanished {
                    output.send_gone::<K>(uid, run_uid).await?;
                }
                if !std::mem::replace(&mut self.is_listed, true) {
                    info!(kind = K::KIND, count = self.run_uids.len(), "listed");
                    match K::IS_AWAITED {
                        true => output.report_lists(InitialLists::complete).await?,
                        false => output.report_pipeline_runs().await?,
                    }
                }
            }
            Event::Changed(object) => self.apply(object, output).await?,
            Event::Deleted(object) => {
                output.hook("DELETED", &object);
                let known = self.run_uids.remove(&object.uid());
                let gone = known
                    .or(object.run_uid())
                    .map(|run_uid| K::gone(object.uid(), run_uid));
                output.send(object.into_change()).await?;
                if let Some(change) = gone {
                    output.send(change).await?;
                }
            }
            // The object exists, although it cannot be read.
            Event::Unreadable(object) => self.listing.extend(object.uid),
            Event::UnreadableDeleted(object) => {
                let uid = object.uid.unwrap_or_default();
                if let Some(run_uid) = self.run_uids.remove(&uid) {
                    output.send_gone::<K>(uid, run_uid).await?;
                }
            }
        }
        Ok(())
    }

    async fn apply<K: WatchedKind>(
        &mut self,
        object: K,
        output: &ChangeSender,
    ) -> Result<(), ReceiverClosed> {
        if output.hook.is_some() {
            let is_known = self.run_uids.contains_key(&object.uid());
            output.hook(if is_known { "MODIFIED" } else { "ADDED" }, &object);
        }
        if let Some(run_uid) = object.run_uid() {
            let uid = object.uid();
            let run_uid = if uid == run_uid { uid.clone() } else { run_uid };
            self.run_uids.insert(uid, run_uid);
        }
        output.send(object.into_change()).await
    }
}

/// Returns the remedy for an error that does not disappear by itself.
fn remedy(error: &WatchError, kind: &str) -> Option<&'static str> {
    match error.refused_with()? {
        401 => Some(
            "the API server does not accept the credentials: check KUBECONFIG or the service account",
        ),
        403 if kind == SlimPipelineRun::KIND => Some(
            "grant list and watch on pipelineruns.tekton.dev to the service account (component otlp), or switch pipelineRuns of the sink off",
        ),
        403 => Some(
            "grant list and watch on pods and taskruns.tekton.dev to the service account, or name the namespaces that it may \
            read with --namespace",
        ),
        404 => Some("the API server does not know this kind: is Tekton Pipelines installed?"),
        _ => None,
    }
}
