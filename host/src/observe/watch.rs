//! Lists and watches the objects of one kind for ever, in spite of all failures.
//!
//! The steps are those of client-go's reflector and kube-runtime's watcher: a list in pages, then a
//! watch from the resource version of the list. A watch that ends is renewed. Unlike those two,
//! this module parses each object separately while its bytes arrive: an object that cannot be read
//! is skipped, and no page is in memory whole.

use super::list::{ListItems, ListMetadata, WatchLines};
use super::relist_backoff::RelistBackoff;
use super::watch_event::{Event, Object, WatchError, parse_line, read};
use super::watch_health::WatchReporter;
use futures::stream::Stream;
use futures::{AsyncBufRead, AsyncBufReadExt as _, TryStreamExt as _, stream};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::api::{ListParams, WatchParams};
use kube::client::Body;
use kube::core::{Request, Status};
use kube::runtime::utils::Backoff as _;
use kube::runtime::watcher::DefaultBackoff;
use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::Instant;
use tracing::info;

/// Number of failed starts in a row after which a watch is rebuilt with a new list.
const MAX_FAILED_STARTS: u32 = 4;

/// Default for the seconds after which a watch is renewed. A component between observer and API
/// server may keep the connection open but forward nothing. Changes are then delayed for this long.
/// A longer timeout would hardly reduce the load of the API server.
pub(super) const DEFAULT_TIMEOUT_SECONDS: u32 = 60;

/// A watch that ends sooner than this without an event is restarted with a delay (as in client-go's
/// reflector).
const MIN_WATCH_TIME: Duration = Duration::from_secs(1);

/// Time for which a watch may stay silent after its timeout.
const SILENCE_MARGIN: Duration = Duration::from_secs(5);

/// Number of objects in the first page of a list. Their size is not known yet.
const FIRST_PAGE_SIZE: u32 = 50;

/// Desired size of a page of a list. A larger page halves the number of objects in the next one; a
/// page below half of this size doubles it.
const TARGET_PAGE_BYTES: usize = 8 * 1024 * 1024;

/// Bounds the bytes of an error response that are read.
const MAX_ERROR_BODY_BYTES: usize = 64 * 1024;

/// Selects the objects to watch and bounds each request.
#[derive(Clone, Debug)]
pub(super) struct WatchConfig {
    pub(super) labels: Option<String>,
    pub(super) fields: Option<String>,
    /// Seconds after which a watch is renewed.
    pub(super) timeout_seconds: u32,
    /// Maximum number of objects in one page of a list.
    pub(super) max_page_size: u32,
}

/// An event of a watch, or the error that interrupted it.
pub(super) struct WatchItem<K> {
    pub(super) event: Result<Event<K>, WatchError>,
    /// Number of consecutive failures, including this one, since the server last sent anything.
    pub(super) failures: u32,
}

/// Returns an endless stream of the objects of one kind. The delay before the next attempt grows
/// with each failure.
pub(super) fn watch_objects<K: Object>(
    client: Client,
    namespace: Option<&str>,
    config: WatchConfig,
) -> impl Stream<Item = WatchItem<K>> + Send {
    let watch = Watch::<K> {
        client,
        request: Request::new(K::path(namespace)),
        page_size: config.max_page_size.min(FIRST_PAGE_SIZE),
        config,
        state: State::Empty,
        parsed: VecDeque::new(),
        backoff: DefaultBackoff::default(),
        pause: None,
        failures: 0,
        failed_starts: 0,
        relists: RelistBackoff::default(),
        listed_at: None,
    };
    stream::unfold(watch, async |mut watch| {
        let item = watch.next().await;
        Some((item, watch))
    })
}

type Reader = Pin<Box<dyn AsyncBufRead + Send>>;

struct Watch<K> {
    client: Client,
    request: Request,
    config: WatchConfig,
    /// Number of objects in the next page of a list.
    page_size: u32,
    state: State,
    /// Objects of the current page that were parsed and not returned yet.
    parsed: VecDeque<Event<K>>,
    backoff: DefaultBackoff,
    /// Delay before the next attempt.
    pause: Option<Duration>,
    failures: u32,
    failed_starts: u32,
    relists: RelistBackoff,
    /// Time at which the last list was complete.
    listed_at: Option<Instant>,
}

enum State {
    /// No list was read.
    Empty,
    /// A list is being read; the token gives its next page.
    Listing { continue_token: String },
    /// The list is complete, or a watch has ended. The next watch starts from this version.
    Listed { version: String },
    /// A watch is open.
    Watching {
        version: String,
        reader: Reader,
        lines: Box<WatchLines>,
        reporter: Option<WatchReporter>,
        /// Time at which the watch was opened; `None` after its first event.
        idle_since: Option<Instant>,
    },
}

