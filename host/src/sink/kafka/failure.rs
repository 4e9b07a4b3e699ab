//! What a failure means for the event: a table, as data.

use super::super::{Attempt, Next};
use rskafka::client::error::{Error, ProtocolError};
use rskafka::{BackoffError, ConnectionError};
use std::time::Duration;

/// Why the topic does not have an event.
#[derive(Debug)]
pub(super) enum Failure {
    /// What the configuration names cannot be used.
    Setup(String),
    /// There is no such topic.
    NoTopic(String),
    /// A broker cannot be reached, or refuses.
    Kafka(Error),
    /// Nothing came back in time.
    Silence(Duration),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Kafka(error)
    }
}

impl Failure {
    /// The connections are of no use to others either. Whatever it was, leaders are found anew then.
    pub(super) fn breaks_connection(&self) -> bool {
        !self.attempt().is_rejected()
    }

    /// What to do with the event.
    pub(super) fn attempt(&self) -> Attempt {
        let (next, text, remedy) = match self {
            Self::Setup(text) => (Next::LATER, text.clone(), None),
            Self::NoTopic(topic) => (
                Next::LATER,
                format!("there is no topic `{topic}`"),
                Some("make it: kafka-topics.sh --create --topic NAME"),
            ),
            Self::Kafka(error) => {
                let (next, remedy) = protocol(error).map_or(UNKNOWN, after);
                (next, describe(error), remedy)
            }
            Self::Silence(waited) => (
                // It may have arrived, and comes twice then.
                Next::LATER,
                format!("no answer within {} ms", waited.as_millis()),
                None,
            ),
        };
        let reason = match remedy {
            Some(remedy) => format!("{text}; {remedy}"),
            None => text,
        };
        Attempt::failed(next, reason)
    }
}

const UNKNOWN: (Next, Option<&str>) = (Next::LATER, None);

/// What a broker's answer means, and what mends it.
fn after(error: ProtocolError) -> (Next, Option<&'static str>) {
    match error {
        ProtocolError::MessageTooLarge | ProtocolError::RecordListTooLarge => (
            Next::Reject,
            Some("raise the topic's max.message.bytes, or lower event.maxBytes"),
        ),
        ProtocolError::UnknownTopicOrPartition => (
            Next::LATER,
            Some("make the topic: kafka-topics.sh --create --topic NAME"),
        ),
        ProtocolError::TopicAuthorizationFailed | ProtocolError::ClusterAuthorizationFailed => (
            Next::LATER,
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
            (ProtocolError::MessageTooLarge, Next::Reject),
            (ProtocolError::RecordListTooLarge, Next::Reject),
            (ProtocolError::NotLeaderOrFollower, Next::LATER),
            (ProtocolError::LeaderNotAvailable, Next::LATER),
            (ProtocolError::NotEnoughReplicas, Next::LATER),
            (ProtocolError::RequestTimedOut, Next::LATER),
            (ProtocolError::UnknownTopicOrPartition, Next::LATER),
            (ProtocolError::TopicAuthorizationFailed, Next::LATER),
            (ProtocolError::Unknown(4711), Next::LATER),
        ] {
            assert_eq!(after(error).0, expected, "{error}");
        }
    }
}
