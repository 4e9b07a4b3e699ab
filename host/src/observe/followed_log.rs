//! Reads a log while its step runs, and reconnects when the connection breaks. Each line is kept
//! once.

use super::change::LogTarget;
use super::cluster_logs::{ClusterLogs, ReadError};
use super::log_capture::LogCapture;
use super::log_mask::LogMasks;
use crate::locked::Locked;
use crate::step::CapturedLog;
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use std::sync::Arc;
use std::time::Duration;
use step_observer_core::Backoff;
use tokio::sync::watch;
use tracing::debug;

/// Bounds the bytes of the timestamp before a line, with the space after it. A timestamp in RFC
/// 3339 with nanoseconds and an offset takes 35 bytes.
const MAX_TIMESTAMP_BYTES: usize = 40;
/// Delays between two attempts to reconnect.
const RECONNECT_BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(200),
    max: Duration::from_secs(2),
};

/// A log that is read while its step runs.
#[derive(Clone, Debug)]
pub struct FollowedLog(Arc<Follow>);

#[derive(Debug)]
struct Follow {
    capture: Locked<LogCapture>,
    state: watch::Sender<FollowState>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FollowState {
    /// The read waits for a free slot.
    Waiting,
    Reading,
    /// The log was read to its end.
    Complete,
    /// The Pod is gone, and the end of the log was not read.
    Broken,
    /// The log is no longer wanted.
    Abandoned,
}

impl FollowedLog {
    /// Starts to follow a log. The returned future reads it and must be polled to its end.
    pub(crate) fn start(
        logs: ClusterLogs,
        target: LogTarget,
        max_bytes: usize,
        masks: Arc<dyn LogMasks>,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let reading = Arc::new(Follow {
            capture: Locked::new(LogCapture::new(max_bytes)),
            state: watch::Sender::new(FollowState::Waiting),
        });
        let follower = reading.clone();
        let read = async move {
            let mut state = follower.state.subscribe();
            let left = state.wait_for(|state| *state == FollowState::Abandoned);
            let masked_follow = async {
                let mask = masks.mask_of(&target).await;
                *follower.capture() = LogCapture::masked(max_bytes, &mask);
                follower.follow(&logs, &target).await
            };
            tokio::select! {
                end = masked_follow => drop(follower.state.send_replace(end)),
                _ = left => {}
            }
        };
        (Self(reading), read)
    }

    /// Ends the read: the log is no longer wanted.
    pub fn abandon(&self) {
        self.0.state.send_replace(FollowState::Abandoned);
    }

    /// Returns the log of a step that has ended, and whether it is complete or only the part that
    /// was read within `timeout`. Returns `None` if reading has not started.
    pub async fn finish(self, timeout: Duration) -> Option<(CapturedLog, bool)> {
        let mut state = self.0.state.subscribe();
        if *state.borrow() != FollowState::Waiting {
            let ended_once = state
                .wait_for(|state| matches!(state, FollowState::Complete | FollowState::Broken));
            tokio::time::timeout(timeout, ended_once).await.ok();
        }
        let ended_once = self.0.state.send_replace(FollowState::Abandoned);
        let empty = LogCapture::new(0);
        let capture = std::mem::replace(&mut *self.0.capture(), empty);
        match ended_once {
            FollowState::Complete => Some((capture.finish(), true)),
            FollowState::Reading => {
                let log = capture.finish_incomplete(format!("not read within {timeout:?}"));
                log.map(|log| (log, false))
            }
            FollowState::Broken => {
                let log = capture
                    .finish_incomplete("the pod was gone before the end of its log was read");
                log.map(|log| (log, false))
            }
            FollowState::Waiting | FollowState::Abandoned => None,
        }
    }
}

impl Follow {
    fn capture(&self) -> std::sync::MutexGuard<'_, LogCapture> {
        self.capture.lock()
    }

