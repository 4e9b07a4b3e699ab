//! Keeps the head and the tail of a log within a bound, with a marker for the omitted middle. Masks
//! the log before that, because a part of a secret matches no rule.

use super::log_mask::{self, CutGuard, GUARD_MARGIN, LogMask, StreamMask};
use crate::step::{CapturedLog, MaskCounts};
use crate::truncate::{self, MARKER_ROOM};
use std::collections::VecDeque;
use std::sync::Arc;

/// Receives a log of any length and keeps at most `max_bytes` of it.
#[derive(Debug)]
pub struct LogCapture {
    max_bytes: usize,
    mask: StreamMask,
    guards: Vec<Arc<dyn CutGuard>>,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    /// Bytes that were received.
    received: u64,
    /// Bytes of the masked log.
    total: u64,
    /// Lines that were received.
    lines: usize,
    /// True if a part between head and tail was not read, so that `received` does not contain it.
    has_gap: bool,
    masked: MaskCounts,
}

impl LogCapture {
    /// Creates a capture that keeps at most `max_bytes` (at least 256) of a log, and masks nothing.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self::masked(max_bytes, &LogMask::default())
    }

    /// Creates a capture that keeps at most `max_bytes` (at least 256) of the masked log.
    #[must_use]
    pub fn masked(max_bytes: usize, mask: &LogMask) -> Self {
        Self {
            max_bytes: max_bytes.max(256),
            mask: StreamMask::new(mask),
            guards: mask.guards.clone(),
            head: Vec::new(),
            tail: VecDeque::new(),
            received: 0,
            total: 0,
            lines: 0,
            has_gap: false,
            masked: MaskCounts::default(),
        }
    }

    /// Returns the number of bytes that are kept beyond each cut, so that the guards can search
    /// them.
    fn margin(&self) -> usize {
        if self.guards.is_empty() {
            0
        } else {
            GUARD_MARGIN
        }
    }

    fn tail_size(&self) -> usize {
        self.max_bytes / 2
    }

    /// Returns the bytes that were received so far.
    pub(super) fn bytes_received(&self) -> u64 {
        self.received
    }

    /// Receives the next piece.
    pub fn push(&mut self, piece: &[u8]) {
        self.received = self.received.saturating_add(piece.len() as u64);
        self.lines += piece.iter().filter(|byte| **byte == b'\n').count();
        if self.mask.is_empty() {
            self.keep(piece);
        } else {
            let masked = self.mask.push(piece);
            self.keep(&masked);
        }
    }

    /// Takes the rest of the masked log.
    fn end_mask(&mut self) {
        let (rest, counts) = self.mask.finish();
        self.keep(&rest);
        self.masked.merge(&counts);
    }

    fn keep(&mut self, piece: &[u8]) {
        self.total = self.total.saturating_add(piece.len() as u64);
        let size = self.max_bytes - self.tail_size() + self.margin();
        let room = size.saturating_sub(self.head.len());
        let (head, tail) = piece.split_at(piece.len().min(room));
        self.head.extend_from_slice(head);
        self.push_tail(tail);
    }

    fn push_tail(&mut self, piece: &[u8]) {
        let size = self.tail_size() + self.margin();
        let end = piece.len().saturating_sub(size);
        self.tail.extend(piece.get(end..).unwrap_or_default());
        let excess = self.tail.len().saturating_sub(size);
        self.tail.drain(..excess);
    }

    /// Joins the beginning of a log with its end, which was read separately by a request for
    /// `lines` lines. If fewer lines came, they are the whole log and nothing is missing.
    pub(super) fn join_end(mut self, mut end: Self, lines: usize) -> Self {
        self.end_mask();
        end.end_mask();
        let is_all = end.lines < lines && end.received >= self.received;
        if is_all && end.head.starts_with(&self.head) {
            return end;
        }
        self.tail.clear();
        self.push_tail(&end.head);
        let (older, newer) = end.tail.as_slices();
        self.push_tail(older);
        self.push_tail(newer);
        self.total = self.total.max(end.total);
        self.received = self.received.max(end.received);
        self.masked.merge(&end.masked);
        self.has_gap = true;
        self
    }

    /// Returns the log of an incomplete read, with the reason. The last word is omitted, because it
    /// may be incomplete. Returns `None` if no complete word is left.
    #[must_use]
    pub fn finish_incomplete(self, reason: impl Into<String>) -> Option<CapturedLog> {
        let log = self.into_log(true);
        (!log.text.is_empty()).then(|| CapturedLog {
            truncated: true,
            at_least: true,
            incomplete: Some(reason.into()),
            ..log
        })
    }

    /// Returns the log as text. Bytes that are not UTF-8 become U+FFFD.
    #[must_use]
    pub fn finish(self) -> CapturedLog {
        self.into_log(false)
    }

    fn into_log(mut self, is_incomplete: bool) -> CapturedLog {
        let end = |bytes| {
            if is_incomplete {
                truncate::head(bytes)
            } else {
                bytes
            }
        };
        self.end_mask();
        let masked = std::mem::take(&mut self.masked);
        let kept = (self.head.len() + self.tail.len()) as u64;
        if kept == self.total && !self.has_gap && kept <= self.max_bytes as u64 {
            self.head.extend(self.tail);
            return CapturedLog {
                text: bounded(into_text(end(&self.head)), self.max_bytes),
                bytes: self.received,
                masked,
                ..CapturedLog::default()
            };
        }
        let (total, has_gap) = (self.total, self.has_gap);
        let (head, tail) = self.split();
        let tail = end(tail);
        let omitted = total.saturating_sub((head.len() + tail.len()) as u64);
        let marker = truncate::marker(omitted, has_gap || is_incomplete);
        let text = truncate::join(into_text(head), &marker, &into_text(tail));
        CapturedLog {
            text: bounded(text, self.max_bytes),
            bytes: self.received,
            truncated: true,
            at_least: has_gap,
            masked,
            ..CapturedLog::default()
        }
    }

    /// Returns the head and the tail of a log whose middle is omitted. No cut is inside a secret
    /// that the guards find.
    fn split(&mut self) -> (&[u8], &[u8]) {
        let tail_room = self.tail_size() + self.margin();
        if !self.has_gap && self.total == (self.head.len() + self.tail.len()) as u64 {
            // Nothing was omitted, so the head may contain a part of the end of the log. The tail
            // is rebuilt from both.
            self.head.extend(self.tail.drain(..));
            let from = self.head.len().saturating_sub(tail_room);
            self.tail = self.head.split_off(from).into();
            self.head.extend(&self.tail);
        }
        let tail_size = self.tail_size();
        let end = (self.max_bytes - tail_size)
            .saturating_sub(MARKER_ROOM)
            .min(self.head.len());
        let end = log_mask::end_before_secrets(&self.guards, &self.head, end);
        let tail = self.tail.make_contiguous();
        let start = tail.len().saturating_sub(tail_size);
        let start = log_mask::start_after_secrets(&self.guards, tail, start);
        (
            truncate::head(self.head.get(..end).unwrap_or_default()),
            truncate::tail(tail.get(start..).unwrap_or_default()),
        )
    }
}

