//! The deliveries of a pipeline, one per sink.

use super::CarriedOver;
use super::sinks::{ReadySink, SinkLifetime};
use super::supervisor::{Supervisor, Until};
use crate::admin::PageSink;
use crate::config::SinkConfig;
use crate::deliver::{Delivery, SinkMetrics};
use crate::event::{Selection, SelectionOwner};
use crate::metrics::Registry;
use crate::prepare::SinkRoute;
use crate::sink::SentForm;
use futures::FutureExt as _;
use std::sync::Arc;

/// The parts of the deliveries that other stages use.
pub(super) struct Deliveries {
    /// The counters of each sink, by its name.
    pub(super) sink_metrics: Vec<(String, Arc<SinkMetrics>)>,
    /// The routes of prepared events: one for each sink, except for sinks that receive only dead
    /// letters.
    pub(super) routes: Vec<SinkRoute>,
    /// The sinks as the live page knows them.
    pub(super) page_sinks: Vec<PageSink>,
}

impl Deliveries {
    /// Starts the delivery to each sink. A delivery ends when its sink can get no more events and
    /// none waits.
    pub(super) fn start(
        sinks: Vec<ReadySink>,
        carried: &CarriedOver,
        registry: &mut Registry,
        stages: &mut Supervisor,
    ) -> Self {
        let (mut sink_metrics, mut routes) = (Vec::new(), Vec::new());
        let page_sinks = sinks.iter().map(page_sink).collect();
        let configs: Vec<&SinkConfig> = sinks.iter().map(|ready| &ready.config).collect();
        let pauses = carried.pauses(&configs);
        for (ready, pause) in sinks.into_iter().zip(pauses) {
            let metrics = Arc::new(SinkMetrics::new(pause));
            let SinkConfig {
                name,
                select,
                to,
                retry,
                ..
            } = ready.config;
            sink_metrics.push((name.clone(), metrics.clone()));
            let (closing, dead_letters) = match ready.lifetime {
                SinkLifetime::Events {
                    chain,
                    dead_letters,
                } => {
                    let select = Selection::new(select, SelectionOwner::Sink, name.clone());
                    routes.push(SinkRoute {
                        name: name.clone(),
                        select: Arc::new(select),
                        chain,
                        added: to.added_bytes(),
                        takes_run_ends: to.takes_run_ends(),
                        takes_pipeline_runs: to.takes_pipeline_runs(),
                        takes_gaps: to.takes_gaps(),
                    });
                    (stages.prepared(), dead_letters)
                }
                SinkLifetime::DeadLetters { closed } => (closed.map(drop).boxed().shared(), None),
            };
            let (dead_letter_sink, closes) = dead_letters.unzip();
            let delivery = Delivery::new(name, ready.sink, retry, carried.journal.clone(), metrics)
                .with_dead_letters(dead_letter_sink)
                .with_history(carried.history.clone())
                .with_page(carried.page.clone())
                .with_standby(carried.standby.clone());
            stages.spawn("deliver", Until::Drained, async move {
                delivery.run(closing).await;
                drop(closes);
            });
        }
        SinkMetrics::register(registry, &carried.journal, &sink_metrics);
        Self {
            sink_metrics,
            routes,
            page_sinks,
        }
    }
}

fn page_sink(ready: &ReadySink) -> PageSink {
    let own_plugins = match &ready.lifetime {
        SinkLifetime::Events { chain, .. } => Some(!chain.plugins().is_empty()),
        SinkLifetime::DeadLetters { .. } => None,
    };
    PageSink {
        name: ready.config.name.clone(),
        form: SentForm::of(&ready.config.to),
        takes_events: own_plugins.is_some(),
        has_own_plugins: own_plugins == Some(true),
    }
}
