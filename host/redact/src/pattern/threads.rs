//! Simulation of an automaton with one thread for each state that it may be in (a "Pike VM"). It is
//! slow, but works for all patterns and texts.

use crate::Exhausted;
use crate::meter::Work;
use regex_automata::nfa::thompson::{NFA, State};
use regex_automata::util::primitives::StateID;
use std::ops::Range;

/// Memory of a simulation.
#[derive(Debug, Default)]
pub(super) struct Threads {
    now: Set,
    next: Set,
    stack: Vec<Frame>,
}

/// How a simulation ended.
pub(super) enum End {
    /// A match, and its group.
    Match(Range<usize>, Option<Range<usize>>),
    NoMatch,
    /// No match begins before this place, and none is open there.
    Idle(usize),
}

/// What to search.
#[derive(Clone, Copy)]
pub(super) enum Scope {
    /// Only a match that begins at the start of the span.
    Start,
    /// Any match. The simulation ends after this place, as soon as no match is open.
    Beyond(usize),
}

/// What a thread remembers: the start of the match, and the start and end of the group.
type Slots = [Option<usize>; 3];

/// Threads in the order of their priority, each in a state of its own.
#[derive(Debug, Default)]
struct Set {
    states: Vec<StateID>,
    /// For each state, its place in `states` if it is there.
    places: Vec<usize>,
    /// For each state, what its thread remembers.
    slots: Vec<Slots>,
}

impl Set {
    fn reset(&mut self, states: usize) {
        self.states.clear();
        self.places.resize(states, 0);
        self.slots.resize(states, Slots::default());
    }

    /// Adds a state. Returns false if it is already there.
    fn insert(&mut self, state: StateID) -> bool {
        let Some(place) = self.places.get_mut(state.as_usize()) else {
            return false;
        };
        if self.states.get(*place) == Some(&state) {
            return false;
        }
        *place = self.states.len();
        self.states.push(state);
        true
    }
}

#[derive(Debug)]
enum Frame {
    /// Follow this state.
    Follow(StateID),
    /// Remember this in a slot again.
    Restore(usize, Option<usize>),
}

/// Where threads are followed.
struct Place<'p> {
    nfa: &'p NFA,
    group: Option<(usize, usize)>,
    bytes: &'p [u8],
    at: usize,
}

impl Threads {
    /// Finds the first match in `span`. Assertions see the bytes around the span. `group` holds the
    /// slots of a group to remember.
    pub(super) fn run(
        &mut self,
        nfa: &NFA,
        group: Option<(usize, usize)>,
        bytes: &[u8],
        span: Range<usize>,
        scope: Scope,
        work: &mut dyn Work,
    ) -> Result<End, Exhausted> {
        let Self { now, next, stack } = self;
        now.reset(nfa.states().len());
        next.reset(nfa.states().len());
        let (anchored, beyond) = match scope {
            Scope::Start => (true, span.start),
            Scope::Beyond(place) => (false, place.max(span.start)),
        };
        let mut found: Option<(Slots, usize)> = None;
        let mut at = span.start;
        let is_over = loop {
            let mut place = Place {
                nfa,
                group,
                bytes,
                at,
            };
            if now.states.is_empty() && (found.is_some() || at > beyond) {
                break anchored;
            }
            if found.is_none() && (at == span.start || !anchored) {
                let slots = [Some(at), None, None];
                place.follow(nfa.start_anchored(), slots, now, stack);
            }
            let byte = bytes.get(at).filter(|_| at < span.end);
            place.at = at + 1;
            for state in &now.states {
                let slots = now.slots.get(state.as_usize()).copied().unwrap_or_default();
                let after = match (nfa.state(*state), byte) {
                    (State::Match { .. }, _) => {
                        found = Some((slots, at));
                        // The threads after it have a lower priority.
                        break;
                    }
                    (State::ByteRange { trans }, Some(byte)) => {
                        trans.matches_byte(*byte).then_some(trans.next)
                    }
                    (State::Sparse(sparse), Some(byte)) => sparse.matches_byte(*byte),
                    (State::Dense(dense), Some(byte)) => dense.matches_byte(*byte),
                    _ => None,
                };
                if let Some(after) = after {
                    place.follow(after, slots, next, stack);
                }
            }
            work.spend(1 + now.states.len() + next.states.len())?;
            if byte.is_none() {
                break true;
            }
            std::mem::swap(now, next);
            next.states.clear();
            at += 1;
        };
        Ok(match found {
            Some(([start, group_start, group_end], end)) => {
                let group = group_start.zip(group_end);
                End::Match(
                    start.unwrap_or(end)..end,
                    group.map(|(start, end)| start..end),
                )
            }
            None if is_over => End::NoMatch,
            None => End::Idle(at),
        })
    }
}

impl Place<'_> {
    /// Adds a state to a set, with all states that follow from it without reading a byte.
    fn follow(&self, state: StateID, slots: Slots, set: &mut Set, stack: &mut Vec<Frame>) {
        let mut slots = slots;
        stack.push(Frame::Follow(state));
        while let Some(frame) = stack.pop() {
            let mut state = match frame {
                Frame::Follow(state) => state,
                Frame::Restore(slot, old) => {
                    if let Some(slot) = slots.get_mut(slot) {
                        *slot = old;
                    }
                    continue;
                }
            };
            while set.insert(state) {
                state = match self.nfa.state(state) {
                    State::Look { look, next } => {
                        let matcher = self.nfa.look_matcher();
                        if !matcher.matches(*look, self.bytes, self.at) {
                            break;
                        }
                        *next
                    }
                    State::Union { alternates } => {
                        let Some((first, others)) = alternates.split_first() else {
                            break;
                        };
                        stack.extend(others.iter().rev().map(|other| Frame::Follow(*other)));
                        *first
                    }
                    State::BinaryUnion { alt1, alt2 } => {
                        stack.push(Frame::Follow(*alt2));
                        *alt1
                    }
                    State::Capture { next, slot, .. } => {
                        let kept = match self.group {
                            Some((start, _)) if slot.as_usize() == start => Some(1),
                            Some((_, end)) if slot.as_usize() == end => Some(2),
                            _ => None,
                        };
                        if let Some((index, kept)) =
                            kept.and_then(|index| Some((index, slots.get_mut(index)?)))
                        {
                            stack.push(Frame::Restore(index, *kept));
                            *kept = Some(self.at);
                        }
                        *next
                    }
                    State::ByteRange { .. }
                    | State::Sparse(_)
                    | State::Dense(_)
                    | State::Match { .. }
                    | State::Fail => {
                        if let Some(kept) = set.slots.get_mut(state.as_usize()) {
                            *kept = slots;
                        }
                        break;
                    }
                };
            }
        }
    }
}