fn into_text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Truncates a text again if it exceeds the bound, because the replacement of bytes that are not
/// UTF-8 made it longer.
fn bounded(text: String, max_bytes: usize) -> String {
    if text.len() > max_bytes {
        truncate::omit_middle(&text, max_bytes, char::len_utf8)
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(max_bytes: usize, log: &[u8], piece: usize) -> CapturedLog {
        let mut capture = LogCapture::new(max_bytes);
        for piece in log.chunks(piece.max(1)) {
            capture.push(piece);
        }
        capture.finish()
    }

    #[test]
    fn a_short_log_is_kept_whole() {
        let log = capture(1024, b"hello\nworld\n", 5);
        assert_eq!(log.text, "hello\nworld\n");
        assert_eq!((log.bytes, log.truncated), (12, false));
    }

    #[test]
    fn a_long_log_keeps_its_head_and_tail_in_whole_lines() {
        let lines: String = (0..10_000).map(|n| format!("line {n}\n")).collect();
        for piece in [1, 7, 4096, lines.len()] {
            let log = capture(2048, lines.as_bytes(), piece);
            assert!(log.truncated);
            assert_eq!(log.bytes, lines.len() as u64);
            assert!(log.text.len() <= 2048, "{}", log.text.len());
            assert!(log.text.starts_with("line 0\nline 1\n"));
            assert!(log.text.ends_with("line 9998\nline 9999\n"));
            for line in log.text.lines() {
                assert!(
                    lines.contains(&format!("{line}\n")) || line.starts_with("[... "),
                    "{line}"
                );
            }
        }
    }

    #[test]
    fn invalid_and_cut_characters_do_no_harm() {
        let log = capture(1024, &[0xff, b'a', 0xc3], 1);
        assert_eq!(log.text, "\u{fffd}a\u{fffd}");
        let long = "é €🦀".repeat(5_000);
        let log = capture(20_000, long.as_bytes(), 333);
        assert!(log.text.contains('é') && !log.text.contains('\u{fffd}'));
        // Each byte that is not UTF-8 becomes three.
        let binary: Vec<u8> = (0..40_000)
            .map(|n| if n % 100 == 0 { b'\n' } else { 0xff })
            .collect();
        for size in [1000, 40_000] {
            let log = capture(2048, binary.get(..size).unwrap(), 333);
            assert!(log.text.len() <= 2048, "{}", log.text.len());
        }
    }

    #[test]
    fn a_log_of_exactly_the_limit_is_whole() {
        for size in [255, 256, 257] {
            let log = capture(
                256,
                "words of a log ".repeat(20).get(..size).unwrap().as_bytes(),
                7,
            );
            assert_eq!(log.truncated, size > 256);
            assert!(log.text.len() <= 256 && log.bytes == size as u64);
        }
    }

    #[test]
    fn a_word_at_a_cut_is_left_out_whole() {
        let secret = "s3cr3t".repeat(3000);
        for before in (0..1400).step_by(7) {
            let log = format!(
                "{}{secret} {}",
                "word ".repeat(before),
                "word ".repeat(1000)
            );
            let log = capture(16 * 1024, log.as_bytes(), 4096);
            assert!(log.truncated && !log.text.contains("3cr"), "{before}");
            assert!(log.text.ends_with("word word "));
        }
    }

    #[test]
    fn a_log_that_broke_off_ends_with_a_whole_word() {
        let ended = |log: &str, max_bytes| {
            let mut capture = LogCapture::new(max_bytes);
            capture.push(log.as_bytes());
            capture.finish_incomplete("test")
        };
        let log = ended("one line\nand half of ano", 1024).unwrap();
        assert_eq!(log.text, "one line\n");
        assert_eq!((log.bytes, log.at_least, log.truncated), (24, true, true));
        assert_eq!(log.incomplete.as_deref(), Some("test"));
        assert_eq!(ended("half of", 1024).unwrap().text, "half ");
        assert_eq!(ended("ha", 1024), None);
        let long = "word ".repeat(1000) + "s3cr";
        let log = ended(&long, 512).unwrap();
        assert!(
            log.text.ends_with(" word ") && log.text.contains("at least"),
            "{}",
            log.text
        );
    }

    #[test]
    fn beginning_and_end_of_a_log_are_joined() {
        let lines = |numbers: std::ops::Range<usize>| -> String {
            numbers.map(|number| format!("line {number}\n")).collect()
        };
        let bytes_received = |text: &str| {
            let mut capture = LogCapture::new(1024);
            capture.push(text.as_bytes());
            capture
        };
        let joined = bytes_received(&lines(0..200))
            .join_end(bytes_received(&lines(800..1000)), 200)
            .finish();
        assert!(joined.truncated && joined.at_least && joined.text.len() <= 1024);
        assert!(joined.text.starts_with("line 0\n") && joined.text.ends_with("line 999\n"));
        let whole = bytes_received("line 0\nli")
            .join_end(bytes_received(&lines(0..3)), 200)
            .finish();
        assert_eq!((whole.text, whole.truncated), (lines(0..3), false));
        // The end has as many lines as were requested, so the log may have more lines before them.
        // The first line of the end counts as incomplete.
        let end = bytes_received("line 0\nli")
            .join_end(bytes_received(&lines(0..3)), 3)
            .finish();
        assert!(end.truncated && end.text.ends_with(&lines(1..3)));
    }

    /// Finds `SECRET:` and the word after it, as a rule of a single sink would.
    #[derive(Debug)]
    struct WordAfterSecret;

    impl CutGuard for WordAfterSecret {
        fn secrets(
            &self,
            text: &str,
            _: std::time::Instant,
        ) -> Option<Vec<std::ops::Range<usize>>> {
            let found = text.match_indices("SECRET:").map(|(at, _)| {
                let rest = text.get(at + 8..).unwrap_or_default();
                at..at + 8 + rest.find('\n').unwrap_or(rest.len())
            });
            Some(found.collect())
        }
    }

    #[test]
    fn a_cut_is_never_made_within_a_secret_that_a_guard_finds() {
        let guarded = LogMask {
            guards: vec![Arc::new(WordAfterSecret)],
            ..LogMask::default()
        };
        // A secret of many words. A cut between two words would split it.
        let secret = format!("SECRET: {}\n", "a1b2 ".repeat(600));
        for before in (0..3000).step_by(13) {
            let words = "word ".repeat(before);
            let log = format!("{words}{secret}{}", "word ".repeat(3000 - before));
            let mut capture = LogCapture::masked(8 * 1024, &guarded);
            for piece in log.as_bytes().chunks(1000) {
                capture.push(piece);
            }
            let log = capture.finish();
            assert!(log.truncated && log.text.len() <= 8 * 1024);
            let whole = log.text.contains(&secret);
            assert!(
                whole || !log.text.contains("a1b2"),
                "{before}: {}",
                log.text
            );
        }
    }

    #[test]
    fn a_log_is_masked_before_it_is_cut_and_its_size_is_that_of_the_whole_log() {
        let engine = crate::redact::Engine::new(&crate::redact::Options {
            only: vec!["none".to_owned()],
            forms: false,
            rules: vec![crate::redact::FullRule {
                id: "own".to_owned(),
                pattern: "t0k[a-z0-9 ]{20}".to_owned(),
                keywords: vec!["t0k".to_owned()],
                ..crate::redact::FullRule::default()
            }],
            ..crate::redact::Options::default()
        });
        let redactor = crate::step::Redactor::Plugin {
            name: "redactor".into(),
            version: "1".into(),
        };
        let mask = LogMask {
            engines: vec![(redactor, Arc::new(engine.unwrap()))],
            guards: Vec::new(),
        };
        for before in (0..2000).step_by(7) {
            let words = "word ".repeat(before);
            let log = format!(
                "{words}t0k3n of several words {}",
                "word ".repeat(2000 - before)
            );
            let mut capture = LogCapture::masked(4096, &mask);
            for piece in log.as_bytes().chunks(777) {
                capture.push(piece);
            }
            let captured = capture.finish();
            assert!(!captured.text.contains("several"), "{before}");
            assert_eq!(captured.bytes, log.len() as u64);
            let masked: Vec<_> = captured.masked.iter().collect();
            let [(redactor, counts)] = masked[..] else {
                panic!("{masked:?}");
            };
            assert!(redactor.is_plugin("redactor") && counts.total() == 1);
        }
    }
}
