//! The stage that maintains the chain of common plugins while the observer runs. It receives
//! changes from ConfigMaps and folders, and publishes chains. It loads plugins one after the other;
//! meanwhile events go through the current chain.

use super::drop_in_fetcher::DropInFetcher;
use super::instance;
use super::supervisor::{Supervisor, Until};
use crate::observe::{self, PluginConfigMapChange, PluginEventRecorder};
use crate::plugin::dropin::{
    Catalog, LoadJob, LoadResult, Notice, Origin, PluginFolder, Roster, SourceChange,
};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::{info, warn};

/// Time between two scans of a folder.
const FOLDER_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Longest time for which the first events wait for plugins from registries. It is longer than a registry usually takes, because a plugin
/// that is missing fails on every event.
const FIRST_FETCHES_TIME: Duration = Duration::from_secs(20);
/// Changes that wait to be applied. Each may contain a module.
const CHANGES_CAPACITY: usize = 4;
/// Notices that wait to be written as Events.
const NOTICES_CAPACITY: usize = 256;

/// A place where plugins are dropped in.
pub(super) enum DropInSource {
    ConfigMaps {
        client: kube::Client,
        namespace: String,
    },
    Folder(PathBuf),
}

/// Starts the stages that maintain the chain, and returns a receiver of the current chain.
pub(super) fn start(
    catalog: Catalog,
    sources: Vec<DropInSource>,
    fetcher: DropInFetcher,
    client: Option<&kube::Client>,
    stages: &mut Supervisor,
) -> watch::Receiver<Roster> {
    let (rosters, roster) = watch::channel(Roster::default());
    publish(&catalog, &rosters);
    let (notices, to_publish) = mpsc::channel(NOTICES_CAPACITY);
    if let Some(client) = client {
        let recorder = PluginEventRecorder::new(client.clone(), instance::host_name());
        let publishing = publish_events(recorder, to_publish);
        stages.spawn("plugin events", Until::Prepared, publishing);
    }
    let watching = watch_drop_ins(catalog, sources, fetcher, rosters, notices);
    stages.spawn("plugins", Until::Prepared, watching);
    roster
}

/// Reads the sources and maintains the chain. Never ends.
async fn watch_drop_ins(
    catalog: Catalog,
    sources: Vec<DropInSource>,
    fetcher: DropInFetcher,
    roster: watch::Sender<Roster>,
    notices: mpsc::Sender<Notice>,
) {
    let (changes, offered) = mpsc::channel(CHANGES_CAPACITY);
    let reading = sources.into_iter().map(|source| {
        let changes = changes.clone();
        async move {
            match source {
                DropInSource::ConfigMaps { client, namespace } => {
                    config_maps(client, namespace, changes).await;
                }
                DropInSource::Folder(path) => folder(path, changes).await,
            }
        }
    });
    let reading = futures::future::join_all(reading);
    let maintaining = maintain_catalog(catalog, offered, fetcher, roster, notices);
    tokio::join!(reading, maintaining);
}

/// Applies changes as they come, fetches and loads the plugins that they need, and publishes the chain.
async fn maintain_catalog(
    mut catalog: Catalog,
    mut offered: mpsc::Receiver<SourceChange>,
    fetcher: DropInFetcher,
    roster: watch::Sender<Roster>,
    notices: mpsc::Sender<Notice>,
) {
    let mut loading = None;
    let mut fetching = FuturesUnordered::new();
    let begin = Instant::now();
    let mut give_up_at = None;
    loop {
        let next_fetch = catalog.next_fetch_time(begin.elapsed());
        tokio::select! {
            change = offered.recv() => match change {
                Some(change) => catalog.apply(change),
                // Without sources there is never another change.
                None => std::future::pending().await,
            },
            done = next_loaded(&mut loading) => {
                loading = None;
                if let Some(done) = done {
                    catalog.finish(done);
                }
            }
            Some(done) = fetching.next() => {
                catalog.fetched(done, begin.elapsed(), fastrand::f64());
            }
            () = until(next_fetch.map(|at| begin + at)) => {}
            () = until(give_up_at) => {
                give_up_at = None;
                catalog.stop_waiting_for_fetches();
            }
        }
        while let Some(job) = catalog.next_fetch(begin.elapsed()) {
            fetching.push(fetcher.fetch(job));
        }
        if give_up_at.is_none() && catalog.waits_for_fetches() {
            give_up_at = Some(Instant::now() + FIRST_FETCHES_TIME);
        }
        if loading.is_none() {
            loading = catalog.next_job().map(start_loading);
        }
        for notice in catalog.notices() {
            log_outcome(&notice);
            // Events are optional: a notice is dropped if too many wait.
            notices.try_send(notice).ok();
        }
        publish(&catalog, &roster);
    }
}

