//! A real API server as a source.

use super::ObserveError;
use super::ObserveError;
use super::change::{Change, TimedChange};
use super::initial_lists::{InitialLists, Scope};
use super::namespace::namespace_names;
use super::raw_events::{RawEvent, RawEventHook, WithJson};
use super::slim::{SlimPod, SlimTaskRun};
use super::watch::{self, WatchConfig};
use super::watch_event::{Event, Object, WatchError};
use crate::bounded::Bounded;
use crate::clock;
use crate::locked::Locked;
use futures::future::join;
use futures::{FutureExt as _, StreamExt as _};
use kube::Client;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use step_observer_core::Shard;
use tokio::sync::mpsc;
use tracing::{info, warn};

/// After so many refusals in a row the other namespaces are told without this one.
const MAX_REFUSALS: u32 = 4;

/// Most objects in one page of a list.
const PAGE_SIZE: u32 = 50;

/// What to watch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClusterConfig {
    /// Namespaces to watch; empty: all.
    #[serde(deserialize_with = "namespace_names")]
    pub namespaces: Vec<String>,
    /// Further label selector for Pods and TaskRuns.
    pub label_selector: Option<String>,
    /// How many observers share the work: each tells of its part of the TaskRuns, by a hash of their UIDs. All must
    /// say the same number; while they do not, events may come twice, with the same ids.
    pub shards: Bounded<1, 1024, u32>,
    /// Which of them this one is, from 0; usually given by `--shard`, as the ordinal of a StatefulSet's pod.
    pub shard: Bounded<0, 1023, u32>,
    /// A watch is renewed after so many seconds. One that is silent without an end, because something
    /// on the way has lost it, is noticed 5 seconds later.
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
    /// Which TaskRuns this observer tells of.
    ///
    /// # Errors
    ///
    /// There is no shard with this number.
    pub fn own_shard(&self) -> Result<Shard, ObserveError> {
        let (shard, shards) = (self.shard.get(), self.shards.get());
        Shard::new(shard, shards).ok_or(ObserveError::InvalidShard { shard, shards })
    }
}

/// Watches Pods and TaskRuns until nobody listens any more. Sends [`Change::Listed`] once all first
/// lists are complete, but those that are refused. What it sees goes through `tap` first if there is one.
pub async fn watch(
    client: Client,
    config: ClusterConfig,
    changes: mpsc::Sender<TimedChange>,
    tap: Option<RawEventHook>,
) {
    let chosen: BTreeSet<&String> = config.namespaces.iter().collect();
    let scopes: Vec<Scope> = match chosen.is_empty() {
        true => vec![None],
        false => chosen
            .into_iter()
            .map(|name| Some(name.as_str().into()))
            .collect(),
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
            page_size: PAGE_SIZE,
        }
    };
    let initial_lists = Arc::new(Locked::new(InitialLists::new(&scopes)));
    let watches = scopes.iter().map(|scope| {
        let output = ChangeSender {
            changes: changes.clone(),
            // It is checked before.
            shard: config.own_shard().unwrap_or_default(),
            lists: initial_lists.clone(),
            scope: scope.clone(),
            tap: tap.clone(),
        };
        let (of_pods, of_runs) = (selector(Some("tekton.dev/taskRun")), selector(None));
        let client = client.clone();
        match tap {
            None => join(
                watch_kind::<SlimPod>(client.clone(), of_pods, output.clone()).boxed(),
                watch_kind::<SlimTaskRun>(client, of_runs, output).boxed(),
            ),
            Some(_) => join(
                watch_kind::<WithJson<SlimPod>>(client.clone(), of_pods, output.clone()).boxed(),
                watch_kind::<WithJson<SlimTaskRun>>(client, of_runs, output).boxed(),
            ),
        }
    });
    futures::future::join_all(watches).await;
}

/// A kind that is watched.
trait WatchedKind: Object {
    fn uid(&self) -> Arc<str>;
    fn into_change(self) -> Change;
    /// UID of the TaskRun that it belongs to; `None` where it is none of ours.
    fn run_uid(&self) -> Option<Arc<str>>;
    /// The change that its deletion is.
    fn gone(uid: Arc<str>, run_uid: Arc<str>) -> Change;
    /// Its API version and kind.
    const API_VERSION_AND_KIND: (&'static str, &'static str);
    /// The JSON that it was read from, if that is kept.
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

#[derive(Clone)]
struct ChangeSender {
    changes: mpsc::Sender<TimedChange>,
    /// What others tell of goes no further.
    shard: Shard,
    lists: Arc<Locked<InitialLists>>,
    scope: Scope,
    tap: Option<RawEventHook>,
}

/// Nobody listens any more.
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

