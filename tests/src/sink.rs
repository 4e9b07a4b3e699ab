//! A real HTTP sink that records requests and gives configured answers.

use crate::tls::{SharedTls, TlsListener};
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::routing::post;
use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Longest wait for a condition before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A received request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Method of the request.
    pub method: Method,
    /// Path of the request.
    pub path: String,
    /// Headers of the request.
    pub headers: HeaderMap,
    /// Body of the request.
    pub body: Bytes,
    /// Status of the answer.
    pub status: StatusCode,
    /// Time of arrival.
    pub at: Instant,
}

impl Request {
    /// Returns a header as text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map(|value| value.to_str().unwrap())
            .unwrap_or_default()
    }
}

/// An answer: status and headers.
pub type Answer = (u16, Vec<(&'static str, String)>);

/// Computes the status of an answer from headers and body.
type Rule = Box<dyn Fn(&HeaderMap, &Bytes) -> u16 + Send>;

/// A sink on a free port. It ends when this is dropped.
#[expect(missing_debug_implementations, reason = "a rule has nothing to show")]
pub struct HttpSink {
    /// URL of the sink.
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    script: Arc<Mutex<VecDeque<Answer>>>,
    rule: Arc<Mutex<Option<Rule>>>,
    count: watch::Receiver<usize>,
    tls: Option<SharedTls>,
    _server: JoinSet<()>,
}

impl HttpSink {
    /// Starts a sink that answers with `script`, and then with 202.
    pub async fn start(script: Vec<Answer>) -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let url = format!("http://{}/events", listener.local_addr().unwrap());
        Self::serve(listener, url, script)
    }

    fn serve<L>(listener: L, url: String, script: Vec<Answer>) -> Self
    where
        L: axum::serve::Listener,
        L::Addr: std::fmt::Debug,
    {
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let script = Arc::new(Mutex::new(VecDeque::from(script)));
        let rule: Arc<Mutex<Option<Rule>>> = Arc::default();
        let (kept, next, ruled) = (requests.clone(), script.clone(), rule.clone());
        let (counter, count) = watch::channel(0);
        let accept = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| async move {
            let scripted = next.lock().unwrap().pop_front();
            let (status, answer_headers) = scripted.unwrap_or_else(|| {
                let rule = ruled.lock().unwrap();
                let status = rule.as_ref().map_or(202, |rule| rule(&headers, &body));
                (status, Vec::new())
            });
            let status = StatusCode::from_u16(status).unwrap();
            kept.lock().unwrap().push(Request {
                method,
                path: uri.path().to_owned(),
                headers,
                body,
                status,
                at: Instant::now(),
            });
            counter.send_modify(|count| *count += 1);
            let mut answer = HeaderMap::new();
            for (name, value) in answer_headers {
                answer.insert(name, value.parse().unwrap());
            }
            (status, answer)
        };
        let router = Router::new().fallback(accept);
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            requests,
            script,
            rule,
            count,
            tls: None,
            _server: server,
        }
    }

    /// Returns the URL without its path.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.url.strip_suffix("/events").unwrap_or(&self.url)
    }

    /// Starts a sink with TLS.
    pub async fn start_tls(script: Vec<Answer>, tls: rustls::ServerConfig) -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let url = format!(
            "https://localhost:{}/events",
            listener.local_addr().unwrap().port()
        );
        let tls: SharedTls = Arc::new(Mutex::new(tls.into()));
        let listener = TlsListener {
            listener,
            tls: tls.clone(),
        };
        Self {
            tls: Some(tls),
            ..Self::serve(listener, url, script)
        }
    }

    /// Uses this TLS configuration for further connections.
    pub fn set_tls(&self, tls: rustls::ServerConfig) {
        *self.tls.as_ref().unwrap().lock().unwrap() = Arc::new(tls);
    }

    /// Sets the next answers.
    pub fn answer_next(&self, answers: Vec<Answer>) {
        self.script.lock().unwrap().extend(answers);
    }

    /// Computes the answers by a rule once the script is used up.
    pub fn answer_by(&self, rule: impl Fn(&HeaderMap, &Bytes) -> u16 + Send + 'static) {
        *self.rule.lock().unwrap() = Some(Box::new(rule));
    }

    /// Returns all requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Returns the requests that were accepted.
    #[must_use]
    pub fn accepted(&self) -> Vec<Request> {
        self.requests()
            .into_iter()
            .filter(|request| request.status.is_success())
            .collect()
    }

    /// Returns the answers that were not used yet.
    #[must_use]
    pub fn unused_answers(&self) -> usize {
        self.script.lock().unwrap().len()
    }

    /// Waits until a condition holds for all requests so far.
    pub async fn wait_until(&self, condition: impl Fn(&[Request]) -> bool) {
        let holds = tokio::time::timeout(PATIENCE, self.met(condition)).await;
        assert!(holds.is_ok(), "{} requests came", self.requests().len());
    }

    /// Waits for the condition without a time limit.
    pub async fn met(&self, condition: impl Fn(&[Request]) -> bool) {
        let mut count = self.count.clone();
        let holds = count.wait_for(|_| condition(&self.requests.lock().unwrap()));
        holds.await.unwrap();
    }

    /// Waits until this many requests have come.
    pub async fn wait_for(&self, requests: usize) {
        let mut count = self.count.clone();
        let enough =
            tokio::time::timeout(PATIENCE, count.wait_for(|count| *count >= requests)).await;
        let came: Vec<_> = self
            .requests()
            .iter()
            .map(|request| request.header("ce-id").to_owned())
            .collect();
        assert!(
            enough.is_ok(),
            "{} of {requests} requests came: {came:#?}",
            came.len()
        );
    }
}

/// Returns the ids of all events that came, in the order of the requests.
#[must_use]
pub fn event_ids(sink: &HttpSink) -> Vec<String> {
    sink.requests()
        .iter()
        .map(|request| request.header("ce-id").to_owned())
        .collect()
}

/// Asserts that exactly the expected events came, each once.
pub fn assert_exactly(sink: &HttpSink, expected: &BTreeSet<String>) {
    let found = event_ids(sink);
    let unique: BTreeSet<String> = found.iter().cloned().collect();
    assert_eq!(unique.len(), found.len(), "sent twice: {found:#?}");
    assert_eq!(&unique, expected);
}

/// Starts a sink that only counts its requests. Returns its URL and the count. The sink runs until
/// the program ends.
#[expect(
    clippy::disallowed_methods,
    reason = "it serves until the program ends"
)]
pub async fn counting_sink() -> (String, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await;
    let listener = listener.unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    let accept = move |_: Bytes| async move {
        counter.fetch_add(1, Ordering::Relaxed);
        StatusCode::ACCEPTED
    };
    let router = Router::new().route("/events", post(accept));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, count)
}
