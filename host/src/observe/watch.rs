//! Watches that go on whatever happens to them.

use futures::stream::{BoxStream, Stream};
use futures::{StreamExt as _, stream};
use kube::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Error, Event, watcher};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use tracing::info;

/// After so many failures in a row to start a watch it is made anew, with a new list: kube-runtime
/// asks from the same resource version for ever (kube-rs #1042).
const REBUILD_AFTER: u32 = 4;

/// Seconds after which a watch is renewed where nobody says: what keeps it open without telling
/// anything holds changes back for so long. More would save the API server hardly anything.
pub(super) const RENEW_AFTER: u32 = 60;

/// What can be watched.
pub(super) trait Object:
    kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static
{
}

impl<K> Object for K where
    K: kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static
{
}

/// Something that happened to a watch.
pub(super) struct Happened<K> {
    pub(super) event: Result<Event<K>, Error>,
    /// Failures in a row, this one included, since the server has last given anything.
    pub(super) failures: u32,
}

/// Watches for ever: the next try waits longer after each failure.
pub(super) fn follow<K: Object>(
    api: Api<K>,
    config: watcher::Config,
) -> impl Stream<Item = Happened<K>> + Send {
    let watch = Watch {
        api,
        config,
        stream: None,
        failures: 0,
        failed_starts: 0,
        renewed: false,
    };
    stream::unfold(watch, async |mut watch| {
        let happened = watch.next().await;
        Some((happened, watch))
    })
}

struct Watch<K: Object> {
    api: Api<K>,
    config: watcher::Config,
    stream: Option<BoxStream<'static, Result<Event<K>, Error>>>,
    failures: u32,
    failed_starts: u32,
    /// It was made anew because its revision was gone, and has not given a change since.
    renewed: bool,
}

impl<K: Object> Watch<K> {
    async fn next(&mut self) -> Happened<K> {
        loop {
            let (api, config) = (&self.api, &self.config);
            let stream = self.stream.get_or_insert_with(|| {
                watcher(api.clone(), config.clone())
                    .default_backoff()
                    .boxed()
            });
            // It has no end; were there one, it would begin anew.
            let Some(event) = stream.next().await else {
                self.stream = None;
                continue;
            };
            self.count(&event);
            if self.failed_starts >= REBUILD_AFTER {
                info!(kind = %K::kind(&()), "watch is rebuilt with a new list");
                (self.stream, self.failed_starts) = (None, 0);
            }
            return Happened {
                event,
                failures: self.failures,
            };
        }
    }
}

impl<K: Object> Watch<K> {
    fn count(&mut self, event: &Result<Event<K>, Error>) {
        match event {
            // It says that a list is about to be asked for, not that there is one.
            Ok(Event::Init) => {}
            Ok(event) => {
                (self.failures, self.failed_starts) = (0, 0);
                self.renewed &= !matches!(event, Event::Apply(_) | Event::Delete(_));
            }
            Err(error) => {
                self.failures += 1;
                self.failed_starts += u32::from(matches!(error, Error::WatchStartFailed(_)));
                // A revision that is gone does not come back. A server that says so each time is not
                // asked for list after list.
                if refused_with(error) == Some(410) && !std::mem::replace(&mut self.renewed, true) {
                    self.failed_starts = REBUILD_AFTER;
                }
            }
        }
    }
}

/// The error in words, without anything of the object that could not be read: it may hold secrets.
pub(super) fn describe(error: &Error) -> String {
    match error {
        Error::InitialListFailed(kube::Error::SerdeError(cause))
        | Error::WatchStartFailed(kube::Error::SerdeError(cause))
        | Error::WatchFailed(kube::Error::SerdeError(cause)) => {
            format!(
                "failed to read an object, at column {} of the answer",
                cause.column()
            )
        }
        other => other.to_string(),
    }
}

/// What the server said where it refused to begin a list or a watch.
pub(super) fn refused_with(error: &Error) -> Option<u16> {
    match error {
        Error::InitialListFailed(kube::Error::Api(status))
        | Error::WatchStartFailed(kube::Error::Api(status)) => Some(status.code),
        _ => None,
    }
}
