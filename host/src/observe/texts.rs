//! Which runs give way where the texts of all runs together are too large: scripts, labels, annotations.
//!
//! Whoever may create TaskRuns can create many that never run. The namespace that holds the most gives way first, in it
//! the oldest run; runs without a pod before all others, because their TaskRun brings everything again when it changes.

use super::facts::RunFacts;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most bytes of texts that all runs hold together.
pub(super) const MOST: usize = 48 * 1024 * 1024;
/// What is left after runs have given way, if enough of them can.
pub(super) const ENOUGH: usize = MOST / 8 * 7;
/// A run that holds less is not worth it.
const WORTH: usize = 1024;

/// The runs of a namespace that can give way.
#[derive(Default)]
struct Holders<'a> {
    bytes: usize,
    /// By whether they have pods, and by age.
    runs: BTreeMap<(bool, u64), (usize, &'a mut RunFacts)>,
}

/// Makes runs give way until `excess` bytes are free, or no other can. Gives how many did.
pub(super) fn give_way<'a>(runs: impl Iterator<Item = &'a mut RunFacts>, excess: usize) -> usize {
    let mut namespaces: BTreeMap<Arc<str>, Holders<'a>> = BTreeMap::new();
    for run in runs {
        let bytes = run.own_bytes();
        if bytes >= WORTH {
            let holders = namespaces.entry(run.namespace().into()).or_default();
            holders.bytes += bytes;
            let key = (!run.is_pending(), run.age());
            holders.runs.insert(key, (bytes, run));
        }
    }
    let mut freed = 0;
    let mut given_way = 0;
    while freed < excess {
        let most = namespaces.values_mut().max_by_key(|holders| holders.bytes);
        let Some(holders) = most.filter(|holders| !holders.runs.is_empty()) else {
            break;
        };
        if let Some((_, (bytes, run))) = holders.runs.pop_first() {
            holders.bytes -= bytes;
            run.give_way();
            freed += bytes;
            given_way += 1;
        }
    }
    given_way
}
