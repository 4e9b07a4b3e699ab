//! The engine: one search for all keywords, and a decision at each of them.

use crate::catalog;
use crate::forms::{self, Detector, Form};
use crate::kind::{self, Kind};
use crate::matcher::Matcher;
use crate::own_rule::{MAX_FULL_RULES, OwnRule};
use crate::percent;
use crate::text::Text;
use crate::values::{KnownValue, KnownValues, Policy, ValueSearch};
use crate::{Exhausted, RedactionCounts, ScanLimits};
use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind, MatchKind};
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// Bytes of a text between two looks at the deadline.
const BLOCK: usize = 64 * 1024;

/// Length of words in which kinds without keywords are searched, in bytes.
const LONG_WORD: usize = 20;

/// Bound of the matches in one text.
pub(crate) const MAX_HITS: usize = 100_000;

/// The id under which known values are masked.
pub const VALUE_RULE: &str = "known-value";

/// What an engine searches for, and what it puts in the place of a secret.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Options {
    /// Ids of kinds and forms of the catalogue that are left out.
    pub without: Vec<String>,
    /// Ids of the only kinds and forms of the catalogue that are used. Empty: all.
    pub only: Vec<String>,
    /// Whether forms are used.
    pub forms: bool,
    /// Own rules, beside those of the catalogue.
    pub rules: Vec<FullRule>,
    /// Known secrets.
    pub values: Vec<String>,
    /// What stands in the place of a secret.
    pub replacement: Replacement,
}

/// An own rule in full form.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FullRule {
    /// Its id.
    pub id: String,
    /// Regular expression. If it has a group `secret`, only that is masked.
    pub pattern: String,
    /// Words of which every match contains at least one, in any case of ASCII letters: the pattern
    /// runs only near them. Empty: it runs over the whole text.
    pub keywords: Vec<String>,
    /// Least length of the secret, in bytes.
    pub min_length: usize,
    /// Least Shannon entropy of the secret, in bits per character.
    pub min_entropy: f32,
    /// Regular expressions: a secret that one of them matches is not masked.
    pub allow: Vec<String>,
    /// Words: a secret that contains one of them, in any case of ASCII letters, is not masked.
    pub allow_words: Vec<String>,
    /// What stands in the place of the secret, instead of [`Options::replacement`].
    pub replacement: Option<String>,
}

/// What stands in the place of a secret.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Replacement {
    /// `[redacted:<id of the rule>]`.
    #[default]
    Rule,
    /// This text.
    Text(String),
    /// `[redacted:<id of the rule>:<ten hexadecimal digits>]`: the digits are the HMAC-SHA-256 of the
    /// secret with this key, so that equal secrets of two texts can be recognised.
    Token(String),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            without: Vec::new(),
            only: Vec::new(),
            forms: true,
            rules: Vec::new(),
            values: Vec::new(),
            replacement: Replacement::default(),
        }
    }
}

