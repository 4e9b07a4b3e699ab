//! `tap` of a cluster: the pipeline of `run` without a journal, an admin server and sinks.

use super::filter::Filter;
use super::line::StepLine;
use super::output::Output;
use crate::cli::args::tap::TapArgs;
use crate::cli::cluster;
use crate::cli::outcome::{CommandError, CommandOutcome};
use crate::cli::signals::stop_signals;
use cloudevents::event::Data;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::sync::Arc;
use step_observer::app::{App, Source};
use step_observer::config::{Config, ConfigDuration};
use step_observer::event;
use step_observer::logs::{LogCaptureMode, LogConfig};
use step_observer::observe::ClusterConfig;
use step_observer::plugin::{PluginConfig, PluginFrom};
use step_observer::prepare::{EventHook, PreparedEvent};
use step_observer::step::Envelope;

/// The plugin that masks free text.
const REDACTOR: &str = "redact-secrets";

pub(super) async fn tap(args: TapArgs) -> Result<CommandOutcome, CommandError> {
    let (stopped, aborted) = (stop_signals(1), stop_signals(2));
    let config = config(&args);
    let source = cluster::source(&config).await?;
    let Source::Cluster { started, .. } = &source else {
        return Err("only a cluster can be tapped".into());
    };
    let since = args.since.map_or(SignedDuration::ZERO, |since| since.0);
    let printing = Printing {
        filter: Filter::new(&args),
        // The transitions of runs that still go on, and of those that end now, are all known to the pipeline.
        earliest: started.checked_sub(since).unwrap_or(Timestamp::MIN),
        json: args.json,
        logs: args.logs,
        output: Arc::new(Output::new()),
    };
    let output = printing.output.clone();
    let app = App::dry_run(source, config).await?;
    let app = app.with_event_hook(printing.into_hook());
    output.print_header(args.json);
    let until = output.clone();
    let stop = async move {
        tokio::select! {
            () = stopped => {}
            () = until.ended() => {}
        }
    };
    tokio::select! {
        ran = app.run(stop) => drop(ran?),
        // Nothing waits for a sink, so nothing is lost.
        () = aborted => {}
    }
    output.result()?;
    Ok(CommandOutcome::Complete)
}

fn config(args: &TapArgs) -> Config {
    let shows_text = args.logs || args.json;
    let mut config = Config {
        cluster: ClusterConfig {
            namespaces: args.namespaces.clone(),
            label_selector: args.selector.clone(),
            ..ClusterConfig::default()
        },
        look_back: args.since.unwrap_or(ConfigDuration(SignedDuration::ZERO)),
        log: LogConfig {
            capture: match args.logs {
                true => LogCaptureMode::OnEnd,
                false => LogCaptureMode::Off,
            },
            ..LogConfig::default()
        },
        // A line has no free text that a plugin could mask.
        plugins: match shows_text {
            true => vec![PluginConfig::new(
                REDACTOR.to_owned(),
                PluginFrom::Bundled(REDACTOR.to_owned()),
            )],
            false => Vec::new(),
        },
        ..Config::default()
    };
    for plugin in &args.plugins {
        let mut plugin = plugin.clone();
        let same = config.plugins.iter();
        let same = same
            .filter(|other| other.name.starts_with(&plugin.name))
            .count();
        if same > 0 {
            plugin.name = format!("{}-{}", plugin.name, same + 1);
        }
        config.plugins.push(plugin);
    }
    config.drop_in.config_maps = false;
    config
}

/// Prints the events that have passed the plugins.
struct Printing {
    filter: Filter,
    earliest: Timestamp,
    json: bool,
    logs: bool,
    output: Arc<Output>,
}

impl Printing {
    fn into_hook(self) -> EventHook {
        Arc::new(move |event| {
            let PreparedEvent::Passed {
                record, envelope, ..
            } = event
            else {
                return;
            };
            let line = StepLine::from(record);
            if record.transition.at < self.earliest || !self.filter.matches(&line) {
                return;
            }
            match self.json {
                true => self.print_json(envelope),
                false => self
                    .output
                    .print_step(&line, log_of(envelope).filter(|_| self.logs)),
            }
        })
    }

    fn print_json(&self, envelope: &Envelope) {
        match event::structured(&envelope.event) {
            Ok(json) => self.output.print_json(&String::from_utf8_lossy(&json)),
            Err(error) => Output::print_note(&format!("an event is left out: {error}")),
        }
    }
}

/// Returns the log in an event, as the plugins left it.
fn log_of(envelope: &Envelope) -> Option<&str> {
    match envelope.event.data()? {
        Data::Json(data) => data.get("log").and_then(Value::as_str),
        Data::String(_) | Data::Binary(_) => None,
    }
}
