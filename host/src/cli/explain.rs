//! `explain`.

use super::End;
use super::args::ExplainArgs;
use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use step_observer::history::{self, Fact, Verdict, What};
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
    let text = match args.json {
        true => lines(&facts)?,
        false => told(&facts),
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(End::Good)
}

fn lines(facts: &[Fact]) -> Result<String, serde_json::Error> {
    let lines: Result<Vec<String>, _> = facts.iter().map(serde_json::to_string).collect();
    Ok(terminal::json(&(lines?.join("\n") + "\n")).into_owned())
}

fn told(facts: &[Fact]) -> String {
    let mut text = String::new();
    let mut waiting: Vec<&str> = Vec::new();
    for Fact { at, what, .. } in facts {
        // Receivers and plugins give reasons, whoever made the run gave its name.
        let mut line = |at: &jiff::Timestamp, words: &str| {
            writeln!(text, "{at:.3}  {}", terminal::word(words)).ok();
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
            } => {
                let next = format!("the next in {retry_in_ms} ms");
                line(
                    at,
                    &format!("sink {sink}: attempt {attempt} failed, {next}: {reason}"),
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
    if !waiting.is_empty() {
        let waiting = waiting.join(", ");
        writeln!(text, "It waits for {}.", terminal::word(&waiting)).ok();
    }
    text
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
