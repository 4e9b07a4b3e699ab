//! The effective configuration of `run` and `replay`: the file, overridden by the command line.

use super::args::PipelineArgs;
use super::outcome::CommandError;
use std::path::Path;
use step_observer::app::{self, CheckScope};
use step_observer::config::{Config, ConfigCheck, SinkConfig};
use step_observer::deliver::RetryConfig;
use step_observer::plugin::Compiler;
use step_observer::sink::SinkKind;

/// Reads the configuration file and applies the command line. `retry` applies to the sinks that the
/// command line adds.
pub(super) async fn effective_config(
    args: PipelineArgs,
    retry: &RetryConfig,
    compiler: &Compiler,
) -> Result<Config, CommandError> {
    let PipelineArgs {
        config,
        mut plugins,
        plugin_folders,
        journal,
        admin,
        sinks,
    } = args;
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
        config.sinks = named_sinks(sinks, retry);
    }
    Ok(config)
}

/// Names each sink after its kind and position: `http-1`.
pub(super) fn named_sinks(kinds: Vec<SinkKind>, retry: &RetryConfig) -> Vec<SinkConfig> {
    let named = |(index, to): (usize, SinkKind)| {
        let kind = to.name();
        SinkConfig {
            retry: retry.clone(),
            ..SinkConfig::new(format!("{kind}-{}", index + 1), to)
        }
    };
    kinds.into_iter().enumerate().map(named).collect()
}

/// Replaces the error of a failed start by all mistakes of the configuration file. Without mistakes the error stays.
pub(super) async fn all_mistakes(
    file: Option<&Path>,
    error: CommandError,
    compiler: &Compiler,
) -> CommandError {
    let Some(mut check) = file.and_then(|file| ConfigCheck::read(file).ok()) else {
        return error;
    };
    let checked = app::check(&mut check, CheckScope::ThisMachine, compiler.clone()).await;
    match (checked, check.into_config()) {
        (Ok(()), Err(mistakes)) => mistakes.into(),
        (Ok(()), Ok(_)) | (Err(_), _) => error,
    }
}
