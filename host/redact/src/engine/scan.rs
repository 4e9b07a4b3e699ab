//! The search itself: at each keyword, a decision.

use super::{Engine, Hit, Target};
use crate::forms::Form;
use crate::kind::{self, Kind};
use crate::matcher::{Match, Matcher};
use crate::memo::Question;
use crate::meter::Work;
use crate::text::Text;
use crate::{Exhausted, escaped};
use std::ops::Range;

/// Minimum length, in bytes, of the words in which kinds without keywords are searched.
const LONG_WORD: usize = 20;

impl Engine {
    /// Appends the secrets whose keywords begin in `starts`.
    ///
    /// # Errors
    ///
    /// The search of an own rule may not go on.
    pub(crate) fn scan(
        &self,
        text: &Text<'_>,
        starts: Range<usize>,
        work: &mut dyn Work,
        hits: &mut Vec<Hit>,
    ) -> Result<(), Exhausted> {
        let end = starts
            .end
            .saturating_add(self.longest_keyword.saturating_sub(1))
            .min(text.len());
        let mut own_places: Vec<Vec<Range<usize>>> = vec![Vec::new(); self.own.len()];
        let mut own = |index: usize, keyword| {
            if let Some(places) = own_places.get_mut(index) {
                places.push(keyword);
            }
        };
        self.scan_keywords(text, starts.start..end, starts.end, 0, &mut own, hits);
        for (own, mut places) in self.own.iter().zip(own_places) {
            if own.always {
                places = vec![starts.clone()];
            }
            places.sort_by_key(|place| place.start);
            own.search(text, &places, work, hits)?;
        }
        self.scan_words(text, starts.clone(), hits);
        if let Some(values) = &self.values {
            values.find(text, starts, &mut |range| {
                hits.push(Hit {
                    range,
                    rule: self.value_rule,
                });
            });
        }
        Ok(())
    }

