//! A pattern of a kind, ready to match at a place.

use crate::text::Text;
use regex_automata::meta::Regex;
use regex_automata::nfa::thompson::{NFA, State, Transition};
use regex_automata::util::captures::Captures;
use regex_automata::util::primitives::StateID;
use regex_automata::{Anchored, Input};

/// A pattern that is ready to match.
#[derive(Debug)]
pub(crate) struct Matcher {
    regex: Regex,
    /// Pattern for the beginning of every match, if the whole pattern is long. The automaton of a
    /// long pattern takes microseconds to find no match.
    head: Option<Regex>,
    secret_group: Option<usize>,
    /// Longest match in bytes.
    longest: usize,
    /// For each of the first bytes of a match, the set of possible bytes.
    begin: Vec<Bytes>,
    /// For each byte, a sum: 1 if it can be the first byte of a match, and 2 if it can be the
    /// second.
    first: [u8; 256],
}

/// A match, from the place where it begins.
#[derive(Clone, Debug, Copy, PartialEq, Eq)]
pub(crate) struct Match {
    /// Number of bytes from the beginning of the match to its keyword.
    pub(crate) lead: usize,
    /// Its length in bytes.
    pub(crate) length: usize,
    /// Start and end of the part to mask.
    pub(crate) secret: (usize, usize),
}

/// Number of bytes of a match that are checked before the automaton runs, which takes longer.
const BEGIN: usize = 16;

/// A set of bytes.
#[derive(Clone, Copy, Debug)]
struct Bytes([u64; 4]);

impl Bytes {
    fn add(&mut self, byte: u8) {
        if let Some(part) = self.0.get_mut(usize::from(byte >> 6)) {
            *part |= 1 << (byte & 63);
        }
    }

    fn has(&self, byte: u8) -> bool {
        let part = self.0.get(usize::from(byte >> 6));
        part.is_some_and(|part| part >> (byte & 63) & 1 == 1)
    }
}

/// Returns the bytes that can follow in these states of an automaton, and the states after them.
/// Returns `None` at the end of a match.
fn step(nfa: &NFA, states: Vec<StateID>) -> Option<(Bytes, Vec<StateID>)> {
    let mut bytes = Bytes([0; 4]);
    let mut after = Vec::new();
    let mut allow = |from: u8, to: u8| (from..=to).for_each(|byte| bytes.add(byte));
    let mut seen = vec![false; nfa.states().len()];
    let mut waiting = states;
    while let Some(id) = waiting.pop() {
        match seen.get_mut(id.as_usize()) {
            Some(seen) if !*seen => *seen = true,
            _ => continue,
        }
        let mut go = |trans: &Transition| {
            allow(trans.start, trans.end);
            after.push(trans.next);
        };
        match nfa.state(id) {
            State::ByteRange { trans } => go(trans),
            State::Sparse(sparse) => sparse.transitions.iter().for_each(go),
            State::Union { alternates } => waiting.extend(alternates),
            State::BinaryUnion { alt1, alt2 } => waiting.extend([alt1, alt2]),
            State::Capture { next, .. } => waiting.push(*next),
            // The end of a match, or a state that patterns of kinds do not have.
            State::Dense(_) | State::Look { .. } | State::Match { .. } => return None,
            State::Fail => {}
        }
    }
    Some((bytes, after))
}

/// A pattern counts as long if its longest match has at least this many bytes.
const LONG: usize = 256;

/// Returns the longest beginning of a pattern that is a pattern itself and matches less than [`LONG`]
/// bytes.
fn head(pattern: &str) -> Option<&str> {
    let mut starts = Vec::new();
    let mut depth = 0_usize;
    let mut bytes = pattern.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        let is_part = depth == 0;
        match byte {
            b'|' if depth == 0 => return None,
            b'?' | b'*' | b'+' => continue,
            b'{' => {
                let _ = bytes.find(|(_, byte)| *byte == b'}');
                continue;
            }
            b'\\' => drop(bytes.next()),
            b'[' => {
                while let Some((_, byte)) = bytes.next() {
                    match byte {
                        b'\\' => drop(bytes.next()),
                        b']' => break,
                        _ => {}
                    }
                }
            }
            b'(' => depth += 1,
            b')' => {
                depth = depth.saturating_sub(1);
                continue;
            }
            _ => {}
        }
        if is_part {
            starts.push(at);
        }
    }
    let heads = starts.into_iter().rev();
    heads.filter_map(|end| pattern.get(..end)).find(|head| {
        regex_automata::util::syntax::parse(head).is_ok_and(|hir| {
            let longest = hir.properties().maximum_len();
            longest.is_some_and(|longest| (1..LONG).contains(&longest))
        })
    })
}

/// Longest match of a pattern without a bound of its own, in bytes.
const LONGEST_MATCH: usize = 8 * 1024;

