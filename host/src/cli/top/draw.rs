//! Draws the model. Pure. States are words and shapes in ASCII, so that they need neither colour nor a special font.

use super::model::{Connection, Model, Pane};
use super::text::{between, column, duration, shown, size};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use std::time::Duration;
use step_observer::observer_client::{PluginView, Run, SinkView, Step, StepState};

const HELP: [&str; 12] = [
    "q, Esc, Ctrl-C   quit",
    "Tab, Shift-Tab   next pane, previous pane",
    "Up, Down         move by a row",
    "PgUp, PgDn       move by a page",
    "Home, End        first rows, last rows",
    "/                filter runs by namespace and names",
    "f                failed steps only",
    "Ctrl-Z           stop; `fg` continues",
    "",
    ". waiting  > running  + succeeded",
    "x failed   o skipped",
    "any key closes this help",
];

/// Draws a frame.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model) {
    let area = frame.area();
    let mut lines = header(model);
    if model.shows_help {
        lines.push(title("HELP", true));
        lines.extend(HELP.map(Line::from));
    } else {
        let rows = model.pane_rows();
        let panes = [
            (Pane::Runs, rows.runs),
            (Pane::Plugins, rows.plugins),
            (Pane::Sinks, rows.sinks),
        ];
        for (pane, rows) in panes.into_iter().filter(|(_, rows)| *rows > 0) {
            let mut pane = pane_lines(model, pane, rows, usize::from(area.width));
            // The title is the first line.
            pane.resize(rows + 1, Line::default());
            lines.extend(pane);
        }
    }
    let body = Rect {
        height: area.height.saturating_sub(1),
        ..area
    };
    frame.render_widget(Paragraph::new(lines), body);
    let foot = Rect {
        y: area.bottom().saturating_sub(1),
        height: area.height.min(1),
        ..area
    };
    frame.render_widget(Paragraph::new(footer(model)), foot);
}

/// Draws both lines of the header: the observer, and what is wrong or how much there is.
fn header(model: &Model) -> Vec<Line<'static>> {
    let status = &model.status;
    let (state, color) = match (&model.connection, status.version.is_empty(), status.ready) {
        (Connection::Lost(_), ..) => ("reconnecting", Color::Yellow),
        (Connection::Waiting, ..) | (Connection::Live, true, _) => ("connecting", Color::Yellow),
        (Connection::Live, false, true) => ("ready", Color::Green),
        (Connection::Live, false, false) => ("not ready", Color::Red),
    };
    // The clock of a recording was before the start of the process.
    let started_at = model.started_at.filter(|at| Some(*at) <= model.clock());
    let facts = [
        between(started_at, model.clock()).map(|up| format!("up {up}")),
        status.resident_bytes.map(size),
        Some(shown(&model.observer)),
    ];
    let facts: Vec<_> = facts.into_iter().flatten().collect();
    let first = Line::from(vec![
        Span::styled(
            format!("step-observer {} ", shown(&status.version)),
            Style::new().add_modifier(Modifier::BOLD),
        ),
        Span::styled(state, painted(model, color).add_modifier(Modifier::BOLD)),
        Span::raw(format!("  {}", facts.join("  "))),
    ]);
    let second = match &model.connection {
        Connection::Lost(problem) => Span::styled(shown(problem), painted(model, Color::Yellow)),
        Connection::Live if !status.not_ready.is_empty() => {
            let reasons: Vec<_> = status
                .not_ready
                .iter()
                .take(8)
                .map(|reason| shown(reason))
                .collect();
            Span::styled(reasons.join("; "), painted(model, Color::Red))
        }
        Connection::Live | Connection::Waiting => Span::raw(summary(model)),
    };
    vec![first, Line::from(second)]
}

fn summary(model: &Model) -> String {
    let status = &model.status;
    let parts = [
        model
            .has_restarted
            .then(|| "the observer has restarted".to_owned()),
        Some(format!("{} runs tracked", status.runs_tracked)),
        (status.waiting.held > 0)
            .then(|| format!("{} events held by plugins", status.waiting.held)),
        (status.waiting.runs_set_aside > 0)
            .then(|| format!("{} runs deferred", status.waiting.runs_set_aside)),
        Some(format!("journal {}", size(status.journal.bytes))),
        status.journal.full.then(|| "FULL".to_owned()),
        status.journal.disk_full.then(|| "DISK FULL".to_owned()),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    parts.join("  ")
}

fn footer(model: &Model) -> Line<'static> {
    if model.is_filtering {
        return Line::from(format!(
            "/{}_  Enter keeps, Esc clears",
            shown(&model.filter)
        ));
    }
    Line::from("q quit  ? help  / filter  f failed  Tab pane")
}

