//! The engine: one search for all keywords, and a decision at each of them.

mod build;
mod scan;

use crate::forms::{Detector, Form};
use crate::kind::Kind;
use crate::matcher::Matcher;
use crate::meter::{self, Work};
use crate::own_rule::OwnRule;
use crate::text::Text;
use crate::values::{KnownValues, ValueSearch};
use crate::{Exhausted, RedactionCounts, ScanLimits};
use aho_corasick::AhoCorasick;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// Number of bytes that are scanned between two checks of the deadline.
const BLOCK: usize = 64 * 1024;

/// Bound of the matches in one text.
pub(crate) const MAX_HITS: usize = 100_000;

/// The id under which known values are masked.
pub const VALUE_RULE: &str = "known-value";

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
    /// Id of the rule, and key of the HMAC.
    Token(Arc<str>, String),
}

#[derive(Clone, Copy)]
enum Target {
    /// An escape: the word that contains it is decoded, and then searched.
    Escaped,
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
    /// Returns the pattern, which is compiled on first use.
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
    /// Returns an engine that searches only these sets of known values. To keep
    /// [`Options::values`](crate::Options::values), pass them as one of the sets.
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

    /// Returns all secrets of a text in order. Overlapping secrets are joined.
    ///
    /// # Errors
    ///
    /// The deadline has passed, or there are too many secrets.
    pub fn hits(&self, text: &str, deadline: Instant) -> Result<Vec<Hit>, Exhausted> {
        let text = Text::new(text);
        let mut hits = Vec::new();
        let mut work = meter::until(Some(deadline));
        let mut start = 0;
        while start < text.len() {
            let end = text
                .as_str()
                .ceil_char_boundary((start + BLOCK).min(text.len()));
            self.scan(&text, start..end, &mut work, &mut hits)?;
            // Nested names lead to the same secret.
            if hits.len() > MAX_HITS {
                join(&mut hits);
            }
            if hits.len() > MAX_HITS {
                return Err(Exhausted);
            }
            work.ask()?;
            start = end;
        }
        join(&mut hits);
        Ok(hits)
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

/// Sorts hits by their start. Among hits with the same start, the longest is the first.
pub(crate) fn sort(hits: &mut [Hit]) {
    hits.sort_by_key(|hit| (hit.range.start, std::cmp::Reverse(hit.range.end), hit.rule));
}
