//! A transition as a line for people. Pure.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::time::Duration;
use step_observer::observer_client::{StepPhase, StepTransition};
use step_observer::step::StepRecord;
use step_observer::terminal::escape_line;
use step_observer_core::Kind;

/// Longest name or reason that is shown, in characters. Kubernetes bounds names; a step can write any reason.
const MAX_TEXT_CHARS: usize = 253;

/// Widths of the columns. A longer text moves the rest of its line.
const TIME: usize = 10;
const STATE: usize = 11;
const NAMESPACE: usize = 14;
const RUN: usize = 34;
const STEP: usize = 18;
const DURATION: usize = 9;

/// A transition of a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct StepLine<'a> {
    pub(super) at: Option<Timestamp>,
    pub(super) phase: StepPhase,
    pub(super) namespace: &'a str,
    pub(super) pipeline_run: Option<&'a str>,
    pub(super) pipeline_task: Option<&'a str>,
    pub(super) task_run: &'a str,
    pub(super) step: &'a str,
    /// Attempt of the TaskRun, from 0.
    pub(super) attempt: u32,
    pub(super) duration: Option<Duration>,
    pub(super) exit_code: Option<i64>,
    pub(super) reason: Option<&'a str>,
    pub(super) cause: Option<&'a str>,
}

impl Default for StepLine<'_> {
    fn default() -> Self {
        Self {
            at: None,
            phase: StepPhase::Started,
            namespace: "",
            pipeline_run: None,
            pipeline_task: None,
            task_run: "",
            step: "",
            attempt: 0,
            duration: None,
            exit_code: None,
            reason: None,
            cause: None,
        }
    }
}

impl<'a> From<&'a StepTransition> for StepLine<'a> {
    fn from(transition: &'a StepTransition) -> Self {
        let StepTransition {
            run, step, phase, ..
        } = transition;
        let is_end = *phase != StepPhase::Started;
        Self {
            at: transition.at(),
            phase: *phase,
            namespace: &run.namespace,
            pipeline_run: run.pipeline_run.as_deref(),
            pipeline_task: run.pipeline_task.as_deref(),
            task_run: &run.task_run,
            step: &step.name,
            attempt: step.attempt,
            duration: step.duration(None).filter(|_| is_end),
            exit_code: step.exit_code.filter(|_| is_end),
            reason: step.reason.as_deref().filter(|_| is_end),
            cause: step.cause.as_deref().filter(|_| is_end),
        }
    }
}

impl<'a> From<&'a StepRecord> for StepLine<'a> {
    fn from(record: &'a StepRecord) -> Self {
        let transition = &record.transition;
        let phase = match &transition.kind {
            Kind::Started => StepPhase::Started,
            Kind::Succeeded(_) => StepPhase::Succeeded,
            Kind::Failed(_) => StepPhase::Failed,
            Kind::Skipped(..) => StepPhase::Skipped,
        };
        let outcome = transition.kind.outcome();
        let start = transition.start.filter(|_| phase != StepPhase::Started);
        let span = start.map(|start| transition.at.duration_since(start.at));
        Self {
            at: Some(transition.at),
            phase,
            namespace: &record.namespace,
            pipeline_run: record.pipeline_run.as_deref(),
            pipeline_task: record.pipeline_task.as_deref(),
            task_run: &record.task_run,
            step: transition.step(),
            attempt: transition.attempt,
            duration: span.map(|span| Duration::try_from(span).unwrap_or_default()),
            exit_code: outcome.and_then(|outcome| outcome.exit_code).map(i64::from),
            reason: outcome.map(|outcome| &*outcome.reason),
            cause: transition.kind.cause().map(|cause| cause.as_str()),
        }
    }
}

/// Returns the names of the columns.
pub(super) fn header() -> String {
    format!(
        "{:<TIME$}{:<STATE$}{:<NAMESPACE$}{:<RUN$}{:<STEP$}{:<DURATION$}DETAIL",
        "TIME", "STATE", "NAMESPACE", "PIPELINERUN/TASK", "STEP", "DURATION"
    )
}

impl StepLine<'_> {
    /// Formats the line, without its end. No control character of a name or a reason is in it.
    pub(super) fn text(&self, zone: &TimeZone, color: bool) -> String {
        let at = self
            .at
            .map(|at| at.to_zoned(zone.clone()).strftime("%H:%M:%S").to_string());
        let state = self.phase.as_str();
        let (begin, end) = match (color, self.phase) {
            (false, _) => ("", ""),
            (true, StepPhase::Started) => ("\u{1b}[36m", "\u{1b}[0m"),
            (true, StepPhase::Succeeded) => ("\u{1b}[32m", "\u{1b}[0m"),
            (true, StepPhase::Failed) => ("\u{1b}[31m", "\u{1b}[0m"),
            (true, StepPhase::Skipped) => ("\u{1b}[33m", "\u{1b}[0m"),
        };
        let run = match (self.pipeline_run, self.pipeline_task) {
            (Some(run), Some(task)) => format!("{}/{}", shown(run), shown(task)),
            (Some(run), None) => format!("{}/{}", shown(run), shown(self.task_run)),
            (None, _) => shown(self.task_run),
        };
        let line = format!(
            "{:<TIME$}{begin}{state:<STATE$}{end}{}{}{}{:<DURATION$}{}",
            at.unwrap_or_default(),
            column(&shown(self.namespace), NAMESPACE),
            column(&run, RUN),
            column(&shown(self.step), STEP),
            self.duration.map(duration_text).unwrap_or_default(),
            self.detail(),
        );
        line.trim_end().to_owned()
    }

    fn detail(&self) -> String {
        let exit = self
            .exit_code
            .filter(|_| self.phase != StepPhase::Succeeded || self.exit_code != Some(0));
        // The ordinary reason of a success says nothing.
        let reason = self
            .reason
            .filter(|reason| self.phase != StepPhase::Succeeded || *reason != "Completed");
        let parts = [
            exit.map(|code| format!("exit {code}")),
            self.cause.or(reason).map(shown),
            (self.attempt > 0).then(|| format!("attempt {}", u64::from(self.attempt) + 1)),
        ];
        let parts: Vec<_> = parts
            .into_iter()
            .flatten()
            .filter(|part| !part.is_empty())
            .collect();
        parts.join(", ")
    }
}

