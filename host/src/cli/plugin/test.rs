//! `plugin test`: compares the results of cases with the expected ones, writes them, or prints the result of one event.

use super::diff::diff;
use super::json_file::{read, write};
use super::target::{engine, load, single_chain, target_config};
use crate::cli::args::plugin::{PluginTarget, TestArgs};
use crate::cli::outcome::{CommandError, CommandOutcome};
use crate::cli::output::print_line;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use step_observer::app::load_plugin;
use step_observer::event;
use step_observer::plugin::PluginConfig;
use step_observer::plugin::{CallFailure, Chain, ChainError, LoadError, OnError, Outcome};
use step_observer::terminal;

pub(super) async fn test(args: TestArgs) -> Result<CommandOutcome, CommandError> {
    let TestArgs {
        target,
        cases,
        update,
        event,
    } = args;
    match (cases, event) {
        (Some(folder), _) => run_cases(target, &folder, update).await,
        (None, Some(file)) => {
            let config = target_config(target)?;
            let engine = engine()?;
            let chain = single_chain(&engine, load(&engine, &config).await?);
            let result = outcome(&chain, read(&file)?, &file)?;
            print_line(&terminal::escape_json(&format!("{result:#}")));
            match result.get("error") {
                None => Ok(CommandOutcome::Complete),
                Some(_) => Err("the plugin fails on this event".into()),
            }
        }
        (None, None) => Err("give --cases DIR or --event E.json".into()),
    }
}

/// Compares the results of all cases with the expected ones, or writes them.
pub(super) async fn run_cases(
    target: PluginTarget,
    folder: &Path,
    update: bool,
) -> Result<CommandOutcome, CommandError> {
    // Each case has its own configuration, as in the native test. The configuration in
    // `plugin.yaml` is not used.
    let given = target.plugin.config.clone();
    let target = PluginConfig {
        config: given,
        ..target_config(target)?
    };
    let engine = engine()?;
    let problem = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut cases: Vec<_> = std::fs::read_dir(folder)
        .map_err(problem)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join("in.json").exists())
        .collect();
    cases.sort();
    let (mut failed, mut updated, count) = (0, 0, cases.len());
    // Loading takes most of the time: neighbouring cases with the same configuration share a chain.
    let mut last: Option<(Value, Result<Arc<Chain>, String>)> = None;
    for case in cases {
        let name = case.file_name().unwrap_or_default().to_string_lossy();
        let mut config = target.clone();
        let own = case.join("config.json");
        if own.exists() {
            config.config = read(&own)?;
        }
        let loaded = match last.take().filter(|(before, _)| *before == config.config) {
            Some((_, loaded)) => loaded,
            None => match load_plugin(&engine, &config, &Arc::default()).await {
                Ok(plugin) => Ok(single_chain(&engine, plugin)),
                Err(ChainError {
                    source: LoadError::Configure(refusals),
                    ..
                }) => Err(refusals.first),
                Err(ChainError {
                    source:
                        source @ (LoadError::RuleSet { .. }
                        | LoadError::MaskSet { .. }
                        | LoadError::MaskSets(_)
                        | LoadError::SetName(_)
                        | LoadError::Rules
                        | LoadError::LargeRules),
                    ..
                }) => Err(source.to_string()),
                Err(error) => return Err(error.into()),
            },
        };
        let result = match &loaded {
            Ok(chain) => outcome(chain, read(&case.join("in.json"))?, &case)?,
            Err(reason) => json!({"error": reason}),
        };
        last = Some((config.config, loaded));
        let file = case.join("out.json");
        let expected = match update && !file.exists() {
            true => Value::Null,
            false => read(&file)?,
        };
        if result == expected {
            print_line(&format!("ok      {name}"));
            continue;
        }
        // A plugin that traps, or needs too much, is not what an author expects.
        let is_broken = result.get("onError").is_some() && result.get("error").is_some();
        if update && !is_broken {
            updated += 1;
            write(&file, &result)?;
            print_line(&format!("UPDATED {name}: - before, + now"));
        } else {
            failed += 1;
            print_line(&format!("FAILED  {name}: - expected, + actual"));
        }
        print_line(diff(&expected, &result, 2).trim_end());
    }
    match (count, failed) {
        (0, _) => Err(format!(
            "{} has no case: write NAME/in.json and NAME/out.json",
            folder.display()
        )
        .into()),
        (_, 0) if updated > 0 => {
            print_line(&format!("{updated} of {count} cases updated"));
            Ok(CommandOutcome::Complete)
        }
        (_, 0) => {
            print_line(&format!("{count} cases passed"));
            Ok(CommandOutcome::Complete)
        }
        _ => Err(format!("{failed} of {count} cases failed").into()),
    }
}

/// The result in the form of `out.json`: the event, `{"dropped": reason}`, or `{"error": reason}`.
fn outcome(chain: &Chain, event: Value, place: &Path) -> Result<Value, CommandError> {
    let envelope =
        event::from_json(event).map_err(|error| format!("{}: {error}", place.display()))?;
    Ok(match chain.process(envelope) {
        Outcome::Deliver(envelope, report) => match report.failures().next() {
            // The same form as in the native test.
            Some((_, CallFailure::Reported(reason), _)) => json!({"error": reason}),
            Some((_, failure, on_error)) => {
                let then = match on_error {
                    OnError::Strip => "strip",
                    OnError::Pass => "pass",
                    OnError::Drop => "drop",
                    OnError::Block => "block",
                };
                json!({"error": failure.to_string(), "onError": then})
            }
            None => serde_json::from_slice(&event::structured(&envelope.event)?)?,
        },
        Outcome::Dropped(report) => json!({"dropped": report.dropped().map(|(_, reason)| reason)}),
        Outcome::Blocked {
            failure: CallFailure::Reported(reason),
            ..
        } => json!({"error": reason}),
        Outcome::Blocked { failure, .. } => {
            json!({"error": failure.to_string(), "onError": "block"})
        }
    })
}
