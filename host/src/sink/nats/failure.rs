//! Table of NATS failures: defines for each failure what happens to the event.

use super::super::{Attempt, RetryAction};
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::{ConnectError, ConnectErrorKind};
use std::error::Error as _;
use std::time::Duration;

/// Why the stream has not acknowledged an event.
#[derive(Debug)]
pub(super) enum PublishFailure {
    /// A file that the settings name cannot be used.
    Setup(String),
    /// No connection could be made.
    Connect(ConnectError),
    /// The connection was lost.
    Lost,
    /// The stream or the client refuses the message.
    Publish(PublishError),
    /// There was no response in time.
    NoResponse {
        waited: Duration,
        /// Last error that the server reported during the wait.
        server_error: Option<String>,
    },
}

impl PublishFailure {
    /// Returns whether the failure makes the connection unusable for other events, too.
    pub(super) fn breaks_connection(&self) -> bool {
        match self {
            Self::Setup(_) | Self::Connect(_) => false,
            Self::Lost | Self::NoResponse { .. } => true,
            Self::Publish(error) => matches!(
                error.kind(),
                PublishErrorKind::BrokenPipe | PublishErrorKind::TimedOut
            ),
        }
    }

    /// Returns the failure as the outcome of an attempt.
    pub(super) fn attempt(&self) -> Attempt {
        let (action, text, remedy) = match self {
            Self::Setup(text) => (RetryAction::LATER, text.clone(), None),
            Self::Connect(error) => (
                RetryAction::LATER,
                format!("failed to connect: {error}"),
                connect_remedy(error.kind()),
            ),
            Self::Lost => (
                RetryAction::LATER,
                "the connection was lost".to_owned(),
                None,
            ),
            Self::Publish(error) => {
                let (action, remedy) = after_publish(error.kind(), error_code(error));
                (action, error.to_string(), remedy)
            }
            Self::NoResponse {
                waited,
                server_error,
            } => {
                let mut text = format!("no answer within {} ms", waited.as_millis());
                if let Some(error) = server_error {
                    text.push_str(&format!("; the server says: {error}"));
                }
                // The stream may already have stored the event. In that case the stream drops the
                // retried message, because both have the same id.
                (RetryAction::LATER, text, None)
            }
        };
        let reason = match remedy {
            Some(remedy) => format!("{text}; {remedy}"),
            None => text,
        };
        Attempt::failed(action, reason)
    }
}

/// Returns the error code of the stream, if the stream has responded.
fn error_code(error: &PublishError) -> Option<ErrorCode> {
    let response = error.source()?;
    let response: &async_nats::jetstream::Error = response.downcast_ref()?;
    Some(response.error_code())
}

/// Returns the remedy for a failed connection. Users can apply every remedy while events wait.
fn connect_remedy(kind: ConnectErrorKind) -> Option<&'static str> {
    match kind {
        ConnectErrorKind::AuthorizationViolation => Some("does `auth` say who the server expects?"),
        ConnectErrorKind::Authentication => Some("is the seed in `auth` whole?"),
        ConnectErrorKind::Tls => Some("does `tls.caFile` hold the server's authority?"),
        ConnectErrorKind::Dns
        | ConnectErrorKind::Io
        | ConnectErrorKind::TimedOut
        | ConnectErrorKind::ServerParse
        | ConnectErrorKind::MaxReconnects => None,
    }
}

/// Returns what to do after a failed publish, and the remedy.
fn after_publish(
    kind: PublishErrorKind,
    code: Option<ErrorCode>,
) -> (RetryAction, Option<&'static str>) {
    match kind {
        PublishErrorKind::StreamNotFound => (
            RetryAction::LATER,
            Some("make a stream with this subject: nats stream add --subjects SUBJECT"),
        ),
        PublishErrorKind::MaxPayloadExceeded => (
            RetryAction::Reject,
            Some("raise max_payload of the server, or lower event.maxBytes"),
        ),
        PublishErrorKind::Other => match code {
            Some(
                ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM
                | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM,
            ) => (
                RetryAction::Reject,
                Some("raise the stream's largest message, or lower event.maxBytes"),
            ),
            // Other failures may be temporary: a full stream may be emptied, and a stream without a
            // leader elects a leader.
            _ => (RetryAction::LATER, None),
        },
        PublishErrorKind::TimedOut
        | PublishErrorKind::BrokenPipe
        | PublishErrorKind::MaxAckPending
        | PublishErrorKind::WrongLastMessageId
        | PublishErrorKind::WrongLastSequence => (RetryAction::LATER, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_its_row() {
        let full = ErrorCode::STREAM_STORE_FAILED;
        let large = ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM;
        for (kind, code, expected) in [
            (PublishErrorKind::StreamNotFound, None, RetryAction::LATER),
            (PublishErrorKind::TimedOut, None, RetryAction::LATER),
            (PublishErrorKind::BrokenPipe, None, RetryAction::LATER),
            (PublishErrorKind::MaxAckPending, None, RetryAction::LATER),
            (
                PublishErrorKind::MaxPayloadExceeded,
                None,
                RetryAction::Reject,
            ),
            (PublishErrorKind::Other, None, RetryAction::LATER),
            (PublishErrorKind::Other, Some(full), RetryAction::LATER),
            (PublishErrorKind::Other, Some(large), RetryAction::Reject),
        ] {
            assert_eq!(after_publish(kind, code).0, expected, "{kind} {code:?}");
        }
    }

    #[test]
    fn a_failed_connection_never_refuses_an_event() {
        for kind in [
            ConnectErrorKind::AuthorizationViolation,
            ConnectErrorKind::Authentication,
            ConnectErrorKind::Tls,
            ConnectErrorKind::Io,
        ] {
            let attempt = PublishFailure::Connect(ConnectError::new(kind)).attempt();
            assert!(!attempt.is_rejected(), "{attempt:?}");
        }
    }
}