    async fn follow(&self, logs: &ClusterLogs, target: &LogTarget) -> FollowState {
        let _slot = logs.follower_slot(&target.namespace).await;
        self.state.send_replace(FollowState::Reading);
        let mut lines = TimestampedLines::default();
        let mut failures = 0;
        let mut ended_once = false;
        loop {
            let since = lines.restart();
            let mut progress = false;
            let piece = |piece: &[u8]| {
                lines.push(piece, |text| {
                    progress |= !text.is_empty();
                    self.capture().push(text);
                });
            };
            let error = match logs.follow_from(target, since, piece).await {
                // When the kubelet restarts, the API server ends the log as if it were complete. So
                // the end counts only if a second read finds nothing more.
                Ok(()) if ended_once && !progress => return FollowState::Complete,
                Ok(()) => {
                    ended_once = true;
                    continue;
                }
                Err(ReadError::Gone) => return FollowState::Broken,
                Err(ReadError::Unreachable(error) | ReadError::Other(error)) => error,
            };
            ended_once = false;
            failures = if progress { 1 } else { failures + 1 };
            let delay = RECONNECT_BACKOFF.delay(failures, fastrand::f64());
            debug!(
                pod = &*target.pod,
                container = &*target.container,
                error,
                ?delay,
                "log connection broke, reconnecting"
            );
            tokio::time::sleep(delay).await;
        }
    }
}

/// Removes the timestamps from a log that arrives in pieces and may start again after a break. Each
/// line is returned once.
#[derive(Debug, Default)]
struct TimestampedLines {
    /// The part of the current line's timestamp that has arrived.
    stamp: Vec<u8>,
    /// Position in the latest line whose timestamp is complete.
    position: Option<LinePosition>,
    /// True if the current position is inside a line whose timestamp is complete.
    in_line: bool,
    /// Bytes of the current line that were returned before the break.
    skip: usize,
    /// Position up to which everything was returned before the break.
    resume_point: Option<LinePosition>,
}

/// A position in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LinePosition {
    at: Timestamp,
    /// Index of the line among the lines with this timestamp, starting at 0.
    number: usize,
    /// Bytes of the line that have arrived, with its line break.
    bytes: usize,
}

impl TimestampedLines {
    /// Prepares for a log that starts again. Returns the time from which the log is requested: the
    /// time of the last line, rounded down to a second, because the API server supports no
    /// fractions. `None`: the log is requested from its beginning.
    fn restart(&mut self) -> Option<Timestamp> {
        // Keeps the later of the two positions: the connection may break again before new text
        // arrives.
        self.resume_point = self.resume_point.max(self.position.take());
        self.stamp.clear();
        self.in_line = false;
        let to_seconds = TimestampRound::new()
            .smallest(Unit::Second)
            .mode(RoundMode::Floor);
        self.resume_point
            .and_then(|known| known.at.round(to_seconds).ok())
    }

    fn push(&mut self, piece: &[u8], mut emit: impl FnMut(&[u8])) {
        let mut rest = piece;
        while !rest.is_empty() {
            if !self.in_line {
                rest = self.read_stamp(rest, &mut emit);
                continue;
            }
            let end = rest.iter().position(|byte| *byte == b'\n');
            let (line, next) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
            let skipped = self.skip.min(line.len());
            self.skip -= skipped;
            emit(line.get(skipped..).unwrap_or_default());
            if let Some(place) = &mut self.position {
                place.bytes += line.len();
            }
            if end.is_some() {
                self.in_line = false;
                self.stamp.clear();
            }
            rest = next;
        }
    }

