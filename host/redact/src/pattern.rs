//! A regular expression whose search can be interrupted.
//!
//! The library `regex` searches a text in one call, which may take minutes: a pattern of a few
//! kilobytes can have 50,000 states, and each byte of the text can visit all of them. Here the same
//! automata (`regex-automata`) are stepped byte by byte, and a [`Work`] is asked at intervals whether
//! the search may go on. The matches are those of `regex`: leftmost first.

mod automata;
mod threads;

use crate::Exhausted;
use crate::meter::Work;
use automata::{Automata, Outcome};
use regex_automata::nfa::thompson::{Config, NFA, WhichCaptures};
use regex_automata::util::pool::Pool;
use regex_automata::util::prefilter::Prefilter;
use regex_automata::util::syntax;
use regex_automata::{MatchKind, PatternID, Span};
use std::ops::Range;
use std::panic::{RefUnwindSafe, UnwindSafe};
use threads::{End, Scope, Threads};

/// Bytes that the search for the first letters of a match reads at a time.
const PREFILTER_BYTES: usize = if cfg!(test) { 16 } else { 64 * 1024 };

/// Work of the search for the first letters in the worst case, in steps for each byte.
const PREFILTER_WORK: usize = 16;

/// Work of a match, besides that of its bytes.
const MATCH_WORK: usize = 64;

/// Name of the capture group to mask.
const SECRET_GROUP: &str = "secret";

/// A regular expression.
#[derive(Debug)]
pub(crate) struct Pattern {
    nfa: NFA,
    /// `None` if the memory of the automata does not suffice for this pattern.
    automata: Option<Automata>,
    /// Finds the first letters of a match.
    prefilter: Option<Prefilter>,
    /// Length of the longest match in bytes, if it is bounded.
    longest: Option<usize>,
    /// Slots of the group to mask.
    group: Option<(usize, usize)>,
    caches: Pool<Caches, NewCaches>,
}

/// Why a pattern is refused. Never quotes the pattern, which may contain a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PatternError {
    /// Its syntax is wrong.
    #[error("{0}")]
    Invalid(String),
    /// It is larger than this, in bytes.
    #[error("the compiled pattern is larger than {0} bytes")]
    TooLarge(usize),
}

/// Returns the message of a syntax error without the pattern: only the last line does not quote it.
pub(crate) fn without_pattern(message: &str) -> String {
    let last = message.lines().next_back().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

/// A match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// All of it.
    pub(crate) whole: Range<usize>,
    /// The group `secret`, or all if the pattern has no such group or it took no part in the match.
    pub(crate) secret: Range<usize>,
}

/// Memory of one search.
#[derive(Debug)]
struct Caches {
    automata: Option<automata::Caches>,
    threads: Threads,
}

type NewCaches = Box<dyn Fn() -> Caches + Send + Sync + UnwindSafe + RefUnwindSafe>;

/// A match, without its group.
struct Match {
    whole: Range<usize>,
    /// `None` if it was not looked for.
    group: Option<Option<Range<usize>>>,
}

impl Pattern {
    /// Compiles a pattern. `nfa_bytes` bounds its size, `cache_bytes` the memory of each of its two
    /// lazy automata in a search.
    ///
    /// # Errors
    ///
    /// The pattern is invalid or too large.
    pub(crate) fn new(
        pattern: &str,
        nfa_bytes: usize,
        cache_bytes: usize,
    ) -> Result<Self, PatternError> {
        let hir = syntax::parse(pattern)
            .map_err(|error| PatternError::Invalid(without_pattern(&error.to_string())))?;
        let compile = |config: Config| {
            let compiled = NFA::compiler()
                .configure(config.nfa_size_limit(Some(nfa_bytes)))
                .build_from_hir(&hir);
            compiled.map_err(|error| match error.size_limit() {
                Some(_) => PatternError::TooLarge(nfa_bytes),
                None => PatternError::Invalid(error.to_string()),
            })
        };
        let nfa = compile(Config::new())?;
        let reverse = compile(
            Config::new()
                .reverse(true)
                .which_captures(WhichCaptures::None),
        )?;
        let prefilter = Prefilter::from_hir_prefix(MatchKind::LeftmostFirst, &hir);
        let automata = Automata::new(&nfa, reverse, prefilter.is_some(), cache_bytes);
        let group = nfa.group_info().to_index(PatternID::ZERO, SECRET_GROUP);
        let group = group.and_then(|group| nfa.group_info().slots(PatternID::ZERO, group));
        let new_caches: NewCaches = {
            let automata = automata.clone();
            Box::new(move || Caches {
                automata: automata.as_ref().map(Automata::caches),
                threads: Threads::default(),
            })
        };
        Ok(Self {
            nfa,
            automata,
            prefilter,
            longest: hir.properties().maximum_len(),
            group,
            caches: Pool::new(new_caches),
        })
    }

    /// Returns the length of the longest match in bytes, or `None` if it is not bounded.
    pub(crate) fn longest(&self) -> Option<usize> {
        self.longest
    }

