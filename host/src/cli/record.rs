//! `record`: records the runs of a cluster with their logs, masked.

use super::args::record::RecordArgs;
use super::cluster;
use super::outcome::{CommandError, CommandOutcome};
use super::output::print_line;
use super::signals::stop_signals;
use cloudevents::event::Data;
use futures::FutureExt as _;
use serde_json::Value;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};
use step_observer::app::{App, Source, load_plugin};
use step_observer::config::{Config, ConfigDuration};
use step_observer::locked::Locked;
use step_observer::logs::LogConfig;
use step_observer::observe::{ClusterConfig, RawEventHook};
use step_observer::plugin::{Compiler, Plugin, PluginEngine};
use step_observer::prepare::{EventHook, PreparedEvent};
use step_observer::record::{RecordCounts, RecordLimits, Recorder};
use step_observer::terminal;
use tokio::task::block_in_place;

/// Time between two checks of whether the recording ends. Each check also updates the shown
/// progress.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Error text of a recording that lacks objects.
const INCOMPLETE_TEXT: &str = "the recording is not complete: pods and TaskRuns could not both be listed before it ended; see the \
    lines above for the reasons";

/// Text for a recording without events.
const EMPTY_TEXT: &str =
    "nothing was recorded: no TaskRun was there, or all ended longer ago than --look-back";

type SharedRecorder = Arc<Locked<Recorder>>;

pub(super) async fn record(
    args: RecordArgs,
    compiler: Compiler,
) -> Result<CommandOutcome, CommandError> {
    let stopped = stop_signals(1).shared();
    let redactor = match args.no_redact {
        true => None,
        false => Some(redactor(&args, compiler).await?),
    };
    let config = config(&args);
    let mut source = cluster::source(&config).await?;
    let Source::Cluster {
        started,
        look_back,
        tap,
        ..
    } = &mut source
    else {
        return Err("only a cluster can be recorded".into());
    };
    let limits = RecordLimits {
        max_bytes: args.max_bytes,
        horizon: started
            .checked_sub(*look_back)
            .unwrap_or(jiff::Timestamp::MIN),
    };
    let recorder = Recorder::create(&args.out, redactor.as_deref(), limits)?;
    let recorder: SharedRecorder = Arc::new(Locked::new(recorder));
    *tap = Some(record_events(recorder.clone()));
    let app = App::dry_run(source, config).await?;
    let app = app.with_event_hook(record_logs(recorder.clone()));
    print_notice(&start_notice(&args));
    let ended = limit_reached(recorder.clone(), args.duration, args.until_idle);
    let stop = async move {
        tokio::select! {
            () = stopped => {}
            () = ended => {}
        }
    };
    let ran = tokio::select! {
        ran = app.run(stop) => ran.map(drop),
        // Nothing is lost: the files have everything that was read before the signal.
        () = stop_signals(2) => Ok(()),
    };
    let mut recorder = lock(&recorder);
    print_notice("");
    print_line(&summary(&recorder, &args.out));
    recorder.finish()?;
    ran?;
    match recorder.is_listed() {
        true => Ok(CommandOutcome::Complete),
        false => Err(INCOMPLETE_TEXT.into()),
    }
}

/// Loads the plugin whose rules mask the recording.
async fn redactor(args: &RecordArgs, compiler: Compiler) -> Result<Arc<Plugin>, CommandError> {
    let engine = PluginEngine::new().map_err(|error| format!("{error:#}"))?;
    let engine = engine.with_compiler(compiler);
    let plugin = load_plugin(&engine, &args.redact, &Arc::default()).await?;
    match plugin.redacts() {
        true => Ok(plugin),
        false => Err(format!(
            "plugin `{}` has no rules, so it would mask nothing: choose another one with --redact, or give --no-redact",
            args.redact.name
        )
        .into()),
    }
}

/// The configuration for watching and reading logs only: no plugins, no sinks.
fn config(args: &RecordArgs) -> Config {
    let mut config = Config {
        cluster: ClusterConfig {
            namespaces: args.namespaces.clone(),
            label_selector: args.selector.clone(),
            ..ClusterConfig::default()
        },
        look_back: args.look_back,
        log: LogConfig {
            max_bytes: args.max_log_bytes,
            ..LogConfig::default()
        },
        ..Config::default()
    };
    config.drop_in.config_maps = false;
    config
}

/// Records watch events. Masking and writing block the thread, so the runtime is asked to move its other tasks.
fn record_events(recorder: SharedRecorder) -> RawEventHook {
    Arc::new(move |at, tapped| block_in_place(|| lock(&recorder).record_event(at, tapped)))
}

