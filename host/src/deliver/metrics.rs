//! Metrics of the deliveries.

use crate::clock;
use crate::event::Encoded;
use crate::journal::{Journal, WaitingEvent};
use crate::metrics::{Counter, Gauge, Histogram, Registry};
use crate::sink::PauseGate;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// Upper bounds of delivery durations: 0.5 ms, doubled up to 65.5 s.
const DURATION_BUCKETS: (Duration, usize) = (Duration::from_micros(500), 18);
/// Upper bounds of event delays: 1 ms, doubled up to 16,777 s (4.7 h).
const DELAY_BUCKETS: (Duration, usize) = (Duration::from_millis(1), 25);

/// Counts the outcomes of the events for one sink, since the observer started or its configuration
/// changed.
#[derive(Debug)]
pub struct SinkMetrics {
    /// The pause that the sink asked for. `/status` shows it.
    pub(super) pause: PauseGate,
    /// Events that the sink acknowledged.
    pub(super) delivered: Counter,
    /// Events that became dead letters.
    pub(super) dead_lettered: Counter,
    /// Attempts that failed.
    pub(super) failed_attempts: Counter,
    /// Events that should become dead letters but find no room.
    pub(super) held: Gauge,
    /// Durations of attempts, successful or not.
    duration: Histogram,
    /// Delays of acknowledged events.
    delay: Histogram,
}

impl SinkMetrics {
    pub(crate) fn new(pause: PauseGate) -> Self {
        let histogram = |(first, bounds)| Histogram::new(first, bounds);
        Self {
            pause,
            delivered: Counter::default(),
            dead_lettered: Counter::default(),
            failed_attempts: Counter::default(),
            held: Gauge::default(),
            duration: histogram(DURATION_BUCKETS),
            delay: histogram(DELAY_BUCKETS),
        }
    }

    /// Registers the metrics of all sinks of a configuration, and the numbers of events that the
    /// journal holds for them.
    pub(crate) fn register(
        registry: &mut Registry,
        journal: &Journal,
        sinks: &[(String, Arc<Self>)],
    ) {
        let each = |name, help, counter: fn(&Self) -> &Counter, registry: &mut Registry| {
            let sinks = sinks.iter();
            let counters = sinks.map(|(sink, metrics)| (sink.as_str(), counter(metrics)));
            registry.register_family(name, help, "sink", counters);
        };
        each(
            "sink_delivered",
            "Events that a sink acknowledged",
            |sink| &sink.delivered,
            registry,
        );
        each(
            "sink_failed_attempts",
            "Failed attempts to deliver to a sink",
            |sink| &sink.failed_attempts,
            registry,
        );
        let held = sinks.iter().map(|(sink, metrics)| (sink, &metrics.held));
        registry.register_family(
            "sink_held",
            "Events that a sink did not acknowledge in time and that are still retried, because there are too many dead \
             letters",
            "sink",
            held,
        );
        let durations = sinks
            .iter()
            .map(|(sink, metrics)| (sink, &metrics.duration));
        registry.register_family(
            "sink_delivery_duration_seconds",
            "Duration of an attempt to deliver to a sink, from its start to the acknowledgement or the failure",
            "sink",
            durations,
        );
        let delays = sinks.iter().map(|(sink, metrics)| (sink, &metrics.delay));
        registry.register_family(
            "event_delay_seconds",
            "Time from the observation of a transition (recordedtime of its event) to the acknowledgement by a sink; \
             includes reading the log, plugins, the journal, retries and pauses",
            "sink",
            delays,
        );
        let names = sinks.iter().map(|(sink, _)| sink.clone()).collect();
        register_backlogs(registry, journal.clone(), names);
    }

    /// Counts an attempt to deliver.
    pub(super) fn observe_attempt(&self, duration: Duration) {
        self.duration.observe(duration);
    }

    /// Counts an event that the sink acknowledged just now.
    ///
    /// Its delay begins when its transition was observed. Without a readable `recordedtime`, it begins
    /// when the journal accepted the event.
    pub(super) fn count_delivered(&self, event: &Encoded, accepted: Timestamp) {
        self.delivered.increment();
        let observed = event.attribute("recordedtime");
        let observed = observed.and_then(|time| time.parse().ok());
        self.delay
            .observe(clock::since(observed.unwrap_or(accepted)));
    }

    /// Returns how long the pause that the sink asked for still lasts.
    #[must_use]
    pub fn pause(&self) -> Option<Duration> {
        self.pause.remaining()
    }

    /// Returns the number of events that the sink acknowledged.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered.get()
    }

    /// Returns the number of failed attempts.
    #[must_use]
    pub fn failed_attempts(&self) -> u64 {
        self.failed_attempts.get()
    }

    /// Returns the number of events that are still retried because there are too many dead letters.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held.get()
    }

    /// Returns the number of events that became dead letters.
    #[must_use]
    pub fn dead_lettered(&self) -> u64 {
        self.dead_lettered.get()
    }
}

/// Numbers of one sink's events in the journal.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SinkBacklog {
    /// Events that wait for the sink.
    pub(crate) waiting: u64,
    /// Age of the oldest of them.
    pub(crate) oldest: Duration,
    /// Dead letters of the sink.
    pub(crate) dead_letters: u64,
}

impl SinkBacklog {
    /// Reads the backlog of a sink.
    pub(crate) fn read(journal: &Journal, sink: &str) -> Self {
        let (waiting, dead_letters) = journal.counts(sink);
        let oldest = journal.waiting(sink, 0, 1).into_iter().next();
        let age = |event: WaitingEvent| clock::since(event.at);
        Self {
            waiting,
            oldest: oldest.map_or(Duration::ZERO, age),
            dead_letters,
        }
    }
}

fn register_backlogs(registry: &mut Registry, journal: Journal, sinks: Vec<String>) {
    registry.register_samples(move |samples| {
        let backlogs = sinks.iter().map(|sink| SinkBacklog::read(&journal, sink));
        let backlogs: Vec<SinkBacklog> = backlogs.collect();
        let each = |value: fn(&SinkBacklog) -> u64| {
            let named = sinks.iter().zip(&backlogs);
            named.map(move |(sink, backlog)| ([sink.as_str()], value(backlog)))
        };
        samples.gauge(
            "journal_events",
            "Events that wait, and dead letters, of all sinks",
            each(|backlog| backlog.waiting + backlog.dead_letters)
                .map(|(_, events)| events)
                .sum::<u64>(),
        )?;
        samples.gauges(
            "sink_waiting",
            "Events that wait for a sink",
            ["sink"],
            each(|backlog| backlog.waiting),
        )?;
        samples.gauges(
            "sink_oldest_seconds",
            "Age in seconds of the oldest event that waits for a sink",
            ["sink"],
            each(|backlog| backlog.oldest.as_secs()),
        )?;
        samples.gauges(
            "sink_dead_letters",
            "Dead letters of a sink",
            ["sink"],
            each(|backlog| backlog.dead_letters),
        )
    });
}
