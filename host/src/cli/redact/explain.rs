//! Shows where secrets were found, without showing them.

use super::titles::titles;
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use step_observer::redact::{Engine, Options, RedactionCounts, Replaced};
use step_observer::terminal;

/// Bytes of the line that are shown before and after a secret.
const SHOWN: usize = 80;

/// Bytes of the masked text that are kept for the next secret.
const KEPT: usize = 2 * SHOWN;

/// Describes the secrets of texts, as lines for people or for programs.
pub(super) struct Findings {
    engine: Arc<Engine>,
    titles: HashMap<String, &'static str>,
    json: bool,
    color: bool,
    /// Name of the text.
    file: String,
    /// The end of the masked text so far.
    text: Vec<u8>,
    /// Where `text` begins in the whole masked text.
    base: u64,
    /// Number of the line at `counted`, from 1, in the text before masking.
    line: u64,
    /// Place in the whole masked text up to which line breaks are counted.
    counted: u64,
    /// Secrets whose line is not complete yet.
    waiting: VecDeque<Replaced>,
    /// Lines that were not taken yet.
    output: String,
}

impl Findings {
    pub(super) fn new(engine: Arc<Engine>, options: &Options, json: bool, color: bool) -> Self {
        Self {
            engine,
            titles: titles(options),
            json,
            color,
            file: String::new(),
            text: Vec::new(),
            base: 0,
            line: 1,
            counted: 0,
            waiting: VecDeque::new(),
            output: String::new(),
        }
    }

    /// Starts a text.
    pub(super) fn begin(&mut self, path: &Path) {
        self.file = path.display().to_string();
        self.text.clear();
        (self.base, self.line, self.counted) = (0, 1, 0);
    }

    /// Takes more of the masked text, and the secrets that were replaced in it.
    pub(super) fn take(&mut self, text: &[u8], replaced: Vec<Replaced>) {
        self.text.extend_from_slice(text);
        self.waiting.extend(replaced);
    }

    /// Returns the lines about the secrets whose surroundings are complete.
    pub(super) fn ready(&mut self) -> String {
        while let Some(next) = self.waiting.front() {
            let after = self.part(next.range.end, next.range.end + SHOWN as u64);
            if after.len() < SHOWN && !after.contains(&b'\n') {
                break;
            }
            self.describe_next();
        }
        let needed = match self.waiting.front() {
            Some(next) => self.offset(next.range.start),
            None => self.text.len(),
        };
        self.forget(needed.saturating_sub(KEPT));
        std::mem::take(&mut self.output)
    }

    /// Ends a text. Returns the rest of the lines.
    pub(super) fn finish(&mut self) -> String {
        while !self.waiting.is_empty() {
            self.describe_next();
        }
        std::mem::take(&mut self.output)
    }

    fn offset(&self, place: u64) -> usize {
        usize::try_from(place.saturating_sub(self.base)).unwrap_or(usize::MAX)
    }

    fn part(&self, from: u64, to: u64) -> &[u8] {
        let end = self.offset(to).min(self.text.len());
        let start = self.offset(from).min(end);
        self.text.get(start..end).unwrap_or_default()
    }

    fn forget(&mut self, bytes: usize) {
        let base = self.base + bytes as u64;
        self.count_lines(base);
        self.text.drain(..bytes);
        self.base = base;
    }

    /// Counts the line breaks up to a place.
    fn count_lines(&mut self, to: u64) {
        if to > self.counted {
            let breaks = self.part(self.counted, to).iter();
            self.line += breaks.filter(|byte| **byte == b'\n').count() as u64;
            self.counted = to;
        }
    }

    fn describe_next(&mut self) {
        let Some(Replaced {
            rule,
            range,
            line_breaks,
        }) = self.waiting.pop_front()
        else {
            return;
        };
        self.count_lines(range.start);
        let line = self.line;
        self.line += line_breaks;
        self.counted = self.counted.max(range.end);
        let before = self.before(range.start);
        let mask = String::from_utf8_lossy(self.part(range.start, range.end)).into_owned();
        let after = self.after(range.end);
        let id = self.engine.rule_id(rule).to_owned();
        if self.json {
            let object = serde_json::json!({
                "rule": id,
                "title": self.titles.get(&id).copied().unwrap_or("own rule"),
                "file": self.file,
                "line": line,
                "excerpt": format!("{before}{mask}{after}"),
            });
            let object = object.to_string();
            writeln!(self.output, "{}", terminal::escape_json(&object)).ok();
        } else {
            let place = self.paint("36", &format!("{}:{line}:", self.file));
            let id = self.paint("33", &id);
            let mask = self.paint("35", &mask);
            let (before, after) = (
                terminal::escape_line(&before),
                terminal::escape_line(&after),
            );
            writeln!(self.output, "{place} {id}: {before}{mask}{after}").ok();
        }
    }

