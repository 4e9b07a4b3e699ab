//! Decides who is active, from answers of the API server and from times that are passed in. It reads
//! no clock and sends nothing.
//!
//! Two observers are never active at a time, although their clocks are never compared:
//!
//! - The active one may deliver until `giveUpMs` after it **sent** the last renewal that succeeded. The
//!   API server stored the renewal after that moment.
//! - A waiting one takes the Lease only if the Lease has not changed for `leaseMs` since it was **first
//!   seen** like this. It saw the renewal after the API server stored it.
//! - So the waiting one begins at least `leaseMs` after the last renewal, and the other one has stopped
//!   after `giveUpMs`, as long as their clocks differ in speed by 10 % at most.
//! - Each write names the version that it replaces (`resourceVersion`). A write that was delayed on its
//!   way fails if anybody else has written meanwhile.
//!
//! It is the rule of client-go (`tools/leaderelection/leaderelection.go`), with two differences: a missing
//! Lease counts as one that has not changed (it may have been deleted while another observer is active), and
//! the right to deliver begins when a renewal is sent.

use super::config::{LeaseTiming, MAX_LEASE_MS};
use jiff::Timestamp;
use std::time::Duration;

/// A Lease, as far as the observer uses it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseRecord {
    /// `metadata.resourceVersion`.
    pub version: String,
    /// `spec.holderIdentity`; empty if nobody holds it.
    pub holder: String,
    /// `spec.leaseDurationSeconds`.
    pub duration: Duration,
    /// `spec.leaseTransitions`.
    pub transitions: u32,
    /// The time until which the last holder had delivered everything (an annotation).
    pub delivered_until: Option<Timestamp>,
}

/// A request for the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LeaseRequest {
    /// Read the Lease.
    Read,
    /// Create the Lease, held by this observer.
    Create,
    /// Replace this record by one that this observer holds.
    Hold(LeaseRecord),
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LeaseAnswer {
    /// The Lease as it is; `None` if there is none.
    Shown(Option<LeaseRecord>),
    /// The Lease as it was written.
    Written(LeaseRecord),
    /// The Lease has another version, exists already, or does not exist.
    Refused,
    /// It is unknown whether the request had an effect.
    Failed,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Send a request.
    Ask(LeaseRequest),
    /// Wait until this time, then ask again.
    WaitUntil(Duration),
    /// End: this observer may not deliver any more.
    End(LostLease),
}

/// Why an active observer may not deliver any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LostLease {
    /// No renewal succeeded for `giveUpMs`.
    NotRenewed,
    /// Another observer, or a person, has changed the holder.
    Taken {
        /// The present holder; empty if there is none.
        holder: String,
    },
    /// This observer has released it.
    Released,
}

/// The last record that was seen, and since when it is unchanged by the own clock.
#[derive(Clone, Debug)]
struct Seen {
    record: Option<LeaseRecord>,
    since: Duration,
}

#[derive(Debug)]
enum State {
    Waiting {
        seen: Option<Seen>,
        /// The last answer showed that the Lease can be taken.
        is_free: bool,
    },
    Active {
        record: LeaseRecord,
        /// End of the right to deliver.
        until: Duration,
        request: Renewal,
    },
    Ended(LostLease),
}

/// How the active observer renews.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Renewal {
    /// By a write over the known version.
    Hold,
    /// By a read first, because the version is not the known one.
    Read,
    /// By creating the Lease, because somebody has deleted it.
    Create,
}

/// Decides for one observer.
#[derive(Debug)]
pub(super) struct Elector {
    identity: String,
    timing: LeaseTiming,
    state: State,
    /// No request before this time.
    next_at: Duration,
}

impl Elector {
    pub(super) fn new(identity: String, timing: LeaseTiming) -> Self {
        Self {
            identity,
            timing,
            state: State::Waiting {
                seen: None,
                is_free: false,
            },
            next_at: Duration::ZERO,
        }
    }

    pub(super) fn identity(&self) -> &str {
        &self.identity
    }

    /// Returns whether an attempt to deliver may start.
    pub(super) fn may_deliver(&self, now: Duration) -> bool {
        matches!(&self.state, State::Active { until, .. } if now < *until)
    }

    pub(super) fn is_active(&self) -> bool {
        matches!(self.state, State::Active { .. })
    }

    /// Returns the record that was seen or written last.
    pub(super) fn record(&self) -> Option<&LeaseRecord> {
        match &self.state {
            State::Waiting { seen, .. } => seen.as_ref()?.record.as_ref(),
            State::Active { record, .. } => Some(record),
            State::Ended(_) => None,
        }
    }