impl<K: Object> Watch<K> {
    async fn next(&mut self) -> WatchItem<K> {
        let event = loop {
            if let Some(pause) = self.pause.take() {
                tokio::time::sleep(pause).await;
            }
            if let Some(event) = self.parsed.pop_front() {
                break Ok(event);
            }
            match self.step().await {
                Ok(Some(event)) => break Ok(event),
                Ok(None) => {}
                Err(error) => {
                    // An incomplete page is discarded: the list starts again.
                    self.parsed.clear();
                    break Err(error);
                }
            }
        };
        self.count(&event);
        WatchItem {
            event,
            failures: self.failures,
        }
    }

    /// Advances by one step. May return an event, or add events to `parsed`, or do neither.
    async fn step(&mut self) -> Result<Option<Event<K>>, WatchError> {
        match std::mem::replace(&mut self.state, State::Empty) {
            State::Empty => {
                self.state = State::Listing {
                    continue_token: String::new(),
                };
                Ok(Some(Event::ListBegins))
            }
            State::Listing { continue_token } => {
                let ListMetadata {
                    resource_version,
                    continue_token,
                } = self.read_page(continue_token).await?;
                self.state = if !continue_token.is_empty() {
                    State::Listing { continue_token }
                } else if !resource_version.is_empty() {
                    self.parsed.push_back(Event::ListComplete);
                    self.listed_at = Some(Instant::now());
                    State::Listed {
                        version: resource_version,
                    }
                } else {
                    let problem = "it has no resource version";
                    return Err(WatchError::ListBody(problem.to_owned()));
                };
                Ok(None)
            }
            State::Listed { version } => match self.start(&version).await {
                Ok((reader, reporter)) => {
                    self.state = State::Watching {
                        version,
                        reader,
                        lines: Box::default(),
                        reporter,
                        idle_since: Some(Instant::now()),
                    };
                    Ok(None)
                }
                Err(error) => {
                    self.state = State::Listed { version };
                    Err(WatchError::Start(error))
                }
            },
            State::Watching {
                mut version,
                mut reader,
                mut lines,
                reporter,
                idle_since,
            } => match next_line(&mut reader, &mut lines, self.config.timeout_seconds).await {
                Ok(true) => {
                    let event = parse_line(&lines.line(), reporter.as_ref(), &mut version);
                    if let (Ok(_), Some(reporter)) = (&event, &reporter) {
                        reporter.shows();
                    }
                    let is_broken = matches!(event, Err(WatchError::Broken(_)));
                    let has_event = matches!(event, Ok(Some(_)));
                    self.state = if is_broken {
                        State::Listed { version }
                    } else {
                        State::Watching {
                            version,
                            reader,
                            lines,
                            reporter,
                            idle_since: idle_since.filter(|_| !has_event),
                        }
                    };
                    event
                }
                Ok(false) => {
                    self.state = State::Listed { version };
                    if idle_since.is_some_and(|since| since.elapsed() < MIN_WATCH_TIME) {
                        self.pause = self.backoff.next();
                    }
                    Ok(None)
                }
                Err(error) => {
                    self.state = State::Listed { version };
                    Err(error)
                }
            },
        }
    }

    /// Reads a whole page of the list before any of its objects is returned. The parsed objects are
    /// small, and the API server ends a response that is read slowly.
    async fn read_page(&mut self, continue_token: String) -> Result<ListMetadata, WatchError> {
        let params = ListParams {
            label_selector: self.config.labels.clone(),
            field_selector: self.config.fields.clone(),
            limit: Some(self.page_size),
            continue_token: Some(continue_token).filter(|token| !token.is_empty()),
            ..ListParams::default()
        };
        let request = self
            .request
            .list(&params)
            .map_err(kube::Error::BuildRequest);
        let opened = match request {
            Ok(request) => open(&self.client, request).await,
            Err(error) => Err(error),
        };
        let (mut reader, reporter) = opened.map_err(WatchError::List)?;
        let mut items = ListItems::default();
        let broken = |error: std::io::Error| WatchError::ListBody(error.to_string());
        loop {
            let bytes = reader.fill_buf().await.map_err(broken)?;
            if bytes.is_empty() {
                break;
            }
            let (taken, is_complete) = items.take(bytes);
            if is_complete {
                let read = read(&items.item(), reporter.as_ref());
                self.parsed.push_back(match read {
                    Ok(object) => Event::Listed(object),
                    Err(unreadable) => Event::Unreadable(unreadable),
                });
            }
            reader.as_mut().consume(taken);
        }
        let metadata = items.finish().map_err(|error| {
            WatchError::ListBody(format!(
                "it is no list, or is incomplete ({:?})",
                error.classify()
            ))
        })?;
        self.page_size = next_page_size(self.page_size, self.config.max_page_size, items.bytes());
        let is_last = metadata.continue_token.is_empty() && !metadata.resource_version.is_empty();
        if let Some(reporter) = reporter.filter(|_| is_last) {
            reporter.list_complete();
        }
        Ok(metadata)
    }

