//! Standard output as a stream of lines: each is flushed, and a closed pipe ends the command quietly.

use super::line::{self, StepLine};
use crate::cli::outcome::CommandError;
use jiff::tz::TimeZone;
use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use step_observer::locked::Locked;
use step_observer::terminal::{escape_json, escape_lines};
use tokio::sync::Notify;
use tokio::task::block_in_place;

/// Standard output of `tap`.
pub(super) struct Output {
    color: bool,
    zone: TimeZone,
    /// The first error of writing, which ends the command.
    failed: Locked<Option<io::Error>>,
    ended: Notify,
}

impl Output {
    pub(super) fn new() -> Self {
        let terminal = io::stdout().is_terminal();
        Self {
            color: terminal && std::env::var_os("NO_COLOR").is_none(),
            zone: TimeZone::system(),
            failed: Locked::default(),
            ended: Notify::new(),
        }
    }

    /// Prints the names of the columns, for a person only.
    pub(super) fn print_header(&self, json: bool) {
        if !json && io::stdout().is_terminal() {
            self.print(&line::header());
        }
    }

    /// Prints a transition, with the log of the step if there is one.
    pub(super) fn print_step(&self, step: &StepLine<'_>, log: Option<&str>) {
        let mut text = step.text(&self.zone, self.color);
        if let Some(log) = log {
            text.push_str(&line::log_lines(log, self.color));
        }
        self.print(&text);
    }

    /// Prints a JSON text in one line.
    pub(super) fn print_json(&self, json: &str) {
        self.print(&escape_json(json));
    }

    /// Prints a note on standard error, so that standard output holds only transitions.
    pub(super) fn print_note(text: &str) {
        writeln!(io::stderr(), "{}", escape_lines(text)).ok();
    }

    /// Completes when standard output takes nothing more.
    pub(super) async fn ended(&self) {
        self.ended.notified().await;
    }

    /// Returns the error of writing; a closed pipe is none.
    pub(super) fn result(&self) -> Result<(), CommandError> {
        match self.failed.lock().take() {
            Some(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(format!("failed to write to standard output: {error}").into())
            }
            _ => Ok(()),
        }
    }

    fn print(&self, line: &str) {
        let mut failed = self.failed.lock();
        if failed.is_some() {
            return;
        }
        // A reader that is slow blocks this thread: the runtime is asked to move its other tasks.
        let written = block_in_place(|| {
            let mut stdout = io::stdout().lock();
            stdout.write_all(line.as_bytes())?;
            stdout.write_all(b"\n")?;
            stdout.flush()
        });
        if let Err(error) = written {
            *failed = Some(error);
            self.ended.notify_one();
        }
    }
}
