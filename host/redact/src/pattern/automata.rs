//! Lazy automata, stepped by hand.

use crate::Exhausted;
use crate::meter::Work;
use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::NFA;
use regex_automata::{Anchored, Input, MatchKind};
use std::ops::Range;

/// Bytes between two reports of work.
const PIECE: usize = if cfg!(test) { 16 } else { 64 * 1024 };

/// Limits from which an automaton that is built again and again is given up: number of times that
/// its memory was cleared, and bytes for each state. The values are those of `regex`.
const MIN_CLEARANCES: usize = 3;
const MIN_BYTES_PER_STATE: usize = 10;

/// The automaton that finds the end of a match, and the one that finds its start from there.
#[derive(Clone, Debug)]
pub(super) struct Automata {
    forward: DFA,
    reverse: DFA,
    has_prefilter: bool,
    /// Work of computing one state.
    state_work: usize,
}

/// States that were computed.
#[derive(Debug)]
pub(super) struct Caches {
    forward: Cache,
    reverse: Cache,
}

/// Result of a search.
pub(super) enum Outcome {
    Match(Range<usize>),
    NoMatch,
    /// A character outside ASCII stands at `at`, and the pattern has a Unicode word boundary. No
    /// match ends before that place, unless `has_match` is true.
    Quit {
        at: usize,
        has_match: bool,
    },
    /// It is not worth its memory.
    Full,
}

/// Why a search ended early.
enum Stop {
    Quit { at: usize, has_match: bool },
    Full,
    Exhausted,
}

impl From<Exhausted> for Stop {
    fn from(_: Exhausted) -> Self {
        Self::Exhausted
    }
}

/// Returns the next candidate at a place or after it.
type Candidate<'c> = &'c mut dyn FnMut(usize, &mut dyn Work) -> Result<Option<usize>, Exhausted>;

impl Automata {
    /// Returns `None` if the memory does not suffice for the pattern.
    pub(super) fn new(
        nfa: &NFA,
        reverse: NFA,
        has_prefilter: bool,
        cache_bytes: usize,
    ) -> Option<Self> {
        let config = DFA::config()
            .unicode_word_boundary(true)
            .cache_capacity(cache_bytes)
            .minimum_cache_clear_count(Some(MIN_CLEARANCES))
            .minimum_bytes_per_state(Some(MIN_BYTES_PER_STATE));
        let state_work = nfa.states().len();
        let forward = config.clone().specialize_start_states(has_prefilter);
        let forward = DFA::builder()
            .configure(forward)
            .build_from_nfa(nfa.clone());
        let reverse = DFA::builder()
            .configure(config.match_kind(MatchKind::All))
            .build_from_nfa(reverse);
        Some(Self {
            forward: forward.ok()?,
            reverse: reverse.ok()?,
            has_prefilter,
            state_work,
        })
    }

    pub(super) fn caches(&self) -> Caches {
        Caches {
            forward: self.forward.create_cache(),
            reverse: self.reverse.create_cache(),
        }
    }

    /// Finds the first match that begins at `from` or after it.
    pub(super) fn find(
        &self,
        caches: &mut Caches,
        bytes: &[u8],
        from: usize,
        candidate: Candidate<'_>,
        work: &mut dyn Work,
    ) -> Result<Outcome, Exhausted> {
        let found = self.find_end(&mut caches.forward, bytes, from, candidate, work);
        let found = found.and_then(|end| {
            end.map(|end| {
                let start = self.find_start(&mut caches.reverse, bytes, from..end, work)?;
                Ok(start..end)
            })
            .transpose()
        });
        match found {
            Ok(Some(range)) => Ok(Outcome::Match(range)),
            Ok(None) => Ok(Outcome::NoMatch),
            Err(Stop::Quit { at, has_match }) => Ok(Outcome::Quit { at, has_match }),
            Err(Stop::Full) => Ok(Outcome::Full),
            Err(Stop::Exhausted) => Err(Exhausted),
        }
    }

