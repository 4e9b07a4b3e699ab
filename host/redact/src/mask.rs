//! Masks a text, or a stream of bytes.

use crate::engine::{Engine, Hit, join, sort};
use crate::meter;
use crate::text::{REACH, Text};
use crate::view::View;
use crate::{Exhausted, RedactionCounts, ScanLimits};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

/// Masks a whole text.
pub(crate) fn mask<'t>(
    engine: &Engine,
    text: &'t str,
    counts: &mut RedactionCounts,
    limits: ScanLimits,
) -> Result<Cow<'t, str>, Exhausted> {
    let most = text.len().saturating_add(limits.growth);
    let check = |written: usize| {
        if written > most || Instant::now() > limits.deadline {
            Err(Exhausted)
        } else {
            Ok(())
        }
    };
    if memchr::memchr(0x1b, text.as_bytes()).is_some() {
        return mask_coloured(engine, text, counts, limits.deadline, check);
    }
    let searched = Text::new(text);
    let mut output = String::new();
    let mut hits = Vec::new();
    let mut work = meter::until(Some(limits.deadline));
    let (mut start, mut done) = (0, 0);
    while start < text.len() {
        let end = text.ceil_char_boundary((start + BLOCK).min(text.len()));
        engine.scan(&searched, start..end, &mut work, &mut hits)?;
        start = end;
        let is_last = end == text.len();
        // A secret may begin before its keyword.
        let known = if is_last {
            end
        } else {
            end.saturating_sub(REACH)
        };
        let known = text.floor_char_boundary(known);
        for hit in settled(&mut hits, done, known).0 {
            counts.add(engine.rule_id(hit.rule));
            let secret = text.get(hit.range.clone()).unwrap_or_default();
            output.push_str(text.get(done..hit.range.start).unwrap_or_default());
            output.push_str(&engine.replacement(hit.rule, secret));
            done = hit.range.end;
        }
        check(output.len())?;
    }
    if done == 0 {
        return Ok(Cow::Borrowed(text));
    }
    output.push_str(text.get(done..).unwrap_or_default());
    check(output.len())?;
    Ok(Cow::Owned(output))
}

/// Masks a whole text that contains colours. A [`Masker`] leaves them out of the search.
fn mask_coloured<'t>(
    engine: &Engine,
    text: &'t str,
    counts: &mut RedactionCounts,
    deadline: Instant,
    check: impl Fn(usize) -> Result<(), Exhausted>,
) -> Result<Cow<'t, str>, Exhausted> {
    let mut masker = Masker::new(Arc::new(engine.clone()));
    // After the deadline the search stops, and the next call of `check` fails.
    masker.deadline = Some(deadline);
    let mut output = Vec::new();
    for part in text.as_bytes().chunks(BLOCK) {
        masker.push(part, &mut output);
        check(output.len())?;
    }
    let found = masker.finish(&mut output);
    check(output.len())?;
    if found == RedactionCounts::default() {
        return Ok(Cow::Borrowed(text));
    }
    counts.merge(&found);
    String::from_utf8(output)
        .map(Cow::Owned)
        .map_err(|_| Exhausted)
}

/// Takes the secrets that end at `end` or before it, joined. All secrets that begin before `end`
/// must be known, and the text before `written` must be written.
///
/// Returns the secrets, and the place up to which the text is final. A secret that goes on beyond
/// `end` is taken later as a whole, or in parts if it is longer than [`MAX_HELD`].
fn settled(hits: &mut Vec<Hit>, written: usize, end: usize) -> (Vec<Hit>, usize) {
    hits.retain(|hit| hit.range.end > written);
    for hit in hits.iter_mut() {
        hit.range.start = hit.range.start.max(written);
    }
    prune(hits);
    let mut end = end;
    // Later ones may join these.
    let mut joined = hits.clone();
    join(&mut joined);
    let across = |hit: &&mut Hit| hit.range.start < end && hit.range.end > end;
    if let Some(hit) = joined.iter_mut().find(across) {
        if end - hit.range.start > MAX_HELD {
            hit.range.end = end;
        } else {
            end = hit.range.start;
        }
    }
    joined.retain(|hit| hit.range.end <= end);
    hits.retain(|hit| hit.range.end > end);
    (joined, end)
}

