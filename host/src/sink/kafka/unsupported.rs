//! Stands for the sink in a program that was built without it.

use super::super::{Attempt, SinkError};
use super::KafkaConfig;
use crate::event::Encoded;
use std::time::Duration;

/// There is none.
#[derive(Debug)]
pub enum Kafka {}

impl Kafka {
    pub(in super::super) fn new(_: &KafkaConfig) -> Result<Self, SinkError> {
        Err(super::absent())
    }

    pub(in super::super) fn concurrency(&self) -> usize {
        match *self {}
    }

    pub(in super::super) fn timeout(&self) -> Duration {
        match *self {}
    }

    pub(in super::super) async fn send(&self, _: &Encoded) -> Attempt {
        match *self {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_needs_it_gets_an_error_with_a_remedy() {
        let config = r#"{"brokers": ["broker:9092"], "topic": "steps"}"#;
        let config: KafkaConfig = serde_json::from_str(config).unwrap();
        let told = Kafka::new(&config).unwrap_err().to_string();
        assert_eq!(config.check().unwrap_err().to_string(), told);
        assert!(told.contains("--features kafka"), "{told}");
    }
}
