//! Lists and watches of one kind that go on whatever happens to them.
//!
//! The same steps as client-go's reflector and kube-runtime's watcher: a list in pages, then a watch from the list's
//! resource version, which is renewed where it ended. Unlike those it reads each object by itself, as its bytes come:
//! one that cannot be read is skipped, and no page is in memory whole.

use super::list::{ListItems, ListMetadata, WatchLines};
use super::relist_backoff::RelistBackoff;
use super::watch_event::{Event, parse_line, read};
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
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::Instant;
use tracing::info;

/// After so many failures in a row to start a watch it is made anew, with a new list.
const MAX_FAILED_STARTS: u32 = 4;

/// Seconds after which a watch is renewed where nobody says: what keeps it open without telling
/// anything holds changes back for so long. More would save the API server hardly anything.
pub(super) const DEFAULT_TIMEOUT_SECONDS: u32 = 60;

/// A watch that ends sooner than this and has given nothing is not begun anew at once (as in client-go's reflector).
const MIN_WATCH_TIME: Duration = Duration::from_secs(1);

/// How much longer than its renewal a watch may be silent.
const SILENCE_MARGIN: Duration = Duration::from_secs(5);

/// A page of a list that is larger makes the next one smaller; one that is smaller than an eighth of it makes it larger.
const TARGET_PAGE_BYTES: usize = 8 * 1024 * 1024;

/// Most bytes of an answer that says why a request is refused.
const MAX_ERROR_BODY_BYTES: usize = 64 * 1024;

/// What can be watched.
pub(super) trait Object: DeserializeOwned + Send + 'static {
    /// Its kind, for messages.
    const KIND: &'static str;
    /// Where its collection is: in a namespace, or in all.
    fn path(namespace: Option<&str>) -> String;
    /// `metadata.resourceVersion`.
    fn resource_version(&self) -> Option<&str>;
}

/// What to watch, and how.
#[derive(Clone, Debug)]
pub(super) struct WatchConfig {
    pub(super) labels: Option<String>,
    pub(super) fields: Option<String>,
    /// A watch is renewed after so many seconds.
    pub(super) timeout_seconds: u32,
    /// Most objects in one page of a list.
    pub(super) page: u32,
}

