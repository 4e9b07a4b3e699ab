//! `plugin test`: cases that must come out as they say, or one event to look at.

use super::args::TestArgs;
use super::diff::diff;
use super::{End, Problem, alone, configured, engine, load, say};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use step_observer::app::load_plugin;
use step_observer::config::PluginConfig;
use step_observer::event;
use step_observer::plugin::{
    Chain, ChainError, Failure, LoadError, OnError, Outcome, PluginEngine,
};
use step_observer::terminal;

pub(super) async fn test(args: TestArgs) -> Result<End, Problem> {
    let TestArgs {
        target,
        cases,
        event,
    } = args;
    // Cases bring their configuration, as in the native test.
    let given = target.plugin.config.clone();
    let mut config = configured(target)?;
    if cases.is_some() {
        config.config = given;
    }
    let engine = engine()?;
    match (cases, event) {
        (Some(folder), _) => run_cases(&engine, &config, &folder).await,
        (None, Some(file)) => {
            let chain = alone(&engine, load(&engine, &config).await?);
            let told = outcome(&chain, read(&file)?, &file)?;
            say(&terminal::escape_json(&format!("{told:#}")));
            match told.get("error") {
                None => Ok(End::Good),
                Some(_) => Err("the plugin fails on this event".into()),
            }
        }
        (None, None) => Err("give --cases DIR or --event E.json".into()),
    }
}

async fn run_cases(
    engine: &PluginEngine,
    config: &PluginConfig,
    folder: &Path,
) -> Result<End, Problem> {
    let problem = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut cases: Vec<_> = std::fs::read_dir(folder)
        .map_err(problem)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join("in.json").exists())
        .collect();
    cases.sort();
    let (mut failed, count) = (0, cases.len());
    // Loading takes longest: cases with the same configuration share one.
    let mut last: Option<(Value, Result<Arc<Chain>, String>)> = None;
    for case in cases {
        let name = case.file_name().unwrap_or_default().to_string_lossy();
        let mut config = config.clone();
        let own = case.join("config.json");
        if own.exists() {
            config.config = read(&own)?;
        }
        let loaded = match last.take().filter(|(before, _)| *before == config.config) {
            Some((_, loaded)) => loaded,
            None => match load_plugin(engine, &config, &Arc::default()).await {
                Ok(plugin) => Ok(alone(engine, plugin)),
                Err(ChainError {
                    source: LoadError::Configure(refusals),
                    ..
                }) => Err(refusals.first),
                Err(ChainError {
                    source:
                        source @ (LoadError::RuleSet { .. } | LoadError::Rules | LoadError::LargeRules),
                    ..
                }) => Err(source.to_string()),
                Err(error) => return Err(error.into()),
            },
        };
        let told = match &loaded {
            Ok(chain) => outcome(chain, read(&case.join("in.json"))?, &case)?,
            Err(reason) => json!({"error": reason}),
        };
        last = Some((config.config, loaded));
        let expected = read(&case.join("out.json"))?;
        if told == expected {
            say(&format!("ok      {name}"));
        } else {
            failed += 1;
            say(&format!("FAILED  {name}: - expected, + what came"));
            say(diff(&expected, &told, 2).trim_end());
        }
    }
    match (count, failed) {
        (0, _) => Err(format!(
            "{} holds no case: make NAME/in.json and NAME/out.json",
            folder.display()
        )
        .into()),
        (_, 0) => {
            say(&format!("{count} cases passed"));
            Ok(End::Good)
        }
        _ => Err(format!("{failed} of {count} cases failed").into()),
    }
}

/// As `out.json` says it: the event, or `{"dropped": reason}`, or `{"error": reason}`.
fn outcome(chain: &Chain, event: Value, place: &Path) -> Result<Value, Problem> {
    let envelope =
        event::from_json(event).map_err(|error| format!("{}: {error}", place.display()))?;
    Ok(match chain.process(envelope) {
        Outcome::Deliver(envelope, report) => match report.failures.first() {
            // As the native test says it.
            Some((_, Failure::Reported(reason), _)) => json!({"error": reason}),
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
        Outcome::Dropped { reason, .. } => json!({"dropped": reason}),
        Outcome::Blocked {
            failure: Failure::Reported(reason),
            ..
        } => json!({"error": reason}),
        Outcome::Blocked { failure, .. } => {
            json!({"error": failure.to_string(), "onError": "block"})
        }
    })
}

pub(super) fn read(file: &Path) -> Result<Value, Problem> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("failed to read {}: {error}", file.display()))?;
    serde_json::from_str(&text)
        .map_err(|error| format!("{} is not JSON: {error}", file.display()).into())
}
