//! Measures the freshness of watches at the HTTP layer, in one place for the lists, watches and
//! bookmarks of every kind. kube-runtime does not expose bookmarks.

use super::sight::{Missed, Sight, union};
use super::unreadable::{UnreadableCounter, UnreadableObject};
use crate::clock;
use crate::locked::Locked;
use crate::metrics::Counter;
use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::time::Sleep;
use tower::BoxError;

/// Time for which a list may be silent.
const LIST_SILENCE: Duration = Duration::from_secs(30);
/// The watched kinds, by their plural in the URL.
const RESOURCES: [&str; 3] = ["pods", "taskruns", "configmaps"];
/// Those of them of which every change counts. Of a ConfigMap, only the last state does.
const OF_RUNS: [&str; 2] = ["pods", "taskruns"];

/// The watches of a client.
#[derive(Clone, Debug, Default)]
pub struct Watches(Arc<WatchRegistry>);

#[derive(Debug, Default)]
struct WatchRegistry {
    watches: Locked<BTreeMap<String, Arc<Locked<Watch>>>>,
    /// Counters per kind, in the order of [`RESOURCES`].
    unreadable: [Arc<UnreadableCounter>; RESOURCES.len()],
    /// Notified when a list is complete.
    listed: Arc<Notify>,
}

#[derive(Debug)]
struct Watch {
    resource: &'static str,
    reporter: Instant,
    failing: Option<Instant>,
    failures: u64,
    lists: u64,
    sight: Sight,
}

/// The state of one watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchHealth {
    /// `pods`, `taskruns` or `configmaps`.
    pub resource: &'static str,
    /// Time since the API server last sent a part of a list, a change or a bookmark. It sends a
    /// bookmark about every minute, and a watch is renewed after at most five minutes.
    pub age: Duration,
    /// Time for which the watch has been failing; `None` if it works.
    pub failing: Option<Duration>,
    /// Number of failed requests.
    pub failures: u64,
    /// Number of lists: one at the start, and one each time the watch is rebuilt, because the API
    /// server no longer has the changes since the last event or because the watch repeatedly fails
    /// to start.
    pub lists: u64,
}

impl Watches {
    /// Returns the current state of each watch.
    #[must_use]
    pub fn health(&self) -> Vec<WatchHealth> {
        let watches = self.0.watches.lock();
        let health = watches.values().map(|watch| {
            let watch = watch.lock();
            WatchHealth {
                resource: watch.resource,
                age: watch.reporter.elapsed(),
                failing: watch.failing.map(|since| since.elapsed()),
                failures: watch.failures,
                lists: watch.lists,
            }
        });
        health.collect()
    }

    /// Counts the objects that could not be read, per resource. A changed object counts again.
    pub(crate) fn unreadable(&self) -> impl Iterator<Item = (&'static str, &Counter)> {
        let counts = self.0.unreadable.iter().map(|objects| objects.count());
        RESOURCES.into_iter().zip(counts)
    }

    /// Returns the reporter of the watch to which a request belongs, if any.
    fn reporter_of(&self, method: &http::Method, uri: &Uri) -> Option<WatchReporter> {
        let mut parts = uri.path().rsplit('/');
        let (last, before, place) = (parts.next()?, parts.next()?, parts.next()?);
        // Ignores paths that end with the name of an object instead of a resource.
        if before != "v1" && place != "namespaces" {
            return None;
        }
        let kind = RESOURCES.iter().position(|resource| *resource == last)?;
        let resource = *RESOURCES.get(kind)?;
        if method != http::Method::GET {
            return None;
        }
        let query: Vec<&str> = uri.query().unwrap_or_default().split('&').collect();
        let has = |name: &str| query.iter().any(|part| part.starts_with(name));
        let is_list = !has("watch=") && !has("continue=");
        // Requests with other selectors belong to other watches. The configuration bounds the
        // number of selectors.
        let selectors = query.iter().filter(|part| part.contains("Selector="));
        let key = format!("{}?{}", uri.path(), selectors.copied().collect::<String>());
        let mut watches = self.0.watches.lock();
        let watch = watches.entry(key).or_insert_with(|| {
            Arc::new(Locked::new(Watch {
                resource,
                reporter: Instant::now(),
                failing: None,
                failures: 0,
                lists: 0,
                sight: Sight::default(),
            }))
        });
        let reporter = WatchReporter {
            watch: watch.clone(),
            unreadable: self.0.unreadable.get(kind)?.clone(),
            listed: self.0.listed.clone(),
        };
        if is_list {
            reporter.with(|watch| {
                watch.lists += 1;
                watch.sight.list_begins(clock::now());
            });
        }
        Some(reporter)
    }

