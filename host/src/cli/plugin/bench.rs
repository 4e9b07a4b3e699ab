//! `plugin bench`: microseconds per event. Calls alternate with calls of `passthrough`, the plugin that does nothing.

use super::json_file::read;
use super::target::{bundled, engine, load, single_chain, target_config};
use crate::cli::args::plugin::BenchArgs;
use crate::cli::outcome::{CommandError, CommandOutcome};
use crate::cli::output::print_line;
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};
use step_observer::event;
use step_observer::plugin::{Chain, Outcome, Plugin, sample_event};
use step_observer::step::Envelope;
use step_observer::terminal;

/// Log sizes that are measured, in bytes.
const LOG_BYTES: [usize; 4] = [0, 4 * 1024, 48 * 1024, 1024 * 1024];
/// Bound of the time for one log size.
const MAX_TIME_PER_SIZE: Duration = Duration::from_secs(20);

pub(super) async fn bench(args: BenchArgs) -> Result<CommandOutcome, CommandError> {
    let BenchArgs {
        target,
        event,
        calls,
    } = args;
    let config = target_config(target)?;
    let engine = engine()?;
    let began = Instant::now();
    let plugin = load(&engine, &config).await?;
    let loading = began.elapsed();
    let passthrough = single_chain(&engine, load(&engine, &bundled("passthrough")).await?);
    let chain = single_chain(&engine, plugin.clone());
    let event = match event {
        Some(file) => read(&file)?,
        None => sample_event(),
    };
    let measuring =
        tokio::task::spawn_blocking(move || measure(&chain, &passthrough, &event, calls));
    let rows = measuring.await??;
    print_line(&report(&plugin, loading, &rows));
    Ok(CommandOutcome::Complete)
}

/// Microseconds per event for one log size.
struct BenchRow {
    log_bytes: usize,
    median: f64,
    p99: f64,
    passthrough_median: f64,
}

fn measure(
    chain: &Chain,
    passthrough: &Chain,
    event: &Value,
    calls: u32,
) -> Result<Vec<BenchRow>, CommandError> {
    let mut rows = Vec::new();
    for log_bytes in LOG_BYTES {
        let envelope = with_log(event, log_bytes)?;
        // The first call maps memory: it is not measured.
        timed(chain, &envelope)?;
        timed(passthrough, &envelope)?;
        let (mut own, mut passthrough_times) = (Vec::new(), Vec::new());
        let began = Instant::now();
        for _ in 0..calls {
            own.push(timed(chain, &envelope)?);
            passthrough_times.push(timed(passthrough, &envelope)?);
            if began.elapsed() > MAX_TIME_PER_SIZE {
                break;
            }
        }
        own.sort_by(f64::total_cmp);
        passthrough_times.sort_by(f64::total_cmp);
        let percentile = |sorted: &[f64], percent: usize| {
            let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
            sorted.get(index).copied().unwrap_or_default()
        };
        rows.push(BenchRow {
            log_bytes,
            median: percentile(&own, 50),
            p99: percentile(&own, 99),
            passthrough_median: percentile(&passthrough_times, 50),
        });
    }
    Ok(rows)
}

/// Processes an event, and returns the time in microseconds.
fn timed(chain: &Chain, envelope: &Envelope) -> Result<f64, CommandError> {
    let envelope = envelope.clone();
    let began = Instant::now();
    let outcome = chain.process(envelope);
    let time = began.elapsed();
    let failure = match &outcome {
        Outcome::Deliver(_, report) => report.failures().next().map(|(_, failure, _)| failure),
        Outcome::Blocked { failure, .. } => Some(failure),
        Outcome::Dropped(_) => None,
    };
    match failure {
        Some(failure) => Err(format!("the plugin fails on the event: {failure}").into()),
        None => Ok(time.as_secs_f64() * 1e6),
    }
}

/// Lines that cargo, npm, pip, apt, dpkg, go test and Maven printed.
const ORDINARY_LOG: &str = include_str!("ordinary.log");

/// Gives the event a log of ordinary lines, of at most this number of bytes.
fn with_log(event: &Value, max_bytes: usize) -> Result<Envelope, CommandError> {
    let mut log = String::new();
    for line in ORDINARY_LOG.split_inclusive('\n').cycle() {
        if log.len() + line.len() > max_bytes {
            break;
        }
        log.push_str(line);
    }
    let mut event = event.clone();
    if let Some(data) = event.get_mut("data").and_then(Value::as_object_mut) {
        data.insert("log".to_owned(), log.into());
    }
    Ok(event::from_json(event)?)
}

fn report(plugin: &Arc<Plugin>, loading: Duration, rows: &[BenchRow]) -> String {
    let (name, version) = plugin.identity();
    let (name, version) = (terminal::escape_line(name), terminal::escape_line(version));
    let memory = plugin.counts().peak_memory_bytes;
    let mut text = format!(
        "{name} {version}: loaded in {:.2} s, {} KiB of memory per instance at most\n\n\
         {:>12}{:>14}{:>10}{:>16}{:>10}\n",
        loading.as_secs_f64(),
        memory / 1024,
        "log, bytes",
        "µs per event",
        "p99",
        "passthrough",
        "ratio",
    );
    for row in rows {
        text.push_str(&format!(
            "{:>12}{:>14.1}{:>10.1}{:>16.1}{:>10.1}\n",
            row.log_bytes,
            row.median,
            row.p99,
            row.passthrough_median,
            row.median / row.passthrough_median.max(0.001),
        ));
    }
    text.trim_end().to_owned()
}
