//! Placeholder for the Kafka wire in a program that was built without it.

use super::super::wire::{SettingProblem, SinkContext, Wire};
use super::super::{Attempt, SinkError};
use super::KafkaConfig;
use crate::event::Encoded;
use std::convert::Infallible;

/// Type of a wire that cannot be opened. No value of this type exists.
#[derive(Debug)]
pub(crate) struct Kafka(Infallible);

impl Wire for Kafka {
    type Config = KafkaConfig;

    const NAME: &'static str = super::NAME;
    const SILENCED_CRATES: &'static [&'static str] = super::SILENCED_CRATES;
    const MISSING_FEATURE: Option<&'static str> = Some(super::FEATURE);

    fn problems(config: &KafkaConfig) -> Vec<SettingProblem> {
        super::problems(config)
    }

    fn check_files(_: &KafkaConfig) -> Result<(), SinkError> {
        Err(super::not_built())
    }

    async fn open(_: &KafkaConfig, _: &mut SinkContext<'_>) -> Result<Self, SinkError> {
        Err(super::not_built())
    }

    async fn send(&self, _: &Encoded) -> Attempt {
        match self.0 {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_needs_it_gets_an_error_with_a_remedy() {
        let config = r#"{"brokers": ["broker:9092"], "topic": "steps"}"#;
        let config: KafkaConfig = serde_json::from_str(config).unwrap();
        let message = Kafka::check_files(&config).unwrap_err().to_string();
        let problems = Kafka::problems(&config);
        assert!(matches!(problems.as_slice(), [(path, problem)]
            if path.is_empty() && problem.to_string() == message));
        assert!(message.contains("--features kafka"), "{message}");
    }
}
