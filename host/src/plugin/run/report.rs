//! The report on an event's way through a chain, with one entry per plugin call.

use super::identity::PluginIdentity;
use super::plugin::Plugin;
use crate::plugin::policy::OnError;
use crate::plugin::sandbox::CallFailure;
use crate::redact::RedactionCounts;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// One call of a plugin with an event.
#[derive(Clone, Debug)]
pub struct PluginCall {
    /// The plugin.
    pub plugin: Arc<PluginIdentity>,
    /// Duration of the call, without the time to apply its changes.
    pub took: Duration,
    /// Matches that the plugin's rules have masked, counted by rule. If the result is `Kept`, they
    /// include matches in the log while it was read, in the call, and in the attributes after the
    /// last plugin. Otherwise only the matches in the attributes are counted.
    pub masked: RedactionCounts,
    /// The result.
    pub result: CallResult,
}

/// The result of a plugin call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallResult {
    /// The plugin keeps the event, changed or not.
    Kept,
    /// The plugin drops the event. The reason is masked and truncated.
    Dropped(String),
    /// The call failed.
    Failed {
        /// Failure of the call.
        failure: CallFailure,
        /// The consequence for the event.
        on_error: OnError,
    },
}

/// The plugin calls of one event, in order. Plugins that do not match the event are not called.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The calls.
    pub calls: Vec<PluginCall>,
    /// The plugins whose masks apply to the attributes of the event. These are the plugins with
    /// masks whose `match` selects the event, in this chain and in the chain before it.
    pub redactors: Vec<Arc<Plugin>>,
}

impl PluginCall {
    /// Returns the reason if this call ends the event's way through the chain, and `None`
    /// otherwise.
    #[must_use]
    pub fn drop_reason(&self) -> Option<Cow<'_, str>> {
        match &self.result {
            CallResult::Dropped(reason) => Some(reason.into()),
            CallResult::Failed {
                failure,
                on_error: OnError::Drop | OnError::Block,
            } => Some(format!("the plugin failed: {failure}").into()),
            CallResult::Kept | CallResult::Failed { .. } => None,
        }
    }
}

impl Report {
    /// Returns the plugin of each failed call, with the failure and its consequence for the event.
    pub fn failures(&self) -> impl Iterator<Item = (&PluginIdentity, &CallFailure, OnError)> {
        self.calls.iter().filter_map(|call| match &call.result {
            CallResult::Failed { failure, on_error } => Some((&*call.plugin, failure, *on_error)),
            CallResult::Kept | CallResult::Dropped(_) => None,
        })
    }

    /// Returns the plugin that dropped the event, and the reason. Returns `None` if no plugin
    /// dropped it.
    #[must_use]
    pub fn dropped(&self) -> Option<(&PluginIdentity, Cow<'_, str>)> {
        let last = self.calls.last()?;
        Some((&*last.plugin, last.drop_reason()?))
    }

    /// Adds matches that were masked for a plugin after its call.
    pub(super) fn count_masked(&mut self, plugin: &Arc<PluginIdentity>, counts: &RedactionCounts) {
        let mut calls = self.calls.iter_mut();
        if let Some(call) = calls.find(|call| Arc::ptr_eq(&call.plugin, plugin)) {
            call.masked.merge(counts);
        }
    }

    /// Returns the duration of all calls together.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.calls.iter().map(|call| call.took).sum()
    }
}
