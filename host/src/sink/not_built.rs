//! Wires that a program can be built without: each has a cargo feature of its own name. A program without it still reads, checks and
//! masks the settings, and reports that the wire is missing.

use super::wire::{SettingProblem, SinkContext, Wire};
use super::{Attempt, SinkError};
use crate::event::Encoded;
use std::convert::Infallible;
use std::marker::PhantomData;

/// Settings of a wire that is a cargo feature.
pub(super) trait OptionalSettings: Sync {
    /// Name of the wire in the configuration, and of the cargo feature.
    const NAME: &'static str;

    /// Replaces settings that may be secrets by `***`, so that the configuration can be shown.
    fn mask(&mut self) {}
}

/// Wire that the program was built without. No value of this type exists.
#[derive(Debug)]
#[cfg_attr(
    all(feature = "kafka", feature = "nats", feature = "otlp"),
    allow(dead_code, reason = "used if a feature is off, and by tests")
)]
pub(super) struct NotBuilt<C> {
    never: Infallible,
    settings: PhantomData<C>,
}

impl<C: OptionalSettings + std::fmt::Debug + Send> Wire for NotBuilt<C> {
    type Config = C;

    const NAME: &'static str = C::NAME;
    const MISSING_FEATURE: Option<&'static str> = Some(C::NAME);

    fn problems(_: &C) -> Vec<SettingProblem> {
        vec![(String::new(), not_built::<C>())]
    }

    fn check_files(_: &C) -> Result<(), SinkError> {
        Err(not_built::<C>())
    }

    fn mask(config: &mut C) {
        config.mask();
    }

    async fn open(_: &C, _: &mut SinkContext<'_>) -> Result<Self, SinkError> {
        Err(not_built::<C>())
    }

    async fn send(&self, _: &Encoded) -> Attempt {
        match self.never {}
    }
}

fn not_built<C: OptionalSettings>() -> SinkError {
    SinkError::NotBuilt { wire: C::NAME }
}

#[cfg(test)]
mod tests {
    use super::super::{KafkaConfig, NatsConfig, OtlpConfig};
    use super::*;

    fn refused<C>(config: &str) -> C
    where
        C: OptionalSettings + std::fmt::Debug + Send + serde::de::DeserializeOwned,
    {
        let mut config: C = serde_json::from_str(config).unwrap();
        let message = NotBuilt::check_files(&config).unwrap_err().to_string();
        let problems = NotBuilt::problems(&config);
        assert!(matches!(problems.as_slice(), [(path, problem)]
            if path.is_empty() && problem.to_string() == message));
        let remedy = format!("--features {}", C::NAME);
        assert!(message.contains(&remedy), "{message}");
        <NotBuilt<C> as Wire>::mask(&mut config);
        config
    }

    #[test]
    fn a_configuration_that_needs_a_missing_wire_gets_an_error_with_a_remedy_and_is_masked() {
        refused::<KafkaConfig>(r#"{"brokers": ["broker:9092"], "topic": "steps"}"#);
        let nats: NatsConfig =
            refused(r#"{"servers": ["nats://server/secret"], "subject": "steps"}"#);
        let otlp: Box<OtlpConfig> = refused(
            r#"{"url": "http://collector/secret", "headers": [{"name": "x-key", "value": "secret"}]}"#,
        );
        let shown = serde_json::to_string(&(nats, otlp)).unwrap();
        assert!(
            shown.contains("***") && !shown.contains("secret"),
            "{shown}"
        );
    }
}
