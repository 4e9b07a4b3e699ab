//! Runs the stages of a pipeline, each with a name and a lifetime. No other part of the program
//! spawns a task.

use super::AppError;
use crate::deliver::Closing;
use crate::journal::JournalError;
use crate::observe::ObserveError;
use futures::FutureExt as _;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{self, JoinSet};
use tracing::{debug, info, warn};

/// End of a stage. A shutdown stops only the source; then the other stages end in the order of
/// these variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// By itself, when its input ends. This is for the stages from the source to the journal.
    SourceEnds,
    /// When nothing is left to prepare, because all stages of `SourceEnds` have ended. The
    /// supervisor then drops the stage, because it only serves them.
    Prepared,
    /// By itself, when its sink has received all events. This is for the deliveries.
    Drained,
    /// When all deliveries have ended. The supervisor then drops the stage, because it only serves
    /// deliveries.
    Delivered,
    /// By itself, when all deliveries have ended and its last request is answered. This is for the
    /// admin server.
    Answered,
}

/// A point in the life of a pipeline, reached when no stage holds its token any more.
struct Milestone {
    /// Absent once all stages are spawned.
    token: Option<mpsc::Sender<()>>,
    reached: Closing,
}

/// The stages that run.
pub(super) struct Supervisor {
    stages: JoinSet<Result<(), ObserveError>>,
    names: HashMap<task::Id, &'static str>,
    prepared: Milestone,
    delivered: Milestone,
}

// === impl Milestone ===

impl Milestone {
    fn new() -> Self {
        let (token, mut tokens) = mpsc::channel::<()>(1);
        // Nothing is ever sent: the channel closes when the last token is dropped.
        let reached = async move {
            tokens.recv().await;
        };
        Self {
            token: Some(token),
            reached: reached.boxed().shared(),
        }
    }

    /// Drops the milestone's own token. Until then, the milestone cannot be reached, so all stages
    /// can be spawned first.
    fn release(&mut self) {
        self.token = None;
    }
}

// === impl Supervisor ===

impl Supervisor {
    pub(super) fn new() -> Self {
        Self {
            stages: JoinSet::new(),
            names: HashMap::new(),
            prepared: Milestone::new(),
            delivered: Milestone::new(),
        }
    }

    /// Returns a future that resolves when nothing is left to prepare.
    pub(super) fn prepared(&self) -> Closing {
        self.prepared.reached.clone()
    }

    /// Returns a future that resolves when all deliveries have ended.
    pub(super) fn delivered(&self) -> Closing {
        self.delivered.reached.clone()
    }

    /// Runs a stage under a name for messages.
    pub(super) fn spawn(
        &mut self,
        name: &'static str,
        until: Until,
        stage: impl Future<Output = ()> + Send + 'static,
    ) {
        match until {
            Until::SourceEnds => {
                let token = self.prepared.token.clone();
                self.run(name, holding(token, stage.map(Ok)));
            }
            Until::Drained => {
                let token = self.delivered.token.clone();
                self.run(name, holding(token, stage.map(Ok)));
            }
            Until::Prepared => self.run(name, dropped_at(self.prepared(), stage)),
            Until::Delivered => self.run(name, dropped_at(self.delivered(), stage)),
            Until::Answered => self.run(name, stage.map(Ok)),
        }
    }

    /// Runs the stage that reads the source. It is the only stage whose failure the pipeline
    /// returns, after the other stages have finished their work.
    pub(super) fn spawn_source(
        &mut self,
        name: &'static str,
        source: impl Future<Output = Result<(), ObserveError>> + Send + 'static,
    ) {
        let token = self.prepared.token.clone();
        self.run(name, holding(token, source));
    }

    fn run(
        &mut self,
        name: &'static str,
        stage: impl Future<Output = Result<(), ObserveError>> + Send + 'static,
    ) {
        let handle = self.stages.spawn(stage);
        self.names.insert(handle.id(), name);
    }

    /// Waits until all stages have ended, and returns the failure of the source. After a shutdown it
    /// waits no longer than the grace period: the one that `shutdown` returns, else the configured
    /// one. Stages may still run then.
    ///
    /// # Errors
    ///
    /// A stage panicked, or the journal failed.
    pub(super) async fn wait(
        &mut self,
        shutdown: impl Future<Output = Option<Duration>>,
        grace: Duration,
        journal_failure: impl Future<Output = JournalError>,
    ) -> Result<Option<ObserveError>, AppError> {
        self.prepared.release();
        self.delivered.release();
        let mut source_failure = None;
        let deadline = async {
            let grace = shutdown.await.unwrap_or(grace);
            info!(?grace, "stopping: delivering what is left");
            tokio::time::sleep(grace).await;
        };
        let mut journal_failure = std::pin::pin!(journal_failure);
        let mut deadline = std::pin::pin!(deadline);
        loop {
            tokio::select! {
                ended = self.stages.join_next_with_id() => match ended {
                    None => return Ok(source_failure),
                    Some(Ok((id, result))) => {
                        debug!(stage = self.name(id), "stage ended");
                        source_failure = source_failure.or(result.err());
                    }
                    Some(Err(error)) => return Err(AppError::Stage {
                        name: self.name(error.id()),
                        cause: error.to_string(),
                    }),
                },
                error = &mut journal_failure => return Err(error.into()),
                () = &mut deadline => {
                    warn!("the grace period is over");
                    return Ok(source_failure);
                }
            }
        }
    }