impl Matcher {
    /// Compiles a pattern.
    pub(crate) fn new(pattern: &str) -> Result<Self, String> {
        let hir =
            regex_automata::util::syntax::parse(pattern).map_err(|error| error.to_string())?;
        let longest = hir.properties().maximum_len().unwrap_or(LONGEST_MATCH);
        // A one-pass DFA suffices for anchored searches with nearly all patterns; the library builds
        // it only for a pattern with a group. A lazy DFA for each of several hundred patterns would
        // take too much memory.
        let config = Regex::config().hybrid(false).nfa_size_limit(Some(2 << 20));
        let build = |pattern: &str| {
            Regex::builder()
                .configure(config.clone())
                .build(&format!("({pattern})"))
                .map_err(|error| error.to_string())
        };
        let head = head(pattern).filter(|_| longest >= LONG);
        let head = head.map(build).transpose()?;
        let regex = build(&without_upper_bounds(pattern))?;
        let nfa = NFA::compiler()
            .build_from_hir(&hir)
            .map_err(|error| error.to_string())?;
        let mut begin = Vec::new();
        let mut states = vec![nfa.start_anchored()];
        while begin.len() < BEGIN
            && let Some((bytes, after)) = step(&nfa, states)
        {
            begin.push(bytes);
            states = after;
        }
        let names = regex
            .group_info()
            .pattern_names(regex_automata::PatternID::ZERO);
        Ok(Self {
            secret_group: names
                .enumerate()
                .find_map(|(index, name)| (name == Some("secret")).then_some(index)),
            regex,
            head,
            longest: longest.min(LONGEST_MATCH),
            first: std::array::from_fn(|byte| {
                let can = |at: usize| {
                    let known = begin.get(at).zip(u8::try_from(byte).ok());
                    known.is_none_or(|(can, byte): (&Bytes, u8)| can.has(byte))
                };
                u8::from(can(0)) | u8::from(can(1)) << 1
            }),
            begin,
        })
    }

    /// Returns true if the first two bytes at `at` can be those of a match.
    pub(crate) fn may_begin_at(&self, text: &Text<'_>, at: usize) -> bool {
        let can = |at: usize, bit: u8| {
            let byte = text.byte(at).map(usize::from);
            byte.and_then(|byte| self.first.get(byte))
                .is_some_and(|can| can & bit != 0)
        };
        can(at, 1) && can(at + 1, 2)
    }

    /// Returns true if a match can begin with the bytes at `at`.
    pub(crate) fn begins_at(&self, text: &Text<'_>, at: usize) -> bool {
        let bytes = text.as_str().as_bytes().get(at..).unwrap_or_default();
        let mut pairs = bytes.iter().zip(&self.begin);
        bytes.len() >= self.begin.len() && pairs.all(|(byte, can)| can.has(*byte))
    }

    /// Returns the longest match in bytes.
    pub(crate) fn longest(&self) -> usize {
        self.longest
    }

    /// Returns true if a match may be long. It must then not be read again from each keyword within
    /// it.
    pub(crate) fn is_long(&self) -> bool {
        self.longest >= LONG
    }

    /// Matches at exactly `at`.
    pub(crate) fn match_at(&self, text: &Text<'_>, at: usize) -> Option<Match> {
        let end = at.saturating_add(self.longest).min(text.len());
        let input = Input::new(text.as_str())
            .range(at..end)
            .anchored(Anchored::Yes);
        if let Some(head) = &self.head {
            let near = end.min(at + LONG);
            if !head.is_match(input.clone().range(at..near).earliest(true)) {
                return None;
            }
        }
        let (whole, secret) = match self.secret_group {
            None => {
                let whole = self.regex.search(&input)?.range();
                (whole.clone(), whole)
            }
            Some(group) => {
                let mut captures: Captures = self.regex.create_captures();
                self.regex.search_captures(&input, &mut captures);
                let whole = captures.get_group(0)?.range();
                let secret = captures.get_group(group).map(|span| span.range());
                (whole.clone(), secret.unwrap_or(whole))
            }
        };
        Some(Match {
            lead: 0,
            length: whole.end - at,
            secret: (secret.start - at, secret.end - at),
        })
    }
}

/// Returns the pattern without the upper bound of each repetition of 200 times or more, because
/// every possible number is a state of the automaton. The length of the searched text bounds the
/// repetition instead.
fn without_upper_bounds(pattern: &str) -> String {
    let mut parts = pattern.split('{');
    let mut unbounded = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        unbounded.push('{');
        let most = part
            .split_once('}')
            .and_then(|(bounds, rest)| Some((bounds.split_once(',')?, rest)));
        match most {
            Some(((least, most), rest)) if most.parse().is_ok_and(|most: u32| most >= 200) => {
                unbounded.push_str(least);
                unbounded.push_str(",}");
                unbounded.push_str(rest);
            }
            _ => unbounded.push_str(part),
        }
    }
    unbounded
}