/// Why a list or a watch failed. It is tried again.
#[derive(Debug, thiserror::Error)]
pub(super) enum WatchError {
    #[error("failed to list: {0}")]
    List(#[source] kube::Error),
    #[error("failed to read a list: {0}")]
    ListBody(String),
    #[error("failed to start a watch: {0}")]
    Start(#[source] kube::Error),
    #[error("the API server ended the watch: {} ({})", .0.message, .0.code)]
    Ended(Box<Status>),
    #[error("the watch broke: {0}")]
    Broken(String),
}

impl WatchError {
    /// What the server said where it refused to begin a list or a watch.
    pub(super) fn refused_with(&self) -> Option<u16> {
        match self {
            Self::List(kube::Error::Api(status)) | Self::Start(kube::Error::Api(status)) => {
                Some(status.code)
            }
            _ => None,
        }
    }

    /// Has the server forgotten the revision (410, in the stream or by HTTP)? Only a new list gives another one.
    fn is_gone(&self) -> bool {
        match self {
            Self::Ended(status) => status.code == 410,
            error => error.refused_with() == Some(410),
        }
    }
}

/// Something that happened to a watch.
pub(super) struct WatchItem<K> {
    pub(super) event: Result<Event<K>, WatchError>,
    /// Failures in a row, this one included, since the server has last given anything.
    pub(super) failures: u32,
}

/// Watches for ever: the next try waits longer after each failure.
pub(super) fn watch_objects<K: Object>(
    client: Client,
    namespace: Option<&str>,
    config: WatchConfig,
) -> impl Stream<Item = WatchItem<K>> + Send {
    let watch = Watch::<K> {
        client,
        request: Request::new(K::path(namespace)),
        page: config.page,
        config,
        state: State::Empty,
        found: VecDeque::new(),
        backoff: DefaultBackoff::default(),
        pause: None,
        failures: 0,
        failed_starts: 0,
        relists: RelistBackoff::default(),
        listed: None,
    };
    stream::unfold(watch, async |mut watch| {
        let happened = watch.next().await;
        Some((happened, watch))
    })
}

type Reader = Pin<Box<dyn AsyncBufRead + Send>>;

struct Watch<K> {
    client: Client,
    request: Request,
    config: WatchConfig,
    /// Objects in the next page of a list.
    page: u32,
    state: State,
    /// What was read of a page and is not given yet.
    found: VecDeque<Event<K>>,
    backoff: DefaultBackoff,
    /// What is waited for before the next try.
    pause: Option<Duration>,
    failures: u32,
    failed_starts: u32,
    relists: RelistBackoff,
    /// When the last list was complete.
    listed: Option<Instant>,
}

enum State {
    /// Nothing is known.
    Empty,
    /// A list is being read; its next page begins here.
    Listing { continue_token: String },
    /// The list is complete, or a watch has ended: it goes on from here.
    Listed { version: String },
    /// A watch is open.
    Watching {
        version: String,
        reader: Reader,
        lines: Box<WatchLines>,
        heard: Option<WatchReporter>,
        /// Since when, as long as it has given nothing.
        silent_since: Option<Instant>,
    },
}

impl<K: Object> Watch<K> {
    async fn next(&mut self) -> WatchItem<K> {
        let event = loop {
            if let Some(pause) = self.pause.take() {
                tokio::time::sleep(pause).await;
            }
            if let Some(event) = self.found.pop_front() {
                break Ok(event);
            }
            match self.step().await {
                Ok(Some(event)) => break Ok(event),
                Ok(None) => {}
                Err(error) => {
                    // Half a page is no page: the list begins anew.
                    self.found.clear();
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

    /// Goes on by one step. Gives an event, or puts some into `found`, or none.
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
                    self.found.push_back(Event::ListComplete);
                    self.listed = Some(Instant::now());
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
                Ok((reader, heard)) => {
                    self.state = State::Watching {
                        version,
                        reader,
                        lines: Box::default(),
                        heard,
                        silent_since: Some(Instant::now()),
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
                heard,
                silent_since,
            } => match next_line(&mut reader, &mut lines, self.config.timeout_seconds).await {
                Ok(true) => {
                    let event = parse_line(&lines.line(), heard.as_ref(), &mut version);
                    let is_broken = matches!(event, Err(WatchError::Broken(_)));
                    let has_given = matches!(event, Ok(Some(_)));
                    self.state = if is_broken {
                        State::Listed { version }
                    } else {
                        State::Watching {
                            version,
                            reader,
                            lines,
                            heard,
                            silent_since: silent_since.filter(|_| !has_given),
                        }
                    };
                    event
                }
                Ok(false) => {
                    self.state = State::Listed { version };
                    if silent_since.is_some_and(|since| since.elapsed() < MIN_WATCH_TIME) {
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

    /// Reads a page of the list whole: what is made of it is small, and a page that is read slowly is cut off by the
    /// API server.
    async fn read_page(&mut self, continue_token: String) -> Result<ListMetadata, WatchError> {
        let params = ListParams {
            label_selector: self.config.labels.clone(),
            field_selector: self.config.fields.clone(),
            limit: Some(self.page),
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
        let (mut reader, heard) = opened.map_err(WatchError::List)?;
        let mut items = ListItems::default();
        let broken = |error: std::io::Error| WatchError::ListBody(error.to_string());
        loop {
            let bytes = reader.fill_buf().await.map_err(broken)?;
            if bytes.is_empty() {
                break;
            }
            let (taken, is_whole) = items.take(bytes);
            if is_whole {
                let read = read(&items.item(), heard.as_ref());
                self.found.push_back(match read {
                    Ok(object) => Event::Listed(object),
                    Err(unreadable) => Event::Unreadable(unreadable),
                });
            }
            reader.as_mut().consume(taken);
        }
        let metadata = items.finish().map_err(|error| {
            WatchError::ListBody(format!(
                "it is no list, or was cut ({:?})",
                error.classify()
            ))
        })?;
        self.page = next_page(self.page, self.config.page, items.bytes());
        Ok(metadata)
    }

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

    fn count(&mut self, event: &Result<Event<K>, WatchError>) {
        match event {
            // It says that a list is about to be asked for, not that there is one.
            Ok(Event::ListBegins) => {}
            Ok(_) => {
                (self.failures, self.failed_starts) = (0, 0);
                // A list of which a further page fails each time has not worked before it is complete.
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
                        .listed
                        .map_or(Duration::ZERO, |listed| listed.elapsed());
                    let pause = self.relists.pause(age, fastrand::f64());
                    info!(kind = K::KIND, ?pause, "watch is rebuilt with a new list");
                    (self.state, self.failed_starts) = (State::Empty, 0);
                    (self.backoff, self.pause) = (DefaultBackoff::default(), Some(pause));
                }
            }
        }
    }
}

/// How many objects the next page of a list has. Objects of very different sizes are far from each other in no list,
/// so it is halved at once and grows step by step.
fn next_page(page: u32, most: u32, bytes: usize) -> u32 {
    if bytes > TARGET_PAGE_BYTES {
        (page / 2).max(1)
    } else if bytes < TARGET_PAGE_BYTES / 8 {
        page.saturating_mul(2).min(most)
    } else {
        page
    }
}

/// Sends a request. Gives the body of its answer, and where it is noted that a watch was heard.
async fn open(
    client: &Client,
    request: http::Request<Vec<u8>>,
) -> Result<(Reader, Option<WatchReporter>), kube::Error> {
    let answer = client.send(request.map(Body::from)).await?;
    let status = answer.status();
    let heard = answer.extensions().get::<WatchReporter>().cloned();
    let body = answer.into_body();
    if !status.is_success() {
        let refusal = http_body_util::Limited::new(body, MAX_ERROR_BODY_BYTES)
            .collect()
            .await;
        let refusal = refusal
            .map(|refusal| refusal.to_bytes())
            .unwrap_or_default();
        let said = serde_json::from_slice::<Status>(&refusal).ok();
        let said = said.filter(|said| said.code != 0);
        return Err(kube::Error::Api(Box::new(said.unwrap_or_else(|| {
            let reason = status.canonical_reason().unwrap_or("no reason");
            Status::failure(&format!("HTTP status {status}"), reason).with_code(status.as_u16())
        }))));
    }
    let body = body.into_data_stream().map_err(std::io::Error::other);
    Ok((Box::pin(body.into_async_read()), heard))
}

/// Reads the next line of a watch. Gives `false` at its end, or if it is silent for too long: then it is renewed.
async fn next_line(
    reader: &mut Reader,
    lines: &mut WatchLines,
    timeout_seconds: u32,
) -> Result<bool, WatchError> {
    let silence = Duration::from_secs(u64::from(timeout_seconds)) + SILENCE_MARGIN;
    loop {
        let Ok(bytes) = tokio::time::timeout(silence, reader.fill_buf()).await else {
            return Ok(false);
        };
        let bytes = bytes.map_err(|error| WatchError::Broken(error.to_string()))?;
        // What is left of a line is an event that was cut off: it comes again.
        if bytes.is_empty() {
            return Ok(false);
        }
        let (taken, is_whole) = lines.take(bytes);
        reader.as_mut().consume(taken);
        if is_whole {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn pages_shrink_at_once_and_grow_step_by_step() {
        assert_eq!(next_page(50, 50, TARGET_PAGE_BYTES + 1), 25);
        assert_eq!(next_page(1, 50, usize::MAX), 1);
        assert_eq!(next_page(3, 50, TARGET_PAGE_BYTES / 4), 3);
        assert_eq!(next_page(3, 50, 0), 6);
        assert_eq!(next_page(40, 50, 0), 50);
    }
}
