//! What a failure means for the event: a table, as data.

use super::super::{Attempt, RetryAction};
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::{ConnectError, ConnectErrorKind};
use std::error::Error as _;
use std::time::Duration;

/// Why the stream does not have an event.
#[derive(Debug)]
pub(super) enum PublishFailure {
    /// What the configuration names cannot be used.
    Setup(String),
    /// There is no connection.
    Connect(ConnectError),
    /// There was one.
    Lost,
    /// The publish failed.
    Publish(PublishError),
    /// Nothing came back in time.
    Silence {
        waited: Duration,
        /// What the server complained of meanwhile.
        last_error: Option<String>,
    },
}

impl PublishFailure {
    /// The connection is of no use to others either.
    pub(super) fn breaks_connection(&self) -> bool {
        match self {
            Self::Setup(_) | Self::Connect(_) => false,
            Self::Lost | Self::Silence { .. } => true,
            Self::Publish(error) => matches!(
                error.kind(),
                PublishErrorKind::BrokenPipe | PublishErrorKind::TimedOut
            ),
        }
    }

    /// What to do with the event.
    pub(super) fn attempt(&self) -> Attempt {
        let (action, text, remedy) = match self {
            Self::Setup(text) => (RetryAction::LATER, text.clone(), None),
            Self::Connect(error) => (
                RetryAction::LATER,
                format!("failed to connect: {error}"),
                after_connect(error.kind()),
            ),
            Self::Lost => (
                RetryAction::LATER,
                "the connection was lost".to_owned(),
                None,
            ),
            Self::Publish(error) => {
                let (action, remedy) = after_publish(error.kind(), code(error));
                (action, error.to_string(), remedy)
            }
            Self::Silence { waited, last_error } => {
                let mut text = format!("no answer within {} ms", waited.as_millis());
                if let Some(last_error) = last_error {
                    text.push_str(&format!("; the server says: {last_error}"));
                }
                // It may have arrived: the stream knows it by its id then.
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

/// What the stream answered.
fn code(error: &PublishError) -> Option<ErrorCode> {
    let answer = error.source()?;
    let answer: &async_nats::jetstream::Error = answer.downcast_ref()?;
    Some(answer.error_code())
}

/// What mends a connection that cannot be made. All of it may be mended while events wait.
fn after_connect(kind: ConnectErrorKind) -> Option<&'static str> {
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

/// What an answer to a publish means, and what mends it.
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
            // A stream that is full may be emptied; one without a leader will have one.
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
