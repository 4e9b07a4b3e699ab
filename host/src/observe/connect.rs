//! Connects to an API server.

use super::error::ObserveError;
use super::large_reads::LargeReads;
use super::proxy::{self, Proxy};
use super::retry::Retry;
use super::watch_health::{WatchHealthService, Watches};
use crate::clock;
use http::header::DATE;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use jiff::Timestamp;
use kube::Client;
use kube::client::{Body, ConfigExt as _};
use kube::config::{KubeConfigOptions, Kubeconfig};
use std::sync::Once;
use std::time::Duration;
use tower::ServiceExt as _;
use tower::retry::RetryLayer;
use tracing::info;

/// Timeout for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout for the start of a response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
/// Timeout of the request for the time of the cluster.
const CLOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for which a connection may be silent. It exceeds the maximum of
/// `cluster.watchTimeoutSeconds`, after which a watch ends.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(300);
/// Time after which an unused connection is closed. Each one holds buffers of some 50 KiB.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// Bounds the buffer of a connection. By default a large response would raise it to 400 KiB, and it would
/// stay as large.
const MAX_BUFFER_BYTES: usize = 64 * 1024;
/// Interval of TCP keepalive, which detects that the other side is gone.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Connects with the configuration of KUBECONFIG or of the pod's service account, through a proxy
/// if the kubeconfig (`proxy-url`) or the environment (`HTTPS_PROXY`, `NO_PROXY`) names one.
/// Returns the client and the freshness of its watches.
///
/// # Errors
///
/// There is no configuration, or it is not usable.
pub async fn connect() -> Result<(Client, Watches), ObserveError> {
    let failed = |error: &dyn std::error::Error| ObserveError::Config(error.to_string());
    let environment = environment();
    let (mut config, proxy_url) = configuration(&environment).await?;
    config.apply_debug_overrides();
    let proxy = proxy::select(&config.cluster_url, proxy_url.as_deref(), &environment);
    let proxy = proxy.map_err(|error| failed(&error))?;
    let watches = Watches::default();
    let client = build_client(proxy, config, watches.clone());
    client
        .map(|client| (client, watches))
        .map_err(|error| failed(&error))
}

/// Reads the kubeconfig, else the pod's service account, as `kube::Config::infer` does. Also
/// returns the `proxy-url` of the kubeconfig.
async fn configuration(
    environment: &proxy::Environment,
) -> Result<(kube::Config, Option<String>), ObserveError> {
    let kubeconfig = match Kubeconfig::read() {
        Ok(mut kubeconfig) => {
            let proxy_url = kubeconfig_proxy_url(&kubeconfig);
            let clusters = kubeconfig.clusters.iter_mut();
            for cluster in clusters.filter_map(|cluster| cluster.cluster.as_mut()) {
                // kube refuses a proxy URL that it cannot parse, even one that is not used.
                let read = cluster.proxy_url.as_ref().or(environment.https.as_ref());
                if read.is_some_and(|text| text.parse::<http::Uri>().is_err()) {
                    cluster.proxy_url = Some(UNUSED_PROXY_URL.to_owned());
                }
            }
            let options = KubeConfigOptions::default();
            let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await;
            config.map(|config| (config, proxy_url))
        }
        Err(error) => Err(error),
    };
    kubeconfig.or_else(|kubeconfig| {
        let in_cluster = kube::Config::incluster();
        in_cluster.map(|config| (config, None)).map_err(|error| {
            ObserveError::Config(format!("in-cluster: {error}; kubeconfig: {kubeconfig}"))
        })
    })
}

/// A `proxy-url` that kube can parse. It is never used: module `proxy` decides on the proxy.
const UNUSED_PROXY_URL: &str = "http://proxy.invalid";

/// Returns the `proxy-url` of the cluster of the current context.
fn kubeconfig_proxy_url(kubeconfig: &Kubeconfig) -> Option<String> {
    let current = kubeconfig.current_context.as_ref()?;
    let mut contexts = kubeconfig.contexts.iter();
    let context = contexts.find(|context| context.name == *current)?;
    let cluster_name = &context.context.as_ref()?.cluster;
    let mut clusters = kubeconfig.clusters.iter();
    let cluster = clusters.find(|cluster| cluster.name == *cluster_name)?;
    cluster.cluster.as_ref()?.proxy_url.clone()
}

/// Reads the variables that name proxies.
fn environment() -> proxy::Environment {
    #[expect(
        clippy::disallowed_methods,
        reason = "the edge where the environment is read"
    )]
    let first = |names: [&str; 2]| {
        let values = names
            .into_iter()
            .filter_map(|name| std::env::var(name).ok());
        values.into_iter().find(|value| !value.is_empty())
    };
    proxy::Environment {
        http: first(["HTTP_PROXY", "http_proxy"]),
        https: first(["HTTPS_PROXY", "https_proxy"]),
        no: first(["NO_PROXY", "no_proxy"]),
    }
}

