//! `plugin bench`: microseconds per event, measured by turns with the plugin that does nothing.

use super::args::BenchArgs;
use super::test::read;
use super::{End, Problem, alone, bundled, configured, engine, load, say};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};
use step_observer::event;
use step_observer::plugin::{Chain, Outcome, Plugin, sample_event};
use step_observer::step::Envelope;
use step_observer::terminal;

/// Sizes of the log in bytes.
const SIZES: [usize; 4] = [0, 4 * 1024, 48 * 1024, 1024 * 1024];
/// Longest time for one size.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn bench(args: BenchArgs) -> Result<End, Problem> {
    let BenchArgs {
        target,
        event,
        calls,
    } = args;
    let config = configured(target)?;
    let engine = engine()?;
    let began = Instant::now();
    let plugin = load(&engine, &config).await?;
    let loading = began.elapsed();
    let passthrough = alone(&engine, load(&engine, &bundled("passthrough")).await?);
    let chain = alone(&engine, plugin.clone());
    let event = match event {
        Some(file) => read(&file)?,
        None => sample_event(),
    };
    let measuring =
        tokio::task::spawn_blocking(move || measure(&chain, &passthrough, &event, calls));
    let rows = measuring.await??;
    say(&report(&plugin, loading, &rows));
    Ok(End::Good)
}

struct Row {
    size: usize,
    own: f64,
    slow: f64,
    nothing: f64,
}

fn measure(
    chain: &Chain,
    passthrough: &Chain,
    event: &Value,
    calls: u32,
) -> Result<Vec<Row>, Problem> {
    let mut rows = Vec::new();
    for size in SIZES {
        let envelope = with_log(event, size)?;
        // Memory that is mapped for the first time costs once.
        timed(chain, &envelope)?;
        timed(passthrough, &envelope)?;
        let (mut own, mut nothing) = (Vec::new(), Vec::new());
        let began = Instant::now();
        for _ in 0..calls {
            own.push(timed(chain, &envelope)?);
            nothing.push(timed(passthrough, &envelope)?);
            if began.elapsed() > PATIENCE {
                break;
            }
        }
        own.sort_by(f64::total_cmp);
        nothing.sort_by(f64::total_cmp);
        let at = |sorted: &[f64], part: usize| {
            let index = (sorted.len() * part / 100).min(sorted.len().saturating_sub(1));
            sorted.get(index).copied().unwrap_or_default()
        };
        rows.push(Row {
            size,
            own: at(&own, 50),
            slow: at(&own, 99),
            nothing: at(&nothing, 50),
        });
    }
    Ok(rows)
}

/// In microseconds.
fn timed(chain: &Chain, envelope: &Envelope) -> Result<f64, Problem> {
    let envelope = envelope.clone();
    let began = Instant::now();
    let outcome = chain.process(envelope);
    let time = began.elapsed();
    let failure = match &outcome {
        Outcome::Deliver(_, report) => report.failures.first().map(|(_, failure, _)| failure),
        Outcome::Blocked { failure, .. } => Some(failure),
        Outcome::Dropped { .. } => None,
    };
    match failure {
        Some(failure) => Err(format!("the plugin fails on the event: {failure}").into()),
        None => Ok(time.as_secs_f64() * 1e6),
    }
}

/// A log of ordinary lines.
fn with_log(event: &Value, size: usize) -> Result<Envelope, Problem> {
    let lines =
        (0..).map(|number| format!("{number:>6} compiling module {} of the shop\n", number % 97));
    let mut log = String::new();
    for line in lines {
        if log.len() + line.len() > size {
            break;
        }
        log.push_str(&line);
    }
    let mut event = event.clone();
    if let Some(data) = event.get_mut("data").and_then(Value::as_object_mut) {
        data.insert("log".to_owned(), log.into());
    }
    Ok(event::from_json(event)?)
}

fn report(plugin: &Arc<Plugin>, loading: Duration, rows: &[Row]) -> String {
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
            row.size,
            row.own,
            row.slow,
            row.nothing,
            row.own / row.nothing.max(0.001),
        ));
    }
    text.trim_end().to_owned()
}
