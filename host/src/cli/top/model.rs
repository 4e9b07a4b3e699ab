//! What `top` knows and shows: changed by messages of the observer, keys and time. Pure.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;
use step_observer::observer_client::{
    ObserverStatus, Run, RunTable, Step, StepState, StreamItem, TableLimits,
};

/// Longest filter, in characters.
const MAX_FILTER_CHARS: usize = 64;
/// Rows at which plugins and sinks are shown below the runs; on a lower screen only one pane is shown.
const ALL_PANES_ROWS: u16 = 20;
/// Rows of the header, and of the footer.
const HEADER_ROWS: u16 = 2;
const FOOTER_ROWS: u16 = 1;

/// What the loop does after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Nothing,
    Draw,
    Quit,
    /// Stop the process as Ctrl-Z does.
    Suspend,
    /// The process was continued.
    Resume,
}

/// A part of the screen with rows that can be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pane {
    Runs,
    Plugins,
    Sinks,
}

impl Pane {
    pub(super) const ALL: [Self; 3] = [Self::Runs, Self::Plugins, Self::Sinks];

    fn next(self, back: bool) -> Self {
        match (self, back) {
            (Self::Runs, false) | (Self::Sinks, true) => Self::Plugins,
            (Self::Plugins, false) | (Self::Runs, true) => Self::Sinks,
            (Self::Sinks, false) | (Self::Plugins, true) => Self::Runs,
        }
    }
}

/// The connection to the observer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    /// Nothing has come yet.
    Waiting,
    Live,
    /// It is made again.
    Lost(String),
}

/// First visible row of each pane.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Offsets {
    runs: usize,
    plugins: usize,
    sinks: usize,
}

/// Rows of each pane, without its title; 0 if it is not shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PaneRows {
    pub(super) runs: usize,
    pub(super) plugins: usize,
    pub(super) sinks: usize,
}

/// What `top` knows and shows.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) observer: String,
    pub(super) color: bool,
    pub(super) connection: Connection,
    pub(super) status: ObserverStatus,
    pub(super) started_at: Option<Timestamp>,
    /// The observer has restarted while it was shown.
    pub(super) has_restarted: bool,
    process: String,
    table: RunTable,
    /// The observer's clock.
    clock: Option<Timestamp>,
    size: (u16, u16),
    pub(super) pane: Pane,
    offsets: Offsets,
    pub(super) filter: String,
    /// Keys write into the filter.
    pub(super) is_filtering: bool,
    pub(super) failed_only: bool,
    pub(super) shows_help: bool,
}

impl Model {
    pub(super) fn new(observer: &str, color: bool, size: (u16, u16)) -> Self {
        Self {
            observer: observer.to_owned(),
            color,
            connection: Connection::Waiting,
            status: ObserverStatus::default(),
            started_at: None,
            has_restarted: false,
            process: String::new(),
            table: RunTable::new(TableLimits::OF_PAGE),
            clock: None,
            size,
            pane: Pane::Runs,
            offsets: Offsets::default(),
            filter: String::new(),
            is_filtering: false,
            failed_only: false,
            shows_help: false,
        }
    }

    /// Applies a message of the observer.
    pub(super) fn take(&mut self, item: StreamItem) {
        let now = match item {
            StreamItem::Reconnecting { problem, .. } => {
                self.connection = Connection::Lost(problem);
                return;
            }
            StreamItem::Snapshot(snapshot) => {
                self.has_restarted = !self.process.is_empty() && self.process != snapshot.process;
                self.process = snapshot.process;
                self.started_at = snapshot.started_at;
                self.table.clear();
                self.table.merge(snapshot.runs);
                snapshot.now
            }
            StreamItem::Change(change) => {
                self.table.remove(&change.gone);
                self.table.merge(change.runs);
                change.now
            }
            StreamItem::Status(status) => {
                self.status = *status;
                self.status.now
            }
        };
        self.clock = now.or(self.clock);
        self.connection = Connection::Live;
    }

    /// Lets time pass. Without a connection it stands still, because what runs then is unknown.
    pub(super) fn advance(&mut self, time: Duration) {
        if self.connection == Connection::Live {
            let time = SignedDuration::try_from(time).unwrap_or_default();
            self.clock = self.clock.and_then(|clock| clock.checked_add(time).ok());
        }
    }

    pub(super) fn clock(&self) -> Option<Timestamp> {
        self.clock
    }

    pub(super) fn resize(&mut self, size: (u16, u16)) {
        self.size = size;
    }

    /// Applies an event of the terminal.
    pub(super) fn event(&mut self, event: &Event) -> Action {
        match event {
            Event::Resize(columns, rows) => {
                self.resize((*columns, *rows));
                Action::Draw
            }
            Event::Key(key) if key.kind != KeyEventKind::Release => self.key(key),
            _ => Action::Nothing,
        }
    }

