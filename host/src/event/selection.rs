//! Decides which events a sink or a plugin gets, and reports conditions that cannot be evaluated.

use super::{EventMatch, Phase};
use crate::locked::Locked;
use crate::metrics::Counter;
use cloudevents::{AttributesReader as _, Event};
use std::collections::HashSet;
use step_observer_cel::EvaluationError;
use tracing::warn;

/// Different errors of one condition that are logged. All are counted.
const MAX_LOGGED_ERRORS: usize = 16;

/// The `match` of a sink or a plugin.
#[derive(Debug)]
pub(crate) struct Selection {
    select: EventMatch,
    owner: SelectionOwner,
    name: String,
    errors: Counter,
    /// The errors that were logged. An error of another event at the same place is the same.
    logged: Locked<HashSet<EvaluationError>>,
}

/// What a selection belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SelectionOwner {
    Sink,
    Plugin,
}

impl SelectionOwner {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sink => "sink",
            Self::Plugin => "plugin",
        }
    }
}

impl Selection {
    pub(crate) fn new(select: EventMatch, owner: SelectionOwner, name: String) -> Self {
        Self {
            select,
            owner,
            name,
            errors: Counter::default(),
            logged: Locked::default(),
        }
    }

    /// Counts errors with another counter, which continues that of an earlier version.
    pub(crate) fn count_with(&mut self, errors: Counter) {
        self.errors = errors;
    }

    /// Returns the counter of events for which the condition could not be evaluated.
    pub(crate) fn errors(&self) -> &Counter {
        &self.errors
    }

    /// Returns whether every event is wanted, whatever it contains.
    pub(crate) fn wants_all(&self) -> bool {
        self.select == EventMatch::default()
    }

    /// Returns whether events of this phase may be wanted.
    pub(crate) fn wants_phase(&self, event: &Event) -> bool {
        self.select.wants_phase(event)
    }

    /// Returns whether an event is wanted. A condition that cannot be evaluated counts as true: a sink
    /// rather gets an event too many, and a plugin that masks secrets is not skipped.
    pub(crate) fn wants(&self, event: &Event) -> bool {
        self.select.matches(event).unwrap_or_else(|error| {
            self.errors.increment();
            self.log(event, error);
            true
        })
    }

    /// Returns the same as [`Self::wants`], without reporting errors: the event is looked at again.
    pub(crate) fn may_want(&self, event: &Event) -> bool {
        self.select.matches(event).unwrap_or(true)
    }

    fn log(&self, event: &Event, error: EvaluationError) {
        let mut logged = self.logged.lock();
        if logged.len() >= MAX_LOGGED_ERRORS || logged.contains(&error) {
            return;
        }
        let phase = Phase::of_type(event.ty()).map_or("none", Phase::as_str);
        warn!(
            owner = self.owner.as_str(),
            name = self.name,
            phase,
            error = %error,
            "a condition in `match.cel` cannot be evaluated: such events count as matching; further ones are only counted"
        );
        logged.insert(error);
    }
}

#[cfg(test)]
mod tests {
    use super::super::EventCondition;
    use super::*;
    use cloudevents::EventBuilder as _;
    use cloudevents::event::EventBuilderV10;
    use serde_json::json;

    fn event(data: serde_json::Value) -> Event {
        let event = EventBuilderV10::new().id("1").source("s").ty("a.failed.v1");
        event.data("application/json", data).build().unwrap()
    }

    fn selection(cel: &str) -> Selection {
        let select = EventMatch {
            namespaces: vec!["ci".to_owned()],
            cel: Some(EventCondition::compile(cel).unwrap()),
            ..EventMatch::default()
        };
        Selection::new(select, SelectionOwner::Sink, "pager".to_owned())
    }

    #[test]
    fn an_error_counts_as_a_match_of_the_condition_and_is_counted() {
        let selection = selection("labels.team == 'shop'");
        let of = |namespace: &str, labels: serde_json::Value| {
            event(json!({"taskRun": {"namespace": namespace}, "labels": labels}))
        };
        assert!(selection.wants(&of("ci", json!({"team": "shop"}))));
        assert!(!selection.wants(&of("ci", json!({"team": "web"}))));
        assert_eq!(selection.errors().get(), 0);
        assert!(selection.wants(&of("ci", json!({}))));
        assert!(selection.may_want(&of("ci", json!({}))));
        assert_eq!(selection.errors().get(), 1);
        // The other conditions decide before.
        assert!(!selection.wants(&of("other", json!({}))));
        assert_eq!(selection.errors().get(), 1);
        assert!(!selection.wants_all());
    }

    #[test]
    fn each_error_is_logged_once_and_only_so_many() {
        let places: Vec<String> = (0..20)
            .map(|number| format!("(data.stepIndex == {number} && labels.l{number} == 'a')"))
            .collect();
        let selection = selection(&places.join(" || "));
        for number in (0..20).chain(0..20) {
            let data = json!({"taskRun": {"namespace": "ci"}, "stepIndex": number});
            assert!(selection.wants(&event(data)));
        }
        assert_eq!(selection.errors().get(), 40);
        assert_eq!(selection.logged.lock().len(), MAX_LOGGED_ERRORS);
    }
}
