//! Which modules of registries are fetched, and when. Decides only: the caller runs each [`FetchJob`] and says what the time is.

use super::catalog::Catalog;
use super::fetch::{Fetch, FetchedModule};
use super::package::{Fingerprint, Origin};
use super::slot::{Slot, SlotKey};
use crate::plugin::LoadError;
use std::time::Duration;
use step_observer_core::Backoff;
use step_observer_oci::Reference;

/// Size of the largest module from a registry, in bytes. Several are in memory at a time.
pub const MAX_ARTIFACT_BYTES: u64 = 8 * 1024 * 1024;
/// Most modules that are fetched at a time: one from each registry, so that a slow registry delays no other.
const MAX_FETCHES: usize = 4;
/// Most bytes of all modules that are being fetched, each counted with its largest size, and of those that wait for their load.
const MAX_HELD_BYTES: u64 = 32 * 1024 * 1024;
/// Pauses between attempts to fetch a module.
const FETCH_BACKOFF: Backoff = Backoff {
    initial: Duration::from_secs(1),
    max: Duration::from_secs(300),
};

/// A module to fetch.
#[derive(Debug)]
pub struct FetchJob {
    key: SlotKey,
    fingerprints: Vec<(Origin, Fingerprint)>,
    name: String,
    artifact: Reference,
}

/// The result of a fetch.
#[derive(Debug)]
pub struct FetchResult {
    job: FetchJob,
    result: Result<FetchedModule, String>,
}

impl FetchJob {
    /// Returns the artifact that holds the module.
    #[must_use]
    pub fn artifact(&self) -> &Reference {
        &self.artifact
    }

    /// Returns the name of the plugin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Ends the fetch with a module, or with the reason why there is none.
    #[must_use]
    pub fn done(self, result: Result<FetchedModule, String>) -> FetchResult {
        FetchResult { job: self, result }
    }
}

impl Catalog {
    /// Returns the next module to fetch, if there is one at this time. Fetches run concurrently: call this until it returns `None`.
    pub fn next_fetch(&mut self, now: Duration) -> Option<FetchJob> {
        if !self.has_room_for_fetch() {
            return None;
        }
        let running = &self.fetches.registries;
        let due = self.slots.iter_mut().filter_map(|(key, slot)| {
            let at = slot.next_attempt().filter(|at| *at <= now)?;
            let artifact = slot.artifact()?.clone();
            (!running.contains(artifact.registry())).then_some((at, key, slot, artifact))
        });
        // A new plugin comes before those that failed, so that many that fail do not delay it.
        let (_, key, slot, artifact) = due.min_by(|(at, key, ..), (other_at, other, ..)| {
            let order = at.cmp(other_at);
            order.then_with(|| key.cmp(other))
        })?;
        let Some(Fetch::Waiting { failures, .. }) = slot.fetch else {
            return None;
        };
        slot.fetch = Some(Fetch::Running { failures });
        let job = FetchJob {
            key: key.clone(),
            fingerprints: slot.wanted.fingerprints.clone(),
            name: slot.wanted.name.clone(),
            artifact,
        };
        let registry = job.artifact.registry().to_owned();
        self.fetches.registries.insert(registry);
        Some(job)
    }

    /// Returns when [`Catalog::next_fetch`] may have another module, if none of those that are being fetched ends before.
    #[must_use]
    pub fn next_fetch_time(&self, now: Duration) -> Option<Duration> {
        let times = self.slots.values().filter_map(Slot::next_attempt);
        times.filter(|at| *at > now).min()
    }

    /// Applies the result of a fetch, which is discarded if the plugin was changed or removed meanwhile. `random` is between 0 and 1.
    pub fn fetched(&mut self, done: FetchResult, now: Duration, random: f64) {
        let FetchResult { job, result } = done;
        let FetchJob {
            key,
            fingerprints,
            name: _,
            artifact,
        } = job;
        self.fetches.registries.remove(artifact.registry());
        if let Some(slot) = self.slots.get_mut(&key)
            && slot.wanted.fingerprints == fingerprints
            && let Some(Fetch::Running { failures }) = slot.fetch
        {
            match result {
                Ok(fetched) => {
                    slot.fetch = Some(Fetch::Done(fetched));
                    self.waiting.insert(key);
                }
                Err(reason) => {
                    let failures = failures.saturating_add(1);
                    let pause = FETCH_BACKOFF.delay(failures, random);
                    slot.fetch = Some(Fetch::Waiting {
                        failures,
                        not_before: now.saturating_add(pause),
                    });
                    let reason = format!("{}; it is tried again", LoadError::Pull(reason));
                    // Reported once, not after each attempt.
                    if slot.refused.as_ref() != Some(&reason) {
                        let notice = slot.refuse(&reason);
                        self.notices.push(notice);
                    }
                }
            }
        }
        self.build_first_chain();
    }

    /// Returns whether the first chain waits for modules of registries, and all sources have reported.
    #[must_use]
    pub fn waits_for_fetches(&self) -> bool {
        let mut slots = self.slots.values();
        self.chain.is_none()
            && self.unlisted == 0
            && !self.fetches.gave_up
            && slots.any(Slot::is_first_attempt)
    }

    /// Builds the first chain without the modules that are not fetched yet. A stand-in fails on every event in place of each.
    pub fn stop_waiting_for_fetches(&mut self) {
        self.fetches.gave_up = true;
        self.build_first_chain();
    }

    fn has_room_for_fetch(&self) -> bool {
        let fetched = self.slots.values().filter_map(Slot::fetched);
        let held: usize = fetched.map(|fetched| fetched.module.len()).sum();
        let running = self.fetches.registries.len();
        // All that are running, and one more.
        let largest = u64::try_from(running.saturating_add(1))
            .map_or(u64::MAX, |count| count.saturating_mul(MAX_ARTIFACT_BYTES));
        let held = u64::try_from(held).unwrap_or(u64::MAX);
        running < MAX_FETCHES && held.saturating_add(largest) <= MAX_HELD_BYTES
    }
}
