//! Where events go: one file per wire. A sink tries once and says what to do next; trying again is
//! `deliver`'s business.

mod attempt;
mod batch;
mod file;
mod followed;
mod http;
mod pace;
mod retry;
mod stdout;

pub use attempt::{Attempt, Failure, Next};
pub use file::{FileConfig, Rotation};
pub use followed::{Followed, FollowedHttp};
pub use http::{
    BatchConfig, Compression, Handshake, Header, HttpAuth, HttpConfig, HttpMode, HttpTls, Signing,
    SinkUrl,
};
pub(crate) use pace::Pace;
pub use retry::{after_status, retry_after};
pub use stdout::StdoutConfig;

use crate::event::Encoded;
use std::time::Duration;

/// Why a sink cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// A file cannot be opened.
    #[error("failed to open {path}: {source}")]
    Open {
        /// Its path.
        path: String,
        /// The cause.
        source: std::io::Error,
    },
    /// The HTTP client cannot be built.
    #[error(
        "failed to set up HTTP: {0}; is a bundle of CA certificates installed (package ca-certificates)?"
    )]
    Client(String),
    /// An extension attribute cannot be added.
    #[error("extension `{name}`: {reason}")]
    Extension {
        /// Its name.
        name: String,
        /// Why not.
        reason: String,
    },
    /// Certificates or keys cannot be used.
    #[error("tls: {0}")]
    Tls(String),
    /// Events cannot be signed.
    #[error("signing: {0}")]
    Signing(String),
    /// What is configured does not go together.
    #[error("{0}")]
    Contradiction(&'static str),
    /// A header's value cannot be had.
    #[error("header `{name}`: {reason}")]
    Header {
        /// Its name.
        name: String,
        /// What is wrong. Never the value.
        reason: String,
    },
}

/// A sink that is ready.
#[derive(Debug)]
pub enum Sink {
    /// JSON lines to standard output.
    Stdout(stdout::Stdout),
    /// JSON lines to a file.
    File(file::File),
    /// CloudEvents over HTTP.
    Http(Box<http::Http>),
    /// The same, at a URL that may change.
    Followed(Box<FollowedHttp>),
}

impl Sink {
    /// Standard output.
    #[must_use]
    pub fn stdout(config: &StdoutConfig) -> Self {
        let StdoutConfig {} = config;
        Self::Stdout(stdout::Stdout::default())
    }

    /// A file, which is made or appended to.
    ///
    /// # Errors
    ///
    /// It cannot be opened.
    pub async fn file(config: &FileConfig) -> Result<Self, SinkError> {
        file::File::open(config).await.map(Self::File)
    }

    /// An HTTP receiver.
    ///
    /// # Errors
    ///
    /// The client cannot be built, or a header's value cannot be had.
    pub fn http(config: &HttpConfig) -> Result<Self, SinkError> {
        http::Http::new(config).map(|http| Self::Http(Box::new(http)))
    }

    /// An HTTP receiver whose URL is told later, and may change.
    #[must_use]
    pub fn followed(url: Followed) -> Self {
        Self::Followed(Box::new(FollowedHttp::new(url)))
    }

    /// Tries once.
    pub async fn send(&self, event: &Encoded) -> Attempt {
        match self {
            Self::Stdout(stdout) => stdout.send(event).await,
            Self::File(file) => file.send(event).await,
            Self::Http(http) => http.send(event).await,
            Self::Followed(http) => http.send(event).await,
        }
    }

    /// How long an attempt may take.
    #[must_use]
    pub fn longest_attempt(&self) -> Duration {
        match self {
            Self::Stdout(_) | Self::File(_) => Duration::from_secs(10),
            Self::Http(http) => http.timeout(),
            Self::Followed(_) => http::DEFAULT_TIMEOUT,
        }
    }

    /// How many events it may be given at a time. One where lines must not mix.
    #[must_use]
    pub fn concurrency(&self) -> usize {
        match self {
            Self::Stdout(_) => 1,
            Self::File(file) => file.concurrency(),
            Self::Http(http) => http.concurrency(),
            Self::Followed(_) => http::DEFAULT_CONCURRENCY,
        }
    }
}

/// An event that cannot even be encoded will never be delivered.
fn unencodable(error: &crate::event::EncodeError) -> Attempt {
    Attempt::reject(error.to_string())
}
