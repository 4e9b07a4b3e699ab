//! Logs that are read while their steps run, and begun again where the connection breaks: each line once.

use super::change::LogTarget;
use super::cluster_logs::{ClusterLogs, ReadError};
use super::log_capture::LogCapture;
use crate::locked::Locked;
use crate::step::CapturedLog;
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use std::sync::Arc;
use std::time::Duration;
use step_observer_core::Backoff;
use tokio::sync::watch;
use tracing::debug;

/// Longest timestamp in front of a line, the blank included: RFC 3339 with nanoseconds and an offset has 35.
const MAX_TIMESTAMP_BYTES: usize = 40;
/// How a broken connection is begun again.
const RECONNECT_BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(200),
    max: Duration::from_secs(2),
};

/// A log that is being read.
#[derive(Clone, Debug)]
pub struct FollowedLog(Arc<Follow>);

#[derive(Debug)]
struct Follow {
    capture: Locked<LogCapture>,
    state: watch::Sender<FollowState>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FollowState {
    /// There is no free slot yet.
    Waiting,
    Reading,
    /// To its end.
    Complete,
    /// Not to its end, and there will be no more.
    Broken,
    /// Nobody wants it any more.
    Abandoned,
}

impl FollowedLog {
    /// What is to be read, and who reads it: a future that must be polled to its end.
    pub(crate) fn start(
        logs: ClusterLogs,
        target: LogTarget,
        max_bytes: usize,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let reading = Arc::new(Follow {
            capture: Locked::new(LogCapture::new(max_bytes)),
            state: watch::Sender::new(FollowState::Waiting),
        });
        let follower = reading.clone();
        let follow = async move {
            let mut state = follower.state.subscribe();
            let left = state.wait_for(|state| *state == FollowState::Abandoned);
            tokio::select! {
                end = follower.follow(&logs, &target) => drop(follower.state.send_replace(end)),
                _ = left => {}
            }
        };
        (Self(reading), follow)
    }

    /// Nobody will ask for it.
    pub fn abandon(&self) {
        self.0.state.send_replace(FollowState::Abandoned);
    }

    /// The log, when its step has ended, and whether that is all of it or what came within `timeout`. Nothing where
    /// reading has not begun.
    pub async fn finish(self, timeout: Duration) -> Option<(CapturedLog, bool)> {
        let mut state = self.0.state.subscribe();
        if *state.borrow() != FollowState::Waiting {
            let ended = state
                .wait_for(|state| matches!(state, FollowState::Complete | FollowState::Broken));
            tokio::time::timeout(timeout, ended).await.ok();
        }
        let ended = self.0.state.send_replace(FollowState::Abandoned);
        let empty = LogCapture::new(0);
        let capture = std::mem::replace(&mut *self.0.capture(), empty);
        match ended {
            FollowState::Complete => Some((capture.finish(), true)),
            FollowState::Reading => {
                let log = capture.finish_cut(format!("not read within {timeout:?}"));
                log.map(|log| (log, false))
            }
            FollowState::Broken => {
                let log = capture.finish_cut("the pod was gone before the end of its log was read");
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
        let mut ended = false;
        loop {
            let since = lines.begin();
            let mut progress = false;
            let piece = |piece: &[u8]| {
                lines.push(piece, |text| {
                    progress |= !text.is_empty();
                    self.capture().push(text);
                });
            };
            let error = match logs.follow_from(target, since, piece).await {
                // Where the kubelet is begun anew, the API server ends the log as if that were all.
                Ok(()) if ended && !progress => return FollowState::Complete,
                Ok(()) => {
                    ended = true;
                    continue;
                }
                Err(ReadError::Gone) => return FollowState::Broken,
                Err(ReadError::Unreachable(error) | ReadError::Other(error)) => error,
            };
            ended = false;
            failures = if progress { 1 } else { failures + 1 };
            let delay = RECONNECT_BACKOFF.delay(failures, fastrand::f64());
            debug!(
                pod = &*target.pod,
                container = &*target.container,
                error,
                ?delay,
                "following a log goes on"
            );
            tokio::time::sleep(delay).await;
        }
    }
}

/// A log with timestamps, in pieces of any size, possibly begun again: what comes out is each line once, without
/// its timestamp.
#[derive(Debug, Default)]
struct TimestampedLines {
    /// What of the present line's timestamp has come.
    stamp: Vec<u8>,
    /// The present line, once its timestamp is known; the last one between two lines.
    position: Option<LinePosition>,
    /// The timestamp of the present line is known.
    in_line: bool,
    /// Bytes of the present line that came before, or all.
    skip: usize,
    /// Until where everything came before.
    resume_point: Option<LinePosition>,
}

/// A place in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LinePosition {
    at: Timestamp,
    /// Which of the lines with this timestamp, from 0.
    number: usize,
    /// Bytes of the line that have come, its end included.
    bytes: usize,
}

impl TimestampedLines {
    /// The log comes from the beginning, or from this time on: the second of the last line, as the API server knows
    /// no parts of one.
    fn begin(&mut self) -> Option<Timestamp> {
        // It may break off again before anything new has come.
        self.resume_point = self.resume_point.max(self.position.take());
        self.stamp.clear();
        self.in_line = false;
        let whole = TimestampRound::new()
            .smallest(Unit::Second)
            .mode(RoundMode::Floor);
        self.resume_point
            .and_then(|known| known.at.round(whole).ok())
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

    /// Takes what belongs to the timestamp, and gives the rest.
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
            Ok(at) => self.enter(at),
            // What the kubelet itself says has none.
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

    fn enter(&mut self, at: Timestamp) {
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

    /// Reads a log that breaks off at these places, and is begun again from the second of the last line.
    fn read(log: &[(Timestamp, String)], breaks: &[usize], piece: usize) -> String {
        let mut lines = TimestampedLines::default();
        let mut emitted = Vec::new();
        for end in breaks.iter().copied().chain([usize::MAX]) {
            let since = lines.begin().unwrap_or(Timestamp::MIN);
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
            // Steps in tenths of a second: some lines have the same time.
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
            lines.begin();
            for piece in text.as_bytes().chunks(piece) {
                lines.push(piece, |text| emitted.extend_from_slice(text));
            }
            // The beginning of a last line may be that of a timestamp.
            prop_assert!(text.as_bytes().starts_with(&emitted));
            prop_assert!(text.len() - emitted.len() < MAX_TIMESTAMP_BYTES);
        }
    }

    #[test]
    fn the_time_to_begin_from_is_never_later_than_the_last_line() {
        let mut lines = TimestampedLines::default();
        assert_eq!(lines.begin(), None);
        lines.push(b"2026-11-22T12:00:00.7Z a\n", |_| {});
        assert_eq!(lines.begin().unwrap().to_string(), "2026-11-22T12:00:00Z");
    }
}
