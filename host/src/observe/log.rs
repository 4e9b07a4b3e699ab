//! Logs, bounded: the head and the tail are kept, the cut is marked.

use crate::step::CapturedLog;
use std::collections::VecDeque;

/// Room for the line that marks the cut.
const MARKER_ROOM: usize = 64;

/// How much of a log before a line break may be given up to cut there instead.
const LINE_WINDOW: usize = 4096;

/// Takes a log of any length and keeps at most `max_bytes` of it.
#[derive(Debug)]
pub struct LogCapture {
    max_bytes: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: u64,
}

impl LogCapture {
    /// Keeps at most `max_bytes` (at least 256).
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes: max_bytes.max(256),
            head: Vec::new(),
            tail: VecDeque::new(),
            total: 0,
        }
    }

    fn tail_size(&self) -> usize {
        self.max_bytes / 2
    }

    /// Takes the next piece.
    pub fn push(&mut self, piece: &[u8]) {
        self.total = self.total.saturating_add(piece.len() as u64);
        let room = (self.max_bytes - self.tail_size()).saturating_sub(self.head.len());
        let (head, tail) = piece.split_at(piece.len().min(room));
        self.head.extend_from_slice(head);
        self.tail.extend(tail);
        let excess = self.tail.len().saturating_sub(self.tail_size());
        self.tail.drain(..excess);
    }

    /// What was read of a log that could not be read to its end: its last line is not whole.
    #[must_use]
    pub fn finish_cut(mut self) -> CapturedLog {
        let part = if self.tail.is_empty() {
            &self.head
        } else {
            &*self.tail.make_contiguous()
        };
        let unfinished = part.iter().rev().take_while(|byte| **byte != b'\n').count();
        let (in_tail, in_head) = if self.tail.is_empty() {
            (0, unfinished)
        } else {
            (unfinished, 0)
        };
        self.tail.truncate(self.tail.len() - in_tail);
        self.head.truncate(self.head.len() - in_head);
        self.total -= unfinished as u64;
        CapturedLog {
            truncated: true,
            ..self.finish()
        }
    }

    /// The log as text: what is not UTF-8 becomes U+FFFD. A cut is made between lines where one
    /// ends within reach, so that a secret is not cut in two and passes the redaction by halves.
    #[must_use]
    pub fn finish(mut self) -> CapturedLog {
        let kept = (self.head.len() + self.tail.len()) as u64;
        if kept == self.total {
            self.head.extend(self.tail);
            return CapturedLog {
                text: into_text(self.head),
                bytes: self.total,
                ..CapturedLog::default()
            };
        }
        let tail = self.tail.make_contiguous();
        let head = end_at_line(
            self.head
                .get(..self.head.len() - MARKER_ROOM)
                .unwrap_or_default(),
        );
        let tail = start_at_line(tail);
        let left_out = self.total - (head.len() + tail.len()) as u64;
        let mut text = into_text(head.to_vec());
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&format!("[... {left_out} bytes of the log left out ...]\n"));
        text.push_str(&into_text(tail.to_vec()));
        CapturedLog {
            text,
            bytes: self.total,
            truncated: true,
            unavailable: None,
        }
    }
}

fn into_text(bytes: Vec<u8>) -> String {
    match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }
}

/// Up to the last line break within the window. Where there is none, the window goes: a name and
/// its secret, or the two halves of a token, must not be told apart by the cut.
fn end_at_line(bytes: &[u8]) -> &[u8] {
    let from = bytes.len().saturating_sub(LINE_WINDOW);
    let window = bytes.get(from..).unwrap_or_default();
    let line = window
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map(|at| from + at + 1);
    let cut = line.unwrap_or_else(|| {
        let before = bytes.get(..from).unwrap_or_default();
        before
            .iter()
            .rposition(|byte| !is_continuation(*byte))
            .unwrap_or(0)
    });
    bytes.get(..cut).unwrap_or_default()
}

/// From the first line break within the window on; where there is none, behind the window.
fn start_at_line(bytes: &[u8]) -> &[u8] {
    let window = bytes.len().min(LINE_WINDOW);
    let head = bytes.get(..window).unwrap_or_default();
    let line = head.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
    let start = line.unwrap_or_else(|| {
        let behind = bytes.get(window..).unwrap_or_default();
        window
            + behind
                .iter()
                .position(|byte| !is_continuation(*byte))
                .unwrap_or(behind.len())
    });
    bytes.get(start..).unwrap_or_default()
}

fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
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
        let long = "é".repeat(30_000);
        let log = capture(20_000, long.as_bytes(), 333);
        assert!(log.text.contains('é') && !log.text.contains('\u{fffd}'));
    }
}
