//! `replay`: plays recordings through the pipeline.

use super::args::ReplayArgs;
use super::configuration::{all_mistakes, effective_config};
use super::outcome::{CommandError, CommandOutcome};
use super::recordings;
use super::signals::{SECOND_SIGNAL, stop_signals};
use std::time::Duration;
use step_observer::app::App;
use step_observer::bounded::Bounded;
use step_observer::deliver::RetryConfig;
use step_observer::plugin::Compiler;
use step_observer::sink::{SinkKind, StdoutConfig};

pub(super) async fn replay(
    args: ReplayArgs,
    compiler: Compiler,
) -> Result<CommandOutcome, CommandError> {
    let ReplayArgs {
        recordings,
        mut pipeline,
        logs,
        speed,
        give_up,
    } = args;
    if pipeline.sinks.is_empty() && pipeline.config.is_none() {
        pipeline
            .sinks
            .push(SinkKind::Stdout(StdoutConfig::default()));
    }
    let give_up_ms = give_up.saturating_mul(1000);
    let file = pipeline.config.clone();
    let mut config = effective_config(pipeline, &RetryConfig::default(), &compiler).await?;
    for sink in &mut config.sinks {
        let dead_letters = sink.dead_letter_sink.iter_mut().map(|sink| &mut sink.retry);
        for retry in dead_letters.chain([&mut sink.retry]) {
            retry.give_up_ms = retry.give_up_ms.min(Bounded::clamped(give_up_ms));
        }
    }
    let hold_for = Duration::from_millis(give_up_ms);
    let source = recordings::source(&recordings, &logs, speed, hold_for)?;
    match App::build(source, config, compiler.clone()).await {
        Ok(app) => run_to_the_end(app).await,
        Err(error) => Err(all_mistakes(file.as_deref(), error.into(), &compiler).await),
    }
}

/// Plays the recordings. The first stop signal ends the playing, the second one ends the program.
async fn run_to_the_end(app: App) -> Result<CommandOutcome, CommandError> {
    let summary = tokio::select! {
        summary = app.run(stop_signals(1)) => summary?,
        () = stop_signals(2) => return Err(SECOND_SIGNAL.into()),
    };
    Ok(CommandOutcome::from_summary(&summary))
}
