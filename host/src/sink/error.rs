//! Why a sink cannot be used at all.

use crate::http::HttpError;

/// Why a sink cannot be used at all. No message quotes a secret.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// A file cannot be opened.
    #[error("failed to open {path}: {source}")]
    Open {
        /// Path of the file.
        path: String,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The path of a file has no characters.
    #[error("the path is empty: name a file or folder")]
    EmptyPath,
    /// The HTTP client, TLS or a credential cannot be used.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// An extension attribute cannot be added.
    #[error("extension `{name}`: {reason}")]
    Extension {
        /// Name of the attribute.
        name: String,
        /// The rule that it breaks.
        reason: String,
    },
    /// Events cannot be signed.
    #[error("signing: {0}")]
    Signing(String),
    /// A setting of an OpenTelemetry collector cannot be used.
    #[error(transparent)]
    Otlp(#[from] step_observer_otlp::OptionsError),
    /// The template of a URL cannot be used.
    #[error(transparent)]
    UrlTemplate(#[from] step_observer_otlp::TemplateError),
    /// Two settings contradict each other.
    #[error("{0}")]
    Contradiction(&'static str),
    /// The program was built without this wire.
    #[error(
        "this program has no sink `{wire}`; build it with it: cargo xtask build --release --features {wire}"
    )]
    NotBuilt {
        /// Name of the wire in the configuration, and of the cargo feature that adds it.
        wire: &'static str,
    },
    /// A token, password or key cannot be read.
    #[error("auth: {0}")]
    Auth(String),
    /// The observer has no connection to a cluster, so it cannot read the sink from Tekton's
    /// configuration.
    #[error("only `run` can ask Tekton for its sink; give --to with a URL")]
    NoCluster,
}
