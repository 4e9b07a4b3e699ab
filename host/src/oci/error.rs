//! Why a plugin cannot be pulled or pushed.

use crate::http::HttpError;
use http::StatusCode;
use step_observer_oci::{ChallengeError, CredentialsError, Digest, LayerError, ManifestError};

/// Why a plugin cannot be pulled or pushed. No message quotes a credential, nor what a registry wrote except the code of its error.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// The HTTP client cannot be built.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The file with credentials cannot be read.
    #[error("{path}: {source}")]
    CredentialsFile {
        /// Path of the file.
        path: String,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The credentials cannot be used.
    #[error("{path}: {source}")]
    Credentials {
        /// Path of the file.
        path: String,
        /// What is wrong with them.
        source: CredentialsError,
    },
    /// A Secret with credentials cannot be read.
    #[error("Secret {name}: {problem}")]
    Secret {
        /// Namespace and name.
        name: String,
        /// What is wrong, and the remedy.
        problem: String,
    },
    /// The way in which the registry asks for credentials cannot be answered.
    #[error("{registry}: {source}")]
    Challenge {
        /// Host of the registry.
        registry: String,
        /// What is wrong with it.
        source: ChallengeError,
    },
    /// There is no answer.
    #[error("{what}: {reason}")]
    Unreachable {
        /// What was asked for.
        what: String,
        /// What the HTTP client reports.
        reason: String,
    },
    /// The answer is not the expected one.
    #[error("{what}: the registry answered {status}{code}{remedy}")]
    Status {
        /// What was asked for.
        what: String,
        /// The status.
        status: StatusCode,
        /// The code of the error, in brackets, if the answer has one.
        code: String,
        /// What to do, after a colon.
        remedy: &'static str,
    },
    /// The answer leads to a place that is not followed.
    #[error("{what}: the registry leads to {place}")]
    Redirect {
        /// What was asked for.
        what: String,
        /// The place, without its path.
        place: String,
    },
    /// The content is another.
    #[error(
        "{what} has the digest {found} and not {expected}: somebody changed it, or the registry is broken"
    )]
    Digest {
        /// The content.
        what: &'static str,
        /// The digest that was asked for.
        expected: Digest,
        /// The digest of the answer.
        found: Digest,
    },
    /// The content is longer than announced, or the connection broke off before its end.
    #[error(
        "the layer has {found} bytes and not {expected}: the connection broke off, or the registry is broken"
    )]
    Length {
        /// Bytes that the manifest announces.
        expected: u64,
        /// Bytes of the answer; the rest is not read.
        found: u64,
    },
    /// Pulling took too long.
    #[error("{reference}: pulling it took more than {seconds} seconds")]
    Slow {
        /// The artifact.
        reference: String,
        /// The bound of the time.
        seconds: u64,
    },
    /// The manifest is not that of a plugin.
    #[error("{reference}: {source}")]
    Manifest {
        /// The artifact.
        reference: String,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// The layer holds no plugin.
    #[error("{reference}: {source}")]
    Layer {
        /// The artifact.
        reference: String,
        /// What is wrong with it.
        source: LayerError,
    },
}
