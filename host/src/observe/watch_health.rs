//! How fresh the watches are: noted where their bytes arrive, in one place for lists, watches and bookmarks of every
//! kind.

use super::unreadable::{UnreadableCounter, UnreadableObject};
use crate::locked::Locked;
use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::Sleep;
use tower::BoxError;

/// Longest silence in a list.
const LIST_SILENCE: Duration = Duration::from_secs(30);
/// Kinds that are watched, by their plural in the URL.
const RESOURCES: [&str; 3] = ["pods", "taskruns", "configmaps"];

/// All watches of a client.
#[derive(Clone, Debug, Default)]
pub struct Watches(Arc<WatchRegistry>);

#[derive(Debug, Default)]
struct WatchRegistry {
    watches: Locked<BTreeMap<String, Arc<Locked<Watch>>>>,
    /// Per kind, in the order of [`RESOURCES`].
    unreadable: [Arc<UnreadableCounter>; RESOURCES.len()],
}

#[derive(Debug)]
struct Watch {
    resource: &'static str,
    heard: Instant,
    failing: Option<Instant>,
    failures: u64,
    lists: u64,
}

/// How it stands with one watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchHealth {
    /// `pods`, `taskruns` or `configmaps`.
    pub resource: &'static str,
    /// Since the API server was last heard: a list, a change or a bookmark. It sends a bookmark about every
    /// minute, and a watch is begun anew after five.
    pub age: Duration,
    /// Since it has failed, where it does not work at the moment.
    pub failing: Option<Duration>,
    /// Requests that failed.
    pub failures: u64,
    /// Lists that were begun: one at the start, others where the API server had forgotten what came between.
    pub lists: u64,
}

impl Watches {
    /// Every watch at this moment.
    #[must_use]
    pub fn health(&self) -> Vec<WatchHealth> {
        let watches = self.0.watches.lock();
        let health = watches.values().map(|watch| {
            let watch = watch.lock();
            WatchHealth {
                resource: watch.resource,
                age: watch.heard.elapsed(),
                failing: watch.failing.map(|since| since.elapsed()),
                failures: watch.failures,
                lists: watch.lists,
            }
        });
        health.collect()
    }

    /// How many objects could not be read, per kind. One that is changed counts again.
    pub fn unreadable(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.0.unreadable.iter().map(|objects| objects.count());
        RESOURCES.into_iter().zip(counts)
    }

    /// The watch that a request belongs to, if it is one of a watch.
    fn of(&self, method: &http::Method, uri: &Uri) -> Option<WatchReporter> {
        let mut parts = uri.path().rsplit('/');
        let (last, before, place) = (parts.next()?, parts.next()?, parts.next()?);
        // Else it is the name of something.
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
        // Those with other selectors are other watches. There are as many as are configured.
        let selectors = query.iter().filter(|part| part.contains("Selector="));
        let key = format!("{}?{}", uri.path(), selectors.copied().collect::<String>());
        let mut watches = self.0.watches.lock();
        let watch = watches.entry(key).or_insert_with(|| {
            Arc::new(Locked::new(Watch {
                resource,
                heard: Instant::now(),
                failing: None,
                failures: 0,
                lists: 0,
            }))
        });
        let heard = WatchReporter {
            watch: watch.clone(),
            unreadable: self.0.unreadable.get(kind)?.clone(),
        };
        heard.with(|watch| watch.lists += u64::from(is_list));
        Some(heard)
    }
}

/// Where it is noted that a watch was heard.
#[derive(Clone, Debug)]
pub(super) struct WatchReporter {
    watch: Arc<Locked<Watch>>,
    unreadable: Arc<UnreadableCounter>,
}

impl WatchReporter {
    fn with(&self, work: impl FnOnce(&mut Watch)) {
        work(&mut self.watch.lock());
    }

    /// Notes an object that cannot be read.
    pub(super) fn unreadable(&self, kind: &str, object: &UnreadableObject) {
        self.unreadable.note(kind, object);
    }

    fn record_success(&self) {
        self.with(|watch| {
            watch.heard = Instant::now();
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

/// A service that notes what it hears.
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
        let heard = self.watches.of(request.method(), request.uri());
        let is_list = heard.is_some() && !is_watch(request.uri());
        let answer = self.inner.call(request);
        async move {
            let answer = answer.await;
            let is_well = matches!(&answer, Ok(answer) if answer.status().is_success());
            match &heard {
                Some(heard) if is_well => heard.record_success(),
                Some(heard) => heard.record_failure(),
                None => {}
            }
            let heard = heard.filter(|_| is_well);
            let patience = is_list.then(StallTimer::new);
            let mut answer = answer?;
            // Who reads the body notes there what it could not read.
            if let Some(heard) = &heard {
                answer.extensions_mut().insert(heard.clone());
            }
            Ok(answer.map(|inner| ReportingBody {
                inner,
                heard,
                patience,
            }))
        }
        .boxed()
    }
}

/// A watch may be silent until it is renewed; a list has something to say.
fn is_watch(uri: &Uri) -> bool {
    let mut query = uri.query().unwrap_or_default().split('&');
    query.any(|part| part.starts_with("watch="))
}

/// How long a list is waited for that has begun and does not go on: a connection can be dead without anybody
/// saying so.
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

/// The body of an answer; every piece of it is heard.
#[derive(Debug)]
pub(super) struct ReportingBody<B> {
    inner: B,
    heard: Option<WatchReporter>,
    /// Of a list.
    patience: Option<StallTimer>,
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
        if let Some(patience) = &mut self.patience {
            if frame.is_ready() {
                patience.renew();
            } else if patience.is_over(context) {
                let problem = format!("nothing more of a list came for {LIST_SILENCE:?}");
                frame = Poll::Ready(Some(Err(problem.into())));
            }
        }
        match (&self.heard, &frame) {
            (Some(heard), Poll::Ready(Some(Ok(_)))) => heard.record_success(),
            (Some(heard), Poll::Ready(Some(Err(_)))) => heard.record_failure(),
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
        watches.of(method, &uri).is_some()
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
        let heard = watches.of(&http::Method::GET, &uri).unwrap();
        heard.record_failure();
        heard.record_failure();
        let failing = &watches.health()[0];
        assert!(failing.failing.is_some() && failing.failures == 2);
        heard.record_success();
        assert_eq!(watches.health()[0].failing, None);
    }
}