    /// Gives up the right to deliver. Returns false if there was none.
    pub(super) fn release(&mut self) -> bool {
        let was_active = self.is_active();
        self.state = State::Ended(LostLease::Released);
        was_active
    }

    pub(super) fn next(&mut self, now: Duration) -> Next {
        match &self.state {
            State::Ended(lost) => Next::End(lost.clone()),
            State::Active { until, .. } if now >= *until => {
                self.state = State::Ended(LostLease::NotRenewed);
                Next::End(LostLease::NotRenewed)
            }
            State::Active { until, .. } if now < self.next_at => {
                Next::WaitUntil(self.next_at.min(*until))
            }
            State::Active {
                record, request, ..
            } => Next::Ask(match request {
                Renewal::Hold => LeaseRequest::Hold(record.clone()),
                Renewal::Read => LeaseRequest::Read,
                Renewal::Create => LeaseRequest::Create,
            }),
            State::Waiting { .. } if now < self.next_at => Next::WaitUntil(self.next_at),
            State::Waiting {
                seen: Some(seen),
                is_free: true,
            } => Next::Ask(match &seen.record {
                Some(record) => LeaseRequest::Hold(record.clone()),
                None => LeaseRequest::Create,
            }),
            State::Waiting { .. } => Next::Ask(LeaseRequest::Read),
        }
    }

    /// Takes the answer to a request that was sent at `sent` and answered at `now`.
    pub(super) fn answered(&mut self, sent: Duration, now: Duration, answer: LeaseAnswer) {
        let until = sent.saturating_add(self.timing.give_up);
        match (&mut self.state, answer) {
            (State::Ended(_), _) => {}
            (_, LeaseAnswer::Written(record)) if now < until => {
                self.state = State::Active {
                    record,
                    until,
                    request: Renewal::Hold,
                };
                self.next_at = sent.saturating_add(self.timing.renew);
            }
            (State::Waiting { seen, is_free }, LeaseAnswer::Shown(record)) => {
                let is_same = seen.as_ref().is_some_and(|seen| {
                    let version = |record: &Option<LeaseRecord>| {
                        record.as_ref().map(|record| record.version.clone())
                    };
                    version(&seen.record) == version(&record)
                });
                let since = match seen {
                    Some(seen) if is_same => seen.since,
                    Some(_) | None => now,
                };
                let free_at = free_at(&self.identity, self.timing, record.as_ref(), since);
                *is_free = now >= free_at;
                *seen = Some(Seen { record, since });
                let poll = now.saturating_add(self.poll_interval());
                self.next_at = if now >= free_at {
                    now
                } else {
                    poll.min(free_at)
                };
            }
            // The answer to a write came too late to be of use, or the write had no effect: the next
            // read shows who holds the Lease.
            (State::Waiting { is_free, .. }, _) => {
                *is_free = false;
                self.next_at = now.saturating_add(self.poll_interval());
            }
            (
                State::Active {
                    record, request, ..
                },
                LeaseAnswer::Shown(Some(shown)),
            ) => {
                if shown.holder != self.identity {
                    let holder = shown.holder;
                    self.state = State::Ended(LostLease::Taken { holder });
                    return;
                }
                *record = shown;
                *request = Renewal::Hold;
                self.next_at = now;
            }
            (State::Active { request, .. }, LeaseAnswer::Shown(None)) => {
                *request = Renewal::Create;
                self.next_at = now;
            }
            (State::Active { request, .. }, answer) => {
                // A failed write may have had an effect, so the known version may be wrong.
                if *request != Renewal::Read || answer == LeaseAnswer::Refused {
                    *request = Renewal::Read;
                }
                self.next_at = now.saturating_add(self.timing.renew / 4);
            }
        }
    }

    /// Time between two reads of a waiting observer.
    fn poll_interval(&self) -> Duration {
        self.timing.renew / 2
    }
}

/// Returns the time from which the Lease may be taken.
fn free_at(
    identity: &str,
    timing: LeaseTiming,
    record: Option<&LeaseRecord>,
    since: Duration,
) -> Duration {
    let longest = Duration::from_millis(MAX_LEASE_MS);
    match record {
        Some(record) if record.holder.is_empty() || record.holder == identity => Duration::ZERO,
        // The holder may be configured with a longer time.
        Some(record) => since.saturating_add(timing.lease.max(record.duration.min(longest))),
        None => since.saturating_add(timing.lease),
    }
}

#[cfg(test)]
mod tests;
