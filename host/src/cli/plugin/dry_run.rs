//! `plugin run`: shows the changes that a plugin makes to each event of a stream.

use super::diff::diff;
use super::target::target_config;
use crate::cli::args::plugin::RunArgs;
use crate::cli::demo_recording::demo_recording;
use crate::cli::outcome::{CommandError, CommandOutcome};
use crate::cli::output::print_line;
use crate::cli::recordings::source;
use crate::cli::signals::stop_signals;
use cloudevents::AttributesReader as _;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use step_observer::app::App;
use step_observer::config::Config;
use step_observer::event::{self, Phase};
use step_observer::locked::Locked;
use step_observer::observe::Speed;
use step_observer::prepare::PreparedEvent;
use step_observer::step::Envelope;
use step_observer::terminal::escape_line;

#[derive(Default)]
struct ResultCounts {
    unchanged: u32,
    changed: u32,
    dropped: u32,
    failed: u32,
}

pub(super) async fn dry_run(args: RunArgs) -> Result<CommandOutcome, CommandError> {
    let RunArgs {
        target,
        recordings,
        logs,
    } = args;
    let config = Config {
        plugins: vec![target_config(target)?],
        ..Config::default()
    };
    // A held event is given up and reported at once: waiting is useless, because the plugin cannot
    // change during a dry run.
    let hold_for = Duration::ZERO;
    let source = match recordings.is_empty() {
        true => demo_recording(Speed::Max, hold_for)?,
        false => source(&recordings, &logs, Speed::Max, hold_for)?,
    };
    let counts = Arc::new(Locked::new(ResultCounts::default()));
    let counting = counts.clone();
    let app = App::dry_run(source, config)
        .await?
        .with_event_hook(Arc::new(move |event| {
            let mut counts = counting.lock();
            print_line(&report(&event, &mut counts));
        }));
    let summary = app.run(stop_signals(1)).await?;
    let ResultCounts {
        unchanged,
        changed,
        dropped,
        failed,
    } = &*counts.lock();
    print_line(&format!(
        "\n{} events: {unchanged} kept unchanged, {changed} changed, {dropped} dropped, {failed} failed on",
        summary.steps
    ));
    match u64::from(*failed) + summary.unprepared {
        0 => Ok(CommandOutcome::Complete),
        count => Err(format!("the plugin failed on {count} events").into()),
    }
}

fn report(event: &PreparedEvent<'_>, counts: &mut ResultCounts) -> String {
    match event {
        PreparedEvent::Dropped { record, reason, .. } => {
            counts.dropped += 1;
            let kind = record.transition.kind.as_str();
            let step = record.transition.step();
            let name = format!("{}/{}/{step}", record.namespace, record.task_run);
            format!(
                "dropped    {} {kind}: {}",
                escape_line(&name),
                escape_line(reason)
            )
        }
        PreparedEvent::Passed {
            before,
            envelope,
            report,
            ..
        } => {
            let name = before.event.subject().unwrap_or_default();
            let kind = Phase::of_type(before.event.ty()).map_or("", Phase::as_str);
            let difference = diff(&json(before), &json(envelope), 0);
            let failure = report
                .failures()
                .next()
                .map(|(_, failure, on_error)| format!(": {failure}; then: {on_error:?}"));
            let verdict = match (&failure, difference.is_empty()) {
                (Some(_), _) => {
                    counts.failed += 1;
                    "FAILED ON "
                }
                (None, true) => {
                    counts.unchanged += 1;
                    "kept      "
                }
                (None, false) => {
                    counts.changed += 1;
                    "changed   "
                }
            };
            let failure = failure.unwrap_or_default();
            let (name, kind, failure) =
                (escape_line(name), escape_line(kind), escape_line(&failure));
            format!("{verdict} {name} {kind}{failure}\n{difference}")
                .trim_end()
                .to_owned()
        }
    }
}

fn json(envelope: &Envelope) -> Value {
    let bytes = event::structured(&envelope.event);
    bytes
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default()
}
