//! What a failure means for the event: a table, as data.

use super::super::{Attempt, Next};
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::{ConnectError, ConnectErrorKind};
use std::error::Error as _;
use std::time::Duration;

/// Why the stream does not have an event.
#[derive(Debug)]
pub(super) enum Failure {
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
        complaint: Option<String>,
    },
}

impl Failure {
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
        let (next, text, remedy) = match self {
            Self::Setup(text) => (Next::LATER, text.clone(), None),
            Self::Connect(error) => (
                Next::LATER,
                format!("failed to connect: {error}"),
                after_connect(error.kind()),
            ),
            Self::Lost => (Next::LATER, "the connection was lost".to_owned(), None),
            Self::Publish(error) => {
                let (next, remedy) = after_publish(error.kind(), code(error));
                (next, error.to_string(), remedy)
            }
            Self::Silence { waited, complaint } => {
                let mut text = format!("no answer within {} ms", waited.as_millis());
                if let Some(complaint) = complaint {
                    text.push_str(&format!("; the server says: {complaint}"));
                }
                // It may have arrived: the stream knows it by its id then.
                (Next::LATER, text, None)
            }
        };
        let reason = match remedy {
            Some(remedy) => format!("{text}; {remedy}"),
            None => text,
        };
        Attempt::failed(next, reason)
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
fn after_publish(kind: PublishErrorKind, code: Option<ErrorCode>) -> (Next, Option<&'static str>) {
    match kind {
        PublishErrorKind::StreamNotFound => (
            Next::LATER,
            Some("make a stream with this subject: nats stream add --subjects SUBJECT"),
        ),
        PublishErrorKind::MaxPayloadExceeded => (
            Next::Reject,
            Some("raise max_payload of the server, or lower event.maxBytes"),
        ),
        PublishErrorKind::Other => match code {
            Some(
                ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM
                | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM,
            ) => (
                Next::Reject,
                Some("raise the stream's largest message, or lower event.maxBytes"),
            ),
            // A stream that is full may be emptied; one without a leader will have one.
            _ => (Next::LATER, None),
        },
        PublishErrorKind::TimedOut
        | PublishErrorKind::BrokenPipe
        | PublishErrorKind::MaxAckPending
        | PublishErrorKind::WrongLastMessageId
        | PublishErrorKind::WrongLastSequence => (Next::LATER, None),
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
            (PublishErrorKind::StreamNotFound, None, Next::LATER),
            (PublishErrorKind::TimedOut, None, Next::LATER),
            (PublishErrorKind::BrokenPipe, None, Next::LATER),
            (PublishErrorKind::MaxAckPending, None, Next::LATER),
            (PublishErrorKind::MaxPayloadExceeded, None, Next::Reject),
            (PublishErrorKind::Other, None, Next::LATER),
            (PublishErrorKind::Other, Some(full), Next::LATER),
            (PublishErrorKind::Other, Some(large), Next::Reject),
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
            let attempt = Failure::Connect(ConnectError::new(kind)).attempt();
            assert!(!attempt.is_rejected(), "{attempt:?}");
        }
    }
}
