//! What waits for which sink: as JSON, and as metrics.

use super::metric::Metric;
use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
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
    /// Events wait for room, and nothing is accepted.
    pub full: bool,
    /// Namespaces whose events wait for room: they have their share of the journal.
    pub waiting_namespaces: u64,
    /// Events and dead letters that were dropped at the bound since the observer started.
    pub dropped: u64,
    /// Of them, dead letters.
    pub dead_letters_dropped: u64,
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
    /// Until when nothing is sent, because the receiver has asked for a pause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<Timestamp>,
    /// Its dead letters.
    pub dead_letters: u64,
    /// Events that were given up and go on being tried, because there are too many dead letters.
    pub held: u64,
}

#[derive(Debug)]
pub(super) struct Sinks(pub(super) JournalStatus);

/// A metric of each sink.
type Series = (Metric, fn(&SinkStatus) -> u64);

const SERIES: [Series; 6] = [
    (
        Metric::counter("sink_delivered", "Events that a sink has taken"),
        |sink| sink.delivered,
    ),
    (
        Metric::counter(
            "sink_failed_attempts",
            "Attempts to deliver to a sink that failed",
        ),
        |sink| sink.failed_attempts,
    ),
    (
        Metric::gauge("sink_waiting", "Events that wait for a sink"),
        |sink| sink.waiting,
    ),
    (
        Metric::gauge(
            "sink_oldest_seconds",
            "Age of the oldest event that waits for a sink",
        ),
        |sink| sink.oldest_seconds,
    ),
    (
        Metric::gauge("sink_dead_letters", "Dead letters of a sink"),
        |sink| sink.dead_letters,
    ),
    (
        Metric::gauge(
            "sink_held",
            "Events that a sink did not take in time and that go on being tried, because there are too many dead letters",
        ),
        |sink| sink.held,
    ),
];

impl Collector for Sinks {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let encoder = &mut encoder;
        let journal = &self.0;
        let held = journal.sinks.iter();
        let held = held.map(|sink| sink.waiting + sink.dead_letters).sum();
        Metric::gauge(
            "journal_bytes",
            "Bytes of events that wait or are dead letters",
        )
        .encode_u64(encoder, journal.bytes)?;
        Metric::gauge(
            "journal_max_bytes",
            "At so many bytes nothing more is accepted",
        )
        .encode_u64(encoder, journal.max_bytes)?;
        Metric::gauge(
            "journal_events",
            "Events that wait, and dead letters, of all sinks together",
        )
        .encode_u64(encoder, held)?;
        Metric::gauge(
            "journal_disk_full",
            "1 while the journal's disk takes nothing more",
        )
        .encode_u64(encoder, u64::from(journal.disk_full))?;
        Metric::gauge(
            "journal_full",
            "1 while events wait for room in the journal and nothing is accepted",
        )
        .encode_u64(encoder, u64::from(journal.full))?;
        Metric::gauge(
            "journal_waiting_namespaces",
            "Namespaces whose events wait, because they have their share of the journal",
        )
        .encode_u64(encoder, journal.waiting_namespaces)?;
        Metric::counter(
            "journal_dead_letters_dropped",
            "Dead letters that were dropped because there were too many",
        )
        .encode_u64(encoder, journal.dead_letters_dropped)?;
        Metric::counter(
            "journal_dropped",
            "Events and dead letters that were dropped at the bound",
        )
        .encode_u64(encoder, journal.dropped)?;
        Metric::counter(
            "history_left_out",
            "Facts that came too fast for the history",
        )
        .encode_u64(encoder, journal.history_left_out)?;
        for (metric, value) in SERIES {
            let each = journal.sinks.iter();
            let each = each.map(|sink| (sink.name.as_str(), value(sink)));
            metric.encode_family(encoder, "sink", each)?;
        }
        Ok(())
    }
}
