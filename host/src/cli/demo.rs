//! Implements `demo`: plays a recorded pipeline that prints secrets. The events pass the redaction
//! plugin, and go to a file and to a local HTTP sink.

use super::args::DemoArgs;
use super::demo_recording::{RECORDING, demo_recording};
use super::outcome::{CommandError, CommandOutcome};
use super::output::print_line;
use super::signals::stop_signals;
use super::timeline::Timeline;
use axum::Router;
use axum::http::HeaderMap;
use axum::routing::post;
use std::io::IsTerminal as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use step_observer::app::{App, Source};
use step_observer::bounded::Bounded;
use step_observer::config::{Config, SinkConfig};
use step_observer::deliver::RetryConfig;
use step_observer::http::{HttpUrl, ProxyUse};
use step_observer::locked::Locked;
use step_observer::observe::Speed;
use step_observer::plugin::Compiler;
use step_observer::plugin::{PluginConfig, PluginFrom};
use step_observer::sink::{FileConfig, HttpConfig, SinkKind};
use step_observer::terminal;
use tokio::sync::oneshot;

/// A registry password that the operator of the demo has configured as a known secret. The pipeline prints it in base64.
const KNOWN_VALUE: &str = "Tr0ub4dor&3-registry";

/// Duration of the recording if the live page shows it: long enough to open a browser.
const PAGE_TIME: Duration = Duration::from_secs(20);

/// Duration of the demo on a terminal: long enough to see steps run. Together with the start, the
/// demo takes less than six seconds.
const PLAY_TIME: Duration = Duration::from_secs(3);

pub(super) async fn demo(
    args: DemoArgs,
    compiler: Compiler,
) -> Result<CommandOutcome, CommandError> {
    let DemoArgs { out, speed, page } = args;
    let terminal = std::io::stdout().is_terminal();
    // Output into a pipe or a file needs no pauses.
    let speed = speed.unwrap_or(match (page, terminal) {
        (true, _) => speed_for(RECORDING, PAGE_TIME),
        (false, true) => speed_for(RECORDING, PLAY_TIME),
        (false, false) => Speed::Max,
    });
    let file = out.join("events.jsonl");
    let created = std::fs::create_dir_all(&out).and_then(|()| std::fs::File::create(&file));
    created.map_err(|error| {
        let out = out.display();
        format!("--out {out}: failed to write there: {error}; choose another folder")
    })?;

    let received = Arc::new(AtomicU64::new(0));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}/events", listener.local_addr()?);
    let mut config = configuration(&file, &url)?;
    let mut source = demo_recording(speed, Duration::from_secs(10))?;
    let (stop, stopped) = oneshot::channel();
    let (ended, has_ended) = oneshot::channel();
    if page {
        config.admin.listen = Some((Ipv4Addr::LOCALHOST, 0).into());
        source = held_open(source, ended, stopped);
    }
    let color = terminal && std::env::var_os("NO_COLOR").is_none();
    let timeline = Arc::new(Locked::new(Timeline::new(color)));
    print_line(&format!(
        "Playing a recorded Tekton PipelineRun that prints secrets, through the plugin redact-secrets.\n\
         Sinks: {} and {url}\n\n{}",
        file.display(),
        lock(&timeline).header(),
    ));
    let printed = timeline.clone();
    let app = App::build(source, config, compiler)
        .await?
        .with_event_hook(Arc::new(move |event| {
            let lines = lock(&printed).lines(&event);
            print_line(&lines);
        }));
    let address = app
        .page_address()
        .map(|address| format!("http://{address}/"));
    if let Some(address) = &address {
        print_line(&format!("Live page: {address}\n"));
    }
    let sink = axum::serve(listener, receiver(received.clone())).into_future();
    let signal = stop_signals(1);
    let stopping = async move {
        signal.await;
        drop(stop);
    };
    let keep = async {
        // An error means that there is no page, or that the program stops.
        if let (Ok(()), Some(address)) = (has_ended.await, &address) {
            print_line(&format!(
                "\nThe recording has ended. The live page stays at {address} until Ctrl-C."
            ));
        }
        std::future::pending().await
    };
    let summary = tokio::select! {
        summary = app.run(stopping) => summary?,
        ended = sink => {
            ended?;
            return Err("the HTTP sink of the demo has ended".into());
        }
        () = keep => return Err("the demo has ended early".into()),
    };
    print_line(&closing(
        &lock(&timeline),
        &file,
        &url,
        received.load(Ordering::Relaxed),
    ));
    Ok(CommandOutcome::from_undelivered(summary.undelivered()))
}

