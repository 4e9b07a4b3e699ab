//! Submits the ends of TaskRuns and PipelineRuns for the sinks that take them. They pass no plugin,
//! because they hold no text that a step wrote: only names, times and the result.

use super::{Pending, Preparation};
use crate::clock;
use crate::event;
use crate::journal::{Accept, Mark, NewEvent, Origin};
use crate::step::EndedRun;
use tracing::error;

impl Preparation {
    pub(super) async fn submit_end(&self, ended: EndedRun, pending: Pending) {
        let EndedRun {
            mut end,
            annotations,
            traceparent,
        } = ended;
        end.source.clone_from(&self.event.source);
        end.traceparent = event::tekton_trace(&annotations, traceparent.as_deref(), &self.event);
        let id = end.id();
        let takes = self.routes.iter().filter(|route| route.takes_run_ends);
        let sinks: Vec<String> = takes.map(|route| route.name.clone()).collect();
        if sinks.is_empty() || self.journal.is_emitted(&end.uid, &id) {
            return;
        }
        let body = match serde_json::to_vec(&end) {
            Ok(body) => body.into(),
            Err(error) => {
                self.metrics.failed.increment();
                error!(%error, id, "the end of a run cannot be encoded");
                return;
            }
        };
        let accept = Accept {
            origin: Origin {
                run: end.uid.into(),
                namespace: end.namespace.into(),
            },
            mark: Some(Mark { id, name: None }),
            at: clock::now(),
            events: vec![NewEvent { sinks, body }],
        };
        let accepted = move || pending.accepted();
        if let Err(error) = self.journal.submit(accept, accepted).await {
            self.metrics.failed.increment();
            error!(%error, "the end of a run is not accepted");
        }
    }
}