    /// Starts a watch from this version.
    async fn start(
        &mut self,
        version: &str,
    ) -> Result<(Reader, Option<WatchReporter>), kube::Error> {
        let params = WatchParams {
            label_selector: self.config.labels.clone(),
            field_selector: self.config.fields.clone(),
            timeout: Some(self.config.timeout_seconds),
            bookmarks: true,
            ..WatchParams::default()
        };
        let request = self.request.watch(&params, version);
        open(&self.client, request.map_err(kube::Error::BuildRequest)?).await
    }

    /// Counts failures in a row. Sets the delay before the next attempt, and resets the state if
    /// the watch must be rebuilt.
    fn count(&mut self, event: &Result<Event<K>, WatchError>) {
        match event {
            // `ListBegins` is emitted before the list is requested, so it does not count as a
            // success.
            Ok(Event::ListBegins) => {}
            Ok(_) => {
                (self.failures, self.failed_starts) = (0, 0);
                // Keeps the delay until a list is complete. Otherwise a list that fails at a later
                // page each time would reset the delay with its first page.
                if !matches!(self.state, State::Listing { .. }) {
                    self.backoff.reset();
                }
            }
            Err(error) => {
                self.failures += 1;
                self.failed_starts += u32::from(matches!(error, WatchError::Start(_)));
                self.pause = self.backoff.next();
                if error.is_gone() || self.failed_starts >= MAX_FAILED_STARTS {
                    let age = self
                        .listed_at
                        .map_or(Duration::ZERO, |listed_at| listed_at.elapsed());
                    let pause = self.relists.pause(age, fastrand::f64());
                    info!(kind = K::KIND, ?pause, "watch rebuilt with a new list");
                    (self.state, self.failed_starts) = (State::Empty, 0);
                    (self.backoff, self.pause) = (DefaultBackoff::default(), Some(pause));
                }
            }
        }
    }
}

/// Returns the number of objects in the next page of a list: half the current number after a page
/// that is too large, twice the current number after a small page. Objects near each other in a
/// list have similar sizes.
fn next_page_size(current: u32, max: u32, bytes: usize) -> u32 {
    if bytes > TARGET_PAGE_BYTES {
        (current / 2).max(1)
    } else if bytes < TARGET_PAGE_BYTES / 2 {
        current.saturating_mul(2).min(max)
    } else {
        current
    }
}

/// Sends a request. Returns the body of its response, and the reporter of the watch to which it
/// belongs.
async fn open(
    client: &Client,
    request: http::Request<Vec<u8>>,
) -> Result<(Reader, Option<WatchReporter>), kube::Error> {
    let response = client.send(request.map(Body::from)).await?;
    let status = response.status();
    let reporter = response.extensions().get::<WatchReporter>().cloned();
    let body = response.into_body();
    if !status.is_success() {
        let error_body = http_body_util::Limited::new(body, MAX_ERROR_BODY_BYTES)
            .collect()
            .await
            .map(|error_body| error_body.to_bytes())
            .unwrap_or_default();
        let stated = serde_json::from_slice::<Status>(&error_body).ok();
        let stated = stated.filter(|stated| stated.code != 0);
        return Err(kube::Error::Api(Box::new(stated.unwrap_or_else(|| {
            let reason = status.canonical_reason().unwrap_or("no reason");
            Status::failure(&format!("HTTP status {status}"), reason).with_code(status.as_u16())
        }))));
    }
    let body = body.into_data_stream().map_err(std::io::Error::other);
    Ok((Box::pin(body.into_async_read()), reporter))
}

/// Reads the next line of a watch. Returns `false` when the watch has ended or was silent for too
/// long, and must be renewed.
async fn next_line(
    reader: &mut Reader,
    lines: &mut WatchLines,
    timeout_seconds: u32,
) -> Result<bool, WatchError> {
    let max_silence = Duration::from_secs(u64::from(timeout_seconds)) + SILENCE_MARGIN;
    loop {
        let Ok(bytes) = tokio::time::timeout(max_silence, reader.fill_buf()).await else {
            return Ok(false);
        };
        let bytes = bytes.map_err(|error| WatchError::Broken(error.to_string()))?;
        // An incomplete last line is dropped: the next watch sends its event again.
        if bytes.is_empty() {
            return Ok(false);
        }
        let (taken, is_complete) = lines.take(bytes);
        reader.as_mut().consume(taken);
        if is_complete {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn pages_shrink_at_once_and_grow_step_by_step() {
        assert_eq!(next_page_size(50, 50, TARGET_PAGE_BYTES + 1), 25);
        assert_eq!(next_page_size(1, 50, usize::MAX), 1);
        assert_eq!(next_page_size(3, 50, TARGET_PAGE_BYTES / 2), 3);
        assert_eq!(next_page_size(3, 50, 0), 6);
        assert_eq!(next_page_size(40, 50, 0), 50);
    }
}
