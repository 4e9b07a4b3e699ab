//! The demo: a recorded pipeline that prints secrets, the redaction plugin, a file and a local HTTP
//! sink.

use super::End;
use super::args::DemoArgs;
use super::commands::signals;
use super::timeline::Timeline;
use axum::Router;
use axum::http::HeaderMap;
use axum::routing::post;
use std::error::Error;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use step_observer::app::{App, Source};
use step_observer::bounded::Bounded;
use step_observer::config::{Config, PluginConfig, PluginFrom, SinkConfig, SinkKind};
use step_observer::deliver::RetryConfig;
use step_observer::locked::Locked;
use step_observer::observe::{RecordedLogs, Speed, player};
use step_observer::plugin::Compiler;
use step_observer::sink::{FileConfig, HttpConfig, HttpUrl, ProxyUse};
use step_observer::terminal;

/// A real PipelineRun, recorded on a cluster. Its secrets are made up.
const RECORDING: &[u8] = include_bytes!("../../../tests/recordings/leaky.jsonl");
const LOGS: &str = include_str!("../../../tests/recordings/leaky.logs.json");

/// A registry password that the demo's operator knows, as a secret from the cluster would be known.
/// The pipeline prints it in base64.
const KNOWN_VALUE: &str = "Tr0ub4dor&3-registry";

/// How long the demo plays by default: long enough to see steps run, and with the time to start less than six seconds.
const LONGEST: Duration = Duration::from_secs(3);

type Problem = Box<dyn Error + Send + Sync>;

pub(crate) async fn demo(args: DemoArgs, compiler: Compiler) -> Result<End, Problem> {
    let DemoArgs { out, speed } = args;
    let terminal = std::io::stdout().is_terminal();
    // Who pipes it somewhere does not watch it.
    let speed = speed.unwrap_or(match terminal {
        true => fitting(RECORDING, LONGEST),
        false => Speed::Max,
    });
    let file = out.join("events.jsonl");
    let made = std::fs::create_dir_all(&out).and_then(|()| std::fs::File::create(&file));
    made.map_err(|error| {
        let out = out.display();
        format!("--out {out}: cannot write there: {error}; name another folder")
    })?;

    let received = Arc::new(AtomicU64::new(0));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}/events", listener.local_addr()?);
    let config = configuration(&file, &url)?;
    let source = recorded_pipeline(speed, Duration::from_secs(10))?;
    let color = terminal && std::env::var_os("NO_COLOR").is_none();
    let timeline = Arc::new(Locked::new(Timeline::new(color)));
    say(&format!(
        "Playing a recorded Tekton PipelineRun that prints secrets, through the plugin redact-secrets.\n\
         Sinks: {} and {url}\n\n{}",
        file.display(),
        lock(&timeline).header(),
    ));
    let onlooker = timeline.clone();
    let app = App::build(source, config, compiler)
        .await?
        .with_event_hook(Arc::new(move |happening| {
            let lines = lock(&onlooker).lines(&happening);
            say(&lines);
        }));
    let sink = axum::serve(listener, receiver(received.clone())).into_future();
    let summary = tokio::select! {
        summary = app.run(signals(1)) => summary?,
        ended = sink => {
            ended?;
            return Err("the demo's sink has ended".into());
        }
    };
    say(&closing(
        &lock(&timeline),
        &file,
        &url,
        received.load(Ordering::Relaxed),
    ));
    Ok(match summary.undelivered() {
        0 => End::Good,
        count => End::Undelivered(count),
    })
}

/// The speed at which a recording lasts so long; that at which it happened, if that is shorter.
fn fitting(recording: &[u8], longest: Duration) -> Speed {
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
    Speed::Times((span / longest.as_secs_f64()).max(1.0))
}

/// The pipeline of the demo.
pub(super) fn recorded_pipeline(speed: Speed, hold_for: Duration) -> Result<Source, Problem> {
    let name = "the recorded pipeline `leaky`".to_owned();
    Ok(Source::Recording {
        player: player(name, RECORDING, speed, false),
        logs: RecordedLogs::parse("leaky.logs.json", LOGS)?,
        live: false,
        hold_for,
    })
}

fn lock(timeline: &Locked<Timeline>) -> std::sync::MutexGuard<'_, Timeline> {
    timeline.lock()
}

fn say(text: &str) {
    // Whoever read it may have gone.
    writeln!(std::io::stdout(), "{text}").ok();
}

fn configuration(file: &Path, url: &str) -> Result<Config, Problem> {
    let sink = |name: &str, to| SinkConfig {
        retry: RetryConfig {
            give_up_ms: Bounded::new(10_000),
            ..RetryConfig::default()
        },
        ..SinkConfig::new(name.to_owned(), to)
    };
    // It is on this machine.
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
    let events: u32 = timeline.told.values().sum();
    let kinds: Vec<_> = timeline
        .told
        .iter()
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    let masked: u32 = timeline.masked.values().sum();
    let rules: Vec<_> = timeline
        .masked
        .iter()
        .map(|(rule, count)| format!("{} {count}", terminal::escape_line(rule)))
        .collect();
    let file = file.display();
    format!(
        "\n{events} events: {}\n{masked} secrets masked: {}\n\
         The CloudEvents are in {file}; {received} arrived at {url}, too.\n\n\
         Try next:\n  \
         head -n 2 {file}                                    # what a receiver gets\n  \
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
        let longest = Duration::from_secs(4);
        for (seconds, expected) in [(1, 1.0), (4, 1.0), (80, 20.0), (86_400, 21_600.0)] {
            let speed = fitting(recording(seconds).as_bytes(), longest);
            assert_eq!(speed, Speed::Times(expected), "{seconds}");
        }
        assert_eq!(fitting(b"", longest), Speed::Times(1.0));
        let Speed::Times(factor) = fitting(RECORDING, LONGEST) else {
            panic!("it has pauses");
        };
        assert!(factor > 4.0, "{factor}");
    }
}
