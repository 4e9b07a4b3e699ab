//! The way of an event through plugins, until one chain has passed it whole.

use super::{AdmittedRecord, Preparation, PreparedEvent};
use crate::clock;
use crate::fair::Permit;
use crate::history::EventStage;
use crate::plugin::{Chain, OnError, Outcome, PluginIdentity, Report};
use crate::step::Envelope;
use cloudevents::AttributesReader as _;
use std::sync::Arc;
use std::time::Duration;
use step_observer_core::Backoff;
use tracing::{debug, error, warn};

/// How an event that a plugin blocks is tried again.
const BLOCKED_BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(200),
    max: Duration::from_secs(30),
};

/// Which plugins an event passes.
pub(super) enum ChainRef<'a> {
    /// Those common to all sinks, as they are at the moment.
    Common,
    /// Those of one sink.
    Own(&'a Arc<Chain>),
}

impl Preparation {
    /// Waits until it is known which plugins there are: before, none may be left out.
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

    /// Waits for the next try; where the plugins change meanwhile, no longer.
    async fn wait(&self, chain_ref: &ChainRef<'_>, delay: Duration) {
        let mut roster = self.roster.clone();
        roster.mark_unchanged();
        let changed = async {
            match chain_ref {
                // Where nothing changes any more, only the time passes.
                ChainRef::Common if roster.changed().await.is_ok() => {}
                ChainRef::Common | ChainRef::Own(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            () = changed => {}
            () = tokio::time::sleep(delay) => {}
        }
    }

    /// Passes an event through a chain; where a plugin blocks it, again from the beginning, through
    /// the chain of that moment. So whatever leaves here has passed one chain whole. Without an event
    /// where a plugin dropped it; nothing where the event is given up. While a plugin holds the event, it does not
    /// have the turn that it came with.
    pub(super) async fn run_chain(
        &self,
        chain_ref: &ChainRef<'_>,
        envelope: Envelope,
        item: &AdmittedRecord,
        turn: &mut Option<Permit>,
    ) -> Option<(Option<Envelope>, Report)> {
        let record = &*item.record;
        let (has_turn, mut held) = (turn.is_some(), None);
        let id = envelope.event.id().to_owned();
        let mut envelope = envelope;
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
            let outcome = self.pool.process(chain.clone(), envelope).await;
            drop(call);
            match outcome {
                Ok(Outcome::Deliver(envelope, report)) => {
                    for (plugin, failure, on_error) in report.failures() {
                        let what = match on_error {
                            OnError::Strip => {
                                "plugin failed, the event goes without its log and texts"
                            }
                            OnError::Pass | OnError::Drop | OnError::Block => {
                                "plugin failed, the event goes as it was before"
                            }
                        };
                        let (plugin, version) = (&*plugin.name, &*plugin.version);
                        warn!(plugin, version, id, failure = failure.label(), detail = %failure, "{what}");
                    }
                    return Some((Some(*envelope), report));
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
                    drop(turn.take());
                    self.wait(chain_ref, delay).await;
                    if has_turn {
                        *turn = Some(self.record_permits.acquire(&record.namespace).await);
                    }
                }
                Err(problem) => {
                    self.metrics.failed.increment();
                    error!(error = %problem, id, "the event is lost: please report this");
                    return None;
                }
            }
        }
    }
}