/// Returns the time of the cluster, by which all observations are dated. Without a response,
/// returns the time of this machine.
pub async fn cluster_time(client: &Client) -> Timestamp {
    let date = tokio::time::timeout(CLOCK_TIMEOUT, server_date(client)).await;
    date.ok().flatten().unwrap_or_else(clock::now)
}

/// Returns the `Date` of a response of the API server. This request needs no right.
async fn server_date(client: &Client) -> Option<Timestamp> {
    let request = http::Request::get("/version").body(Body::empty()).ok()?;
    let response = client.send(request).await.ok()?;
    let date = response.headers().get(DATE)?.to_str().ok()?;
    Some(jiff::fmt::rfc2822::parse(date).ok()?.timestamp())
}

/// Returns a client that reaches the API server directly or through a tunnel.
fn build_client(
    proxy: Option<Proxy>,
    mut config: kube::Config,
    watches: Watches,
) -> Result<Client, kube::Error> {
    let http = tcp_connector().map_response(LargeReads::wrap);
    let Some(proxy) = proxy else {
        let connector = with_timeouts(TimeoutConnector::new(
            config.rustls_https_connector_with_connector(http)?,
        ));
        return client(connector, &config, watches, None);
    };
    let (authority, named_by) = (proxy.authority(), proxy.named_by);
    // Logs the proxy only once, because all clients of a process use the same one.
    static LOGGED: Once = Once::new();
    LOGGED.call_once(|| {
        info!(
            proxy = authority,
            named_by, "the API server is reached through a proxy"
        );
    });
    // A tunnel uses port 443 unless the URL states a port.
    config.cluster_url = with_port(&config.cluster_url);
    match proxy.uri.scheme_str() {
        Some("https") => {
            // TLS to the proxy trusts the certificate authorities of the system; those of the
            // kubeconfig belong to the cluster.
            let tls = kube::Config::new(proxy.uri.clone());
            let tls = tls.rustls_https_connector_with_connector(http)?;
            let connector = config.rustls_https_connector_with_connector(tunnel(&proxy, tls))?;
            client(
                with_timeouts(TimeoutConnector::new(connector)),
                &config,
                watches,
                Some(authority),
            )
        }
        _ => {
            let connector = config.rustls_https_connector_with_connector(tunnel(&proxy, http))?;
            client(
                with_timeouts(TimeoutConnector::new(connector)),
                &config,
                watches,
                Some(authority),
            )
        }
    }
}

fn tunnel<C>(proxy: &Proxy, connector: C) -> Tunnel<C> {
    let tunnel = Tunnel::new(proxy.uri.clone(), connector);
    match &proxy.auth {
        Some(auth) => tunnel.with_auth(auth.clone()),
        None => tunnel,
    }
}

/// Returns the URL with an explicit port.
fn with_port(url: &http::Uri) -> http::Uri {
    let (Some("http"), Some(host), None) = (url.scheme_str(), url.host(), url.port()) else {
        return url.clone();
    };
    let mut parts = url.clone().into_parts();
    parts.authority = format!("{host}:80").parse().ok();
    http::Uri::from_parts(parts).unwrap_or_else(|_| url.clone())
}

/// Returns a TCP connector with a connect timeout and keepalive. kube sets neither keepalive nor,
/// by default, a read timeout.
fn tcp_connector() -> HttpConnector {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_connect_timeout(Some(CONNECT_TIMEOUT));
    http.set_keepalive(Some(KEEPALIVE));
    http.set_keepalive_interval(Some(KEEPALIVE));
    http.set_keepalive_retries(Some(3));
    http
}

fn with_timeouts<C>(mut connector: TimeoutConnector<C>) -> TimeoutConnector<C> {
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_read_timeout(Some(SILENCE_TIMEOUT));
    connector.set_write_timeout(Some(RESPONSE_TIMEOUT));
    connector
}

fn client<C>(
    connector: C,
    config: &kube::Config,
    watches: Watches,
    proxy: Option<String>,
) -> Result<Client, kube::Error>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let hyper = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .http1_max_buf_size(MAX_BUFFER_BYTES)
        .build(connector);
    let service = tower::ServiceBuilder::new()
        .map_err(move |error| with_causes(error, proxy.as_deref()))
        .layer(config.base_uri_layer())
        .layer(RetryLayer::new(Retry::default()))
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .timeout(RESPONSE_TIMEOUT)
        .map_err(tower::BoxError::from)
        .service(hyper);
    let listening = WatchHealthService {
        inner: service,
        watches,
    };
    Ok(Client::new(listening, &config.default_namespace))
}

/// An error whose text contains all of its causes. The outermost cause states only that there is no
/// connection.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct ErrorWithCauses {
    text: String,
    source: tower::BoxError,
}

fn with_causes(error: tower::BoxError, proxy: Option<&str>) -> tower::BoxError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(&format!(": {source}"));
        cause = source.source();
    }
    if let Some(proxy) = proxy {
        text.push_str(&format!(" (through the proxy {proxy})"));
    }
    Box::new(ErrorWithCauses {
        text,
        source: error,
    })
}
