//! Generates the load of many concurrent runs: copies of recordings with different names and UIDs,
//! interleaved in an order that a seed determines.

use crate::recording::{changes, event_id, track, watch_events};
use serde_json::Value;
use std::collections::{BTreeSet, VecDeque};

/// Recordings whose last state shows everything. The expected events stay the same if earlier
/// states are missed.
const STEADY: [&str; 6] = [
    "a-success",
    "b-fail",
    "c-onerror",
    "f-retries",
    "leaky",
    "m-when",
];

/// Watch events of many runs.
#[derive(Debug)]
pub struct Load {
    /// Sorted by time; the events of one run keep the order of its recording.
    pub watch: Vec<Value>,
    /// Ids of the step events that the observer must emit for `watch`.
    pub expected: BTreeSet<String>,
}

impl Load {
    /// Returns this many copies of recordings, in an order that the seed determines.
    #[must_use]
    pub fn new(seed: u64, runs: usize) -> Self {
        let mut numbers = Numbers(seed);
        let mut expected = BTreeSet::new();
        let mut waiting: Vec<VecDeque<Value>> = Vec::new();
        for number in 0..runs {
            let events = copy(STEADY[number % STEADY.len()], number);
            expected.extend(track(changes(&events)).iter().map(event_id));
            waiting.push(events.into());
        }
        let mut watch = Vec::new();
        while !waiting.is_empty() {
            let chosen = numbers.below(waiting.len());
            match waiting[chosen].pop_front() {
                Some(event) => watch.push(event),
                None => drop(waiting.swap_remove(chosen)),
            }
        }
        Self { watch, expected }
    }
}

/// Returns a recording as a different run: namespace, names and UIDs contain `number`.
fn copy(name: &str, number: usize) -> Vec<Value> {
    let events = watch_events(name);
    let mut uids = BTreeSet::new();
    events.iter().for_each(|event| find_uids(event, &mut uids));
    let renamed = events.iter().map(|event| {
        let mut text = event
            .to_string()
            .replace(name, &format!("{name}-{number:03}"));
        for uid in &uids {
            let (_, rest) = uid.split_at(8);
            text = text.replace(uid.as_str(), &format!("{number:08x}{rest}"));
        }
        serde_json::from_str(&text).unwrap()
    });
    renamed.collect()
}

fn find_uids(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            let uid = fields.get("uid").and_then(Value::as_str);
            found.extend(uid.filter(|uid| uid.len() == 36).map(str::to_owned));
            fields.values().for_each(|field| find_uids(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| find_uids(item, found)),
        _ => {}
    }
}

/// Pseudo-random numbers, the same in every run.
#[derive(Clone, Debug)]
pub struct Numbers(pub u64);

impl Numbers {
    /// Returns a number from 0 to below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        // xorshift64
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}