    /// Returns the line before a place.
    fn before(&self, place: u64) -> String {
        let from = place.saturating_sub(SHOWN as u64).max(self.base);
        let part = self.part(from, place);
        let line_start = part.iter().rposition(|byte| *byte == b'\n');
        let is_cut = line_start.is_none()
            && self.part(from.saturating_sub(1), from).first() != Some(&b'\n')
            && from > 0;
        let part = part
            .get(line_start.map_or(0, |at| at + 1)..)
            .unwrap_or_default();
        let text = String::from_utf8_lossy(part);
        match is_cut {
            true => format!("…{}", plain(text.trim_start_matches('\u{fffd}'))),
            false => plain(text.trim_start()),
        }
    }

    /// Returns the line after a place.
    fn after(&self, place: u64) -> String {
        let part = self.part(place, place + SHOWN as u64);
        let line_end = part.iter().position(|byte| *byte == b'\n');
        let is_cut = line_end.is_none() && part.len() == SHOWN;
        let text = String::from_utf8_lossy(
            part.get(..line_end.unwrap_or(part.len()))
                .unwrap_or_default(),
        );
        match is_cut {
            true => format!("{}…", plain(text.trim_end_matches('\u{fffd}'))),
            false => plain(text.trim_end()),
        }
    }

    fn paint(&self, color: &str, text: &str) -> String {
        paint(self.color, color, text)
    }
}

/// Escapes a text for a terminal, and colours it.
pub(super) fn paint(is_colored: bool, color: &str, text: &str) -> String {
    let text = terminal::escape_line(text);
    match is_colored {
        true => format!("\x1b[{color}m{text}\x1b[0m"),
        false => text.into_owned(),
    }
}

/// Removes colours from a text.
fn plain(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_final = |c: char| ('\u{40}'..='\u{7e}').contains(&c);
        let rest = part.split_once(is_final).map_or("", |(_, rest)| rest);
        plain.push_str(rest);
    }
    plain
}

/// Prints the number of secrets by rule on standard error.
pub(super) fn print_summary(counts: &RedactionCounts) {
    let mut rules: Vec<(&str, u32)> = counts.iter().collect();
    rules.sort_by_key(|(id, count)| (std::cmp::Reverse(*count), *id));
    let rules: Vec<String> = rules
        .iter()
        .map(|(id, count)| format!("{count} {id}"))
        .collect();
    let summary: Cow<'_, str> = match counts.total() {
        0 => "no secrets found".into(),
        1 => format!("1 secret found: {}", rules.join(", ")).into(),
        total => format!("{total} secrets found: {}", rules.join(", ")).into(),
    };
    writeln!(io::stderr(), "{}", terminal::escape_line(&summary)).ok();
}

#[cfg(test)]
mod tests {
    use super::*;
    use step_observer::redact::{FullRule, Masker};

    /// Explains a text that is masked in parts of `size` bytes.
    fn explained(text: &str, size: usize) -> Vec<serde_json::Value> {
        let options = Options {
            rules: vec![FullRule {
                id: "block".to_owned(),
                pattern: "<[^>]{1,200}>".to_owned(),
                keywords: vec!["<".to_owned()],
                ..FullRule::default()
            }],
            ..Options::default()
        };
        let engine = Arc::new(Engine::new(&options).unwrap());
        let mut masker = Masker::new(engine.clone()).remembering();
        let mut findings = Findings::new(engine, &options, true, false);
        findings.begin(Path::new("a log"));
        let mut lines = String::new();
        let mut output = Vec::new();
        for part in text.as_bytes().chunks(size) {
            masker.push(part, &mut output);
            findings.take(&output, masker.take_replaced());
            output.clear();
            lines += &findings.ready();
            assert!(findings.text.len() < 2 * (size + 200_000));
        }
        let (_, replaced) = masker.finish_remembering(&mut output);
        findings.take(&output, replaced);
        lines += &findings.finish();
        let parse = |line: &str| serde_json::from_str(line).unwrap();
        lines.lines().map(parse).collect()
    }

    #[test]
    fn lines_are_those_of_the_text_before_it_was_masked() {
        let text = "first\n  a <one\ntwo> b <three> c\n\n<four>";
        for size in [1, 7, 100] {
            let found = explained(text, size);
            let seen: Vec<_> = found
                .iter()
                .map(|one| {
                    (
                        one["line"].as_u64().unwrap(),
                        one["excerpt"].as_str().unwrap(),
                    )
                })
                .collect();
            let masked = "a [redacted:block] b [redacted:block] c";
            assert_eq!(seen, [(2, masked), (3, masked), (5, "[redacted:block]")]);
            assert_eq!(found[0]["file"], "a log");
            assert_eq!(found[0]["title"], "own rule");
        }
    }

    #[test]
    fn excerpts_of_long_lines_are_cut_and_memory_is_bounded() {
        let long = "é".repeat(300_000);
        let text = format!("{long}<one>{long}\x1b[31mred <two>\x1b[0m\n");
        for size in [1000, 100_000] {
            let found = explained(&text, size);
            assert_eq!(found.len(), 2);
            let first = found[0]["excerpt"].as_str().unwrap();
            let around = "é".repeat(SHOWN / 2);
            assert_eq!(first, format!("…{around}[redacted:block]{around}…"));
            let second = found[1]["excerpt"].as_str().unwrap();
            assert!(second.ends_with("éred [redacted:block]"), "{second}");
        }
    }
}