/// Makes a recording that does not end before the program stops, so that the live page stays. Reports
/// when its last change was played.
fn held_open(source: Source, ended: oneshot::Sender<()>, stopped: oneshot::Receiver<()>) -> Source {
    match source {
        Source::Recording {
            player,
            logs,
            live,
            hold_for,
        } => Source::Recording {
            player: Box::new(move |emit| {
                player(emit)?;
                // Both ends are gone only if the program stops.
                ended.send(()).ok();
                stopped.blocking_recv().ok();
                Ok(())
            }),
            logs,
            live,
            hold_for,
        },
        cluster @ Source::Cluster { .. } => cluster,
    }
}

/// Returns the speed at which a recording takes `play_time`. A shorter recording keeps its original speed.
fn speed_for(recording: &[u8], play_time: Duration) -> Speed {
    #[derive(serde::Deserialize)]
    struct Event {
        at: jiff::Timestamp,
    }
    let lines = recording.split(|byte| *byte == b'\n');
    let times = lines.filter_map(|line| serde_json::from_slice::<Event>(line).ok());
    let times: Vec<_> = times.map(|event| event.at).collect();
    let span = times.iter().max().zip(times.iter().min());
    let span = span.map_or(0.0, |(last, first)| {
        last.duration_since(*first).as_secs_f64()
    });
    Speed::Times((span / play_time.as_secs_f64()).max(1.0))
}

fn lock(timeline: &Locked<Timeline>) -> std::sync::MutexGuard<'_, Timeline> {
    timeline.lock()
}

fn configuration(file: &Path, url: &str) -> Result<Config, CommandError> {
    let sink = |name: &str, to| SinkConfig {
        retry: RetryConfig {
            give_up_ms: Bounded::new(10_000),
            ..RetryConfig::default()
        },
        ..SinkConfig::new(name.to_owned(), to)
    };
    // The receiver is on this machine: no proxy.
    let receiver = HttpConfig {
        proxy: ProxyUse::None,
        ..HttpConfig::new(HttpUrl::try_from(url.to_owned())?)
    };
    Ok(Config {
        plugins: vec![PluginConfig {
            config: serde_json::json!({"values": [KNOWN_VALUE]}),
            ..PluginConfig::new(
                "redact-secrets".to_owned(),
                PluginFrom::Bundled("redact-secrets".to_owned()),
            )
        }],
        sinks: vec![
            sink("file", SinkKind::File(FileConfig::new(file.to_owned()))),
            sink("http", SinkKind::Http(receiver.into())),
        ],
        ..Config::default()
    })
}

/// A sink that counts CloudEvents in binary mode.
fn receiver(received: Arc<AtomicU64>) -> Router {
    let accept = move |headers: HeaderMap| async move {
        if headers.contains_key("ce-id") {
            received.fetch_add(1, Ordering::Relaxed);
            axum::http::StatusCode::ACCEPTED
        } else {
            axum::http::StatusCode::BAD_REQUEST
        }
    };
    Router::new().route("/events", post(accept))
}

fn closing(timeline: &Timeline, file: &Path, url: &str, received: u64) -> String {
    let events: u32 = timeline.events_by_phase.values().sum();
    let kinds: Vec<_> = timeline
        .events_by_phase
        .iter()
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    let masked: u32 = timeline.masked_by_rule.values().sum();
    let rules: Vec<_> = timeline
        .masked_by_rule
        .iter()
        .map(|(rule, count)| format!("{} {count}", terminal::escape_line(rule)))
        .collect();
    let file = file.display();
    format!(
        "\n{events} events: {}\n{masked} secrets masked: {}\n\
         The CloudEvents are in {file}; {received} arrived at {url}, too.\n\n\
         Try next:\n  \
         head -n 2 {file}                                    # as a receiver gets them\n  \
         step-observer replay RECORDING.jsonl --plugin bundled:redact-secrets   # your own recording\n  \
         step-observer run --plugin bundled:redact-secrets --to stdout          # your own cluster\n  \
         (in the source tree: cargo run -p step-observer -- replay tests/recordings/b-fail.jsonl)",
        kinds.join(", "),
        rules.join(", "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_of_any_length_fits_the_time() {
        let recording = |seconds: i64| {
            let at = |second| jiff::Timestamp::from_second(1_800_000_000 + second).unwrap();
            let line = |second| format!("{{\"at\": \"{}\", \"type\": \"ADDED\"}}\n", at(second));
            format!("{}{}{}no JSON", line(0), line(seconds), line(seconds / 2))
        };
        let play_time = Duration::from_secs(4);
        for (seconds, expected) in [(1, 1.0), (4, 1.0), (80, 20.0), (86_400, 21_600.0)] {
            let speed = speed_for(recording(seconds).as_bytes(), play_time);
            assert_eq!(speed, Speed::Times(expected), "{seconds}");
        }
        assert_eq!(speed_for(b"", play_time), Speed::Times(1.0));
        let Speed::Times(factor) = speed_for(RECORDING, PLAY_TIME) else {
            panic!("it has pauses");
        };
        assert!(factor > 4.0, "{factor}");
    }
}