/// Sorts hits and removes those that lie within another hit. They change neither the places of the
/// masks nor their names.
fn prune(hits: &mut Vec<Hit>) {
    sort(hits);
    let mut end = 0;
    hits.retain(|hit| {
        let is_new = hit.range.end > end;
        end = end.max(hit.range.end);
        is_new
    });
}

/// Returns the replacement of each hit, and counts it.
fn replacements(
    engine: &Engine,
    text: &str,
    hits: &[Hit],
    counts: &mut RedactionCounts,
) -> Vec<(std::ops::Range<usize>, String)> {
    let one = |hit: &Hit| {
        counts.add(engine.rule_id(hit.rule));
        let secret = text.get(hit.range.clone()).unwrap_or_default();
        (
            hit.range.clone(),
            engine.replacement(hit.rule, secret).into_owned(),
        )
    };
    hits.iter().map(one).collect()
}

/// Bytes that are gathered before they are scanned.
const BLOCK: usize = 64 * 1024;

/// Bytes before a line break in which keywords are decided again after [`Masker::flush_lines`].
const AGAIN: usize = 4 * 1024;

/// Longest secret in bytes that is masked as a whole. A longer one is masked in parts.
const MAX_HELD: usize = 1024 * 1024;

/// Masks a stream of bytes. The output is that of the whole text. Holds at most a few times
/// [`REACH`] bytes.
#[derive(Debug)]
pub struct Masker {
    engine: Arc<Engine>,
    view: View,
    /// Number of bytes of the view that were scanned. All keywords before this place are decided.
    scanned: usize,
    /// Bytes of the view that were written.
    written: usize,
    hits: Vec<Hit>,
    counts: RedactionCounts,
    /// Number of bytes that all earlier calls have written.
    output: u64,
    /// `None` for a stream, whose search has no deadline.
    deadline: Option<Instant>,
    /// `None`: they are not wanted.
    replaced: Option<Vec<Replaced>>,
}

/// A secret that was replaced in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// The rule, as an index for [`Engine::rule_id`].
    pub rule: usize,
    /// The place of the replacement in the output of the stream, in bytes from its beginning.
    pub range: std::ops::Range<u64>,
    /// Line breaks in the secret. They are not in the output.
    pub line_breaks: u64,
}

impl Masker {
    /// Starts a stream.
    #[must_use]
    pub fn new(engine: Arc<Engine>) -> Self {
        Self {
            engine,
            view: View::default(),
            scanned: 0,
            written: 0,
            hits: Vec::new(),
            counts: RedactionCounts::default(),
            output: 0,
            deadline: None,
            replaced: None,
        }
    }

    /// Remembers each replacement until [`Masker::take_replaced`].
    #[must_use]
    pub fn remembering(mut self) -> Self {
        self.replaced = Some(Vec::new());
        self
    }

