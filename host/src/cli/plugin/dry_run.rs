//! `plugin run`: what a plugin would do to a stream, event by event.

use super::args::RunArgs;
use super::diff::diff;
use super::{End, Problem, configured, say};
use crate::cli::commands::signals;
use crate::cli::demo::recorded_pipeline;
use crate::cli::recordings::source;
use cloudevents::AttributesReader as _;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use step_observer::app::App;
use step_observer::config::Config;
use step_observer::event;
use step_observer::locked::Locked;
use step_observer::observe::Speed;
use step_observer::prepare::PreparedEvent;
use step_observer::step::Envelope;
use step_observer::terminal::escape_line;

#[derive(Default)]
struct Counts {
    unchanged: u32,
    changed: u32,
    dropped: u32,
    failed: u32,
}

pub(super) async fn dry_run(args: RunArgs) -> Result<End, Problem> {
    let RunArgs {
        target,
        recordings,
        logs,
    } = args;
    let config = Config {
        plugins: vec![configured(target)?],
        ..Config::default()
    };
    // A plugin that holds an event is told at once: nobody will mend it.
    let hold_for = Duration::ZERO;
    let source = match recordings.is_empty() {
        true => recorded_pipeline(Speed::Max, hold_for)?,
        false => source(&recordings, &logs, Speed::Max, hold_for)?,
    };
    let counts = Arc::new(Locked::new(Counts::default()));
    let counting = counts.clone();
    let app = App::dry_run(source, config)
        .await?
        .with_event_hook(Arc::new(move |happening| {
            let mut counts = counting.lock();
            say(&tell(&happening, &mut counts));
        }));
    let summary = app.run(signals(1)).await?;
    let Counts {
        unchanged,
        changed,
        dropped,
        failed,
    } = &*counts.lock();
    say(&format!(
        "\n{} events: {unchanged} kept as they are, {changed} changed, {dropped} dropped, {failed} failed on",
        summary.steps
    ));
    match u64::from(*failed) + summary.unprepared {
        0 => Ok(End::Good),
        count => Err(format!("the plugin failed on {count} events").into()),
    }
}

fn tell(happening: &PreparedEvent<'_>, counts: &mut Counts) -> String {
    match happening {
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
            let kind = event::phase(&before.event).unwrap_or_default();
            let difference = diff(&json(before), &json(envelope), 0);
            let failure = report
                .failures
                .first()
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