    /// Applies a function to each watch of Pods and TaskRuns.
    fn each_of_runs<T>(&self, mut each: impl FnMut(&mut Watch) -> T) -> Vec<T> {
        let watches = self.0.watches.lock();
        let mut applied = Vec::new();
        for watch in watches.values() {
            let mut watch = watch.lock();
            if OF_RUNS.contains(&watch.resource) {
                applied.push(each(&mut watch));
            }
        }
        applied
    }

    /// Returns the time until which every change of a Pod and of a TaskRun was shown; `None` if a first list
    /// is missing.
    pub(crate) fn watched_until(&self) -> Option<Timestamp> {
        let until = self.each_of_runs(|watch| watch.sight.until);
        until.into_iter().min()?
    }

    /// Returns the time in which Pods or TaskRuns may have come and gone unseen, because watches had to begin
    /// again with a list. It is complete once all watches work again: a failure hits several of them, and each
    /// recovers at its own time.
    pub(crate) fn missed(&self) -> Option<Missed> {
        let missed = self.each_of_runs(|watch| watch.sight.missed());
        union(missed.into_iter().flatten())
    }

    /// Does the same, if all watches work, and forgets it.
    pub(crate) fn take_missed(&self) -> Option<Missed> {
        let recovers =
            self.each_of_runs(|watch| watch.failing.is_some() || watch.sight.is_relisting());
        if recovers.contains(&true) {
            return None;
        }
        let missed = self.each_of_runs(|watch| watch.sight.take_missed());
        union(missed.into_iter().flatten())
    }

    /// Waits until a list is complete. For a single waiter.
    pub(crate) async fn list_completed(&self) {
        self.0.listed.notified().await;
    }
}

/// Reports successes and failures of a watch.
#[derive(Clone, Debug)]
pub(super) struct WatchReporter {
    watch: Arc<Locked<Watch>>,
    unreadable: Arc<UnreadableCounter>,
    listed: Arc<Notify>,
}

impl WatchReporter {
    fn with(&self, work: impl FnOnce(&mut Watch)) {
        work(&mut self.watch.lock());
    }

    /// Counts an object that cannot be read.
    pub(super) fn unreadable(&self, kind: &str, object: &UnreadableObject) {
        self.unreadable.note(kind, object);
    }

    /// The last page of a list was read.
    pub(super) fn list_complete(&self) {
        self.with(|watch| watch.sight.list_complete(clock::now()));
        self.listed.notify_one();
    }

    /// The watch has shown a change or a bookmark.
    pub(super) fn shows(&self) {
        self.with(|watch| watch.sight.shows(clock::now()));
    }

    fn record_success(&self) {
        self.with(|watch| {
            watch.reporter = Instant::now();
            watch.failing = None;
        });
    }

    fn record_failure(&self) {
        self.with(|watch| {
            watch.failures += 1;
            watch.failing.get_or_insert_with(Instant::now);
        });
    }
}

/// A service that reports the success of each request and of each frame of its response.
#[derive(Clone, Debug)]
pub(super) struct WatchHealthService<S> {
    pub(super) inner: S,
    pub(super) watches: Watches,
}

impl<S, In, Out> tower::Service<Request<In>> for WatchHealthService<S>
where
    S: tower::Service<Request<In>, Response = Response<Out>>,
    S::Future: Send + 'static,
{
    type Response = Response<ReportingBody<Out>>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        let reporter = self.watches.reporter_of(request.method(), request.uri());
        let is_list = reporter.is_some() && !is_watch(request.uri());
        let response = self.inner.call(request);
        async move {
            let response = response.await;
            let is_well = matches!(&response, Ok(response) if response.status().is_success());
            match &reporter {
                Some(reporter) if is_well => reporter.record_success(),
                Some(reporter) => reporter.record_failure(),
                None => {}
            }
            let reporter = reporter.filter(|_| is_well);
            let stall_timer = is_list.then(StallTimer::new);
            let mut response = response?;
            // Passes the reporter to the reader of the body, which reports unreadable objects.
            if let Some(reporter) = &reporter {
                response.extensions_mut().insert(reporter.clone());
            }
            Ok(response.map(|inner| ReportingBody {
                inner,
                reporter,
                stall_timer,
            }))
        }
        .boxed()
    }
}