    /// Returns true if it matches somewhere in a text.
    ///
    /// # Errors
    ///
    /// The search may not go on.
    pub(crate) fn is_match(&self, text: &str, work: &mut dyn Work) -> Result<bool, Exhausted> {
        let mut is_match = false;
        let searched = self.find_each(text, 0, work, |_| {
            is_match = true;
            Err(Exhausted)
        });
        if is_match {
            Ok(true)
        } else {
            searched.map(|()| false)
        }
    }

    /// Calls `found` with each match that begins at `from` or after it, in order and without
    /// overlaps. Assertions such as `\b` see the text before `from`.
    ///
    /// # Errors
    ///
    /// The search may not go on, or `found` fails.
    pub(crate) fn find_each(
        &self,
        text: &str,
        from: usize,
        work: &mut dyn Work,
        mut found: impl FnMut(Found) -> Result<(), Exhausted>,
    ) -> Result<(), Exhausted> {
        let mut caches = self.caches.get();
        let bytes = text.as_bytes();
        let mut at = from;
        let mut last_end = None;
        while at <= bytes.len() {
            let Some(Match { whole, group }) = self.find(bytes, at, &mut caches, work)? else {
                return Ok(());
            };
            let end = whole.end;
            work.spend(MATCH_WORK)?;
            // As in `regex`: no empty match directly after another match, nor within a character.
            if whole.is_empty() && (last_end == Some(end) || !text.is_char_boundary(end)) {
                at = end + 1;
                continue;
            }
            let group = match (self.group, group) {
                (None, _) => None,
                (Some(_), Some(group)) => group,
                (Some(_), None) => self.group_in(bytes, whole.clone(), &mut caches, work)?,
            };
            found(Found {
                secret: group.unwrap_or_else(|| whole.clone()),
                whole,
            })?;
            at = end;
            last_end = Some(end);
        }
        Ok(())
    }

    /// Returns the first match that begins at `from` or after it.
    fn find(
        &self,
        bytes: &[u8],
        from: usize,
        caches: &mut Caches,
        work: &mut dyn Work,
    ) -> Result<Option<Match>, Exhausted> {
        let mut at = from;
        let mut use_automata = true;
        // In each round, no match begins before `at`.
        loop {
            let mut beyond = at;
            if use_automata
                && let (Some(automata), Some(memory)) = (&self.automata, &mut caches.automata)
            {
                let mut prefilter = |from, work: &mut dyn Work| self.candidate(bytes, from, work);
                match automata.find(memory, bytes, at, &mut prefilter, work)? {
                    Outcome::Match(whole) => return Ok(Some(Match { whole, group: None })),
                    Outcome::NoMatch => return Ok(None),
                    Outcome::Quit {
                        at: place,
                        has_match,
                    } => {
                        beyond = place;
                        // A match that began at a greater distance would already have ended.
                        if let Some(longest) = self.longest.filter(|_| !has_match) {
                            at = at.max(place.saturating_sub(longest));
                        }
                    }
                    Outcome::Full => use_automata = false,
                }
            } else {
                match self.candidate(bytes, at, work)? {
                    Some(candidate) => (at, beyond) = (candidate, candidate),
                    None => return Ok(None),
                }
            }
            let span = at..bytes.len();
            match caches.threads.run(
                &self.nfa,
                self.group,
                bytes,
                span,
                Scope::Beyond(beyond),
                work,
            )? {
                End::Match(whole, group) => {
                    return Ok(Some(Match {
                        whole,
                        group: Some(group),
                    }));
                }
                End::NoMatch => return Ok(None),
                End::Idle(place) => at = place,
            }
        }
    }

    /// Returns the group to mask in a match.
    fn group_in(
        &self,
        bytes: &[u8],
        whole: Range<usize>,
        caches: &mut Caches,
        work: &mut dyn Work,
    ) -> Result<Option<Range<usize>>, Exhausted> {
        let end = caches
            .threads
            .run(&self.nfa, self.group, bytes, whole, Scope::Start, work)?;
        Ok(match end {
            End::Match(_, group) => group,
            End::NoMatch | End::Idle(_) => None,
        })
    }

    /// Returns the next place at `from` or after it where a match may begin.
    fn candidate(
        &self,
        bytes: &[u8],
        from: usize,
        work: &mut dyn Work,
    ) -> Result<Option<usize>, Exhausted> {
        let Some(prefilter) = &self.prefilter else {
            return Ok(Some(from));
        };
        let longest = prefilter.max_needle_len();
        let mut start = from;
        loop {
            // Up to `end`, the candidates are those of the whole text. A candidate may continue
            // beyond `end`.
            let end = (start + PREFILTER_BYTES).min(bytes.len());
            let span = Span::from(start..(end + longest).min(bytes.len()));
            match prefilter.find(bytes, span) {
                Some(found) if found.start <= end => return Ok(Some(found.start)),
                _ if end == bytes.len() => return Ok(None),
                _ => {}
            }
            work.spend(PREFILTER_WORK * (end - start))?;
            start = end;
        }
    }
}

#[cfg(test)]
mod tests;