    fn key(&mut self, key: &KeyEvent) -> Action {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Action::Quit,
                KeyCode::Char('z') => Action::Suspend,
                _ => Action::Nothing,
            };
        }
        match key.code {
            code if self.is_filtering => return self.filter_key(code),
            // Every key closes the help.
            _ if self.shows_help => self.shows_help = false,
            KeyCode::Char('q') | KeyCode::Esc => return Action::Quit,
            KeyCode::Char('?' | 'h') => self.shows_help = true,
            KeyCode::Char('/') => {
                self.pane = Pane::Runs;
                self.is_filtering = true;
            }
            KeyCode::Char('f') => {
                self.failed_only = !self.failed_only;
                self.offsets.runs = 0;
            }
            KeyCode::Tab => self.pane = self.pane.next(false),
            KeyCode::BackTab => self.pane = self.pane.next(true),
            KeyCode::Up | KeyCode::Char('k') => self.scroll(false, 1),
            KeyCode::Down | KeyCode::Char('j') => self.scroll(true, 1),
            KeyCode::PageUp => self.scroll(false, self.page()),
            KeyCode::PageDown => self.scroll(true, self.page()),
            KeyCode::Home => self.scroll(false, usize::MAX),
            KeyCode::End => self.scroll(true, usize::MAX),
            _ => return Action::Nothing,
        }
        Action::Draw
    }

    fn filter_key(&mut self, code: KeyCode) -> Action {
        match code {
            KeyCode::Enter => self.is_filtering = false,
            KeyCode::Esc => {
                self.is_filtering = false;
                self.filter.clear();
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(c) if self.filter.chars().count() < MAX_FILTER_CHARS => {
                self.filter.push(c)
            }
            _ => return Action::Nothing,
        }
        self.offsets.runs = 0;
        Action::Draw
    }

    fn page(&self) -> usize {
        self.rows_of(self.pane).saturating_sub(1).max(1)
    }

    fn scroll(&mut self, down: bool, rows: usize) {
        let last = self.last_offset(self.pane);
        let offset = match self.pane {
            Pane::Runs => &mut self.offsets.runs,
            Pane::Plugins => &mut self.offsets.plugins,
            Pane::Sinks => &mut self.offsets.sinks,
        };
        let moved = match down {
            true => offset.saturating_add(rows),
            // From where it is shown: the rows may have become fewer.
            false => (*offset).min(last).saturating_sub(rows),
        };
        *offset = moved.min(last);
    }

    /// Returns the first visible row of a pane.
    pub(super) fn offset(&self, pane: Pane) -> usize {
        let offset = match pane {
            Pane::Runs => self.offsets.runs,
            Pane::Plugins => self.offsets.plugins,
            Pane::Sinks => self.offsets.sinks,
        };
        offset.min(self.last_offset(pane))
    }

    fn last_offset(&self, pane: Pane) -> usize {
        let rows = match pane {
            Pane::Runs => self.shown_runs().map(|(_, steps)| steps.len() + 1).sum(),
            Pane::Plugins => self.status.plugins.len(),
            Pane::Sinks => self.status.journal.sinks.len(),
        };
        rows.saturating_sub(self.rows_of(pane).max(1))
    }

    fn rows_of(&self, pane: Pane) -> usize {
        let rows = self.pane_rows();
        match pane {
            Pane::Runs => rows.runs,
            Pane::Plugins => rows.plugins,
            Pane::Sinks => rows.sinks,
        }
    }

    /// Divides the screen among the panes. Each has a row for its title.
    pub(super) fn pane_rows(&self) -> PaneRows {
        let (_, rows) = self.size;
        let rows = usize::from(rows.saturating_sub(HEADER_ROWS + FOOTER_ROWS));
        if self.size.1 < ALL_PANES_ROWS {
            let rows = rows.saturating_sub(1);
            let of = |pane| if self.pane == pane { rows } else { 0 };
            return PaneRows {
                runs: of(Pane::Runs),
                plugins: of(Pane::Plugins),
                sinks: of(Pane::Sinks),
            };
        }
        // At most a quarter for each of the lower panes, and not more than they need.
        let wanted = |count: usize| count.clamp(1, (rows / 4).max(1));
        let plugins = wanted(self.status.plugins.len());
        let sinks = wanted(self.status.journal.sinks.len());
        PaneRows {
            runs: rows.saturating_sub(plugins + sinks + Pane::ALL.len()),
            plugins,
            sinks,
        }
    }

    /// Returns the runs that the filter selects, newest first, with their steps that it selects.
    pub(super) fn shown_runs(&self) -> impl Iterator<Item = (&Run, Vec<&Step>)> {
        let runs = self.table.runs().rev().filter(|run| self.is_shown(run));
        runs.filter_map(|run| {
            let steps = run.steps.iter();
            let steps = steps.filter(|step| !self.failed_only || step.state == StepState::Failed);
            let steps: Vec<_> = steps.collect();
            (!self.failed_only || !steps.is_empty()).then_some((run, steps))
        })
    }

    /// Returns the number of runs, and of those that the filter selects.
    pub(super) fn run_counts(&self) -> (usize, usize) {
        (self.table.runs().count(), self.shown_runs().count())
    }

    fn is_shown(&self, run: &Run) -> bool {
        let optional = [&run.pipeline_run, &run.pipeline_task];
        let optional = optional.into_iter().flatten();
        let mut names = [&run.namespace, &run.task_run].into_iter().chain(optional);
        self.filter.is_empty() || names.any(|name| name.contains(&*self.filter))
    }
}
