//! A sink asks for a pause: who is told of it. That nothing is sent meanwhile is `sink::PauseGate`'s business.

use super::Delivery;
use crate::clock;
use crate::history::{self, What};
use std::time::Duration;
use tokio::time::Instant;
use tracing::warn;

/// Wishes for a pause that end within this time are one.
const TOGETHER: Duration = Duration::from_secs(1);

impl Delivery {
    /// Reports a pause, once for all requests that are answered so together.
    pub(super) fn paused(&self, asked: Duration, length: Duration, reason: &str) {
        let until = Instant::now() + length;
        {
            let known = self.paused_until.lock();
            let mut known = known;
            if known.is_some_and(|known| until < known + TOGETHER) {
                return;
            }
            *known = Some(until);
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
        let paused = || What::Paused {
            sink: sink.clone(),
            until,
        };
        self.history
            .tell(now, || (history::of_sink(sink), paused()));
    }
}
