//! What waits for which sink: as JSON, and as metrics.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use serde::Serialize;
use std::fmt::Error;

/// What the journal holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JournalStatus {
    /// Bytes of events that wait or are dead letters.
    pub bytes: u64,
    /// At so many nothing more is accepted.
    pub max_bytes: u64,
    /// Events and dead letters that were dropped at the bound since the observer started.
    pub dropped: u64,
    /// Its disk takes nothing more at the moment.
    pub disk_full: bool,
    /// Facts that the history left out because they came too fast, since the observer started.
    pub history_left_out: u64,
    /// Each sink.
    pub sinks: Vec<SinkStatus>,
}

/// How it stands with a sink.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SinkStatus {
    /// Its name.
    pub name: String,
    /// Events that it has taken since the observer started, or its configuration changed.
    pub delivered: u64,
    /// Attempts that failed since the observer started, or its configuration changed.
    pub failed_attempts: u64,
    /// Events that wait for it.
    pub waiting: u64,
    /// Age of the oldest of them in seconds.
    pub oldest_seconds: u64,
    /// Its dead letters.
    pub dead_letters: u64,
}

#[derive(Debug)]
pub(super) struct Sinks(pub(super) JournalStatus);

/// A gauge or counter of each sink.
type Series = (
    &'static str,
    &'static str,
    MetricType,
    fn(&SinkStatus) -> u64,
);

const SERIES: [Series; 5] = [
    (
        "sink_delivered",
        "Events that a sink has taken",
        MetricType::Counter,
        |sink| sink.delivered,
    ),
    (
        "sink_failed_attempts",
        "Attempts to deliver to a sink that failed",
        MetricType::Counter,
        |sink| sink.failed_attempts,
    ),
    (
        "sink_waiting",
        "Events that wait for a sink",
        MetricType::Gauge,
        |sink| sink.waiting,
    ),
    (
        "sink_oldest_seconds",
        "Age of the oldest event that waits for a sink",
        MetricType::Gauge,
        |sink| sink.oldest_seconds,
    ),
    (
        "sink_dead_letters",
        "Dead letters of a sink",
        MetricType::Gauge,
        |sink| sink.dead_letters,
    ),
];

impl Collector for Sinks {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        for (name, help, value) in [
            (
                "journal_bytes",
                "Bytes of events that wait or are dead letters",
                self.0.bytes,
            ),
            (
                "journal_max_bytes",
                "At so many bytes nothing more is accepted",
                self.0.max_bytes,
            ),
            (
                "journal_events",
                "Events that wait, and dead letters, of all sinks together",
                self.0
                    .sinks
                    .iter()
                    .map(|sink| sink.waiting + sink.dead_letters)
                    .sum(),
            ),
            (
                "journal_disk_full",
                "1 while the journal's disk takes nothing more",
                u64::from(self.0.disk_full),
            ),
        ] {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            gauge(value).encode(metric)?;
        }
        for (name, help, value) in [
            (
                "journal_dropped",
                "Events and dead letters that were dropped at the bound",
                self.0.dropped,
            ),
            (
                "history_left_out",
                "Facts that came too fast for the history",
                self.0.history_left_out,
            ),
        ] {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(value).encode(metric)?;
        }
        for (name, help, kind, value) in SERIES {
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            for sink in &self.0.sinks {
                let labels = [("sink", sink.name.as_str())];
                let metric = family.encode_family(&labels)?;
                match kind {
                    MetricType::Counter => ConstCounter::new(value(sink)).encode(metric)?,
                    _ => gauge(value(sink)).encode(metric)?,
                }
            }
        }
        Ok(())
    }
}

pub(super) fn gauge(value: u64) -> ConstGauge<i64> {
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX))
}