fn record_logs(recorder: SharedRecorder) -> EventHook {
    Arc::new(move |event| {
        let PreparedEvent::Passed { record, before, .. } = event else {
            return;
        };
        // `before` holds the log as it was read: nothing was omitted to make the event fit.
        let Some(Data::Json(data)) = before.event.data() else {
            return;
        };
        if data.get("logInfo").is_some() {
            let log = data.get("log").and_then(Value::as_str);
            block_in_place(|| lock(&recorder).record_log(record, log));
        }
    })
}

/// Completes when a limit of the recording is reached. Shows the progress on a terminal.
async fn limit_reached(
    recorder: SharedRecorder,
    duration: Option<ConfigDuration>,
    until_idle: Option<ConfigDuration>,
) {
    let began = Instant::now();
    let span = |span: Option<ConfigDuration>| span.and_then(|span| Duration::try_from(span.0).ok());
    let (duration, until_idle) = (span(duration), span(until_idle));
    let mut shown = RecordCounts::default();
    loop {
        tokio::time::sleep(POLL_INTERVAL).await;
        let recorder = lock(&recorder);
        let idle_for = recorder.idle_since().map(|since| since.elapsed());
        let is_idle = idle_for.is_some_and(|idle| until_idle.is_some_and(|wanted| idle >= wanted));
        let is_over = duration.is_some_and(|duration| began.elapsed() >= duration);
        if is_idle || is_over || recorder.has_failed() {
            return;
        }
        let counts = recorder.counts();
        if counts != shown && io::stderr().is_terminal() {
            shown = counts;
            // Overwrites the line before.
            write!(io::stderr(), "\r\u{1b}[K{}", progress(&counts)).ok();
        }
    }
}

fn progress(counts: &RecordCounts) -> String {
    let RecordCounts {
        events,
        task_runs,
        pods,
        logs,
        bytes,
        ..
    } = counts;
    let kib = bytes.div_ceil(1024);
    format!("{events} watch events of {task_runs} TaskRuns and {pods} pods, {logs} logs, {kib} KiB")
}

fn start_notice(args: &RecordArgs) -> String {
    let namespaces = match args.namespaces.is_empty() {
        true => "all namespaces".to_owned(),
        false => args.namespaces.join(", "),
    };
    let masked = match args.no_redact {
        true => "NOT masked (--no-redact)",
        false => "masked",
    };
    let end = match (args.duration, args.until_idle) {
        (None, None) => "Ctrl-C ends it",
        (Some(_), _) | (_, Some(_)) => "Ctrl-C ends it before its time",
    };
    format!(
        "Recording TaskRuns, pods and logs of {} into {}, {masked}; {end}.",
        terminal::escape_line(&namespaces),
        terminal::escape_line(&args.out.display().to_string())
    )
}

fn summary(recorder: &Recorder, out: &Path) -> String {
    let counts = recorder.counts();
    let (events, logs) = recorder.paths();
    let mut lines = vec![
        format!(
            "{}: {} watch events of {} TaskRuns and {} pods",
            events.display(),
            counts.events,
            counts.task_runs,
            counts.pods
        ),
        format!("{}: {} logs", logs.display(), counts.logs),
    ];
    if counts.logs_unavailable > 0 {
        lines.push(format!(
            "{} logs could not be read",
            counts.logs_unavailable
        ));
    }
    if counts.pods_unclaimed > 0 {
        lines.push(format!(
            "{} pods are omitted: no TaskRun names them",
            counts.pods_unclaimed
        ));
    }
    lines.push(match recorder.masked() {
        None => {
            "nothing was masked: these files contain the secrets of logs and objects".to_owned()
        }
        Some(masked) => {
            let rules: Vec<_> = masked
                .iter()
                .map(|(rule, count)| format!("{rule} {count}"))
                .collect();
            let rules = match rules.is_empty() {
                true => "nothing was found".to_owned(),
                false => rules.join(", "),
            };
            format!("masked: {rules}")
        }
    });
    if counts.omitted > 0 {
        lines.push(format!(
            "{} objects and logs could not be masked completely: their unmaskable parts are omitted",
            counts.omitted
        ));
    }
    lines.push(match counts.events {
        0 => EMPTY_TEXT.to_owned(),
        _ => format!("\nReplay it:\n  step-observer replay {}", quoted(out)),
    });
    terminal::escape_lines(&lines.join("\n")).to_string()
}

/// Quotes a path for a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+@%,:=".contains(&byte);
    match text.bytes().all(is_plain) && !text.starts_with('-') {
        true => text,
        false if text.starts_with('-') => format!("'./{}'", text.replace('\'', "'\\''")),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

fn lock(recorder: &Locked<Recorder>) -> MutexGuard<'_, Recorder> {
    recorder.lock()
}

/// Prints a notice on standard error. An empty notice ends the progress line on a terminal.
fn print_notice(text: &str) {
    if !text.is_empty() || io::stderr().is_terminal() {
        writeln!(io::stderr(), "{text}").ok();
    }
}