fn title(text: &str, is_active: bool) -> Line<'static> {
    let style = match is_active {
        true => Modifier::REVERSED | Modifier::BOLD,
        false => Modifier::BOLD,
    };
    Line::from(Span::styled(
        format!(" {text} "),
        Style::new().add_modifier(style),
    ))
}

/// Returns the title of a pane and its visible rows.
fn pane_lines(model: &Model, pane: Pane, rows: usize, width: usize) -> Vec<Line<'static>> {
    let offset = model.offset(pane);
    let name = match pane {
        Pane::Runs => runs_title(model),
        Pane::Plugins => format!("PLUGINS {}", model.status.plugins.len()),
        Pane::Sinks => format!("SINKS {}", model.status.journal.sinks.len()),
    };
    let mut lines = vec![title(&name, model.pane == pane)];
    match pane {
        Pane::Runs => lines.extend(
            run_rows(model, width)
                .skip(offset)
                .take(rows)
                .map(Row::into_line),
        ),
        Pane::Plugins => {
            let plugins = model.status.plugins.iter().skip(offset).take(rows);
            lines.extend(plugins.map(|plugin| plugin_line(model, plugin, width)));
        }
        Pane::Sinks => {
            let sinks = model.status.journal.sinks.iter().skip(offset).take(rows);
            lines.extend(sinks.map(|sink| sink_line(model, sink, width)));
        }
    }
    lines
}

fn runs_title(model: &Model) -> String {
    let (all, selected) = model.run_counts();
    let mut title = match selected == all {
        true => format!("RUNS {all}"),
        false => format!("RUNS {selected} of {all}"),
    };
    if !model.filter.is_empty() {
        title.push_str(&format!("  filter {}", shown(&model.filter)));
    }
    if model.failed_only {
        title.push_str("  failed only");
    }
    title
}

/// A row of the runs: formatted only if it is visible.
enum Row<'a> {
    Run(&'a Model, &'a Run, usize),
    Step(&'a Model, &'a Step, usize),
}

fn run_rows(model: &Model, width: usize) -> impl Iterator<Item = Row<'_>> {
    model.shown_runs().flat_map(move |(run, steps)| {
        let steps = steps
            .into_iter()
            .map(move |step| Row::Step(model, step, width));
        std::iter::once(Row::Run(model, run, width)).chain(steps)
    })
}

impl Row<'_> {
    fn into_line(self) -> Line<'static> {
        match self {
            Row::Run(model, run, width) => run_line(model, run, width),
            Row::Step(model, step, width) => step_line(model, step, width),
        }
    }
}

fn run_line(model: &Model, run: &Run, width: usize) -> Line<'static> {
    let name = match (&run.pipeline_run, &run.pipeline_task) {
        (Some(pipeline), Some(task)) => format!("{pipeline}/{task}"),
        (Some(pipeline), None) => format!("{pipeline}/{}", run.task_run),
        (None, _) => run.task_run.clone(),
    };
    let has = |state| run.steps.iter().any(|step| step.state == state);
    let state = match (
        has(StepState::Failed),
        has(StepState::Running),
        has(StepState::Waiting),
    ) {
        (true, ..) => StepState::Failed,
        (_, true, _) => StepState::Running,
        (_, _, true) => StepState::Waiting,
        _ if has(StepState::Succeeded) => StepState::Succeeded,
        _ => StepState::Skipped,
    };
    let start = run.steps.iter().filter_map(|step| step.started_at).min();
    let end = match run.steps.iter().all(|step| step.state.is_end()) {
        true => run.steps.iter().filter_map(|step| step.ended_at).max(),
        false => model.clock(),
    };
    let mut notes = Vec::new();
    notes.extend(between(start, end));
    if run.deleted {
        notes.push("deleted".to_owned());
    }
    if run.steps_left_out > 0 {
        notes.push(format!("{} steps more", run.steps_left_out));
    }
    let name_width = width.saturating_sub(44).clamp(12, 60);
    Line::from(vec![
        Span::styled(
            format!(
                "{} {} ",
                column(&run.namespace, 10.min(width / 4)),
                column(&name, name_width)
            ),
            Style::new().add_modifier(Modifier::BOLD),
        ),
        state_span(model, state),
        Span::raw(format!(" {}", notes.join(", "))),
    ])
}

