//! `explain`.

use super::End;
use super::args::ExplainArgs;
use jiff::Timestamp;
use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use step_observer::history::{self, Fact, HistoryError, Verdict, What};
use step_observer::terminal;

type Problem = Box<dyn Error + Send + Sync>;

pub(super) fn run(args: &ExplainArgs) -> Result<End, Problem> {
    let facts = history::find(&args.journal.folder, &args.event)?;
    if facts.is_empty() {
        let folder = args.journal.folder.display();
        let id = &args.event;
        return Err(format!(
            "nothing is known of the event {id} in {folder}: it is older than the history (journal.historyBytes), or has another id"
        )
        .into());
    }
    let (mut text, waiting) = told(&facts);
    #[expect(clippy::disallowed_methods, reason = "a pause that is over is none")]
    let now = Timestamp::now();
    let pauses = pauses(&args.journal.folder, &waiting, now)?;
    text.push_str(&waits(&waiting, &pauses));
    if args.json {
        text = lines(facts.iter().chain(&pauses))?;
    }
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(End::Good)
}

fn lines<'a>(facts: impl Iterator<Item = &'a Fact>) -> Result<String, serde_json::Error> {
    let lines: Result<Vec<String>, _> = facts.map(serde_json::to_string).collect();
    Ok(terminal::escape_json(&(lines?.join("\n") + "\n")).into_owned())
}

/// The pauses that the sinks which an event waits for have asked for, and that last.
fn pauses(folder: &Path, waiting: &[&str], now: Timestamp) -> Result<Vec<Fact>, HistoryError> {
    let mut pauses = Vec::new();
    for sink in waiting {
        let last = history::last(folder, &history::of_sink(sink))?;
        pauses.extend(
            last.filter(|fact| matches!(fact.what, What::Paused { until, .. } if until > now)),
        );
    }
    Ok(pauses)
}

fn waits(waiting: &[&str], pauses: &[Fact]) -> String {
    let mut text = String::new();
    if !waiting.is_empty() {
        let waiting = waiting.join(", ");
        writeln!(text, "It waits for {}.", terminal::escape_line(&waiting)).ok();
    }
    for pause in pauses {
        if let What::Paused { sink, until } = &pause.what {
            let sink = terminal::escape_line(sink);
            writeln!(text, "Sink {sink} asks for a pause until {until:.3}.").ok();
        }
    }
    text
}

/// What happened, and which sinks the event waits for.
fn told(facts: &[Fact]) -> (String, Vec<&str>) {
    let mut text = String::new();
    let mut waiting: Vec<&str> = Vec::new();
    for Fact { at, what, .. } in facts {
        // Receivers and plugins give reasons, whoever made the run gave its name.
        let mut line = |at: &jiff::Timestamp, words: &str| {
            writeln!(text, "{at:.3}  {}", terminal::escape_line(words)).ok();
        };
        match what {
            What::Accepted {
                observed,
                ty,
                subject,
                plugins,
                sinks,
                traced: _,
            } => {
                line(observed, &format!("observed: {subject}, {ty}"));
                for verdict in plugins {
                    line(at, &plugin(verdict));
                }
                let journalled = match sinks.as_slice() {
                    [] => "journalled, for no sink".to_owned(),
                    sinks => format!("journalled for {}", sinks.join(", ")),
                };
                line(at, &journalled);
                waiting.extend(sinks.iter().map(String::as_str));
            }
            What::Held { plugin, reason } => {
                line(
                    at,
                    &format!("plugin {plugin} failed, and it waits: {reason}"),
                );
            }
            What::Failed {
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
            What::Paused { sink, until } => {
                line(
                    at,
                    &format!("sink {sink} asks for a pause until {until:.3}"),
                );
            }
            What::Delivered { sink, attempt } => {
                line(at, &format!("sink {sink}: delivered at attempt {attempt}"));
                waiting.retain(|waiting| waiting != sink);
            }
            What::Dead {
                sink,
                attempts,
                reason,
                to,
            } => {
                let where_to = match to {
                    Some(to) => format!("goes to {to}"),
                    None => "is a dead letter".to_owned(),
                };
                line(
                    at,
                    &format!("sink {sink}: {where_to} after {attempts} attempts: {reason}"),
                );
                waiting.retain(|waiting| waiting != sink);
                waiting.extend(to.as_deref());
            }
            What::SentAgain { from, sink } => {
                line(
                    at,
                    &format!("the dead letter of {from} is sent again, to {sink}"),
                );
                waiting.push(sink);
            }
            What::Discarded { sink } => {
                line(at, &format!("the dead letter of {sink} is dropped"));
            }
        }
    }
    (text, waiting)
}

fn plugin(verdict: &Verdict) -> String {
    let Verdict {
        plugin,
        version,
        digest,
        verdict,
        masked,
        micros: _,
        reason,
    } = verdict;
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
