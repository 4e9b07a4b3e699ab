//! Masks a log while it is read, before it is truncated.

use super::change::LogTarget;
use crate::redact::{Engine, Masker};
use crate::step::{MaskCounts, Redactor};
use futures::future::BoxFuture;
use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest time in which a [`CutGuard`] may search the text near a cut. After that, the text that it
/// would have searched is omitted.
const MAX_GUARD_TIME: Duration = Duration::from_secs(2);

/// Number of bytes beyond a cut that a [`CutGuard`] also sees. They let it recognise a secret that
/// the cut would split.
pub(super) const GUARD_MARGIN: usize = 8 * 1024;

/// Finds secrets near the place at which a log is cut. Used for rules that cannot mask a stream,
/// and for rules of a single sink, which must not mask the log for other sinks.
pub trait CutGuard: Debug + Send + Sync {
    /// Returns the byte ranges of the secrets in a text, or `None` if the deadline has passed.
    fn secrets(&self, text: &str, deadline: Instant) -> Option<Vec<Range<usize>>>;
}

/// How one log is masked.
#[derive(Clone, Debug, Default)]
pub struct LogMask {
    /// Engines that mask the stream, each with the redactor that asks for it.
    pub engines: Vec<(Redactor, Arc<Engine>)>,
    /// Rules that only decide where the log may be cut.
    pub guards: Vec<Arc<dyn CutGuard>>,
}

/// Decides how the log of a container is masked. Asked before the log is read.
pub trait LogMasks: Debug + Send + Sync {
    /// Returns the mask of a log. May wait until the secrets that it must mask are known.
    fn mask_of<'a>(&'a self, target: &'a LogTarget) -> BoxFuture<'a, LogMask>;
}

/// Masks nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLogMasks;

impl LogMasks for NoLogMasks {
    fn mask_of<'a>(&'a self, _: &'a LogTarget) -> BoxFuture<'a, LogMask> {
        Box::pin(std::future::ready(LogMask::default()))
    }
}

/// Masks a stream with several engines, one after the other.
#[derive(Debug)]
pub(super) struct StreamMask {
    maskers: Vec<(Redactor, Masker)>,
}

impl StreamMask {
    pub(super) fn new(mask: &LogMask) -> Self {
        let masker = |(redactor, engine): &(Redactor, Arc<Engine>)| {
            (redactor.clone(), Masker::new(engine.clone()))
        };
        Self {
            maskers: mask.engines.iter().map(masker).collect(),
        }
    }

    /// Returns true if the stream is not changed.
    pub(super) fn is_empty(&self) -> bool {
        self.maskers.is_empty()
    }

    /// Masks a piece. Returns the bytes that later pieces can no longer change.
    pub(super) fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut bytes = piece.to_vec();
        for (_, masker) in &mut self.maskers {
            let mut masked = Vec::with_capacity(bytes.len());
            masker.push(&bytes, &mut masked);
            bytes = masked;
        }
        bytes
    }

    /// Returns the rest of the stream, and the number of matches by redactor and rule.
    pub(super) fn finish(&mut self) -> (Vec<u8>, MaskCounts) {
        let mut rest = Vec::new();
        let mut counts = MaskCounts::default();
        for (redactor, mut masker) in self.maskers.drain(..) {
            let mut masked = Vec::new();
            masker.push(&rest, &mut masked);
            counts.add(&redactor, &masker.finish(&mut masked));
            rest = masked;
        }
        (rest, counts)
    }
}

/// Returns the last position up to `end` at which a head can be cut without splitting a secret.
pub(super) fn end_before_secrets(guards: &[Arc<dyn CutGuard>], text: &[u8], end: usize) -> usize {
    let secrets = secrets(guards, text);
    let cut = secrets.map_or(0, |secrets| {
        let crossing = secrets
            .iter()
            .filter(|secret| secret.start < end && end < secret.end);
        crossing.map(|secret| secret.start).min().unwrap_or(end)
    });
    cut.min(end)
}

/// Returns the first position from `start` on at which a tail can begin without splitting a secret.
pub(super) fn start_after_secrets(
    guards: &[Arc<dyn CutGuard>],
    text: &[u8],
    start: usize,
) -> usize {
    let secrets = secrets(guards, text);
    let cut = secrets.map_or(text.len(), |secrets| {
        let crossing = secrets
            .iter()
            .filter(|secret| secret.start < start && start < secret.end);
        crossing.map(|secret| secret.end).max().unwrap_or(start)
    });
    cut.max(start).min(text.len())
}

/// Returns the secrets of a text, joined if they overlap. `None`: a guard ran out of time.
fn secrets(guards: &[Arc<dyn CutGuard>], bytes: &[u8]) -> Option<Vec<Range<usize>>> {
    if guards.is_empty() {
        return Some(Vec::new());
    }
    // Each byte that is not UTF-8 becomes one character of one byte, so that places stay the same.
    let text: String = bytes
        .utf8_chunks()
        .flat_map(|chunk| [chunk.valid().to_owned(), "?".repeat(chunk.invalid().len())])
        .collect();
    let deadline = Instant::now() + MAX_GUARD_TIME;
    let mut all = Vec::new();
    for guard in guards {
        all.extend(guard.secrets(&text, deadline)?);
    }
    all.sort_by_key(|secret| (secret.start, secret.end));
    all.dedup_by(|later, kept| {
        let overlaps = later.start < kept.end;
        if overlaps {
            kept.end = kept.end.max(later.end);
        }
        overlaps
    });
    Some(all)
}
