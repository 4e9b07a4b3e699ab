//! `explain`: shows the history of an event.

use super::args::ExplainArgs;
use super::outcome::{CommandError, CommandOutcome};
use super::output::print_text;
use jiff::Timestamp;
use std::fmt::Write as _;
use std::path::Path;
use step_observer::history::{self, EventStage, HistoryEntry, HistoryError, PluginResult};
use step_observer::terminal;

pub(super) fn explain(args: &ExplainArgs) -> Result<CommandOutcome, CommandError> {
    let facts = history::find(&args.journal.folder, &args.event)?;
    if facts.is_empty() {
        let folder = args.journal.folder.display();
        let id = &args.event;
        return Err(format!(
            "the history in {folder} has no event {id}: the event is older than the history (journal.historyBytes), or its id is another one"
        )
        .into());
    }
    let (mut text, waiting) = describe(&facts);
    #[expect(
        clippy::disallowed_methods,
        reason = "only a pause that lasts is shown"
    )]
    let now = Timestamp::now();
    let pauses = pauses(&args.journal.folder, &waiting, now)?;
    text.push_str(&describe_waiting(&waiting, &pauses));
    if args.json {
        text = lines(facts.iter().chain(&pauses))?;
    }
    print_text(&text)?;
    Ok(CommandOutcome::Complete)
}

fn lines<'a>(facts: impl Iterator<Item = &'a HistoryEntry>) -> Result<String, serde_json::Error> {
    let lines: Result<Vec<String>, _> = facts.map(serde_json::to_string).collect();
    Ok(terminal::escape_json(&(lines?.join("\n") + "\n")).into_owned())
}

/// Returns the current pauses of the sinks that have not received the event yet.
fn pauses(
    folder: &Path,
    waiting: &[&str],
    now: Timestamp,
) -> Result<Vec<HistoryEntry>, HistoryError> {
    let mut pauses = Vec::new();
    for sink in waiting {
        let last = history::last(folder, &history::sink_key(sink))?;
        pauses.extend(
            last.filter(
                |fact| matches!(fact.stage, EventStage::Paused { until, .. } if until > now),
            ),
        );
    }
    Ok(pauses)
}

fn describe_waiting(waiting: &[&str], pauses: &[HistoryEntry]) -> String {
    let mut text = String::new();
    if !waiting.is_empty() {
        let waiting = waiting.join(", ");
        writeln!(text, "It waits for {}.", terminal::escape_line(&waiting)).ok();
    }
    for pause in pauses {
        if let EventStage::Paused { sink, until } = &pause.stage {
            let sink = terminal::escape_line(sink);
            writeln!(text, "Sink {sink} asks for a pause until {until:.3}.").ok();
        }
    }
    text
}

/// Returns a text that describes the entries, and the sinks that have not received the event yet.
fn describe(facts: &[HistoryEntry]) -> (String, Vec<&str>) {
    let mut text = String::new();
    let mut waiting: Vec<&str> = Vec::new();
    for HistoryEntry { at, stage, .. } in facts {
        // Escaped: receivers and plugins write the reasons, a tenant writes the name of the run.
        let mut line = |at: &jiff::Timestamp, words: &str| {
            writeln!(text, "{at:.3}  {}", terminal::escape_line(words)).ok();
        };
        match stage {
            EventStage::Accepted {
                observed,
                ty,
                subject,
                plugins,
                sinks,
                traced: _,
            } => {
                line(observed, &format!("observed: {subject}, {ty}"));
                for result in plugins {
                    line(at, &plugin(result));
                }
                let journalled = match sinks.as_slice() {
                    [] => "journalled, for no sink".to_owned(),
                    sinks => format!("journalled for {}", sinks.join(", ")),
                };
                line(at, &journalled);
                waiting.extend(sinks.iter().map(String::as_str));
            }
            EventStage::Held { plugin, reason } => {
                line(
                    at,
                    &format!("plugin {plugin} failed, and it waits: {reason}"),
                );
            }
            EventStage::Failed {
                sink,
                attempt,
                reason,
                retry_in_ms,
                paused_until,
            } => {
                let next = match paused_until {
                    Some(until) => format!("the sink asks for a pause until {until:.3}"),
                    None => format!("the next in {retry_in_ms} ms"),
                };
                line(
                    at,
                    &format!("sink {sink}: attempt {attempt} failed, {next}: {reason}"),
                );
            }
            EventStage::Paused { sink, until } => {
                line(
                    at,
                    &format!("sink {sink} asks for a pause until {until:.3}"),
                );
            }
            EventStage::Delivered { sink, attempt } => {
                line(at, &format!("sink {sink}: delivered at attempt {attempt}"));
                waiting.retain(|waiting| waiting != sink);
            }
            EventStage::Dead {
                sink,
                attempts,
                reason,
                to,
            } => {
                let destination = match to {
                    Some(to) => format!("goes to {to}"),
                    None => "is a dead letter".to_owned(),
                };
                line(
                    at,
                    &format!("sink {sink}: {destination} after {attempts} attempts: {reason}"),
                );
                waiting.retain(|waiting| waiting != sink);
                waiting.extend(to.as_deref());
            }
            EventStage::SentAgain { from, sink } => {
                line(
                    at,
                    &format!("the dead letter of {from} is sent again, to {sink}"),
                );
                waiting.push(sink);
            }
            EventStage::Discarded { sink } => {
                line(at, &format!("the dead letter of {sink} is dropped"));
            }
        }
    }
    (text, waiting)
}

fn plugin(result: &PluginResult) -> String {
    let PluginResult {
        plugin,
        version,
        digest,
        verdict,
        masked,
        micros: _,
        reason,
    } = result;
    let digest = digest.as_deref().and_then(|digest| digest.get(..12));
    let file = digest.map_or_else(
        || "not loaded".to_owned(),
        |digest| format!("sha256 {digest}"),
    );
    let mut text = format!("plugin {plugin} {version} ({file}): {verdict}");
    if *masked > 0 {
        write!(text, ", {masked} masked").ok();
    }
    if let Some(reason) = reason {
        write!(text, ": {reason}").ok();
    }
    text
}