/// Formats the lines of a log, below their step.
pub(super) fn log_lines(log: &str, color: bool) -> String {
    let (begin, end) = match color {
        true => ("\u{1b}[2m", "\u{1b}[0m"),
        false => ("", ""),
    };
    let mut text = String::with_capacity(log.len());
    for line in log.lines() {
        text.push_str(&format!("\n  {begin}| {}{end}", escape_line(line)));
    }
    text
}

fn shown(text: &str) -> String {
    let escaped = escape_line(text);
    match escaped.char_indices().nth(MAX_TEXT_CHARS) {
        None => escaped.into_owned(),
        Some((end, _)) => format!("{}…", escaped.get(..end).unwrap_or_default()),
    }
}

/// Pads a text, with a blank behind it in any case.
fn column(text: &str, width: usize) -> String {
    format!("{text:<width$} ", width = width - 1)
}

/// Formats a duration in two units at most.
fn duration_text(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{:.1}s", duration.as_secs_f64()),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed() -> StepLine<'static> {
        StepLine {
            at: "2026-11-22T13:04:15.9Z".parse().ok(),
            phase: StepPhase::Failed,
            namespace: "ci",
            pipeline_run: Some("shop-web-7"),
            pipeline_task: Some("release"),
            task_run: "shop-web-7-release",
            step: "sign",
            duration: Some(Duration::from_millis(2_940)),
            exit_code: Some(4),
            reason: Some("Error"),
            ..StepLine::default()
        }
    }

    #[test]
    fn a_line_has_the_columns_of_the_header() {
        let line = failed().text(&TimeZone::UTC, false);
        assert_eq!(
            format!("{}\n{line}", header()),
            "\
TIME      STATE      NAMESPACE     PIPELINERUN/TASK                  STEP              DURATION DETAIL
13:04:15  failed     ci            shop-web-7/release                sign              2.9s     exit 4, Error"
        );
        let skipped = StepLine {
            phase: StepPhase::Skipped,
            pipeline_run: None,
            attempt: 1,
            duration: None,
            exit_code: Some(1),
            cause: Some("previousStepFailed"),
            ..failed()
        };
        let skipped = skipped.text(&TimeZone::UTC, false);
        assert!(
            skipped.contains(" shop-web-7-release ")
                && skipped.ends_with("exit 1, previousStepFailed, attempt 2"),
            "{skipped}"
        );
        let colored = StepLine {
            phase: StepPhase::Succeeded,
            exit_code: Some(0),
            reason: Some("Completed"),
            ..failed()
        };
        let colored = colored.text(&TimeZone::UTC, true);
        assert!(
            colored.contains("\u{1b}[32msucceeded  \u{1b}[0mci") && colored.ends_with("2.9s"),
            "{colored}"
        );
    }

    #[test]
    fn no_foreign_text_reaches_the_terminal_unescaped_or_unbounded() {
        const HOSTILE: &str = "evil\u{1b}[2J\r\nforged\u{9b}31m\u{202e}";
        let long = "x".repeat(64 * 1024);
        for text in [HOSTILE, &long] {
            let line = StepLine {
                namespace: text,
                pipeline_run: Some(text),
                pipeline_task: Some(text),
                task_run: text,
                step: text,
                reason: Some(text),
                ..failed()
            };
            let mut line = line.text(&TimeZone::UTC, false);
            line.push_str(&log_lines(HOSTILE, false).replace('\n', ""));
            assert!(
                !line.contains(|c: char| c.is_control() || c == '\u{202e}'),
                "{line:?}"
            );
            assert!(line.len() < 2_000, "{}", line.len());
        }
        assert_eq!(log_lines("a\r\u{7}\nb\n", false), "\n  | a\\r\\u{7}\n  | b");
    }

    #[test]
    fn durations_have_two_units() {
        let text = |seconds: f64| duration_text(Duration::from_secs_f64(seconds));
        assert_eq!(
            [text(0.0), text(59.94), text(61.0), text(7_260.0)],
            ["0.0s", "59.9s", "1m01s", "2h01m"]
        );
    }
}