/// A compiled selection of rules and values. Clones share it.
#[derive(Clone)]
pub struct Engine {
    /// Ids of all rules. A hit names its rule by the position in this list.
    ids: Arc<[Arc<str>]>,
    keywords: AhoCorasick,
    /// For each keyword, what it leads to.
    targets: Arc<[Vec<Target>]>,
    /// Longest keyword in bytes.
    longest_keyword: usize,
    kinds: Arc<[CompiledKind]>,
    /// Indexes of the kinds without keywords.
    word_kinds: Arc<[usize]>,
    /// For each form, the position of its id; `None` if it is left out.
    forms: Arc<[(&'static Form, Option<usize>)]>,
    own: Arc<[OwnRule]>,
    /// Replacement of each rule.
    replacements: Arc<[RuleReplacement]>,
    values: Option<Arc<ValueSearch>>,
    /// The rule of known values.
    value_rule: usize,
}

/// What stands in the place of the secrets of one rule.
enum RuleReplacement {
    Text(String),
    /// The id, and the key of the token.
    Token(Arc<str>, String),
}

#[derive(Clone, Copy)]
enum Target {
    /// A percent-encoded sign: the word around it is searched without its encoding.
    Percent,
    Kind(usize),
    Form(Detector),
    Own(usize),
}

struct CompiledKind {
    kind: &'static Kind,
    rule: usize,
    matcher: OnceLock<Option<Matcher>>,
}

impl CompiledKind {
    /// Returns the pattern, which is compiled when it is called for.
    fn matcher(&self) -> Option<&Matcher> {
        let compile = || Matcher::new(self.kind.pattern).ok();
        self.matcher.get_or_init(compile).as_ref()
    }
}

/// A secret that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Its place in the text.
    pub range: Range<usize>,
    /// The rule, as an index for [`Engine::rule_id`].
    pub rule: usize,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Engine")
            .field("rules", &self.ids.len())
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Compiles a selection.
    ///
    /// # Errors
    ///
    /// Names the id that does not exist.
    pub fn new(options: &Options) -> Result<Self, String> {
        let mut ids: Vec<Arc<str>> = Vec::new();
        let mut words: Vec<String> = Vec::new();
        let mut targets: Vec<Vec<Target>> = Vec::new();
        let mut lead = |word: &str, target: Target| {
            let word = word.to_ascii_lowercase();
            match words.iter().position(|known| *known == word) {
                Some(index) => targets.get_mut(index).map(|all| all.push(target)),
                None => {
                    words.push(word);
                    targets.push(vec![target]);
                    None
                }
            };
        };
        let mut kinds = Vec::new();
        let mut word_kinds = Vec::new();
        let chosen = |id: &str| options.uses(id);
        for kind in catalog::kinds().filter(|kind| chosen(kind.id)) {
            for word in kind.keywords {
                lead(word, Target::Kind(kinds.len()));
            }
            if kind.keywords.is_empty() {
                word_kinds.push(kinds.len());
            }
            kinds.push(CompiledKind {
                kind,
                rule: ids.len(),
                matcher: OnceLock::new(),
            });
            ids.push(kind.id.into());
        }
        let mut all_forms = Vec::new();
        if options.forms {
            for form in forms::forms() {
                let rule = chosen(form.id).then(|| {
                    ids.push(form.id.into());
                    ids.len() - 1
                });
                all_forms.push((form, rule));
            }
            for detector in forms::detectors() {
                for word in detector.keywords {
                    lead(word, Target::Form(*detector));
                }
            }
        }
        for word in percent::KEYWORDS {
            lead(word, Target::Percent);
        }
        if options.rules.len() > MAX_FULL_RULES {
            return Err(format!(
                "{} rules are more than {MAX_FULL_RULES}",
                options.rules.len()
            ));
        }
        let mut own = Vec::new();
        for rule in &options.rules {
            own.push(OwnRule::new(rule, ids.len())?);
            for word in &rule.keywords {
                lead(word, Target::Own(own.len() - 1));
            }
            ids.push(rule.id.as_str().into());
        }
        let value_rule = ids.len();
        ids.push(VALUE_RULE.into());
        let values = known_values(&options.values)?;
        let mut replacements: Vec<_> = ids
            .iter()
            .map(|id| match &options.replacement {
                Replacement::Rule => RuleReplacement::Text(format!("[redacted:{id}]")),
                Replacement::Text(text) => RuleReplacement::Text(text.clone()),
                Replacement::Token(key) => RuleReplacement::Token(id.clone(), key.clone()),
            })
            .collect();
        for (compiled, rule) in own.iter().zip(&options.rules) {
            if let Some(text) = &rule.replacement
                && let Some(replacement) = replacements.get_mut(compiled.rule)
            {
                *replacement = RuleReplacement::Text(text.clone());
            }
        }
        let longest_keyword = words.iter().map(String::len).max().unwrap_or(0);
        let keywords = AhoCorasickBuilder::new()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::DFA))
            .build(&words)
            .map_err(|error| error.to_string())?;
        Ok(Self {
            ids: ids.into(),
            keywords,
            targets: targets.into(),
            longest_keyword,
            kinds: kinds.into(),
            word_kinds: word_kinds.into(),
            forms: all_forms.into(),
            own: own.into(),
            replacements: replacements.into(),
            values,
            value_rule,
        })
    }

    /// Returns an engine that searches these sets of known values instead of
    /// [`Options::values`](crate::Options::values), which must be one of the sets if it is wanted.
    #[must_use]
    pub fn with_values(&self, sets: &[Arc<KnownValues>]) -> Self {
        Self {
            values: search_of(sets),
            ..self.clone()
        }
    }

    /// Returns the id of a rule.
    #[must_use]
    pub fn rule_id(&self, rule: usize) -> &str {
        self.ids.get(rule).map_or("unknown", |id| id)
    }

    /// Returns the rule of a form, or `None` if the form is left out.
    pub(crate) fn rule_of(&self, form: &'static Form) -> Option<usize> {
        let known = self.forms.iter();
        known
            .filter(|(known, _)| std::ptr::eq(*known, form))
            .find_map(|(_, rule)| *rule)
    }

    /// Returns what stands in the place of a secret.
    pub(crate) fn replacement(&self, rule: usize, secret: &str) -> Cow<'_, str> {
        match self.replacements.get(rule) {
            Some(RuleReplacement::Text(text)) => Cow::Borrowed(text),
            Some(RuleReplacement::Token(id, key)) => {
                Cow::Owned(format!("[redacted:{id}:{}]", token(key, secret)))
            }
            None => Cow::Borrowed("[redacted]"),
        }
    }

    /// Returns all secrets of a text in order, those that overlap joined.
    ///
    /// # Errors
    ///
    /// The deadline has passed, or there are too many.
    pub fn hits(&self, text: &str, deadline: Instant) -> Result<Vec<Hit>, Exhausted> {
        let text = Text::new(text);
        let mut hits = Vec::new();
        let mut start = 0;
        while start < text.len() {
            let end = text
                .as_str()
                .ceil_char_boundary((start + BLOCK).min(text.len()));
            self.scan(&text, start..end, &mut hits);
            // Nested names lead to the same secret.
            if hits.len() > MAX_HITS {
                join(&mut hits);
            }
            if hits.len() > MAX_HITS || Instant::now() > deadline {
                return Err(Exhausted);
            }
            start = end;
        }
        join(&mut hits);
        Ok(hits)
    }

    /// Appends the secrets to which the keywords lead that begin in `starts`.
    pub(crate) fn scan(&self, text: &Text<'_>, starts: Range<usize>, hits: &mut Vec<Hit>) {
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
            own.search(text, &places, hits);
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
    }

    /// Appends the secrets to which the keywords in `within` lead that begin before `last`. `depth`:
    /// how often the text was percent-decoded.
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
        for keyword in found.filter(|keyword| keyword.start() < last) {
            let targets = self.targets.get(keyword.pattern().as_usize());
            for target in targets.into_iter().flatten() {
                match target {
                    Target::Kind(index) => self.try_kind(text, *index, keyword.start(), hits),
                    Target::Own(index) => own(*index, keyword.range()),
                    Target::Form(detector) => {
                        (detector.detect)(text, keyword.range(), &mut |form, range| {
                            let known = self
                                .forms
                                .iter()
                                .find(|(known, _)| std::ptr::eq(*known, form));
                            if let Some((_, Some(rule))) = known {
                                hits.push(Hit { range, rule: *rule });
                            }
                        })
                    }
                    Target::Percent if depth < percent::MAX_DEPTH => {
                        self.scan_encoded(text, keyword.start(), depth, hits);
                    }
                    Target::Percent => {}
                }
            }
        }
    }

    /// Appends the secrets in the percent-encoded word whose first encoded sign is at `at`.
    fn scan_encoded(&self, text: &Text<'_>, at: usize, depth: usize, hits: &mut Vec<Hit>) {
        let Some(word) = percent::Word::at(text, at) else {
            return;
        };
        let decoded = Text::new(word.decoded());
        let mut found = Vec::new();
        let length = decoded.len();
        // Own rules and known values are searched in the text as it is.
        let mut own = |_, _| {};
        self.scan_keywords(&decoded, 0..length, length, depth + 1, &mut own, &mut found);
        hits.extend(found.into_iter().map(|hit| Hit {
            range: word.source(hit.range),
            ..hit
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
            // The last byte that is in no word: no long word begins before it, so most bytes of an
            // ordinary text need not be looked at.
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
        for lead in (least..=most).rev() {
            if let Some(at) = keyword.checked_sub(lead)
                && matcher.begins_at(text, at)
                && text.as_str().is_char_boundary(at)
                && self.try_match(text, index, at, hits)
            {
                return;
            }
        }
    }

    /// Tries a kind at a place. Returns true if it matches there.
    fn try_match(&self, text: &Text<'_>, index: usize, at: usize, hits: &mut Vec<Hit>) -> bool {
        let Some(compiled) = self.kinds.get(index) else {
            return false;
        };
        let CompiledKind { kind, rule, .. } = compiled;
        if kind.bounded && !kind::is_free_before(text, at)
            || kind.apart && kind::is_joined_before(text, at)
            || kind.outside_base64 && kind::is_within_base64(text, at)
        {
            return false;
        }
        let Some(matcher) = compiled.matcher() else {
            return false;
        };
        if !matcher.begins_at(text, at) {
            return false;
        }
        if matcher.is_long() && kind.lead == (0, 0) && kind::repeats(text, at) {
            return false;
        }
        let Some((whole, secret)) = matcher.match_at(text, at) else {
            return false;
        };
        if kind.bounded && !kind::is_free_after(text, whole.end)
            || kind.apart && kind::is_joined_after(text, whole.end)
        {
            return false;
        }
        let credential = text.slice(whole);
        if !kind
            .checksum
            .is_some_and(|checksum| checksum.is_valid(credential))
        {
            let shown = text.slice(secret.clone());
            if kind.entropy > 0.0 && kind::entropy(shown) < kind.entropy {
                return false;
            }
            if !kind.allow.is_empty() {
                let lower = credential.to_ascii_lowercase();
                if kind.allow.iter().any(|word| lower.contains(word)) {
                    return false;
                }
            }
        }
        hits.push(Hit {
            range: secret,
            rule: *rule,
        });
        true
    }

    /// Replaces all secrets of a text. Borrows the text if there are none.
    ///
    /// # Errors
    ///
    /// A limit is reached.
    pub fn mask<'t>(
        &self,
        text: &'t str,
        counts: &mut RedactionCounts,
        limits: ScanLimits,
    ) -> Result<Cow<'t, str>, Exhausted> {
        crate::mask::mask(self, text, counts, limits)
    }
}