    /// Returns the end of the first match.
    fn find_end(
        &self,
        cache: &mut Cache,
        bytes: &[u8],
        from: usize,
        candidate: Candidate<'_>,
        work: &mut dyn Work,
    ) -> Result<Option<usize>, Stop> {
        let dfa = &self.forward;
        let start_state = |cache: &mut Cache, at: usize| {
            let input = Input::new(bytes).range(at..);
            dfa.start_state_forward(cache, &input)
                .map_err(|_| Stop::Quit {
                    at,
                    has_match: false,
                })
        };
        let mut at = from;
        if self.has_prefilter {
            match candidate(at, work)? {
                Some(next) => at = next,
                None => return Ok(None),
            }
        }
        let mut state = start_state(cache, at)?;
        let mut end = None;
        while at < bytes.len() {
            let piece = at..(at + PIECE).min(bytes.len());
            cache.search_start(at);
            while at < piece.end {
                (state, at) = self.run(cache, state, bytes, at..piece.end, work)?;
                if state.is_tagged() {
                    if state.is_match() {
                        // The automaton reports a match one byte after its end.
                        end = Some(at);
                    } else if state.is_dead() {
                        cache.search_finish(at);
                        work.spend(at.saturating_sub(piece.start))?;
                        return Ok(end);
                    } else if state.is_quit() {
                        return Err(Stop::Quit {
                            at,
                            has_match: end.is_some(),
                        });
                    } else if state.is_start() && end.is_none() {
                        match candidate(at, work)? {
                            None => return Ok(None),
                            Some(next) if next > at => {
                                at = next;
                                state = start_state(cache, at)?;
                                continue;
                            }
                            Some(_) => {}
                        }
                    }
                }
                at += 1;
            }
            cache.search_finish(at);
            work.spend(at.saturating_sub(piece.start))?;
        }
        let last = dfa.next_eoi_state(cache, state).map_err(|_| Stop::Full)?;
        if last.is_match() {
            end = Some(bytes.len());
        }
        Ok(end)
    }

    /// Returns the start of the match that ends at the end of `within`.
    fn find_start(
        &self,
        cache: &mut Cache,
        bytes: &[u8],
        within: Range<usize>,
        work: &mut dyn Work,
    ) -> Result<usize, Stop> {
        let dfa = &self.reverse;
        let quit = Stop::Quit {
            at: within.end,
            has_match: true,
        };
        let input = Input::new(bytes)
            .range(within.clone())
            .anchored(Anchored::Yes);
        let Ok(mut state) = dfa.start_state_reverse(cache, &input) else {
            return Err(quit);
        };
        let mut start = None;
        let mut at = within.end;
        cache.search_start(at);
        loop {
            // Reads the byte before the range, too: a match is known one byte later.
            let before = at.checked_sub(1);
            let byte = before.and_then(|before| bytes.get(before));
            state = match byte {
                Some(byte) => self.step(dfa, cache, state, at - 1, *byte, work)?,
                None => dfa.next_eoi_state(cache, state).map_err(|_| Stop::Full)?,
            };
            if state.is_match() {
                start = Some(at);
            } else if state.is_quit() {
                return Err(quit);
            }
            if state.is_dead() || at <= within.start {
                cache.search_finish(at);
                // A match always has a start. If none was found, the other search decides.
                return start.ok_or(Stop::Full);
            }
            at -= 1;
            if at.is_multiple_of(PIECE) {
                work.spend(PIECE)?;
            }
        }
    }

    /// Reads bytes in the forward automaton up to a tagged state, or to the end of `within`.
    /// Returns the state, and the place of the last byte that was read.
    fn run(
        &self,
        cache: &mut Cache,
        state: LazyStateID,
        bytes: &[u8],
        within: Range<usize>,
        work: &mut dyn Work,
    ) -> Result<(LazyStateID, usize), Stop> {
        let mut state = state;
        let mut at = within.start;
        let last = within.end.saturating_sub(1);
        if !state.is_tagged() {
            for byte in bytes.get(within.start..last).unwrap_or_default() {
                let next = self.forward.next_state_untagged(cache, state, *byte);
                if next.is_tagged() {
                    break;
                }
                state = next;
                at += 1;
            }
        }
        let byte = bytes.get(at).copied().unwrap_or_default();
        let next = self.step(&self.forward, cache, state, at, byte, work)?;
        Ok((next, at))
    }

    /// Returns the state after a byte.
    fn step(
        &self,
        dfa: &DFA,
        cache: &mut Cache,
        state: LazyStateID,
        at: usize,
        byte: u8,
        work: &mut dyn Work,
    ) -> Result<LazyStateID, Stop> {
        if !state.is_tagged() {
            let next = dfa.next_state_untagged(cache, state, byte);
            if !next.is_unknown() {
                return Ok(next);
            }
        }
        cache.search_update(at);
        work.spend(self.state_work)?;
        dfa.next_state(cache, state, byte).map_err(|_| Stop::Full)
    }
}