/// Returns whether a request is a watch. A watch may be silent until it is renewed; a list must not
/// be silent for that long.
fn is_watch(uri: &Uri) -> bool {
    let mut query = uri.query().unwrap_or_default().split('&');
    query.any(|part| part.starts_with("watch="))
}

/// Times out a list that has started and makes no progress: a connection can be dead without an
/// error.
#[derive(Debug)]
struct StallTimer(Pin<Box<Sleep>>);

impl StallTimer {
    fn new() -> Self {
        Self(Box::pin(tokio::time::sleep(LIST_SILENCE)))
    }

    fn renew(&mut self) {
        self.0
            .as_mut()
            .reset(tokio::time::Instant::now() + LIST_SILENCE);
    }

    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        self.0.as_mut().poll(context).is_ready()
    }
}

/// The body of a response. Each of its frames is reported.
#[derive(Debug)]
pub(super) struct ReportingBody<B> {
    inner: B,
    reporter: Option<WatchReporter>,
    /// Present for a list.
    stall_timer: Option<StallTimer>,
}

impl<B: Body<Data = Bytes> + Unpin> Body for ReportingBody<B>
where
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut frame = Pin::new(&mut self.inner)
            .poll_frame(context)
            .map_err(Into::into);
        if let Some(stall_timer) = &mut self.stall_timer {
            if frame.is_ready() {
                stall_timer.renew();
            } else if stall_timer.is_over(context) {
                let problem = format!("the list made no progress for {LIST_SILENCE:?}");
                frame = Poll::Ready(Some(Err(problem.into())));
            }
        }
        match (&self.reporter, &frame) {
            (Some(reporter), Poll::Ready(Some(Ok(_)))) => reporter.record_success(),
            (Some(reporter), Poll::Ready(Some(Err(_)))) => reporter.record_failure(),
            (None, _) | (_, Poll::Ready(None) | Poll::Pending) => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(watches: &Watches, method: &http::Method, uri: &str) -> bool {
        let uri: Uri = uri.parse().unwrap();
        watches.reporter_of(method, &uri).is_some()
    }

    #[test]
    fn lists_and_watches_of_one_collection_are_one_watch() {
        let watches = Watches::default();
        let get = http::Method::GET;
        for uri in [
            "/api/v1/pods?labelSelector=a&limit=50",
            "/api/v1/pods?labelSelector=a&limit=50&continue=x",
            "/api/v1/pods?watch=true&labelSelector=a&resourceVersion=1",
            "/apis/tekton.dev/v1/taskruns?limit=50",
            "/api/v1/namespaces/tekton/configmaps?fieldSelector=metadata.name%3Dconfig-events",
            "/api/v1/namespaces/tekton/configmaps?fieldSelector=metadata.name%3Dconfig-defaults",
        ] {
            assert!(lists(&watches, &get, uri), "{uri}");
        }
        let health = watches.health();
        let found: Vec<_> = health
            .iter()
            .map(|watch| (watch.resource, watch.lists))
            .collect();
        let expected = [
            ("configmaps", 1),
            ("configmaps", 1),
            ("pods", 1),
            ("taskruns", 1),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn other_requests_are_none() {
        let watches = Watches::default();
        let (get, post) = (http::Method::GET, http::Method::POST);
        assert!(!lists(&watches, &get, "/api/v1/namespaces/a/pods/b/log"));
        assert!(!lists(&watches, &get, "/api/v1/namespaces/a/configmaps/b"));
        assert!(!lists(
            &watches,
            &get,
            "/api/v1/namespaces/a/configmaps/pods"
        ));
        assert!(!lists(&watches, &post, "/api/v1/namespaces/a/configmaps"));
        assert!(watches.health().is_empty());
    }

    #[test]
    fn it_fails_until_it_is_heard_again() {
        let watches = Watches::default();
        let uri = "/api/v1/pods".parse().unwrap();
        let reporter = watches.reporter_of(&http::Method::GET, &uri).unwrap();
        reporter.record_failure();
        reporter.record_failure();
        let failing = &watches.health()[0];
        assert!(failing.failing.is_some() && failing.failures == 2);
        reporter.record_success();
        assert_eq!(watches.health()[0].failing, None);
    }
}
