//! The HTTP client of sinks and traces.

use super::addresses::{AddressGuard, LocalAddresses};
use super::error::with_causes;
use super::proxy::{self, ProxyUse};
use super::{ExtraRoots, HttpError, HttpUrl, TlsFiles, tls};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use reqwest::redirect::Policy;
use std::time::Duration;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often an idle connection is probed, so that a broken one is found.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);
/// Time after which an unused connection is closed. Each one holds buffers.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// Bound of the bytes of a response that are read and discarded so that its connection can be used
/// again.
const MAX_DRAINED_BYTES: usize = 64 * 1024;

/// The settings of a client.
pub(crate) struct ClientOptions<'a> {
    pub(crate) url: &'a HttpUrl,
    /// Longest time for a request, from connecting to the last byte of the response.
    pub(crate) timeout: Duration,
    /// Idle connections that are kept for further requests.
    pub(crate) max_idle: usize,
    pub(crate) proxy: ProxyUse,
    pub(crate) tls: &'a TlsFiles,
    pub(crate) extra_roots: &'a ExtraRoots,
    pub(crate) local_addresses: LocalAddresses,
}

/// A client with its connections. Clones share them. It follows no redirects: they could lead events, and their
/// credentials, anywhere.
#[derive(Clone, Debug)]
pub(crate) struct HttpClient {
    client: reqwest::Client,
    /// Refuses addresses, if others choose the hosts of requests.
    guard: Option<AddressGuard>,
}

impl HttpClient {
    /// Builds a client. Connects to nothing.
    ///
    /// # Errors
    ///
    /// Certificates or keys cannot be used.
    pub(crate) fn new(options: &ClientOptions<'_>) -> Result<Self, HttpError> {
        let failed = |error: &dyn std::error::Error| HttpError::Client(with_causes(error));
        let direct = options.proxy == ProxyUse::None;
        let needs_tls = !options.url.is_plain() || (!direct && proxy::is_tls(options.url));
        let mut tls = match needs_tls {
            true => options.tls.client_config(options.extra_roots)?,
            // Plain HTTP works without a bundle of CA certificates.
            false => tls::without_roots().map_err(|error| failed(&error))?,
        };
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("step-observer/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .timeout(options.timeout)
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_keepalive(TCP_KEEPALIVE)
            .pool_max_idle_per_host(options.max_idle)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .tls_backend_preconfigured(tls);
        if direct {
            builder = builder.no_proxy();
        }
        let guard = AddressGuard::new(&options.local_addresses, options.url, options.proxy);
        if let Some(guard) = &guard {
            builder = builder.dns_resolver(guard.clone());
        }
        let client = builder.build().map_err(|error| failed(&error))?;
        Ok(Self { client, guard })
    }

    /// Sends a request and returns its response, whose body is not read yet.
    ///
    /// # Errors
    ///
    /// There is no response, or the client may not connect to the host. The message leaves out the URL, which may hold a token.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: &HttpUrl,
        headers: HeaderMap,
        body: Option<RequestBody>,
    ) -> Result<HttpResponse, String> {
        if let Some(guard) = &self.guard {
            guard.check(url)?;
        }
        let mut request = reqwest::Request::new(method, url.0.clone());
        *request.headers_mut() = headers;
        *request.body_mut() = body.map(|RequestBody(body)| body);
        match self.client.execute(request).await {
            Ok(response) => Ok(HttpResponse(response)),
            Err(error) => Err(with_causes(&error.without_url())),
        }
    }
}

/// The body of a request.
pub(crate) struct RequestBody(reqwest::Body);

impl RequestBody {
    /// Wraps a body that produces its content only when the connection exists.
    pub(crate) fn deferred<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes, Error: std::error::Error + Send + Sync + 'static>
            + Send
            + Sync
            + 'static,
    {
        Self(reqwest::Body::wrap(body))
    }
}

impl From<Bytes> for RequestBody {
    fn from(bytes: Bytes) -> Self {
        Self(bytes.into())
    }
}

impl From<String> for RequestBody {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

/// A response whose body is not read yet.
#[derive(Debug)]
pub(crate) struct HttpResponse(reqwest::Response);

impl HttpResponse {
    pub(crate) fn status(&self) -> StatusCode {
        self.0.status()
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// Reads the body up to a number of bytes; what is beyond is lost. A body that breaks off counts as
    /// ended.
    pub(crate) async fn read(mut self, max_bytes: usize) -> Vec<u8> {
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = self.0.chunk().await {
            let free = max_bytes.saturating_sub(body.len());
            body.extend_from_slice(chunk.get(..free).unwrap_or(&chunk));
            if chunk.len() > free {
                break;
            }
        }
        body
    }

    /// Returns the next bytes of the body; `None` at its end.
    ///
    /// # Errors
    ///
    /// The body breaks off.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, String> {
        let chunk = self.0.chunk().await;
        chunk.map_err(|error| with_causes(&error.without_url()))
    }

    /// Reads and discards the body: a connection with unread bytes cannot be used again.
    pub(crate) async fn drain(mut self) {
        let mut read = 0;
        while let Ok(Some(chunk)) = self.0.chunk().await {
            read += chunk.len();
            if read > MAX_DRAINED_BYTES {
                break;
            }
        }
    }
}
