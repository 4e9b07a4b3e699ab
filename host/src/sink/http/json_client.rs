//! Requests that are no events.

use super::proxy;
use super::reloading_client::no_roots;
use super::{HttpUrl, describe};
use crate::sink::{SinkError, TlsConfig, tls};
use reqwest::redirect::Policy;
use serde_json::Value;
use std::time::Duration;

/// Posts JSON to a URL.
#[derive(Clone, Debug)]
pub struct JsonClient {
    client: reqwest::Client,
    url: HttpUrl,
}

impl JsonClient {
    /// To a URL, each request within a time.
    ///
    /// # Errors
    ///
    /// TLS cannot be set up.
    pub fn new(url: &HttpUrl, tls: &TlsConfig, timeout: Duration) -> Result<Self, SinkError> {
        let failed = |error: &dyn std::error::Error| SinkError::Client(describe(error));
        let tls = match url.0.scheme() {
            "http" if !proxy::is_tls(url) => no_roots().map_err(|error| failed(&error))?,
            _ => tls::client(tls)?,
        };
        let client = reqwest::Client::builder()
            .user_agent(concat!("step-observer/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .timeout(timeout)
            .tls_backend_preconfigured(tls)
            .build();
        Ok(Self {
            client: client.map_err(|error| failed(&error))?,
            url: url.clone(),
        })
    }

    /// Posts.
    ///
    /// # Errors
    ///
    /// What went wrong, without the URL.
    pub async fn json(&self, body: &Value) -> Result<(), String> {
        let request = self.client.post(self.url.0.clone());
        let request = request
            .header(reqwest::header::CONTENT_TYPE, "application/json")
            .body(body.to_string());
        match request.send().await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(answer.status().to_string()),
            Err(error) => Err(describe(&error.without_url())),
        }
    }
}