fn step_line(model: &Model, step: &Step, width: usize) -> Line<'static> {
    let took = step
        .duration(model.clock())
        .map(duration)
        .unwrap_or_default();
    let reason = step
        .reason
        .as_deref()
        .filter(|reason| *reason != "Completed");
    let detail = [
        step.exit_code
            .filter(|code| *code != 0)
            .map(|code| format!("exit {code}")),
        step.cause.as_deref().or(reason).map(shown),
        (step.attempt > 0).then(|| format!("attempt {}", u64::from(step.attempt) + 1)),
    ];
    let detail: Vec<_> = detail.into_iter().flatten().collect();
    let name_width = (width / 3).clamp(8, 30);
    Line::from(vec![
        Span::raw(format!("  {} ", column(&step.name, name_width))),
        state_span(model, step.state),
        Span::raw(format!(" {took:>7} {}", detail.join(", "))),
    ])
}

fn plugin_line(model: &Model, plugin: &PluginView, width: usize) -> Line<'static> {
    let name_width = (width / 3).clamp(8, 30);
    let color = match &*plugin.state {
        "loaded" => Color::Green,
        "loading" => Color::Yellow,
        _ => Color::Red,
    };
    let mut text = String::new();
    if let Some(counts) = &plugin.counts {
        let failures: u64 = counts
            .failed
            .values()
            .fold(0, |sum, count| sum.saturating_add(*count));
        text = format!(
            " {} calls  {failures} failed  {} dropped",
            counts.calls, counts.dropped
        );
        if counts.calls > 0 {
            let mean = counts.seconds * 1_000.0 / counts.calls as f64;
            text.push_str(&format!("  {mean:.1} ms"));
        }
    }
    if let Some(refused) = &plugin.refused {
        text.push_str(&format!("  refused: {}", shown(&refused.reason)));
    }
    Line::from(vec![
        Span::raw(format!("  {} ", column(&plugin.name, name_width))),
        Span::styled(column(&plugin.state, 9), painted(model, color)),
        Span::raw(text),
    ])
}

fn sink_line(model: &Model, sink: &SinkView, width: usize) -> Line<'static> {
    let name_width = (width / 3).clamp(8, 30);
    let (state, color) = match (sink.paused_until, sink.held, sink.waiting) {
        (Some(_), ..) => ("paused", Color::Yellow),
        (None, 1.., _) => ("held", Color::Red),
        (None, 0, 1..) => ("waiting", Color::Yellow),
        (None, 0, 0) => ("idle", Color::Green),
    };
    let lag = duration(Duration::from_secs(sink.oldest_seconds));
    let mut text = format!(
        " {} waiting  lag {lag}  {} delivered",
        sink.waiting, sink.delivered
    );
    if let Some(end) = sink.paused_until {
        let left = between(model.clock(), Some(end)).unwrap_or_default();
        text.push_str(&format!("  for {left} more"));
    }
    for (count, what) in [
        (sink.failed_attempts, "failed attempts"),
        (sink.dead_letters, "dead letters"),
        (sink.held, "held"),
    ] {
        if count > 0 {
            text.push_str(&format!("  {count} {what}"));
        }
    }
    Line::from(vec![
        Span::raw(format!("  {} ", column(&sink.name, name_width))),
        Span::styled(format!("{state:<9}"), painted(model, color)),
        Span::raw(text),
    ])
}

fn state_span(model: &Model, state: StepState) -> Span<'static> {
    let (shape, color) = match state {
        StepState::Waiting => ('.', Color::Reset),
        StepState::Running => ('>', Color::Cyan),
        StepState::Succeeded => ('+', Color::Green),
        StepState::Failed => ('x', Color::Red),
        StepState::Skipped => ('o', Color::Yellow),
    };
    Span::styled(
        format!("{shape} {:<9}", state.as_str()),
        painted(model, color),
    )
}

fn painted(model: &Model, color: Color) -> Style {
    match model.color {
        true => Style::new().fg(color),
        false => Style::new(),
    }
}
