//! The HTTP client with TLS, credentials, proxies and `Retry-After`. Sinks, traces and requests to
//! the API server share this code, so that each rule is implemented only once.

mod addresses;
mod client;
mod credentials;
mod error;
mod json_client;
mod proxy;
mod retry_after;
mod secret_file;
mod tls;
mod url;

pub use addresses::LocalAddresses;
pub(crate) use client::{ClientOptions, HttpClient, HttpResponse, RequestBody};
pub use credentials::{Header, HttpAuth};
pub use error::HttpError;
pub(crate) use json_client::JsonClient;
pub use proxy::ProxyUse;
pub(crate) use proxy::environment_proxy;
pub use retry_after::retry_after;
pub(crate) use retry_after::retry_after_of;
pub(crate) use secret_file::{read_password, read_secret, read_token};
pub(crate) use tls::TlsFiles;
pub use tls::{ExtraRoots, TlsConfig};
pub use url::HttpUrl;
pub(crate) use url::mask as mask_url;

/// Replaces a value that may be a secret when settings are shown.
pub(crate) const MASK: &str = "***";
