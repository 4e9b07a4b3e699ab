//! Passes an event through a chain of plugins. If a plugin holds the event (`onError: block`), this is
//! repeated until the event has passed a chain as a whole.

use super::{AdmittedRecord, Preparation, PreparedEvent};
use crate::clock;
use crate::event;
use crate::fair::Permit;
use crate::history::EventStage;
use crate::plugin::{Chain, OnError, Outcome, PluginIdentity, Report};
use crate::step::Envelope;
use cloudevents::AttributesReader as _;
use std::sync::Arc;
use std::time::Duration;
use step_observer_core::Backoff;
use tracing::{debug, error, warn};

/// Delays between the attempts for an event that a plugin blocks.
const BLOCKED_BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(200),
    max: Duration::from_secs(30),
};

/// The chain that an event passes.
pub(super) enum ChainRef<'a> {
    /// The plugins common to all sinks. They may change between two attempts.
    Common,
    /// The plugins of one sink.
    Own(&'a Arc<Chain>),
}

impl Preparation {
    /// Returns the chain. Waits first until all its plugins are known, because no plugin may be
    /// skipped. Returns `None` if the observer stops before that.
    pub(super) async fn chain(&self, chain_ref: &ChainRef<'_>) -> Option<Arc<Chain>> {
        match chain_ref {
            ChainRef::Own(chain) => Some((*chain).clone()),
            ChainRef::Common => {
                let mut roster = self.roster.clone();
                let known = roster.wait_for(|roster| roster.chain.is_some()).await;
                known.ok().and_then(|roster| roster.chain.clone())
            }
        }
    }

    /// Waits before the next attempt. The wait ends early if the plugins change.
    async fn wait(&self, chain_ref: &ChainRef<'_>, delay: Duration) {
        let mut roster = self.roster.clone();
        roster.mark_unchanged();
        let changed = async {
            match chain_ref {
                // An error means that the plugins cannot change any more.
                ChainRef::Common if roster.changed().await.is_ok() => {}
                ChainRef::Common | ChainRef::Own(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            () = changed => {}
            () = tokio::time::sleep(delay) => {}
        }
    }

    /// Passes an event through a chain. If a plugin blocks the event, the event starts again at the
    /// beginning of the chain that is current at that time, so that each event passes one whole
    /// chain. While a plugin holds the event, its permit is free for other records.
    ///
    /// Returns `None` if the event is given up. Otherwise returns the event and the report of its
    /// plugins. The event contains the receipt of all that was masked; it is `None` if a plugin
    /// dropped it.
    pub(super) async fn run_chain(
        &self,
        chain_ref: &ChainRef<'_>,
        envelope: Envelope,
        item: &AdmittedRecord,
        permit: &mut Option<Permit>,
    ) -> Option<(Option<Envelope>, Report)> {
        let record = &*item.record;
        let (has_permit, mut held) = (permit.is_some(), None);
        let id = envelope.event.id().to_owned();
        let mut envelope = envelope;
        // Removes the receipt that the common chain wrote, if this is the chain of a sink.
        event::remove_redaction(&mut envelope);
        let mut failures = 0_u32;
        let give_up = self.hold_for.map(|hold| tokio::time::Instant::now() + hold);
        loop {
            let Some(chain) = self.chain(chain_ref).await else {
                self.metrics.failed.increment();
                warn!(
                    id,
                    "stopped before the plugins were known: the event is not sent"
                );
                return None;
            };
            let call = match chain.plugins().is_empty() {
                true => None,
                false => Some(self.call_permits.acquire(&record.namespace).await),
            };
            let is_changed = !chain.plugins().is_empty();
            let outcome = self.pool.process(chain.clone(), envelope).await;
            drop(call);
            match outcome {
                Ok(Outcome::Deliver(envelope, report)) => {
                    for (plugin, failure, on_error) in report.failures() {
                        let what = match on_error {
                            OnError::Strip => {
                                "plugin failed, the event continues without its log and texts"
                            }
                            OnError::Pass | OnError::Drop | OnError::Block => {
                                "plugin failed, the event continues as it was before the call"
                            }
                        };
                        let (plugin, version) = (&*plugin.name, &*plugin.version);
                        warn!(plugin, version, id, failure = failure.label(), detail = %failure, "{what}");
                    }
                    // Masks known secrets again if plugins ran: a plugin may have decoded a text,
                    // or joined two texts.
                    let mask = is_changed.then(|| self.event_mask(record)).flatten();
                    let mut envelope = self.masked(mask.as_ref(), *envelope);
                    event::write_redaction(&mut envelope);
                    return Some((Some(envelope), report));
                }
                Ok(Outcome::Dropped(report)) => {
                    self.metrics.dropped.increment();
                    if let Some((plugin, reason)) = report.dropped() {
                        let (plugin, reason) = (&*plugin.name, &*reason);
                        debug!(plugin, id, reason, "plugin drops the event");
                        if let Some(event_hook) = &self.event_hook {
                            event_hook(PreparedEvent::Dropped {
                                record,
                                plugin,
                                reason,
                            });
                        }
                    }
                    return Some((None, report));
                }
                Ok(Outcome::Blocked {
                    plugin,
                    failure,
                    envelope: original,
                }) => {
                    let PluginIdentity { name, version, .. } = &*plugin;
                    failures = failures.saturating_add(1);
                    if give_up.is_some_and(|at| tokio::time::Instant::now() >= at) {
                        self.metrics.failed.increment();
                        error!(plugin = &**name, version, id, detail = %failure, failures, "the held event is given up");
                        return None;
                    }
                    let delay = BLOCKED_BACKOFF.delay(failures, fastrand::f64());
                    warn!(
                        plugin = &**name, version, id, failure = failure.label(), detail = %failure, failures, ?delay,
                        "plugin failed, the event is held and tried again"
                    );
                    self.history.record(clock::now(), || {
                        let (plugin, reason) = (name.to_string(), failure.to_string());
                        (id.clone(), EventStage::Held { plugin, reason })
                    });
                    envelope = *original;
                    held.get_or_insert_with(|| item.ticket.hold(name, clock::now()));
                    drop(permit.take());
                    self.wait(chain_ref, delay).await;
                    if has_permit {
                        *permit = Some(self.record_permits.acquire(&record.namespace).await);
                    }
                }
                Err(problem) => {
                    self.metrics.failed.increment();
                    error!(error = %problem, id, "internal error: event lost; please report this");
                    return None;
                }
            }
        }
    }
}