    /// Appends the secrets of all keywords in `within` that begin before `last`. `depth` is the
    /// number of times that the text was decoded.
    fn scan_keywords(
        &self,
        text: &Text<'_>,
        within: Range<usize>,
        last: usize,
        depth: usize,
        own: &mut dyn FnMut(usize, Range<usize>),
        hits: &mut Vec<Hit>,
    ) {
        let input = aho_corasick::Input::new(text.as_str()).range(within);
        let Ok(found) = self.keywords.try_find_overlapping_iter(input) else {
            return;
        };
        // The form that was reported last, and its rule.
        let mut form_rule: Option<(&'static Form, Option<usize>)> = None;
        for keyword in found.filter(|keyword| keyword.start() < last) {
            let targets = self.targets.get(keyword.pattern().as_usize());
            for target in targets.into_iter().flatten() {
                match target {
                    Target::Kind(index) => self.try_kind(text, *index, keyword.start(), hits),
                    Target::Own(index) => own(*index, keyword.range()),
                    Target::Form(detector) => {
                        (detector.detect)(text, keyword.range(), &mut |form, range| {
                            let known = form_rule.filter(|(known, _)| std::ptr::eq(*known, form));
                            let (_, rule) = known.unwrap_or_else(|| (form, self.rule_of(form)));
                            form_rule = Some((form, rule));
                            hits.extend(rule.map(|rule| Hit { range, rule }));
                        })
                    }
                    Target::Escaped if depth < escaped::MAX_DEPTH => {
                        self.scan_encoded(text, keyword.start(), depth, hits);
                    }
                    Target::Escaped => {}
                }
            }
        }
    }

    /// Appends the secrets in the word whose first escape is at `at`.
    fn scan_encoded(&self, text: &Text<'_>, at: usize, depth: usize, hits: &mut Vec<Hit>) {
        let Some(word) = escaped::Word::at(text, at) else {
            return;
        };
        let source = word.source(0..word.decoded().len());
        // The same word has the same secrets everywhere.
        let found = text.recall_hits(Question::Decoded(depth), source.clone(), || {
            let decoded = Text::new(word.decoded());
            let mut found = Vec::new();
            let length = decoded.len();
            // Own rules and known values are searched in the text as it is.
            let mut own = |_, _| {};
            self.scan_keywords(&decoded, 0..length, length, depth + 1, &mut own, &mut found);
            let in_source = |hit: Hit| {
                let range = word.source(hit.range);
                Hit {
                    range: range.start - source.start..range.end - source.start,
                    ..hit
                }
            };
            found.into_iter().map(in_source).collect()
        });
        hits.extend(found.iter().map(|hit| Hit {
            range: source.start + hit.range.start..source.start + hit.range.end,
            ..*hit
        }));
    }

    /// Tries the kinds without keywords at each long word that begins in `starts`.
    fn scan_words(&self, text: &Text<'_>, starts: Range<usize>, hits: &mut Vec<Hit>) {
        if self.word_kinds.is_empty() {
            return;
        }
        let bytes = text.as_str().as_bytes();
        let is_word = |byte: u8| kind::is_word(byte) || byte == b'-';
        let word_end = |from: usize| {
            let rest = bytes.get(from..starts.end).unwrap_or_default();
            let length = rest.iter().position(|byte| !is_word(*byte));
            length.map_or(starts.end, |length| from + length)
        };
        let mut at = starts.start;
        // A word that began in the part before belongs to that part.
        if text.byte_before(at).is_some_and(is_word) {
            at = word_end(at);
        }
        while at < starts.end {
            let Some(word) = bytes.get(at..at + LONG_WORD) else {
                break;
            };
            // The last byte outside a word. No long word begins before it, so most bytes of an
            // ordinary text are skipped.
            if let Some(last) = word.iter().rposition(|byte| !is_word(*byte)) {
                at += last + 1;
                continue;
            }
            let escape = kind::escape_end(text, at);
            for index in self.word_kinds.iter() {
                self.try_match(text, *index, at, hits);
                if let Some(at) = escape {
                    self.try_match(text, *index, at, hits);
                }
            }
            at = word_end(at);
        }
    }

    fn try_kind(&self, text: &Text<'_>, index: usize, keyword: usize, hits: &mut Vec<Hit>) {
        let Some(compiled) = self.kinds.get(index) else {
            return;
        };
        let (least, most) = compiled.kind.lead;
        let Some(matcher) = compiled.matcher() else {
            return;
        };
        let find = || {
            (least..=most).rev().find_map(|lead| {
                let at = keyword.checked_sub(lead)?;
                let begins = matcher.may_begin_at(text, at);
                let found = begins.then(|| self.match_of(text, index, at)).flatten()?;
                Some(Match { lead, ..found })
            })
        };
        // The result depends only on these bytes, which include a few bytes before the match.
        let start = keyword.checked_sub(most + kind::BEFORE);
        let end = (keyword + matcher.longest() + 2).min(text.len());
        let found = match start {
            Some(start) if least < most => {
                text.recall_match(Question::MatchBefore(index), start..end, find)
            }
            _ => find(),
        };
        if let Some(found) = found {
            let at = keyword - found.lead;
            hits.push(Hit {
                range: at + found.secret.0..at + found.secret.1,
                rule: compiled.rule,
            });
        }
    }

    /// Appends the secret of a kind that begins at a place.
    fn try_match(&self, text: &Text<'_>, index: usize, at: usize, hits: &mut Vec<Hit>) {
        if let Some(found) = self.match_of(text, index, at) {
            hits.push(Hit {
                range: at + found.secret.0..at + found.secret.1,
                rule: self.kinds.get(index).map_or(0, |compiled| compiled.rule),
            });
        }
    }

    /// Returns the match of a kind that begins at a place.
    fn match_of(&self, text: &Text<'_>, index: usize, at: usize) -> Option<Match> {
        let compiled = self.kinds.get(index)?;
        let kind = compiled.kind;
        if kind.bounded && !kind::is_free_before(text, at)
            || kind.apart && kind::is_joined_before(text, at)
            || kind.outside_base64 && kind::is_within_base64(text, at)
        {
            return None;
        }
        let matcher = compiled
            .matcher()
            .filter(|matcher| matcher.begins_at(text, at) && text.as_str().is_char_boundary(at))?;
        // The rest of the decision depends only on these bytes: the longest match, and two bytes
        // after it.
        let window = at..at.saturating_add(matcher.longest() + 2).min(text.len());
        text.recall_match(Question::Match(index), window, || {
            confirmed(kind, matcher, text, at)
        })
    }
}

/// Returns the match of a kind at a place, if all conditions of the kind are met.
fn confirmed(kind: &Kind, matcher: &Matcher, text: &Text<'_>, at: usize) -> Option<Match> {
    if matcher.is_long() && kind.lead == (0, 0) && kind::repeats(text, at) {
        return None;
    }
    let found = matcher.match_at(text, at)?;
    let end = at + found.length;
    if kind.bounded && !kind::is_free_after(text, end)
        || kind.apart && kind::is_joined_after(text, end)
    {
        return None;
    }
    let credential = text.slice(at..end);
    if kind
        .checksum
        .is_some_and(|checksum| checksum.is_valid(credential))
    {
        return Some(found);
    }
    let shown = text.slice(at + found.secret.0..at + found.secret.1);
    if kind.entropy > 0.0 && kind::entropy(shown) < kind.entropy {
        return None;
    }
    if !kind.allow.is_empty() {
        let lower = credential.to_ascii_lowercase();
        if kind.allow.iter().any(|word| lower.contains(word)) {
            return None;
        }
    }
    Some(found)
}
