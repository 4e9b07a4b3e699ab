//! Regular expressions of `matches`, in the syntax of RE2 as far as the crate `regex` has it.
//!
//! They are searched with a DFA that is built while it searches, of bounded size. The time of a search is
//! linear in the text, and the time to build states is bounded with their size. An automaton without such
//! a bound can take a microsecond for each byte.

use crate::limits::{MAX_PATTERN_BYTES, MAX_STATES_BYTES};
use regex_automata::Input;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson;
use regex_automata::util::syntax;
use std::sync::{Mutex, PoisonError, TryLockError};

/// A compiled regular expression.
pub(crate) struct Pattern {
    dfa: DFA,
    /// The states that earlier searches made. A search that runs meanwhile makes its own.
    cache: Mutex<Cache>,
}

impl std::fmt::Debug for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pattern").finish_non_exhaustive()
    }
}

/// Why a pattern is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatternRefusal {
    Syntax,
    TooLarge,
}

impl PatternRefusal {
    /// Returns the message and the remedy.
    pub(crate) fn texts(self) -> (&'static str, String) {
        match self {
            Self::Syntax => (
                "the pattern is no regular expression",
                "use the syntax of RE2, without \\C and \\Q; write it as r'…', so that backslashes are kept"
                    .to_owned(),
            ),
            Self::TooLarge => (
                "the compiled pattern is too large",
                format!(
                    "use smaller repetitions and classes such as [a-z]: {MAX_PATTERN_BYTES} bytes are allowed"
                ),
            ),
        }
    }
}

/// A search needs more states than it may make.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TooManyStates;

/// The result of a search.
pub(crate) struct Search {
    pub(crate) is_match: bool,
    /// Bytes of states that the search made.
    pub(crate) states_bytes: usize,
}

impl Pattern {
    pub(crate) fn compile(pattern: &str) -> Result<Self, PatternRefusal> {
        let pattern = with_ascii_classes(pattern);
        // Whether a match ends inside of a character makes no difference: only whether there is one counts.
        let syntax = syntax::Config::new().nest_limit(64).utf8(false);
        if syntax::parse_with(&pattern, &syntax).is_err() {
            return Err(PatternRefusal::Syntax);
        }
        let config = DFA::config()
            .cache_capacity(MAX_STATES_BYTES)
            .minimum_cache_clear_count(Some(1));
        let thompson = thompson::Config::new()
            .utf8(false)
            .nfa_size_limit(Some(MAX_PATTERN_BYTES))
            .which_captures(thompson::WhichCaptures::None);
        let built = DFA::builder()
            .configure(config)
            .syntax(syntax)
            .thompson(thompson)
            .build(&pattern);
        let dfa = built.map_err(|_| PatternRefusal::TooLarge)?;
        let cache = Mutex::new(dfa.create_cache());
        Ok(Self { dfa, cache })
    }

    /// Searches the text. What succeeds without the states of earlier searches always succeeds.
    pub(crate) fn search(&self, text: &str) -> Result<Search, TooManyStates> {
        match self.cache.try_lock() {
            Ok(mut cache) => {
                let found = self.search_with(&mut cache, text);
                // The states of earlier searches may have taken the room. Now there are none.
                found.or_else(|_| self.search_with(&mut cache, text))
            }
            Err(TryLockError::WouldBlock) => self.search_with(&mut self.dfa.create_cache(), text),
            Err(TryLockError::Poisoned(poisoned)) => {
                // A panic during a search may have left anything.
                let mut cache = PoisonError::into_inner(poisoned);
                cache.reset(&self.dfa);
                self.search_with(&mut cache, text)
            }
        }
    }

    fn search_with(&self, cache: &mut Cache, text: &str) -> Result<Search, TooManyStates> {
        let (bytes, clears) = (cache.memory_usage(), cache.clear_count());
        let input = Input::new(text).earliest(true);
        let found = self.dfa.try_search_fwd(cache, &input);
        let is_cleared = cache.clear_count() > clears;
        let grown = cache.memory_usage().saturating_sub(bytes);
        if is_cleared {
            // The count of clears is the cache's, so the next search needs a new one.
            cache.reset(&self.dfa);
        }
        let found = found.map_err(|_| TooManyStates)?;
        Ok(Search {
            is_match: found.is_some(),
            states_bytes: if is_cleared { MAX_STATES_BYTES } else { grown },
        })
    }
}

/// Writes the classes `\d`, `\s` and `\w` and the boundaries `\b` and `\B` as RE2 defines them: for ASCII
/// only (github.com/google/re2, doc/syntax.txt). Their Unicode versions are thousands of ranges.
fn with_ascii_classes(pattern: &str) -> String {
    let mut written = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(character) = chars.next() {
        if character != '\\' {
            written.push(character);
            continue;
        }
        match chars.next() {
            Some('d') => written.push_str("[0-9]"),
            Some('D') => written.push_str("[^0-9]"),
            Some('s') => written.push_str(r"[\t\n\f\r ]"),
            Some('S') => written.push_str(r"[^\t\n\f\r ]"),
            Some('w') => written.push_str("[0-9A-Za-z_]"),
            Some('W') => written.push_str("[^0-9A-Za-z_]"),
            Some('b') => written.push_str(r"(?-u:\b)"),
            Some('B') => written.push_str(r"(?-u:\B)"),
            Some(other) => written.extend(['\\', other]),
            None => written.push('\\'),
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_match(pattern: &str, text: &str) -> bool {
        let pattern = Pattern::compile(pattern).unwrap();
        pattern.search(text).unwrap().is_match
    }

    #[test]
    fn classes_are_those_of_re2() {
        assert!(is_match(r"^\d+\s\w+$", "12 ab_3"));
        assert!(!is_match(r"^\d$", "٣"));
        assert!(!is_match(r"^\w$", "é"));
        assert!(is_match(r"^[\d-]+$", "1-2"));
        assert!(is_match(r"^[\D]+$", "ab"));
        assert!(is_match(r"\berror\b", "an error."));
        assert!(!is_match(r"\berror\b", "terror"));
        assert!(is_match(r"\Berror", "terror"));
        assert!(!is_match(r"\Berror", "an error"));
        assert!(is_match("^.$", "é"));
        assert!(is_match(r"^\\d$", r"\d"));
    }

    #[test]
    fn a_pattern_that_is_refused_says_why() {
        let refused = |pattern| Pattern::compile(pattern).unwrap_err();
        for pattern in ["(", "a{2,1}", r"\", "(?<n", "[z-a]", "(?=a)", r"(a)\1"] {
            assert_eq!(refused(pattern), PatternRefusal::Syntax, "{pattern}");
        }
        for pattern in ["a{1000}{1000}", r"(\p{L}{50}){50}"] {
            assert_eq!(refused(pattern), PatternRefusal::TooLarge, "{pattern}");
        }
    }

    #[test]
    fn a_search_that_needs_too_many_states_fails_every_time() {
        let pattern = Pattern::compile("[01]*1[01]{14}$").unwrap();
        // Every window of 15 characters is another state.
        let mut state = 1_u32;
        let mut bit = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if state >> 31 == 1 { '1' } else { '0' }
        };
        let text: String = (0..65_536).map(|_| bit()).collect();
        for _ in 0..3 {
            assert!(pattern.search(&text).is_err());
            assert!(
                pattern
                    .search("1000000000000000")
                    .is_ok_and(|search| !search.is_match)
            );
        }
    }
}
