//! URLs of receivers. Paths and queries may be secrets: some receivers accept anything from a sender that knows the URL.

use serde::{Deserialize, Serialize};

/// An `http` or `https` URL without user and password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("format" = "uri"))]
pub struct HttpUrl(pub(super) ::url::Url);

impl TryFrom<String> for HttpUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // The error does not repeat the text, which may hold a password.
        let url = ::url::Url::parse(&text)
            .map_err(|error| format!("not a URL ({error}); write http://host/path"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!(
                "`{}` URLs are not supported; write http:// or https://",
                url.scheme()
            ));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                "a URL must not hold user and password; use headers with fromEnv or fromFile"
                    .to_owned(),
            );
        }
        Ok(Self(url))
    }
}

impl From<HttpUrl> for String {
    fn from(url: HttpUrl) -> Self {
        url.0.into()
    }
}

impl HttpUrl {
    /// Returns scheme, host and port, which are no secrets.
    #[must_use]
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// Returns the URL with path and query masked, because they may be secrets.
    #[must_use]
    pub fn masked(&self) -> Self {
        Self(mask(&self.0))
    }

    /// Returns the URL with segments added to its path. A slash at its end stays out, and so does its
    /// query.
    pub(crate) fn below(&self, segments: &[&str]) -> Self {
        let mut url = self.0.clone();
        url.set_query(None);
        // Cannot fail: an http URL has a path.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        Self(url)
    }

    /// Returns the last segment of the path.
    #[cfg(feature = "otlp")]
    pub(crate) fn last_segment(&self) -> Option<&str> {
        self.0.path_segments()?.next_back()
    }

    /// Returns the host, which is no secret.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// Returns whether requests to the URL are not encrypted.
    pub(crate) fn is_plain(&self) -> bool {
        self.0.scheme() == "http"
    }
}

impl std::fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Returns a URL without user, password, path, query and fragment: some receivers use each of them as a password.
pub(crate) fn mask(url: &::url::Url) -> ::url::Url {
    let mut masked = url.clone();
    masked.set_query(None);
    masked.set_fragment(None);
    // These fail only for a URL without host, which has no user and no password.
    masked.set_username("").ok();
    masked.set_password(None).ok();
    if !matches!(url.path(), "" | "/") || url.query().is_some() {
        masked.set_path("/***");
    }
    masked
}
