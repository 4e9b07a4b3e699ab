//! Sends events to their destinations, with one module per protocol. A sink makes a single attempt
//! and returns the next action; the room `deliver` makes further attempts.

mod attempt;
mod batcher;
mod defaults;
mod error;
mod file;
mod http;
mod kafka;
mod nats;
mod not_built;
mod otlp;
mod pause_gate;
mod rate_limiter;
mod retry_action;
mod sent_form;
#[cfg(any(feature = "kafka", feature = "nats"))]
mod shared_connection;
mod stdout;
mod tekton;
mod wire;

pub use attempt::{Attempt, DeliveryFailure, RetryAction};
pub use error::SinkError;
pub use file::{FileConfig, Rotation};
pub use http::{BatchConfig, Compression, Handshake, HttpConfig, HttpMode, Signing};
pub use kafka::{Broker, KafkaConfig};
pub use nats::{NatsAuth, NatsConfig, NatsUrl};
pub use otlp::{OtlpConfig, OtlpEncoding, OtlpLogs};
pub use pause_gate::PauseGate;
pub(crate) use rate_limiter::RateLimiter;
pub use retry_action::after_status;
pub use sent_form::{SentEvent, SentForm};
pub use stdout::StdoutConfig;
pub use tekton::{DynamicUrl, TektonConfig};
pub use wire::{FollowTekton, SinkContext};

use crate::event::{EncodeError, Encoded};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use wire::Wire;

/// Declares the wires: their names in the configuration, settings and implementations. A `match`
/// dispatches the calls; trait objects would cost an allocation per attempt, for a boxed future.
macro_rules! wires {
    ($($(#[$doc:meta])* $variant:ident($config:ty) => $wire:ty,)+) => {
        /// The kind of a sink, with its settings.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub enum SinkKind {
            $($(#[$doc])* $variant($config),)+
        }

        /// A sink that is open.
        #[derive(Debug)]
        pub struct Sink(OpenWire);

        #[derive(Debug)]
        enum OpenWire {
            $($variant(Box<$wire>),)+
        }

        impl SinkKind {
            /// Returns the name of the wire in the configuration.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => <$wire>::NAME,)+
                }
            }

            /// Returns all settings that contradict each other or can never be used, each with its path below `to`. Reads
            /// no file and contacts no server.
            pub(crate) fn problems(&self) -> Vec<(String, SinkError)> {
                let problems = match self {
                    $(Self::$variant(config) => <$wire>::problems(config),)+
                };
                let at = |(field, problem): (String, SinkError)| match field.as_str() {
                    "" => (self.name().to_owned(), problem),
                    field => (format!("{}.{field}", self.name()), problem),
                };
                problems.into_iter().map(at).collect()
            }

            /// Reads the secrets and certificates that the settings name. Contacts no server and
            /// creates no file.
            ///
            /// # Errors
            ///
            /// A secret or certificate cannot be used.
            pub(crate) fn check_files(&self) -> Result<(), SinkError> {
                match self {
                    $(Self::$variant(config) => <$wire>::check_files(config),)+
                }
            }

            /// Returns scheme, host and port of the receiver, if it has a URL.
            pub(crate) fn origin(&self) -> Option<String> {
                match self {
                    $(Self::$variant(config) => <$wire>::origin(config),)+
                }
            }

            /// Replaces settings that may be secrets by `***`.
            pub(crate) fn mask(&mut self) {
                match self {
                    $(Self::$variant(config) => <$wire>::mask(config),)+
                }
            }

            /// Returns whether the sink takes the ends of TaskRuns and PipelineRuns.
            pub(crate) fn takes_run_ends(&self) -> bool {
                match self {
                    $(Self::$variant(_) => <$wire>::TAKES_RUN_ENDS,)+
                }
            }

            /// Returns whether the sink takes gaps. A sink that makes spans has none for them.
            pub(crate) fn takes_gaps(&self) -> bool {
                !self.takes_run_ends()
            }

            /// Returns whether the sink takes the ends of PipelineRuns, too.
            pub(crate) fn takes_pipeline_runs(&self) -> bool {
                match self {
                    $(Self::$variant(config) => <$wire>::takes_pipeline_runs(config),)+
                }
            }

            /// Returns the size of the attributes that the sink adds to each event, in bytes.
            pub(crate) fn added_bytes(&self) -> usize {
                match self {
                    $(Self::$variant(config) => <$wire>::added_bytes(config),)+
                }
            }

            /// Opens the sink.
            ///
            /// # Errors
            ///
            /// The settings, or a file that they name, cannot be used.
            pub async fn open(&self, context: &mut SinkContext<'_>) -> Result<Sink, SinkError> {
                let wire = match self {
                    $(Self::$variant(config) => {
                        OpenWire::$variant(Box::new(<$wire>::open(config, context).await?))
                    })+
                };
                Ok(Sink(wire))
            }
        }

        impl Sink {
            /// Sends an event once. The end of a run that the wire does not take counts as delivered: the
            /// sink took it under an earlier configuration, or another sink gave it up.
            pub async fn send(&self, event: &Encoded) -> Attempt {
                match &self.0 {
                    $(OpenWire::$variant(_) if !<$wire>::TAKES_RUN_ENDS && event.is_run_end() => {
                        Attempt::Delivered
                    })+
                    $(OpenWire::$variant(wire) => wire.send(event).await,)+
                }
            }

            /// Returns how long an attempt may take.
            #[must_use]
            pub fn timeout(&self) -> Duration {
                match &self.0 {
                    $(OpenWire::$variant(wire) => wire.timeout(),)+
                }
            }

            /// Returns how many events may be in flight at a time.
            #[must_use]
            pub fn concurrency(&self) -> usize {
                match &self.0 {
                    $(OpenWire::$variant(wire) => wire.concurrency(),)+
                }
            }

            /// Replaces the gate that holds the pauses of the receiver.
            #[must_use]
            pub fn with_pause_gate(self, gate: PauseGate) -> Self {
                Self(match self.0 {
                    $(OpenWire::$variant(wire) => {
                        OpenWire::$variant(Box::new(wire.with_pause_gate(gate)))
                    })+
                })
            }

            /// Waits until the sink has another receiver than at the last attempt.
            pub(crate) async fn receiver_changed(&self) {
                match &self.0 {
                    $(OpenWire::$variant(wire) => wire.receiver_changed().await,)+
                }
            }
        }

        /// Returns the crates whose own log lines are switched off, because wires report their errors.
        #[must_use]
        pub fn silenced_crates() -> Vec<&'static str> {
            [$(<$wire>::SILENCED_CRATES,)+].concat()
        }

        /// Returns the names of all wires, each with its missing cargo feature: the wire needs it,
        /// but this program was built without it. `None` if the wire can be used.
        #[must_use]
        pub fn wire_names() -> Vec<(&'static str, Option<&'static str>)> {
            vec![$((<$wire>::NAME, <$wire>::MISSING_FEATURE),)+]
        }
    };
}