    fn tap<K: WatchedKind>(&self, event: &'static str, object: &K) {
        if let (Some(tap), Some(json)) = (&self.tap, object.json()) {
            let (api_version, kind) = K::API_VERSION_AND_KIND;
            let tapped = RawEvent::Object {
                event,
                api_version,
                kind,
                uid: &object.uid(),
                run_uid: object.run_uid(),
                json,
            };
            tap(clock::now(), tapped);
        }
    }

    /// Sends that an object is gone whose last state is not known.
    async fn send_gone<K: WatchedKind>(
        &self,
        uid: Arc<str>,
        run_uid: Arc<str>,
    ) -> Result<(), ReceiverClosed> {
        if let Some(tap) = &self.tap {
            tap(clock::now(), RawEvent::Gone { uid: &uid });
        }
        self.send(K::gone(uid, run_uid)).await
    }

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

    /// Tells what has become of the scope's first lists, where there is something to tell.
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
        if let (Some(tap), Change::Listed { .. }) = (&self.tap, &change) {
            tap(clock::now(), RawEvent::Listed);
        }
        self.send(change).await
    }
}

/// Watches one kind for ever: what vanishes between two lists is told as deleted.
async fn watch_kind<K: WatchedKind>(client: Client, config: WatchConfig, output: ChangeSender) {
    let mut known = KnownObjects::default();
    let scope = output.scope.clone();
    let mut watch = std::pin::pin!(watch::watch_objects::<K>(client, scope.as_deref(), config));
    while let Some(item) = watch.next().await {
        let done = match item.event {
            Ok(event) if output.is_of_other_shard(&event) => Ok(()),
            Ok(event) => known.handle(event, &output).await,
            Err(error) => {
                let remedy = remedy(&error);
                let namespace = output.scope.as_deref();
                warn!(
                    kind = K::KIND,
                    namespace,
                    error = %error,
                    remedy,
                    "watch failed, retrying"
                );
                // Without this right for good, all others would never be told either.
                if item.failures >= MAX_REFUSALS && remedy.is_some() && !known.is_listed {
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

/// What is known to exist.
#[derive(Default)]
struct KnownObjects {
    /// UID of an object to UID of its TaskRun.
    known: HashMap<Arc<str>, Arc<str>>,
    /// UIDs of the list that is being read.
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
                    .known
                    .extract_if(|uid, _| !listing.contains(uid))
                    .collect();
                for (uid, run_uid) in vanished {
                    output.send_gone::<K>(uid, run_uid).await?;
                }
                if !std::mem::replace(&mut self.is_listed, true) {
                    info!(kind = K::KIND, count = self.known.len(), "listed");
                    output.report_lists(InitialLists::complete).await?;
                }
            }
            Event::Changed(object) => self.apply(object, output).await?,
            Event::Deleted(object) => {
                output.tap("DELETED", &object);
                let known = self.known.remove(&object.uid());
                let gone = known
                    .or(object.run_uid())
                    .map(|run_uid| K::gone(object.uid(), run_uid));
                output.send(object.into_change()).await?;
                if let Some(change) = gone {
                    output.send(change).await?;
                }
            }
            // It is there, as far as one can see.
            Event::Unreadable(object) => self.listing.extend(object.uid),
            Event::UnreadableDeleted(object) => {
                let uid = object.uid.unwrap_or_default();
                if let Some(run_uid) = self.known.remove(&uid) {
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
        if output.tap.is_some() {
            let is_known = self.known.contains_key(&object.uid());
            output.tap(if is_known { "MODIFIED" } else { "ADDED" }, &object);
        }
        if let Some(run_uid) = object.run_uid() {
            let uid = object.uid();
            let run_uid = if uid == run_uid { uid.clone() } else { run_uid };
            self.known.insert(uid, run_uid);
        }
        output.send(object.into_change()).await
    }
}

/// What an operator can do about an error that does not go away by itself.
fn remedy(error: &WatchError) -> Option<&'static str> {
    match error.refused_with()? {
        401 => Some(
            "the API server does not accept the credentials: check KUBECONFIG or the service account",
        ),
        403 => Some("grant list and watch on pods and taskruns.tekton.dev to the service account"),
        404 => Some("the API server does not know this kind: is Tekton Pipelines installed?"),
        _ => None,
    }
}
