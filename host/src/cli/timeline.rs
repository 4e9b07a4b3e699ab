//! Shows events as lines of a timeline.

use cloudevents::event::Data;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use step_observer::prepare::PreparedEvent;
use step_observer::step::{Envelope, StepRecord};
use step_observer::terminal::escape_line;
use step_observer_core::Kind;

/// Bound of the masked log lines that are shown for an event.
const MAX_LOG_LINES: usize = 2;
/// Bound of a shown log line, in characters.
const MAX_LINE_CHARS: usize = 96;

/// Formats the lines, and counts events and masked secrets.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    color: bool,
    /// Number of events by phase.
    pub(super) events_by_phase: BTreeMap<&'static str, u32>,
    /// Number of masked secrets by rule.
    pub(super) masked_by_rule: BTreeMap<String, u32>,
}

impl Timeline {
    pub(super) fn new(color: bool) -> Self {
        Self {
            color,
            ..Self::default()
        }
    }

    pub(super) fn header(&self) -> String {
        self.paint(
            "1",
            &format!(
                "{:<10}{:<20}{:<12}{:<14}{}",
                "TIME", "TASK", "STEP", "", "HOW"
            ),
        )
    }

    /// Formats the lines of an event.
    pub(super) fn lines(&mut self, event: &PreparedEvent<'_>) -> String {
        match event {
            PreparedEvent::Dropped { record, plugin, .. } => self.row(
                record,
                "2",
                "- dropped",
                &format!("by {}", escape_line(plugin)),
            ),
            PreparedEvent::Passed {
                record,
                envelope,
                report,
                ..
            } => {
                let kind = &record.transition.kind;
                *self.events_by_phase.entry(kind.as_str()).or_default() += 1;
                let (color, sign) = match kind {
                    Kind::Started => ("36", "> started"),
                    Kind::Succeeded(_) => ("32", "+ succeeded"),
                    Kind::Failed(_) => ("31", "x failed"),
                    Kind::Skipped(..) => ("33", "o skipped"),
                };
                let mut lines = self.row(record, color, sign, &how(record));
                let mut rules: BTreeMap<&str, u32> = BTreeMap::new();
                for (rule, count) in report.calls.iter().flat_map(|call| call.masked.iter()) {
                    *rules.entry(rule).or_default() += count;
                    *self.masked_by_rule.entry(rule.to_owned()).or_default() += count;
                }
                if !rules.is_empty() {
                    let rules: Vec<_> = rules
                        .iter()
                        .map(|(rule, count)| format!("{count} {}", escape_line(rule)))
                        .collect();
                    write!(
                        lines,
                        "\n{:42}{}",
                        "",
                        self.paint("35", &format!("masked: {}", rules.join(", ")))
                    )
                    .ok();
                    for line in masked_lines(envelope) {
                        write!(
                            lines,
                            "\n{:42}{}",
                            "",
                            self.paint("2", &format!("| {}", escape_line(&line)))
                        )
                        .ok();
                    }
                }
                lines
            }
        }
    }

    fn row(&self, record: &StepRecord, color: &str, what: &str, how: &str) -> String {
        let time = record.transition.at.strftime("%H:%M:%S").to_string();
        let task = escape_line(record.pipeline_task.as_deref().unwrap_or(&record.task_run));
        let step = escape_line(record.transition.step());
        format!(
            "{time:<10}{task:<20}{step:<12}{}{how}",
            self.paint(color, &format!("{what:<14}"))
        )
    }

    fn paint(&self, color: &str, text: &str) -> String {
        if self.color {
            format!("\x1b[{color}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

fn how(record: &StepRecord) -> String {
    let transition = &record.transition;
    let mut how = match &transition.kind {
        Kind::Started => return String::new(),
        Kind::Succeeded(_) => String::new(),
        Kind::Failed(outcome) => match outcome.exit_code {
            Some(code) => format!("exit {code}, {} ", escape_line(&outcome.reason)),
            None => format!("{} ", escape_line(&outcome.reason)),
        },
        Kind::Skipped(_, cause) => return cause.as_str().to_owned(),
    };
    if let Some(start) = transition.start {
        let seconds = transition
            .at
            .duration_since(start.at)
            .as_secs_f64()
            .max(0.0);
        write!(how, "in {seconds:.1}s").ok();
    }
    how
}

/// Returns the lines of the log that contain a masked secret.
fn masked_lines(envelope: &Envelope) -> Vec<String> {
    let Some(Data::Json(data)) = envelope.event.data() else {
        return Vec::new();
    };
    let log = data.get("log").and_then(Value::as_str).unwrap_or_default();
    log.lines()
        .filter(|line| line.contains("[redacted:"))
        .take(MAX_LOG_LINES)
        .map(|line| line.chars().take(MAX_LINE_CHARS).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;
    use step_observer::event::{self, EventConfig, EventIdentity};
    use step_observer::observe::{Finding, Speed, Tracker, play};
    use step_observer::plugin::{CallResult, PluginCall, PluginIdentity, Report};
    use step_observer::step::CapturedLog;
    use step_observer_core::Ledger;

    const HOSTILE: &str = "evil\u{1b}[2J\r\nforged\u{9b}31m\u{202e}[redacted:x]";

    /// A failed step with control characters in every text that a tenant writes, and in some texts
    /// that a tenant cannot write.
    fn failed() -> StepRecord {
        let recording = include_bytes!("../../../tests/recordings/b-fail.jsonl");
        let mut tracker = Tracker::new(Ledger::from_stream_start());
        let mut found = None;
        let seen = |seen: step_observer::observe::TimedChange| {
            for finding in tracker.apply(seen.change, seen.at) {
                if let Finding::Record(record) = finding
                    && matches!(record.transition.kind, Kind::Failed(_))
                {
                    found = Some(*record);
                }
            }
            true
        };
        play("b-fail", &recording[..], Speed::Max, || None, seen).unwrap();
        let mut record = found.unwrap();
        record.pipeline_task = Some(HOSTILE.into());
        record.task_run = HOSTILE.into();
        if let Kind::Failed(outcome) = &mut record.transition.kind {
            outcome.reason = HOSTILE.into();
        }
        record
    }

    #[test]
    fn foreign_texts_move_no_cursor_and_forge_no_line() {
        let record = failed();
        let log = CapturedLog {
            text: HOSTILE.to_owned(),
            ..CapturedLog::default()
        };
        let envelope = event::build(
            &record,
            &EventIdentity::new(&record, &EventConfig::default()),
            Some(log),
            &EventConfig::default(),
        )
        .unwrap();
        let report = Report {
            calls: vec![PluginCall {
                plugin: Arc::new(PluginIdentity {
                    name: "masks".into(),
                    version: String::new(),
                    digest: None,
                }),
                took: Duration::ZERO,
                masked: [(HOSTILE.to_owned(), 1)].into_iter().collect(),
                result: CallResult::Kept,
            }],
            ..Report::default()
        };
        let told = PreparedEvent::Passed {
            record: &record,
            before: &envelope,
            envelope: &envelope,
            report: &report,
        };
        let dropped = PreparedEvent::Dropped {
            record: &record,
            plugin: HOSTILE,
            reason: HOSTILE,
        };
        let mut timeline = Timeline::new(false);
        for event in [told, dropped] {
            let lines = timeline.lines(&event);
            let obeyed = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!lines.contains(obeyed), "{lines:?}");
            assert!(!lines.contains("\nforged"), "{lines}");
            assert!(lines.contains("evil\\u{1b}[2J\\r\\nforged"), "{lines}");
        }
    }
}