wires! {
    /// Standard output, one event a line.
    Stdout(StdoutConfig) => stdout::Stdout,
    /// A file, one event a line.
    File(FileConfig) => file::File,
    /// An HTTP receiver of CloudEvents.
    Http(Box<HttpConfig>) => http::Http,
    /// A NATS JetStream stream.
    Nats(NatsConfig) => nats::Nats,
    /// An OpenTelemetry collector: steps and TaskRuns as spans, logs as log records.
    Otlp(Box<OtlpConfig>) => otlp::Otlp,
    /// The sink to which Tekton sends its own events. The observer follows changes of Tekton's
    /// configuration. While Tekton has no sink, events wait.
    Tekton(TektonConfig) => tekton::DynamicHttp,
    /// A Kafka topic.
    Kafka(KafkaConfig) => kafka::Kafka,
}

/// Rejects an event that cannot be encoded: no later attempt can deliver it.
fn reject_unencodable(error: &EncodeError) -> Attempt {
    Attempt::reject(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HttpUrl;
    use futures::FutureExt as _;

    #[test]
    fn an_attempt_takes_no_more_memory_than_its_wire_needs() {
        let url = HttpUrl::try_from("http://receiver/".to_owned()).unwrap();
        let kind = SinkKind::Http(HttpConfig::new(url).into());
        let mut context = SinkContext::default();
        let sink = kind.open(&mut context).now_or_never().unwrap().unwrap();
        let event = Encoded::from_structured("{}".into());
        // Without boxing, the futures of NATS and Kafka would take up to 14 KiB.
        assert!(size_of_val(&sink.send(&event)) < 2048);
    }

    #[test]
    fn a_kind_is_named_as_the_configuration_writes_it() {
        let kinds = [
            r#"{"stdout": {}}"#,
            r#"{"file": {"path": "events"}}"#,
            r#"{"http": {"url": "http://receiver/"}}"#,
            r#"{"nats": {"servers": ["nats://server"], "subject": "steps"}}"#,
            r#"{"kafka": {"brokers": ["broker:9092"], "topic": "steps"}}"#,
            r#"{"tekton": {}}"#,
            r#"{"otlp": {"url": "http://collector:4318"}}"#,
        ];
        for kind in kinds {
            let kind: SinkKind = serde_json::from_str(kind).unwrap();
            let written = serde_json::to_value(&kind).unwrap();
            assert!(written.get(kind.name()).is_some(), "{written}");
        }
    }
}
