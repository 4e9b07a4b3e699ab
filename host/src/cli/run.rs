//! `run`: watches a cluster. It applies its configuration file again whenever the file changes.

use super::args::RunArgs;
use super::cluster;
use super::config_file::ConfigFile;
use super::configuration::{all_mistakes, effective_config, named_sinks};
use super::default_sink::default_sink;
use super::outcome::{CommandError, CommandOutcome};
use super::signals::{SECOND_SIGNAL, stop_signals};
use super::unused_memory;
use futures::FutureExt as _;
use std::time::Duration;
use step_observer::app::{App, CarriedOver};
use step_observer::config::Config;
use step_observer::deliver::RetryConfig;
use step_observer::plugin::Compiler;
use step_observer::standby::{LostLease, Standby};
use tokio::sync::oneshot;
use tracing::{info, warn};

/// Time that the pipeline of the old configuration has to deliver its events before the new one takes over.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) async fn run(args: RunArgs, compiler: Compiler) -> Result<CommandOutcome, CommandError> {
    let mut file = ConfigFile::open(args.pipeline.config.clone()).await;
    let mut config = run_config(&args, &compiler).await?;
    let source = cluster::source(&config).await?;
    let mut app = match App::build(source, config.clone(), compiler.clone()).await {
        Ok(app) => app,
        Err(error) => {
            let file = args.pipeline.config.as_deref();
            return Err(all_mistakes(file, error.into(), &compiler).await);
        }
    };
    unused_memory::return_at_intervals();
    let (stopped, aborted) = (stop_signals(1).shared(), stop_signals(2));
    let mut aborted = std::pin::pin!(aborted);
    let standby = app.standby();
    if standby.is_some() {
        loop {
            let carried_over = app.carried_over();
            let next = {
                let (stop, stopping) = oneshot::channel::<()>();
                let mut waiting = std::pin::pin!(app.wait_until_active(stopping.map(drop)));
                let next = tokio::select! {
                    active = &mut waiting => {
                        active?;
                        // A change of the file may just have been seen and not been applied yet.
                        file.look_again();
                        break;
                    }
                    () = stopped.clone() => return Ok(CommandOutcome::Complete),
                    next = changed_app(&args, &compiler, &mut file, &config, &carried_over) => next,
                };
                info!("configuration changed");
                stop.send(()).ok();
                // If it has just become active, so has the next one.
                waiting.await?;
                next
            };
            carried_over.note_reload(Ok(()));
            (config, app) = next;
        }
    }
    let mut lost = std::pin::pin!(lost_lease(standby.as_ref()));
    loop {
        let carried_over = app.carried_over();
        let (changes, changed) = oneshot::channel::<()>();
        let stopped = stopped.clone();
        let until = async move {
            tokio::select! {
                () = stopped => None,
                _ = changed => Some(HAND_OVER_TIMEOUT),
            }
        };
        let mut running = std::pin::pin!(app.run_until(until));
        let next = tokio::select! {
            summary = &mut running => {
                if let Some(standby) = &standby {
                    standby.release().await;
                }
                return Ok(CommandOutcome::from_summary(&summary?));
            }
            () = &mut aborted => return Err(SECOND_SIGNAL.into()),
            lost = &mut lost => return Err(lost.into()),
            next = changed_app(&args, &compiler, &mut file, &config, &carried_over) => next,
        };
        info!("configuration changed: the new one takes over the backlog");
        changes.send(()).ok();
        let unprepared = tokio::select! {
            summary = running => summary?.unprepared,
            () = &mut aborted => return Err(SECOND_SIGNAL.into()),
            lost = &mut lost => return Err(lost.into()),
        };
        if unprepared > 0 {
            warn!(
                unprepared,
                "events were not accepted before the change: they are derived again if the cluster still has their runs"
            );
        }
        carried_over.note_reload(Ok(()));
        (config, app) = next;
    }
}

/// Renews the Lease of the active observer among several, until it is lost. Never ends for an observer that
/// is the only one.
async fn lost_lease(standby: Option<&Standby>) -> LostLease {
    match standby {
        Some(standby) => standby.keep().await,
        None => std::future::pending().await,
    }
}

/// The configuration of `run`: the file, overridden by the command line, with the default sink if
/// neither names one.
async fn run_config(args: &RunArgs, compiler: &Compiler) -> Result<Config, CommandError> {
    let RunArgs {
        pipeline,
        namespaces,
        plugin_namespace,
        selector,
        shards,
        shard,
    } = args.clone();
    let mut config = effective_config(pipeline, &RetryConfig::default(), compiler).await?;
    if !namespaces.is_empty() {
        config.cluster.namespaces = namespaces;
    }
    config.drop_in.namespace = plugin_namespace.or(config.drop_in.namespace);
    config.cluster.label_selector = selector.or(config.cluster.label_selector);
    config.cluster.shards = shards.unwrap_or(config.cluster.shards);
    config.cluster.shard = shard.unwrap_or(config.cluster.shard);
    config.cluster.own_shard()?;
    if config.sinks.is_empty() {
        config.sinks = named_sinks(vec![default_sink()?], &RetryConfig::default());
    }
    Ok(config)
}

/// Waits until the file holds another usable configuration, or a missing plugin was pulled, and builds a pipeline from it. A
/// refused configuration is logged and changes nothing.
async fn changed_app(
    args: &RunArgs,
    compiler: &Compiler,
    file: &mut ConfigFile,
    current: &Config,
    carried_over: &CarriedOver,
) -> (Config, App) {
    loop {
        let is_pulled = tokio::select! {
            () = file.changed() => false,
            () = carried_over.plugin_pulled() => true,
        };
        let built = async {
            let config = run_config(args, compiler).await?;
            // A file may look complete while its writer is still at work.
            if file.has_changed().await {
                return Ok(None);
            }
            if config == *current && !is_pulled {
                return Ok(None);
            }
            let source = cluster::source(&config).await?;
            let built = App::rebuild(
                source,
                config.clone(),
                compiler.clone(),
                carried_over.clone(),
            )
            .await;
            match built {
                Ok(app) => Ok(Some((config, app))),
                Err(error) => {
                    let file = args.pipeline.config.as_deref();
                    Err(all_mistakes(file, error.into(), compiler).await)
                }
            }
        };
        match built.await {
            Ok(Some(next)) => return next,
            // Nothing is to be applied: only a comment has changed, a refused change was undone, or
            // the file is still being written.
            Ok(None) => carried_over.clear_last_refusal(),
            Err(problem) => {
                warn!(%problem, "the changed configuration is refused, the one before stays");
                carried_over.note_reload(Err(problem.to_string()));
            }
        }
    }
}
