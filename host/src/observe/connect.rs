//! The way to an API server.

use super::ObserveError;
use super::retry::Retry;
use super::watches::{Listening, Watches};
use crate::clock;
use http::header::DATE;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use kube::Client;
use kube::client::{Body, ConfigExt as _};
use std::time::Duration;
use tower::retry::RetryLayer;

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

/// Connects as KUBECONFIG or the pod's service account says. How fresh the watches of this client are is told
/// beside it.
///
/// # Errors
///
/// There is no configuration, or it is not usable.
pub async fn connect() -> Result<(Client, Watches), ObserveError> {
    let config = kube::Config::infer()
        .await
        .map_err(|error| ObserveError::Config(error.to_string()))?;
    let watches = Watches::default();
    let client = client(&config, watches.clone());
    client
        .map(|client| (client, watches))
        .map_err(|error| ObserveError::Config(error.to_string()))
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

/// kube sets neither keepalive nor, by default, a timeout on what it reads.
fn client(config: &kube::Config, watches: Watches) -> Result<Client, kube::Error> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_connect_timeout(Some(CONNECT_TIMEOUT));
    http.set_keepalive(Some(KEEPALIVE));
    http.set_keepalive_interval(Some(KEEPALIVE));
    http.set_keepalive_retries(Some(3));
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(http)?);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_read_timeout(Some(SILENCE_TIMEOUT));
    connector.set_write_timeout(Some(ANSWER_TIMEOUT));
    let hyper = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector);
    let service = tower::ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .layer(RetryLayer::new(Retry::default()))
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .timeout(ANSWER_TIMEOUT)
        .map_err(tower::BoxError::from)
        .service(hyper);
    let listening = Listening {
        inner: service,
        watches,
    };
    Ok(Client::new(listening, &config.default_namespace))
}