/// Waits until a moment; for ever if there is none.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Publishes the chain. From the first one on, events pass, and have priority over the compiler.
fn publish(catalog: &Catalog, rosters: &watch::Sender<Roster>) {
    let roster = catalog.roster();
    if roster.chain.is_some() {
        catalog.engine().put_events_first();
    }
    rosters.send_replace(roster);
}

type Loading = tokio::task::JoinHandle<LoadResult>;

fn start_loading(job: LoadJob) -> Loading {
    info!(plugin = job.name(), "loading plugin");
    tokio::task::spawn_blocking(move || job.run())
}

async fn next_loaded(loading: &mut Option<Loading>) -> Option<LoadResult> {
    match loading {
        Some(loading) => match loading.await {
            Ok(done) => Some(done),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => None,
        },
        None => std::future::pending().await,
    }
}

fn log_outcome(notice: &Notice) {
    let Notice {
        origin,
        name,
        outcome,
    } = notice;
    match outcome {
        Ok(what) => info!(plugin = name, origin = ?origin.to_string(), "plugin is loaded: {what}"),
        Err(reason) => {
            warn!(plugin = name, origin = ?origin.to_string(), reason, "plugin is refused");
        }
    }
}

async fn config_maps(client: kube::Client, namespace: String, changes: mpsc::Sender<SourceChange>) {
    let (sender, mut seen) = mpsc::channel(CHANGES_CAPACITY);
    let watch = observe::watch_plugins(client, namespace.clone(), sender);
    let origin = |name| Origin::ConfigMap {
        namespace: namespace.clone(),
        name,
    };
    let forward = async {
        while let Some(change) = seen.recv().await {
            let change = match change {
                PluginConfigMapChange::Present { name, files } => SourceChange::Offered {
                    origin: origin(name),
                    files,
                },
                PluginConfigMapChange::Gone { name } => SourceChange::Withdrawn {
                    origin: origin(name),
                },
                PluginConfigMapChange::Listed => SourceChange::Listed,
            };
            if changes.send(change).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(watch, forward);
}

async fn folder(path: PathBuf, changes: mpsc::Sender<SourceChange>) {
    let mut folder = PluginFolder::new(path);
    let mut ticks = tokio::time::interval(FOLDER_POLL_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut listed, mut failing) = (false, false);
    loop {
        ticks.tick().await;
        let looked = tokio::task::spawn_blocking(move || (folder.scan(), folder));
        let Ok((found, same)) = looked.await else {
            return;
        };
        folder = same;
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    let folder = folder.path().display().to_string();
                    warn!(folder, %error, "a plugin folder cannot be read, retrying");
                }
                continue;
            }
        };
        failing = false;
        // Sends `Listed` last, and only if the scan is complete: a change may contain a plugin that
        // redacts, which must not be missing in the first chain.
        let end = (found.complete && !std::mem::replace(&mut listed, found.complete))
            .then_some(SourceChange::Listed);
        for change in found.changes.into_iter().chain(end) {
            if changes.send(change).await.is_err() {
                return;
            }
        }
    }
}

/// Writes the outcome of each load as an Event on the plugin's ConfigMap. If several outcomes of
/// one plugin wait, it writes the newest.
async fn publish_events(notes: PluginEventRecorder, mut notices: mpsc::Receiver<Notice>) {
    while let Some(first) = notices.recv().await {
        let mut latest: BTreeMap<Origin, Notice> = BTreeMap::from([(first.origin.clone(), first)]);
        while let Ok(notice) = notices.try_recv() {
            latest.insert(notice.origin.clone(), notice);
        }
        for notice in latest.into_values() {
            if let Origin::ConfigMap { namespace, name } = &notice.origin {
                let outcome = notice.outcome.as_deref().map_err(String::as_str);
                notes.record(namespace, name, outcome).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::PluginEngine;
    use std::sync::Arc;

    #[test]
    fn events_have_priority_once_the_plugins_of_the_start_are_known() {
        let engine = PluginEngine::new().unwrap();
        let mut catalog = Catalog::new(&engine, Arc::default(), Vec::new(), 1);
        let (rosters, roster) = watch::channel(Roster::default());
        publish(&catalog, &rosters);
        assert!(roster.borrow().chain.is_none() && !engine.puts_events_first());
        catalog.apply(SourceChange::Listed);
        publish(&catalog, &rosters);
        assert!(roster.borrow().chain.is_some() && engine.puts_events_first());
    }
}
