//! A request to a registry, and what its answer says.

use super::error::OciError;
use crate::http::{HttpResponse, HttpUrl};
use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue, LOCATION};
use http::{Method, StatusCode};
use serde::Deserialize;

/// Longest answer of an error that is read, in bytes.
const MAX_ERROR_BYTES: usize = 16 * 1024;

/// A request that can be sent again.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: HttpUrl,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
    /// What it asks for, in messages.
    pub(super) what: String,
}

impl Request {
    pub(super) fn new(method: Method, url: HttpUrl, what: impl Into<String>) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: None,
            what: what.into(),
        }
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.insert(name, HeaderValue::from_static(value));
        self
    }

    pub(super) fn with_body(mut self, body: impl Into<Bytes>, media_type: &'static str) -> Self {
        self.body = Some(body.into());
        self.with_header(http::header::CONTENT_TYPE, media_type)
    }

    /// Returns the place to which an answer leads, which may be relative to the request.
    pub(super) fn location(&self, headers: &HeaderMap) -> Option<url::Url> {
        let location = headers.get(LOCATION)?.to_str().ok()?;
        let base = url::Url::parse(&String::from(self.url.clone())).ok()?;
        base.join(location).ok()
    }

    /// Turns an answer that is not the expected one into an error.
    pub(super) async fn refused(&self, response: HttpResponse) -> OciError {
        let status = response.status();
        let code = code(&response.read(MAX_ERROR_BYTES).await);
        OciError::Status {
            what: self.what.clone(),
            status,
            code: code.map_or_else(String::new, |code| format!(" ({code})")),
            remedy: remedy(status),
        }
    }
}

fn remedy(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => {
            ": give it credentials that it knows (--docker-config; credentialsFile in the configuration; dropIn.pullSecrets for ConfigMaps and \
             folders of plugins), or make the repository public"
        }
        StatusCode::FORBIDDEN => ": the credentials do not permit this",
        StatusCode::NOT_FOUND => ": look for typing errors in repository, tag and digest",
        StatusCode::TOO_MANY_REQUESTS => ": it allows no more requests for now; wait",
        _ => "",
    }
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<ErrorOfRegistry>,
}

#[derive(Deserialize)]
struct ErrorOfRegistry {
    code: String,
}

/// Returns the code of an error, such as `MANIFEST_UNKNOWN` (OCI distribution 1.1, "Error Codes"). The message is left out: it is text of
/// others, which could repeat the request.
fn code(answer: &[u8]) -> Option<String> {
    let errors: Errors = serde_json::from_slice(answer).ok()?;
    let code = errors.errors.into_iter().next()?.code;
    let is_code = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
    ((1..=64).contains(&code.len()) && code.bytes().all(is_code)).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_code_of_an_error_is_shown() {
        let found = |answer: &str| code(answer.as_bytes());
        assert_eq!(
            found(r#"{"errors": [{"code": "DENIED", "message": "secret"}, {"code": "OTHER"}]}"#)
                .as_deref(),
            Some("DENIED")
        );
        for answer in [
            "",
            "<html>",
            r#"{"errors": []}"#,
            r#"{"errors": [{"code": "\u001b[31m"}]}"#,
        ] {
            assert_eq!(found(answer), None, "{answer}");
        }
    }

    #[test]
    fn a_location_may_be_relative() {
        let url = HttpUrl::try_from("https://registry.example/v2/a/blobs/uploads/".to_owned());
        let request = Request::new(Method::POST, url.unwrap(), "");
        let at = |location: &'static str| {
            let headers = [(LOCATION, HeaderValue::from_static(location))];
            request.location(&headers.into_iter().collect())
        };
        assert_eq!(
            at("/v2/x?y=1").unwrap().as_str(),
            "https://registry.example/v2/x?y=1"
        );
        assert_eq!(
            at("https://blobs.example/x").unwrap().as_str(),
            "https://blobs.example/x"
        );
        assert_eq!(at("https://"), None);
    }
}
