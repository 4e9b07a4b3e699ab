//! Posts JSON to one URL.

use super::{
    ClientOptions, ExtraRoots, HttpClient, HttpError, HttpUrl, LocalAddresses, ProxyUse, TlsConfig,
    TlsFiles,
};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::Value;
use std::time::Duration;

/// Posts JSON to one URL.
#[derive(Clone, Debug)]
pub(crate) struct JsonClient {
    client: HttpClient,
    url: HttpUrl,
}

impl JsonClient {
    /// Builds a client whose requests take at most `timeout` each. Its files are read once.
    ///
    /// # Errors
    ///
    /// Certificates or keys cannot be used.
    pub(crate) fn new(
        url: &HttpUrl,
        tls: &TlsConfig,
        timeout: Duration,
    ) -> Result<Self, HttpError> {
        let client = HttpClient::new(&ClientOptions {
            url,
            timeout,
            max_idle: usize::MAX,
            proxy: ProxyUse::Environment,
            tls: &TlsFiles::read(tls)?,
            extra_roots: &ExtraRoots::default(),
            local_addresses: LocalAddresses::Permitted,
        });
        Ok(Self {
            client: client?,
            url: url.clone(),
        })
    }

    /// Posts a document.
    ///
    /// # Errors
    ///
    /// There is no response, or its status is not a success. The message omits the URL, which may
    /// hold a token.
    pub(crate) async fn post(&self, document: &Value) -> Result<(), String> {
        let json = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let headers: HeaderMap = [json].into_iter().collect();
        let body = Some(document.to_string().into());
        let response = self.client.send(Method::POST, &self.url, headers, body);
        let response = response.await?;
        let status = response.status();
        match status.is_success() {
            true => Ok(()),
            false => Err(status.to_string()),
        }
    }
}
