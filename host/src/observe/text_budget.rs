//! Which runs give way where the texts of all runs together are too large: scripts, labels, annotations.
//!
//! Whoever may create TaskRuns can create many that never run. The namespace that holds the most gives way first, in it
//! the oldest run; runs without a pod before all others, because their TaskRun brings everything again when it changes.

use super::facts::RunFacts;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most bytes of texts that all runs hold together.
pub(super) const MAX_BYTES: usize = 48 * 1024 * 1024;
/// What is left after runs have given way, if enough of them can.
pub(super) const TARGET_BYTES: usize = MAX_BYTES / 8 * 7;
/// A run that holds less is not worth it.
const MIN_RUN_BYTES: usize = 1024;

/// The runs of a namespace that can give way.
#[derive(Default)]
struct NamespaceRuns<'a> {
    bytes: usize,
    /// By whether they have pods, and by age.
    runs: BTreeMap<(bool, u64), (usize, &'a mut RunFacts)>,
}

/// Makes runs give way until `excess` bytes are free, or no other can. Gives how many did.
pub(super) fn evict<'a>(runs: impl Iterator<Item = &'a mut RunFacts>, excess: usize) -> usize {
    let mut namespaces: BTreeMap<Arc<str>, NamespaceRuns<'a>> = BTreeMap::new();
    for run in runs {
        let bytes = run.own_bytes();
        if bytes >= MIN_RUN_BYTES {
            let runs_of = namespaces.entry(run.namespace().into()).or_default();
            runs_of.bytes += bytes;
            let key = (!run.is_pending(), run.age());
            runs_of.runs.insert(key, (bytes, run));
        }
    }
    let mut freed = 0;
    let mut evicted = 0;
    while freed < excess {
        let largest = namespaces.values_mut().max_by_key(|runs_of| runs_of.bytes);
        let Some(runs_of) = largest.filter(|runs_of| !runs_of.runs.is_empty()) else {
            break;
        };
        if let Some((_, (bytes, run))) = runs_of.runs.pop_first() {
            runs_of.bytes -= bytes;
            run.evict_texts();
            freed += bytes;
            evicted += 1;
        }
    }
    evicted
}