    /// Drops the stages that still run.
    pub(super) fn abort(&mut self) {
        self.stages.abort_all();
    }

    fn name(&self, id: task::Id) -> &'static str {
        self.names.get(&id).copied().unwrap_or_default()
    }
}

/// Holds a token until a stage has ended.
async fn holding<T>(token: Option<mpsc::Sender<()>>, stage: impl Future<Output = T>) -> T {
    let result = stage.await;
    drop(token);
    result
}

/// Runs a stage until it ends, or drops it when the milestone is reached.
async fn dropped_at(
    milestone: Closing,
    stage: impl Future<Output = ()>,
) -> Result<(), ObserveError> {
    tokio::select! {
        () = milestone => {}
        () = stage => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locked::Locked;
    use std::future::pending;
    use std::sync::Arc;
    use tokio::sync::oneshot;

    #[derive(Clone, Default)]
    struct Events(Arc<Locked<Vec<&'static str>>>);

    impl Events {
        fn record(&self, event: &'static str) {
            self.0.lock().push(event);
        }

        /// Returns a guard that records an event when the guard is dropped.
        fn on_drop(&self, event: &'static str) -> OnDrop {
            OnDrop(self.clone(), event)
        }
    }

    struct OnDrop(Events, &'static str);

    impl Drop for OnDrop {
        fn drop(&mut self) {
            self.0.record(self.1);
        }
    }

    async fn wait(stages: &mut Supervisor) -> Result<Option<ObserveError>, AppError> {
        let waiting = stages.wait(pending(), Duration::ZERO, pending());
        let waited = tokio::time::timeout(Duration::from_secs(10), waiting).await;
        waited.expect("all stages end")
    }

    #[tokio::test]
    async fn stages_end_in_the_order_of_their_lifetimes() {
        let (mut stages, events) = (Supervisor::new(), Events::default());
        let (prepared, delivered) = (stages.prepared(), stages.delivered());
        let answers = events.on_drop("admin");
        stages.spawn("admin", Until::Answered, async move {
            let _answers = answers;
            delivered.await;
            tokio::task::yield_now().await;
        });
        for (name, until) in [("control", Until::Delivered), ("plugins", Until::Prepared)] {
            let serves = events.on_drop(name);
            stages.spawn(name, until, async move {
                let _serves = serves;
                pending::<()>().await;
            });
        }
        let delivers = events.clone();
        stages.spawn("deliver", Until::Drained, async move {
            prepared.await;
            tokio::time::sleep(Duration::from_millis(10)).await;
            delivers.record("deliver");
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let prepares = events.clone();
        stages.spawn("prepare", Until::SourceEnds, async move {
            stopped.await.ok();
            prepares.record("prepare");
        });
        let observes = events.clone();
        stages.spawn_source("observe", async move {
            observes.record("observe");
            stop.send(()).ok();
            Ok(())
        });
        assert!(wait(&mut stages).await.unwrap().is_none());
        let order = events.0.lock().clone();
        assert_eq!(
            order,
            [
                "observe", "prepare", "plugins", "deliver", "control", "admin"
            ]
        );
    }

    #[tokio::test]
    async fn the_failure_of_the_source_is_returned_after_the_other_stages_have_ended() {
        let (mut stages, events) = (Supervisor::new(), Events::default());
        let (prepared, delivers) = (stages.prepared(), events.clone());
        stages.spawn("deliver", Until::Drained, async move {
            prepared.await;
            delivers.record("delivered");
        });
        // This stage has nothing to do. Its early end is not a failure.
        stages.spawn("plugins", Until::Prepared, async {});
        let failure = || ObserveError::InvalidShard {
            shard: 1,
            shards: 1,
        };
        stages.spawn_source("observe", async move { Err(failure()) });
        let failed = wait(&mut stages).await.unwrap().unwrap();
        assert_eq!(failed.to_string(), failure().to_string());
        assert_eq!(*events.0.lock(), ["delivered"]);
    }

    #[tokio::test]
    async fn a_panic_is_returned_with_the_name_of_its_stage() {
        let (mut stages, events) = (Supervisor::new(), Events::default());
        let delivers = events.on_drop("deliver");
        stages.spawn("deliver", Until::Drained, async move {
            let _delivers = delivers;
            pending::<()>().await;
        });
        stages.spawn("track", Until::SourceEnds, async { panic!("a bug") });
        let error = wait(&mut stages).await.unwrap_err().to_string();
        assert!(
            error.contains("stage `track`") && error.contains("a bug"),
            "{error}"
        );
        drop(stages);
        tokio::task::yield_now().await;
        assert_eq!(*events.0.lock(), ["deliver"]);
    }

    #[tokio::test]
    async fn a_shutdown_waits_for_the_grace_period_and_no_longer() {
        let mut stages = Supervisor::new();
        stages.spawn("deliver", Until::Drained, pending());
        let own = async { Some(Duration::from_millis(10)) };
        let waiting = stages.wait(own, Duration::MAX, pending());
        assert!(waiting.await.unwrap().is_none());
        stages.abort();
        assert!(matches!(
            wait(&mut stages).await,
            Err(AppError::Stage {
                name: "deliver",
                ..
            })
        ));
    }
}