    /// Returns the replacements in the output since the last call, in order. Empty without
    /// [`Masker::remembering`].
    pub fn take_replaced(&mut self) -> Vec<Replaced> {
        self.replaced
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// Takes bytes, and appends what is certain by now to `output`.
    pub fn push(&mut self, bytes: &[u8], output: &mut Vec<u8>) {
        for part in bytes.chunks(BLOCK) {
            self.view.push(part);
            let ready = self.view.text.len().saturating_sub(REACH);
            if ready >= self.scanned + BLOCK {
                self.scan(ready);
                // A secret may begin before its keyword.
                self.write(self.scanned.saturating_sub(REACH), output);
            }
        }
    }

    /// Appends everything up to the last line break to `output`, as far as secrets are known by
    /// now. Meant for readers who wait for each line.
    ///
    /// Keywords in the last lines are decided again when more text arrives. A secret that is found
    /// only then is masked from the next line on.
    pub fn flush_lines(&mut self, output: &mut Vec<u8>) {
        if let Some(end) = memchr::memrchr(b'\n', self.view.text.as_bytes()) {
            let end = end + 1;
            self.scan(end);
            self.write(end, output);
            let again = end.saturating_sub(AGAIN);
            self.scanned = self.scanned.min(self.view.text.floor_char_boundary(again));
        }
    }

    /// Appends the rest to `output`. Returns the number of matches.
    #[must_use]
    pub fn finish(mut self, output: &mut Vec<u8>) -> RedactionCounts {
        self.write_rest(output);
        self.counts
    }

    /// Like [`Masker::finish`], and returns also the replacements since the last
    /// [`Masker::take_replaced`].
    #[must_use]
    pub fn finish_remembering(mut self, output: &mut Vec<u8>) -> (RedactionCounts, Vec<Replaced>) {
        self.write_rest(output);
        let replaced = self.take_replaced();
        (self.counts, replaced)
    }

    fn write_rest(&mut self, output: &mut Vec<u8>) {
        self.view.finish();
        let end = self.view.text.len();
        self.scan(end);
        self.write(end, output);
    }

    /// Returns the number of matches so far.
    #[must_use]
    pub fn counts(&self) -> &RedactionCounts {
        &self.counts
    }

    fn scan(&mut self, end: usize) {
        let end = self.view.text.floor_char_boundary(end);
        if end > self.scanned {
            let text = Text::new(&self.view.text);
            let mut work = meter::until(self.deadline);
            let part = self.scanned..end;
            // An error says that the deadline has passed: the output is then discarded.
            self.engine
                .scan(&text, part, &mut work, &mut self.hits)
                .ok();
            self.scanned = end;
        }
    }

    /// Writes the view up to `end`, and forgets what is no longer needed.
    fn write(&mut self, end: usize, output: &mut Vec<u8>) {
        let end = self.view.text.floor_char_boundary(end.max(self.written));
        let (hits, end) = settled(&mut self.hits, self.written, end);
        let masks = replacements(&self.engine, &self.view.text, &hits, &mut self.counts);
        let (rules, masks): (Vec<usize>, Vec<_>) = hits
            .iter()
            .zip(&masks)
            .map(|(hit, (range, text))| (hit.rule, (range.clone(), text.as_str())))
            .unzip();
        let before = output.len();
        let places = self.view.write(self.written, end, &masks, output);
        if let Some(replaced) = &mut self.replaced {
            for ((rule, place), (range, text)) in rules.iter().zip(places).zip(&masks) {
                let start = self.output + (place - before) as u64;
                let secret = self.view.text.get(range.clone()).unwrap_or_default();
                replaced.push(Replaced {
                    rule: *rule,
                    range: start..start + text.len() as u64,
                    line_breaks: memchr::memchr_iter(b'\n', secret.as_bytes()).count() as u64,
                });
            }
        }
        self.output += (output.len() - before) as u64;
        self.written = end;
        let old = self
            .view
            .text
            .floor_char_boundary(self.written.saturating_sub(2 * REACH));
        if old > BLOCK {
            self.view.forget(old);
            self.written -= old;
            self.scanned -= old;
            for hit in &mut self.hits {
                hit.range = hit.range.start.saturating_sub(old)..hit.range.end - old;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FullRule, Options};

    /// A stream remembers where its replacements are, however it is split.
    #[test]
    fn replacements_are_remembered_with_their_places() {
        let engine = Engine::new(&Options {
            forms: false,
            rules: vec![FullRule {
                id: "block".to_owned(),
                pattern: "<[a-z\n]{1,20}>".to_owned(),
                keywords: vec!["<".to_owned()],
                ..FullRule::default()
            }],
            ..Options::default()
        });
        let engine = Arc::new(engine.unwrap());
        let line = "nothing\n\x1b[31mone <a\nb> two <c>\x1b[0m\n";
        let text = line.repeat(20_000);
        for size in [1000, 70_000, text.len()] {
            let mut masker = Masker::new(engine.clone()).remembering();
            let (mut output, mut replaced) = (Vec::new(), Vec::new());
            for part in text.as_bytes().chunks(size) {
                masker.push(part, &mut output);
                replaced.extend(masker.take_replaced());
            }
            let (counts, rest) = masker.finish_remembering(&mut output);
            replaced.extend(rest);
            assert_eq!(replaced.len(), 40_000);
            assert_eq!(counts.total(), 40_000);
            let output = String::from_utf8(output).unwrap();
            for one in &replaced {
                let range = usize::try_from(one.range.start).unwrap()
                    ..usize::try_from(one.range.end).unwrap();
                assert_eq!(output.get(range), Some("[redacted:block]"));
                assert_eq!(engine.rule_id(one.rule), "block");
            }
            assert_eq!(replaced[0].line_breaks, 1);
            assert_eq!(replaced[1].line_breaks, 0);
        }
    }
}
