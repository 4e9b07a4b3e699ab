//! Bounds the texts of all runs together: scripts, labels, annotations.
//!
//! A tenant who may create TaskRuns can create many that never run. So texts are dropped first in
//! the namespace that holds the most bytes, and there from the oldest run. Runs without a Pod come
//! before the other runs of their namespace, because the next update of their TaskRun brings the
//! texts again.

use super::facts::RunFacts;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bounds the bytes of the texts of all runs together.
pub(super) const MAX_BYTES: usize = 48 * 1024 * 1024;
/// Bytes that remain after an eviction, if enough runs can lose texts.
pub(super) const TARGET_BYTES: usize = MAX_BYTES / 8 * 7;
/// Minimum number of bytes that an eviction must free in one run: a run with fewer bytes of texts
/// keeps them.
const MIN_RUN_BYTES: usize = 1024;

/// The runs of a namespace that can lose texts.
#[derive(Default)]
struct NamespaceRuns<'a> {
    bytes: usize,
    /// Runs with the bytes that each would free. Runs without Pods come first; each group is
    /// ordered by age.
    runs: BTreeMap<(bool, u64), (usize, &'a mut RunFacts)>,
}

/// Drops texts of runs until `excess` bytes are free or no run can lose more. Returns the number of
/// runs that lost texts.
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