    /// Reads the part of the piece that belongs to the timestamp. Returns the rest.
    fn read_stamp<'p>(&mut self, piece: &'p [u8], emit: &mut impl FnMut(&[u8])) -> &'p [u8] {
        let room = MAX_TIMESTAMP_BYTES - self.stamp.len();
        let end = piece
            .iter()
            .take(room)
            .position(|byte| b" \n".contains(byte));
        let taken = end.map_or(piece.len().min(room), |end| end + 1);
        let (part, rest) = piece.split_at(taken);
        self.stamp.extend_from_slice(part);
        if end.is_none() && self.stamp.len() < MAX_TIMESTAMP_BYTES {
            return rest;
        }
        let text = std::str::from_utf8(&self.stamp).unwrap_or_default();
        match text.trim_end().parse() {
            Ok(at) => self.start_line(at),
            // Messages of the kubelet itself have no timestamp.
            Err(_) => {
                emit(&self.stamp);
                self.skip = 0;
            }
        }
        self.in_line = !self.stamp.ends_with(b"\n");
        if !self.in_line {
            self.stamp.clear();
        }
        rest
    }

    fn start_line(&mut self, at: Timestamp) {
        let number = match self.position {
            Some(place) if place.at == at => place.number + 1,
            _ => 0,
        };
        self.position = Some(LinePosition {
            at,
            number,
            bytes: 0,
        });
        self.skip = match self.resume_point {
            Some(known) if (at, number) < (known.at, known.number) => usize::MAX,
            Some(known) if (at, number) == (known.at, known.number) => known.bytes,
            _ => 0,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads a log in pieces, with a break of the connection at each of these positions. After a
    /// break, reads again from the second in which the last line was written.
    fn read(log: &[(Timestamp, String)], breaks: &[usize], piece: usize) -> String {
        let mut lines = TimestampedLines::default();
        let mut emitted = Vec::new();
        for end in breaks.iter().copied().chain([usize::MAX]) {
            let since = lines.restart().unwrap_or(Timestamp::MIN);
            let from: String = log
                .iter()
                .filter(|(at, _)| *at >= since)
                .map(|(at, line)| format!("{at} {line}\n"))
                .collect();
            let from = from.as_bytes();
            for piece in from[..end.min(from.len())].chunks(piece) {
                lines.push(piece, |text| emitted.extend_from_slice(text));
            }
        }
        String::from_utf8(emitted).unwrap()
    }

    proptest! {
        #[test]
        fn each_line_comes_once_wherever_it_breaks(
            // Twice the difference to the previous timestamp, in tenths of a second. The test
            // halves each number and rounds it down, so some lines have the same time.
            lines in proptest::collection::vec((0..8_i64, "[a-z ]{0,12}"), 0..30),
            breaks in proptest::collection::vec(0..900_usize, 0..6),
            piece in 1..50_usize,
        ) {
            let mut at = Timestamp::from_second(1_700_000_000).unwrap();
            let mut log = Vec::new();
            for (tenths, line) in lines {
                at += jiff::SignedDuration::from_millis(tenths / 2 * 100);
                log.push((at, line));
            }
            let whole: String = log.iter().map(|(_, line)| format!("{line}\n")).collect();
            prop_assert_eq!(read(&log, &breaks, piece), whole);
        }

        #[test]
        fn text_without_timestamps_stays_as_it_is(text in "[a-zA-Z0-9 \n]{0,200}", piece in 1..50_usize) {
            let mut lines = TimestampedLines::default();
            let mut emitted = Vec::new();
            lines.restart();
            for piece in text.as_bytes().chunks(piece) {
                lines.push(piece, |text| emitted.extend_from_slice(text));
            }
            // The first bytes of the last line may be held back, because they may be a part of a
            // timestamp.
            prop_assert!(text.as_bytes().starts_with(&emitted));
            prop_assert!(text.len() - emitted.len() < MAX_TIMESTAMP_BYTES);
        }
    }

    #[test]
    fn the_time_to_begin_from_is_never_later_than_the_last_line() {
        let mut lines = TimestampedLines::default();
        assert_eq!(lines.restart(), None);
        lines.push(b"2026-11-22T12:00:00.7Z a\n", |_| {});
        assert_eq!(lines.restart().unwrap().to_string(), "2026-11-22T12:00:00Z");
    }
}
