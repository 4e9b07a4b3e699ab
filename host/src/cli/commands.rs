//! What each command does.

use super::End;
use super::args::{Command, ConfigCommand, ReplayArgs, Road, SchemaOf};
use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;
use step_observer::app::{self, App, CheckScope, Summary};
use step_observer::bounded::Bounded;
use step_observer::config::{Config, ConfigCheck, SinkKind};
use step_observer::deliver::RetryConfig;
use step_observer::event;
use step_observer::plugin::Compiler;
use step_observer::plugin::dropin::PluginManifest;
use step_observer::sink::StdoutConfig;
use tokio::signal::unix::{SignalKind, signal};

pub(super) type Problem = Box<dyn Error + Send + Sync>;

pub(crate) async fn run(command: Command, compiler: Compiler) -> Result<End, Problem> {
    match command {
        Command::Demo(args) => super::demo::demo(args, compiler).await,
        Command::Run(args) => super::run::run(args, compiler).await,
        Command::Replay(args) => replay(args, compiler).await,
        Command::Record(args) => super::record::record(args, compiler).await,
        Command::Plugin(command) => super::plugin::run(command).await,
        Command::Explain(args) => super::explain::run(&args),
        Command::DeadLetters(command) => super::dead_letters::run(command).await,
        Command::Config(command) => config(command).await,
        Command::Completions(args) => super::shell::completions(&args),
        Command::Man(args) => super::shell::man(&args),
        // It needs no runtime and ended before.
        Command::CompilePlugin => Ok(End::Good),
    }
}

async fn replay(args: ReplayArgs, compiler: Compiler) -> Result<End, Problem> {
    let ReplayArgs {
        recordings,
        mut road,
        logs,
        speed,
        give_up,
    } = args;
    if road.sinks.is_empty() && road.config.is_none() {
        road.sinks.push(SinkKind::Stdout(StdoutConfig::default()));
    }
    let give_up_ms = give_up.saturating_mul(1000);
    let file = road.config.clone();
    let mut config = merge(road, &RetryConfig::default(), &compiler).await?;
    for sink in &mut config.sinks {
        let dead_letters = sink.dead_letter_sink.iter_mut().map(|sink| &mut sink.retry);
        for retry in dead_letters.chain([&mut sink.retry]) {
            retry.give_up_ms = retry.give_up_ms.min(Bounded::clamped(give_up_ms));
        }
    }
    let hold_for = Duration::from_millis(give_up_ms);
    let source = super::recordings::source(&recordings, &logs, speed, hold_for)?;
    match App::build(source, config, compiler.clone()).await {
        Ok(app) => drive(app).await,
        Err(error) => Err(all_mistakes(file.as_deref(), error.into(), &compiler).await),
    }
}

/// All that is wrong with a configuration file because of which something cannot start; what that says, if nothing is.
pub(super) async fn all_mistakes(
    file: Option<&Path>,
    problem: Problem,
    compiler: &Compiler,
) -> Problem {
    let Some(mut check) = file.and_then(|file| ConfigCheck::read(file).ok()) else {
        return problem;
    };
    let checked = app::check(&mut check, CheckScope::ThisMachine, compiler.clone()).await;
    match (checked, check.into_config()) {
        (Ok(()), Err(mistakes)) => mistakes.into(),
        (Ok(()), Ok(_)) | (Err(_), _) => problem,
    }
}

/// Command line over file.
pub(super) async fn merge(
    road: Road,
    retry: &RetryConfig,
    compiler: &Compiler,
) -> Result<Config, Problem> {
    let Road {
        config,
        mut plugins,
        plugin_folders,
        journal,
        admin,
        sinks,
    } = road;
    let mut config = match config {
        Some(path) => match Config::read(&path) {
            Ok(config) => config,
            Err(error) => return Err(all_mistakes(Some(&path), error.into(), compiler).await),
        },
        None => Config::default(),
    };
    for plugin in &mut plugins {
        let taken = config
            .plugins
            .iter()
            .filter(|other| other.name.starts_with(&plugin.name))
            .count();
        if taken > 0 {
            plugin.name = format!("{}-{}", plugin.name, taken + 1);
        }
        config.plugins.push(plugin.clone());
    }
    config.drop_in.folders.extend(plugin_folders);
    config.journal.directory = journal.or(config.journal.directory);
    config.admin.listen = admin.or(config.admin.listen);
    if !sinks.is_empty() {
        config.sinks = Road::sinks(sinks, retry);
    }
    Ok(config)
}

async fn drive(app: App) -> Result<End, Problem> {
    let summary = tokio::select! {
        summary = app.run(signals(1)) => summary?,
        () = signals(2) => return Err(ABORTED.into()),
    };
    Ok(ended(&summary))
}

/// Why it ends at a second signal.
pub(super) const ABORTED: &str = "stopped by a second signal: what was left is not delivered; with --journal the next \
    start does that";

/// Tells what a run has done.
pub(super) fn ended(summary: &Summary) -> End {
    report(summary);
    match summary.undelivered() {
        0 => End::Good,
        count => End::Undelivered(count),
    }
}

fn report(summary: &Summary) {
    let Summary {
        steps,
        dropped,
        unprepared,
        sinks,
    } = summary;
    tracing::info!(steps, dropped, unprepared, "done");
    for (sink, delivered, undelivered) in sinks {
        tracing::info!(sink, delivered, undelivered, "sink");
        if *undelivered > 0 {
            tracing::error!(sink, delivered, undelivered, "events were not delivered");
        }
    }
}

/// Ends when the process was asked so often to stop.
/// It listens from the call on, not from the first poll: a signal in between must not be lost.
pub(crate) fn signals(count: usize) -> impl Future<Output = ()> + Send + 'static {
    let terminate = signal(SignalKind::terminate());
    let interrupt = signal(SignalKind::interrupt());
    async move {
        let (Ok(mut terminate), Ok(mut interrupt)) = (terminate, interrupt) else {
            return std::future::pending().await;
        };
        for _ in 0..count {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
    }
}

async fn config(command: ConfigCommand) -> Result<End, Problem> {
    let text = match command {
        ConfigCommand::Check { file } => {
            let mut check = ConfigCheck::read(&file)?;
            app::check(&mut check, CheckScope::AnyMachine, Compiler::Here).await?;
            let config = check.into_config()?;
            let (plugins, sinks) = (config.plugins.len(), config.sinks.len());
            format!(
                "{}: ok, {plugins} plugins and {sinks} sinks\n",
                file.display()
            )
        }
        ConfigCommand::Schema { of } => {
            let schema = match of {
                SchemaOf::Config => Config::json_schema(),
                SchemaOf::Plugin => PluginManifest::json_schema(),
                SchemaOf::Event => event::json_schema(),
            };
            format!("{schema:#}\n")
        }
        ConfigCommand::Show { file } => {
            let config = match file {
                Some(file) => Config::read(&file)?,
                None => Config::default(),
            };
            config.masked().to_yaml()?
        }
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(End::Good)
}
