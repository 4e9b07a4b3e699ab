//! What a failure means for the event: a table, as data.

use super::super::{Attempt, RetryAction};
use rskafka::client::error::{Error, ProtocolError};
use rskafka::{BackoffError, ConnectionError};
use std::time::Duration;

/// Why the topic does not have an event.
#[derive(Debug)]
pub(super) enum ProduceFailure {
    /// What the configuration names cannot be used.
    Setup(String),
    /// There is no such topic.
    NoTopic(String),
    /// A broker cannot be reached, or refuses.
    Kafka(Error),
    /// Nothing came back in time.
    Silence(Duration),
}

impl From<Error> for ProduceFailure {
    fn from(error: Error) -> Self {
        Self::Kafka(error)
    }
}

impl ProduceFailure {
    /// The connections are of no use to others either. Whatever it was, leaders are found anew then.
    pub(super) fn breaks_connection(&self) -> bool {
        !self.attempt().is_rejected()
    }

    /// What to do with the event.
    pub(super) fn attempt(&self) -> Attempt {
        let (action, text, remedy) = match self {
            Self::Setup(text) => (RetryAction::LATER, text.clone(), None),
            Self::NoTopic(topic) => (
                RetryAction::LATER,
                format!("there is no topic `{topic}`"),
                Some("make it: kafka-topics.sh --create --topic NAME"),
            ),
            Self::Kafka(error) => {
                let (action, remedy) = protocol(error).map_or(UNKNOWN, after);
                (action, describe(error), remedy)
            }
            Self::Silence(waited) => (
                // It may have arrived, and comes twice then.
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

const UNKNOWN: (RetryAction, Option<&str>) = (RetryAction::LATER, None);

/// What a broker's answer means, and what mends it.
fn after(error: ProtocolError) -> (RetryAction, Option<&'static str>) {
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
        // Leaders change, replicas come back, quotas are raised.
        _ => UNKNOWN,
    }
}

/// What a broker answered.
fn protocol(error: &Error) -> Option<ProtocolError> {
    match error {
        Error::ServerError { protocol_error, .. } => Some(*protocol_error),
        Error::RetryFailed(BackoffError::DeadlineExceded { source, .. }) => {
            protocol(source.downcast_ref()?)
        }
        _ => None,
    }
}

/// Without the words on retries that were not wanted.
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
            assert_eq!(after(error).0, expected, "{error}");
        }
    }
}
