//! The way to an API server.

use super::ObserveError;
use super::proxy::{self, Proxy};
use super::retry::Retry;
use super::watch_health::{WatchHealthService, Watches};
use crate::clock;
use http::header::DATE;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use kube::Client;
use kube::client::{Body, ConfigExt as _};
use kube::config::{KubeConfigOptions, Kubeconfig};
use std::sync::Once;
use std::time::Duration;
use tower::retry::RetryLayer;
use tracing::info;

/// Longest wait for a connection, and for the first byte of an answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for an answer to begin.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for the cluster's time.
const CLOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest silence on a connection: more than any `cluster.watchTimeoutSeconds`, which ends a watch.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(300);
/// TCP keepalive: finds out that the other side is gone.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Connects as KUBECONFIG or the pod's service account says, through a proxy if the kubeconfig (`proxy-url`) or the
/// environment (`HTTPS_PROXY`, `NO_PROXY`) names one. How fresh the watches of this client are is told beside it.
///
/// # Errors
///
/// There is no configuration, or it is not usable.
pub async fn connect() -> Result<(Client, Watches), ObserveError> {
    let failed = |error: &dyn std::error::Error| ObserveError::Config(error.to_string());
    let environment = environment();
    let (mut config, proxy_url) = configuration(&environment).await?;
    config.apply_debug_overrides();
    let proxy = proxy::to(&config.cluster_url, proxy_url.as_deref(), &environment);
    let proxy = proxy.map_err(|error| failed(&error))?;
    let watches = Watches::default();
    let client = through(proxy, config, watches.clone());
    client
        .map(|client| (client, watches))
        .map_err(|error| failed(&error))
}

/// What the kubeconfig says, else the pod's service account, as `kube::Config::infer` has it; and the kubeconfig's
/// `proxy-url`.
async fn configuration(
    environment: &proxy::Environment,
) -> Result<(kube::Config, Option<String>), ObserveError> {
    let kubeconfig = match Kubeconfig::read() {
        Ok(mut kubeconfig) => {
            let proxy_url = proxy_url_of(&kubeconfig);
            let clusters = kubeconfig.clusters.iter_mut();
            for cluster in clusters.filter_map(|cluster| cluster.cluster.as_mut()) {
                // kube would refuse what it cannot read, also where it is not to be used.
                let read = cluster.proxy_url.as_ref().or(environment.https.as_ref());
                if read.is_some_and(|text| text.parse::<http::Uri>().is_err()) {
                    cluster.proxy_url = Some(NOT_USED.to_owned());
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

/// A `proxy-url` that kube can read. Nothing is done with it: which proxy is used is decided in `proxy`.
const NOT_USED: &str = "http://proxy.invalid";

/// `proxy-url` of the cluster of the current context.
fn proxy_url_of(kubeconfig: &Kubeconfig) -> Option<String> {
    let current = kubeconfig.current_context.as_ref()?;
    let mut contexts = kubeconfig.contexts.iter();
    let context = contexts.find(|context| context.name == *current)?;
    let cluster = &context.context.as_ref()?.cluster;
    let mut clusters = kubeconfig.clusters.iter();
    let cluster = clusters.find(|one| one.name == *cluster)?;
    cluster.cluster.as_ref()?.proxy_url.clone()
}

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

/// What time it is in the cluster: all that is observed there is dated so. Without an answer, this
/// machine's time.
pub async fn cluster_time(client: &Client) -> Timestamp {
    let asked = tokio::time::timeout(CLOCK_TIMEOUT, date(client)).await;
    asked.ok().flatten().unwrap_or_else(clock::now)
}

/// Every answer has a date, and this one needs no right.
async fn date(client: &Client) -> Option<Timestamp> {
    let request = http::Request::get("/version").body(Body::empty()).ok()?;
    let answer = client.send(request).await.ok()?;
    let date = answer.headers().get(DATE)?.to_str().ok()?;
    Some(jiff::fmt::rfc2822::parse(date).ok()?.timestamp())
}

/// A client that reaches the API server directly, or through a tunnel.
fn through(
    proxy: Option<Proxy>,
    mut config: kube::Config,
    watches: Watches,
) -> Result<Client, kube::Error> {
    let http = tcp();
    let Some(proxy) = proxy else {
        let connector = timed(TimeoutConnector::new(
            config.rustls_https_connector_with_connector(http)?,
        ));
        return client(connector, &config, watches, None);
    };
    let (place, named_by) = (proxy.place(), proxy.named_by);
    // Each client of a process takes the same way.
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        info!(
            proxy = place,
            named_by, "the API server is reached through a proxy"
        );
    });
    // A tunnel leads to port 443 if nothing else is said.
    config.cluster_url = with_port(&config.cluster_url);
    match proxy.uri.scheme_str() {
        Some("https") => {
            // TLS to the proxy trusts the authorities of the system; those of the kubeconfig are the cluster's.
            let tls = kube::Config::new(proxy.uri.clone());
            let tls = tls.rustls_https_connector_with_connector(http)?;
            let connector = config.rustls_https_connector_with_connector(tunnel(&proxy, tls))?;
            client(
                timed(TimeoutConnector::new(connector)),
                &config,
                watches,
                Some(place),
            )
        }
        _ => {
            let connector = config.rustls_https_connector_with_connector(tunnel(&proxy, http))?;
            client(
                timed(TimeoutConnector::new(connector)),
                &config,
                watches,
                Some(place),
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

/// The same URL, with its port.
fn with_port(url: &http::Uri) -> http::Uri {
    let (Some("http"), Some(host), None) = (url.scheme_str(), url.host(), url.port()) else {
        return url.clone();
    };
    let mut parts = url.clone().into_parts();
    parts.authority = format!("{host}:80").parse().ok();
    http::Uri::from_parts(parts).unwrap_or_else(|_| url.clone())
}

/// kube sets neither keepalive nor, by default, a timeout on what it reads.
fn tcp() -> HttpConnector {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_connect_timeout(Some(CONNECT_TIMEOUT));
    http.set_keepalive(Some(KEEPALIVE));
    http.set_keepalive_interval(Some(KEEPALIVE));
    http.set_keepalive_retries(Some(3));
    http
}

fn timed<C>(mut connector: TimeoutConnector<C>) -> TimeoutConnector<C> {
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_read_timeout(Some(SILENCE_TIMEOUT));
    connector.set_write_timeout(Some(ANSWER_TIMEOUT));
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
    let hyper = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector);
    let service = tower::ServiceBuilder::new()
        .map_err(move |error| explained(error, proxy.as_deref()))
        .layer(config.base_uri_layer())
        .layer(RetryLayer::new(Retry::default()))
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .timeout(ANSWER_TIMEOUT)
        .map_err(tower::BoxError::from)
        .service(hyper);
    let listening = WatchHealthService {
        inner: service,
        watches,
    };
    Ok(Client::new(listening, &config.default_namespace))
}

/// An error with all that led to it: the outermost says no more than that there is no connection.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct Explained {
    text: String,
    source: tower::BoxError,
}

fn explained(error: tower::BoxError, proxy: Option<&str>) -> tower::BoxError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(&format!(": {source}"));
        cause = source.source();
    }
    if let Some(proxy) = proxy {
        text.push_str(&format!(" (through the proxy {proxy})"));
    }
    Box::new(Explained {
        text,
        source: error,
    })
}
