//! Why an HTTP client or its credentials cannot be used.

/// Why an HTTP client or its credentials cannot be used. No message quotes a secret.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The HTTP client cannot be built.
    #[error("failed to set up HTTP: {0}")]
    Client(String),
    /// The certificates of the system cannot be used.
    #[error(
        "failed to set up HTTP: {0}; is a bundle of CA certificates installed (package ca-certificates)?"
    )]
    SystemRoots(String),
    /// Certificates or keys cannot be used.
    #[error("tls: {0}")]
    Tls(String),
    /// The proxy that the environment variables name must not be used for this receiver.
    #[error("the proxy {name} of the environment: {reason}")]
    Proxy {
        /// The proxy's host and port.
        name: String,
        /// The rule that forbids this proxy, and the remedy.
        reason: &'static str,
    },
    /// A header cannot be sent.
    #[error("header `{name}`: {reason}")]
    Header {
        /// The header's name.
        name: String,
        /// The reason, without the value.
        reason: String,
    },
}

impl HttpError {
    /// Returns a function that turns a reason into the error of this header.
    pub(crate) fn header(name: &str) -> impl Fn(String) -> Self {
        move |reason| Self::Header {
            name: name.to_owned(),
            reason,
        }
    }
}

/// Returns one message with the texts of an error and of all its causes.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}
