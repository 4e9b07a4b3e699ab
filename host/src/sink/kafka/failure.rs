//! Table of Kafka failures: defines for each failure what happens to the event.

use super::super::{Attempt, RetryAction};
use rskafka::client::error::{Error, ProtocolError};
use rskafka::{BackoffError, ConnectionError};
use std::time::Duration;

/// Why the topic has not acknowledged an event.
#[derive(Debug)]
pub(super) enum ProduceFailure {
    /// A file that the settings name cannot be used.
    Setup(String),
    /// The topic does not exist.
    NoTopic(String),
    /// A broker cannot be reached, or refuses the event.
    Kafka(Error),
    /// There was no response in time.
    NoResponse(Duration),
}

impl From<Error> for ProduceFailure {
    fn from(error: Error) -> Self {
        Self::Kafka(error)
    }
}

impl ProduceFailure {
    /// Returns whether the connections must be discarded. This holds for every temporary failure,
    /// because new connections find the new partition leaders.
    pub(super) fn breaks_connection(&self) -> bool {
        !self.attempt().is_rejected()
    }

    /// Returns the failure as the outcome of an attempt.
    pub(super) fn attempt(&self) -> Attempt {
        let (action, text, remedy) = match self {
            Self::Setup(text) => (RetryAction::LATER, text.clone(), None),
            Self::NoTopic(topic) => (
                RetryAction::LATER,
                format!("there is no topic `{topic}`"),
                Some("make it: kafka-topics.sh --create --topic NAME"),
            ),
            Self::Kafka(error) => {
                let (action, remedy) = protocol_error(error).map_or(RETRY_LATER, after_response);
                (action, describe(error), remedy)
            }
            Self::NoResponse(waited) => (
                // The topic may already have stored the event. In that case the retry adds a
                // duplicate.
                RetryAction::LATER,
                format!("no answer within {} ms", waited.as_millis()),
                None,
            ),
        };
        let reason = match remedy {
            Some(remedy) => format!("{text}; {remedy}"),
            None => text,
        };
        Attempt::failed(action, reason)
    }
}

const RETRY_LATER: (RetryAction, Option<&str>) = (RetryAction::LATER, None);

/// Returns what to do after an error code of a broker, and the remedy.
fn after_response(error: ProtocolError) -> (RetryAction, Option<&'static str>) {
    match error {
        ProtocolError::MessageTooLarge | ProtocolError::RecordListTooLarge => (
            RetryAction::Reject,
            Some("raise the topic's max.message.bytes, or lower event.maxBytes"),
        ),
        ProtocolError::UnknownTopicOrPartition => (
            RetryAction::LATER,
            Some("make the topic: kafka-topics.sh --create --topic NAME"),
        ),
        ProtocolError::TopicAuthorizationFailed | ProtocolError::ClusterAuthorizationFailed => (
            RetryAction::LATER,
            Some("let the observer write to the topic (kafka-acls.sh --producer)"),
        ),
        // Other failures may be temporary: leaders change, replicas come back, and quotas are
        // raised.
        _ => RETRY_LATER,
    }
}

/// Returns the error code of a broker, if a broker has responded.
fn protocol_error(error: &Error) -> Option<ProtocolError> {
    match error {
        Error::ServerError { protocol_error, .. } => Some(*protocol_error),
        Error::RetryFailed(BackoffError::DeadlineExceded { source, .. }) => {
            protocol_error(source.downcast_ref()?)
        }
        _ => None,
    }
}

/// Returns the message of an error, without the client's text about its own retries.
fn describe(error: &Error) -> String {
    match error {
        Error::ServerError { protocol_error, .. } => protocol_error.to_string(),
        Error::RetryFailed(BackoffError::DeadlineExceded { source, .. }) => {
            let inner: Option<&Error> = source.downcast_ref();
            inner.map_or_else(|| source.to_string(), describe)
        }
        Error::Connection(ConnectionError::RetryFailed(BackoffError::DeadlineExceded {
            source,
            ..
        })) => source.to_string(),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_its_row() {
        for (error, expected) in [
            (ProtocolError::MessageTooLarge, RetryAction::Reject),
            (ProtocolError::RecordListTooLarge, RetryAction::Reject),
            (ProtocolError::NotLeaderOrFollower, RetryAction::LATER),
            (ProtocolError::LeaderNotAvailable, RetryAction::LATER),
            (ProtocolError::NotEnoughReplicas, RetryAction::LATER),
            (ProtocolError::RequestTimedOut, RetryAction::LATER),
            (ProtocolError::UnknownTopicOrPartition, RetryAction::LATER),
            (ProtocolError::TopicAuthorizationFailed, RetryAction::LATER),
            (ProtocolError::Unknown(4711), RetryAction::LATER),
        ] {
            assert_eq!(after_response(error).0, expected, "{error}");
        }
    }
}
