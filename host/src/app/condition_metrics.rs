//! The metric of conditions that could not be evaluated, of sinks and plugins together.

use crate::event::SelectionOwner;
use crate::metrics::{Counter, Registry};
use crate::plugin::dropin::{self, Roster};
use crate::prepare::SinkRoute;
use tokio::sync::watch;

/// Registers the metric of the sinks of a configuration, and of the plugins that are there at a scrape.
pub(super) fn register(
    registry: &mut Registry,
    routes: &[SinkRoute],
    roster: watch::Receiver<Roster>,
) {
    let sinks = routes.iter();
    let sinks = sinks.map(|route| (route.name.clone(), route.select.errors().clone()));
    let sinks: Vec<(String, Counter)> = sinks.collect();
    registry.register_samples(move |samples| {
        let roster = roster.borrow().clone();
        let of_sinks = sinks.iter().map(|(name, errors)| {
            let labels = [SelectionOwner::Sink.as_str(), name.as_str()];
            (labels, errors.get())
        });
        let of_plugins = dropin::condition_errors(&roster);
        let of_plugins = of_plugins.map(|(name, errors)| {
            let labels = [SelectionOwner::Plugin.as_str(), name];
            (labels, errors)
        });
        samples.counters(
            "condition_errors",
            "Events for which the condition `match.cel` of a sink or plugin could not be evaluated; they count as matching",
            ["owner", "name"],
            of_sinks.chain(of_plugins),
        )
    });
}
