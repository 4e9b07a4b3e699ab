//! Requests to an observer, and what a refusal means.

use super::error::ObserverError;
use super::event::ShownEvent;
use super::follow::{self, ObserverStream};
use crate::clock;
use crate::http::{
    ClientOptions, ExtraRoots, HttpClient, HttpResponse, HttpUrl, LocalAddresses, ProxyUse,
    TlsFiles, read_token, retry_after_of,
};
use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Longest wait for the head of an answer. The observer answers within 10 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest life of a stream. It then continues after the last message.
const MAX_STREAM_TIME: Duration = Duration::from_secs(24 * 60 * 60);
/// Text of a refusal that is shown, in bytes.
const MAX_REFUSAL_BYTES: usize = 1_000;
/// Largest answer for one event, in bytes. The observer keeps 8 MiB of bodies, and JSON escapes may lengthen them.
const MAX_EVENT_BYTES: usize = 16 * 1024 * 1024;

/// A client of one observer. Clones share its connections.
#[derive(Clone, Debug)]
pub struct ObserverClient(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: HttpClient,
    url: HttpUrl,
    observer: String,
    token_file: Option<PathBuf>,
}

impl ObserverClient {
    /// Builds a client. Connects to nothing. The file with the token is read for every request, so that the token may be
    /// replaced.
    ///
    /// # Errors
    ///
    /// Certificates of the system cannot be used, or the token cannot be read.
    pub fn new(url: HttpUrl, token_file: Option<PathBuf>) -> Result<Self, ObserverError> {
        let observer = url.origin();
        // A proxy would look for the loopback address on its own machine.
        let proxy = match is_loopback(url.host()) {
            true => ProxyUse::None,
            false => ProxyUse::Environment,
        };
        let client = HttpClient::new(&ClientOptions {
            url: &url,
            timeout: MAX_STREAM_TIME,
            max_idle: 1,
            proxy,
            tls: &TlsFiles::default(),
            extra_roots: &ExtraRoots::default(),
            local_addresses: LocalAddresses::Permitted,
        });
        let client = client.map_err(|source| ObserverError::Client {
            observer: observer.clone(),
            source,
        })?;
        let inner = Inner {
            client,
            url,
            observer,
            token_file,
        };
        let client = Self(Arc::new(inner));
        client.headers()?;
        Ok(client)
    }

    /// Returns scheme, host and port of the observer.
    #[must_use]
    pub fn observer(&self) -> &str {
        &self.0.observer
    }

    /// Follows the stream of runs. Connects when the first item is asked for.
    #[must_use]
    pub fn follow(&self) -> ObserverStream {
        follow::stream(self.clone())
    }

    /// Reads an event. `None` if the observer no longer has it.
    ///
    /// # Errors
    ///
    /// The observer does not answer, or refuses the request.
    pub async fn event(&self, id: &str) -> Result<Option<ShownEvent>, ObserverError> {
        let read = async {
            let response = self
                .get(&["page", "events", id], self.headers()?, false)
                .await?;
            let Some(response) = response else {
                return Ok(None);
            };
            let body = response.read(MAX_EVENT_BYTES + 1).await;
            if body.len() > MAX_EVENT_BYTES {
                return Err(self.too_large(MAX_EVENT_BYTES));
            }
            serde_json::from_slice(&body)
                .map(Some)
                .map_err(|error| self.unreadable(&error))
        };
        match timeout(ANSWER_TIMEOUT, read).await {
            Ok(read) => read,
            Err(_) => Err(self.temporary("no answer".to_owned(), None)),
        }
    }

    /// Opens the stream after a message.
    pub(super) async fn open_stream(
        &self,
        last_id: Option<&str>,
        is_first: bool,
    ) -> Result<HttpResponse, ObserverError> {
        let mut headers = self.headers()?;
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        if let Some(id) = last_id.and_then(|id| HeaderValue::from_str(id).ok()) {
            headers.insert(HeaderName::from_static("last-event-id"), id);
        }
        let opened = timeout(
            ANSWER_TIMEOUT,
            self.get(&["page", "stream"], headers, is_first),
        )
        .await;
        match opened {
            Ok(Ok(Some(response))) => Ok(response),
            Ok(Ok(None)) if is_first => Err(ObserverError::Status {
                observer: self.0.observer.clone(),
                status: StatusCode::NOT_FOUND.as_u16(),
                answer: "no such page".to_owned(),
            }),
            Ok(Ok(None)) => Err(self.temporary("404: no such page".to_owned(), None)),
            Ok(Err(error)) => Err(error),
            Err(_) if is_first => {
                Err(self.no_answer("it accepts the connection and does not answer".to_owned()))
            }
            Err(_) => Err(self.temporary("no answer".to_owned(), None)),
        }
    }

    fn headers(&self) -> Result<HeaderMap, ObserverError> {
        let mut headers = HeaderMap::new();
        if let Some(file) = &self.0.token_file {
            let token = read_token(file).map_err(ObserverError::TokenFile)?;
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| ObserverError::TokenCharacters)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(headers)
    }

    /// Sends a GET request. Returns the response if it is a success, `None` if it is 404.
    async fn get(
        &self,
        path: &[&str],
        headers: HeaderMap,
        is_first: bool,
    ) -> Result<Option<HttpResponse>, ObserverError> {
        let url = self.0.url.below(path);
        let sent = self.0.client.send(Method::GET, &url, headers, None).await;
        let response = sent.map_err(|problem| match is_first {
            true => self.no_answer(problem),
            false => self.temporary(problem, None),
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(Some(response));
        }
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let pause = retry_after_of(response.headers(), clock::now());
        let answer = response.read(MAX_REFUSAL_BYTES).await;
        let answer = String::from_utf8_lossy(&answer).trim().to_owned();
        let observer = self.0.observer.clone();
        let code = status.as_u16();
        Err(match status {
            StatusCode::UNAUTHORIZED => ObserverError::Unauthorized { observer, answer },
            StatusCode::FORBIDDEN | StatusCode::MISDIRECTED_REQUEST => ObserverError::Forbidden {
                observer,
                status: code,
                answer,
            },
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                self.temporary(format!("{code}: {answer}"), pause)
            }
            _ if is_first => ObserverError::Status {
                observer,
                status: code,
                answer,
            },
            _ => self.temporary(format!("{code}: {answer}"), None),
        })
    }

    fn no_answer(&self, problem: String) -> ObserverError {
        ObserverError::NoAnswer {
            observer: self.0.observer.clone(),
            problem,
        }
    }

    pub(super) fn temporary(
        &self,
        problem: String,
        retry_after: Option<Duration>,
    ) -> ObserverError {
        ObserverError::Temporary {
            observer: self.0.observer.clone(),
            problem,
            retry_after,
        }
    }

    pub(super) fn too_large(&self, max_bytes: usize) -> ObserverError {
        ObserverError::TooLarge {
            observer: self.0.observer.clone(),
            max_bytes,
        }
    }

    /// The text of the parser is left out, because it may quote what it read.
    pub(super) fn unreadable(&self, error: &serde_json::Error) -> ObserverError {
        let problem = match error.classify() {
            serde_json::error::Category::Data => "a member has another type",
            _ => "no JSON",
        };
        ObserverError::Unreadable {
            observer: self.0.observer.clone(),
            problem: format!("{problem} at byte {} of a line", error.column()),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let address: Result<IpAddr, _> = host.trim_matches(['[', ']']).parse();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}