/// Returns ten hexadecimal digits of the HMAC-SHA-256 of a secret.
fn token(key: &str, secret: &str) -> String {
    let Ok(mut hmac) = <Hmac<Sha256> as Mac>::new_from_slice(key.as_bytes()) else {
        return String::new();
    };
    hmac.update(secret.as_bytes());
    let digest = hmac.finalize().into_bytes();
    digest
        .iter()
        .take(5)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Returns the search of the values of a configuration.
fn known_values(values: &[String]) -> Result<Option<Arc<ValueSearch>>, String> {
    let named = |(index, value): (usize, &String)| KnownValue {
        source: format!("values[{index}]").into(),
        value: value.clone(),
    };
    let values: Vec<_> = values.iter().enumerate().map(named).collect();
    let (values, refusals) = KnownValues::new(&values, Policy::WRITTEN);
    match refusals.first() {
        Some(refusal) => Err(refusal.to_string()),
        None => Ok(search_of(&[Arc::new(values)])),
    }
}

fn search_of(sets: &[Arc<KnownValues>]) -> Option<Arc<ValueSearch>> {
    let any = sets.iter().any(|set| !set.is_empty());
    any.then(|| Arc::new(ValueSearch::new(sets)))
}

/// Sorts hits and joins those that overlap. The first one names the rule.
pub(crate) fn join(hits: &mut Vec<Hit>) {
    sort(hits);
    hits.dedup_by(|later, kept| {
        let overlaps = later.range.start < kept.range.end;
        if overlaps {
            kept.range.end = kept.range.end.max(later.range.end);
        }
        overlaps
    });
}

/// Sorts hits by their places. Of those that begin together, the longest is the first.
pub(crate) fn sort(hits: &mut [Hit]) {
    hits.sort_by_key(|hit| (hit.range.start, std::cmp::Reverse(hit.range.end), hit.rule));
}
