//! Derives from the plugins how a log is masked while it is read.

use crate::known_secrets::KnownSecrets;
use crate::observe::{CutGuard, LogMask, LogMasks, LogTarget};
use crate::plugin::dropin::Roster;
use crate::plugin::{Chain, RuleSets};
use crate::step::Redactor;
use futures::future::BoxFuture;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;

/// Masks logs with known secrets and with the rule sets of the common plugins. Rule sets of a
/// single sink's plugins, and rule sets of plugins that were built for 0.1.0, only decide where a
/// log may be cut.
#[derive(Debug)]
pub(crate) struct ChainLogMasks {
    roster: watch::Receiver<Roster>,
    own: Vec<Arc<Chain>>,
    known_secrets: KnownSecrets,
}

impl ChainLogMasks {
    /// `own` are the chains of single sinks.
    pub(crate) fn new(
        roster: watch::Receiver<Roster>,
        own: Vec<Arc<Chain>>,
        known_secrets: KnownSecrets,
    ) -> Self {
        Self {
            roster,
            own,
            known_secrets,
        }
    }
}

impl LogMasks for ChainLogMasks {
    fn mask_of<'a>(&'a self, target: &'a LogTarget) -> BoxFuture<'a, LogMask> {
        // If the common plugins are not known yet, a log is cut between words: reading it must not
        // wait, because its pod may be deleted.
        let common = self.roster.borrow().chain.clone();
        let mut mask = LogMask::default();
        for plugin in common.iter().flat_map(|chain| chain.plugins()) {
            let sets = plugin.rule_sets();
            let engines = sets.iter().filter_map(|(_, set)| set.engine());
            let redactor = plugin.redactor();
            let engines = engines.map(|engine| (redactor.clone(), engine.clone()));
            mask.engines.extend(engines);
            if sets.iter().any(|(_, set)| set.engine().is_none()) {
                mask.guards.push(Arc::new(RuleSetGuard(sets)));
            }
        }
        for plugin in self.own.iter().flat_map(|chain| chain.plugins()) {
            let sets = plugin.rule_sets();
            if !sets.is_empty() {
                mask.guards.push(Arc::new(RuleSetGuard(sets)));
            }
        }
        Box::pin(async move {
            // Waits for the Secrets of the pod before the log is read: a secret that was cut by a
            // truncation could not be found later.
            let engine = self.known_secrets.engine_of_log(&target.pod_uid).await;
            if let Some(engine) = engine {
                // Known secrets are masked first. Otherwise a rule that masks a part of a known
                // secret would hide the rest from this engine.
                mask.engines.insert(0, (Redactor::KnownSecrets, engine));
            }
            mask
        })
    }
}

#[derive(Debug)]
struct RuleSetGuard(Arc<RuleSets>);

impl CutGuard for RuleSetGuard {
    fn secrets(&self, text: &str, deadline: Instant) -> Option<Vec<Range<usize>>> {
        let mut all = Vec::new();
        for (_, set) in self.0.iter() {
            all.extend(set.secrets(text, deadline).ok()?);
        }
        Some(all)
    }
}
