//! Reports that a sink asks for a pause. `sink::PauseGate` holds requests back until it is over.

use super::Delivery;
use crate::clock;
use crate::history::{self, EventStage};
use std::time::Duration;
use tokio::time::Instant;
use tracing::warn;

/// Pauses whose ends differ by less than this are reported as one pause.
const SAME_PAUSE: Duration = Duration::from_secs(1);

impl Delivery {
    /// Reports a pause. Several attempts may be answered with the same pause: it is reported once.
    pub(super) fn report_pause(&self, asked: Duration, length: Duration, reason: &str) {
        let until = Instant::now() + length;
        {
            let mut reported = self.paused_until.lock();
            if reported.is_some_and(|reported| until < reported + SAME_PAUSE) {
                return;
            }
            *reported = Some(until);
        }
        let (sink, now) = (&self.name, clock::now());
        let until = now.checked_add(length).unwrap_or(now);
        if asked > length {
            warn!(
                sink,
                reason,
                ?asked,
                ?length,
                "the receiver asks for a longer pause than it gets (retry.maxPauseMs)"
            );
        }
        warn!(
            sink,
            reason,
            ?length,
            %until,
            "the receiver asks for a pause: nothing is sent to this sink until it is over"
        );
        self.history.record(now, || {
            let paused = EventStage::Paused {
                sink: sink.clone(),
                until,
            };
            (history::sink_key(sink), paused)
        });
    }
}
