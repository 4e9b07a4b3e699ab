//! Errors of the client, with their remedies.

use crate::http::HttpError;

/// Why an observer cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum ObserverError {
    /// Certificates or keys cannot be used.
    #[error("the client for {observer}: {source}")]
    Client {
        /// Scheme, host and port.
        observer: String,
        /// The cause.
        source: HttpError,
    },
    /// The token cannot be read.
    #[error("--token-file: {0}")]
    TokenFile(String),
    /// The token has characters that no header can hold.
    #[error(
        "--token-file: the token has characters that a header cannot hold; write only the token into the file"
    )]
    TokenCharacters,
    /// Nothing answered the first request.
    #[error(
        "no observer answers at {observer}: {problem}\n  An observer answers there if it runs with `--admin ADDRESS`. One in a \
        cluster is reached with\n  kubectl -n step-observer port-forward deployment/step-observer 8082"
    )]
    NoAnswer {
        /// Scheme, host and port.
        observer: String,
        /// The cause.
        problem: String,
    },
    /// The observer wants another token, or any.
    #[error(
        "{observer} refuses the request (401): {answer}\n  Give a token with --token-file FILE: the one of admin.auth.bearer, or, \
        with admin.auth.kubernetes, one of a service account (`kubectl create token NAME`)"
    )]
    Unauthorized {
        /// Scheme, host and port.
        observer: String,
        /// Text of the answer.
        answer: String,
    },
    /// The owner of the token may not see the runs, or nobody may.
    #[error(
        "{observer} refuses the request ({status}): {answer}\n  With admin.auth.kubernetes the owner of the token (--token-file) needs \
        this RBAC rule: nonResourceURLs [\"/page/stream\", \"/page/events/*\"], verbs [\"get\"]"
    )]
    Forbidden {
        /// Scheme, host and port.
        observer: String,
        /// 403 or 421.
        status: u16,
        /// Text of the answer.
        answer: String,
    },
    /// Another status, to the first request.
    #[error(
        "{observer} answers with {status}: {answer}\n  It is no observer, or an older one without a live page"
    )]
    Status {
        /// Scheme, host and port.
        observer: String,
        /// The status.
        status: u16,
        /// Text of the answer.
        answer: String,
    },
    /// A message is too large.
    #[error(
        "{observer} sends a message of more than {max_bytes} bytes: it is no observer of this kind"
    )]
    TooLarge {
        /// Scheme, host and port.
        observer: String,
        /// The bound.
        max_bytes: usize,
    },
    /// A message is not as the contract says.
    #[error(
        "{observer} sends something that is not its live page ({problem}): its version may differ from this one"
    )]
    Unreadable {
        /// Scheme, host and port.
        observer: String,
        /// The cause, without quoting the message.
        problem: String,
    },
    /// An answer to a later request is missing; a further attempt may succeed.
    #[error("{observer}: {problem}")]
    Temporary {
        /// Scheme, host and port.
        observer: String,
        /// The cause.
        problem: String,
        /// Pause that the observer asks for.
        retry_after: Option<std::time::Duration>,
    },
}

impl ObserverError {
    /// Returns whether a further attempt may succeed.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Temporary { .. })
    }
}
