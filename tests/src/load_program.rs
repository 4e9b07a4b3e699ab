//! Runs `step-observer replay` as a process under load, for benchmarks.

use crate::measure::ProcessUsage;
use crate::program::Program;
use crate::recording::renamed;
use crate::sink::{PATIENCE, counting_sink};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Time between two looks at the number of events.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A watch event as text, to be copied for many runs.
#[derive(Debug)]
pub struct Template {
    text: String,
}

impl Template {
    /// Makes it from a watch event of a recording.
    #[must_use]
    pub fn new(event: &Value) -> Self {
        let mut event = event.clone();
        let at = event["at"].as_str().unwrap().to_owned();
        event["at"] = format!("@{at}@").into();
        Self {
            text: event.to_string(),
        }
    }

    /// Returns the line for the run with this number; `at` replaces the time of the recording.
    #[must_use]
    pub fn line(&self, run: usize, at: Option<Timestamp>) -> String {
        let (before, rest) = self.text.split_once('@').unwrap();
        let (own, after) = rest.split_once('@').unwrap();
        let at = at.map_or_else(|| own.to_owned(), |at| at.to_string());
        let text = format!("{before}{at}{after}\n");
        renamed(&text, &format!("run-{run:06}"), run)
    }
}

/// A process of `step-observer replay` that reads watch events from a pipe. It has a journal, logs of 2 KiB
/// and an HTTP sink that only counts.
#[derive(Debug)]
pub struct LoadProgram {
    observer: Child,
    pipe: Option<BufWriter<ChildStdin>>,
    delivered: Arc<AtomicUsize>,
    _folder: tempfile::TempDir,
}

/// What the load writes its lines with, calls to measure the process, and knows of the sink.
#[derive(Debug)]
pub struct Load<'a> {
    pipe: &'a mut BufWriter<ChildStdin>,
    process: u32,
    seen: Vec<ProcessUsage>,
    delivered: &'a AtomicUsize,
}

impl Load<'_> {
    /// Writes a line.
    pub fn write(&mut self, line: &str) {
        self.pipe.write_all(line.as_bytes()).unwrap();
    }

    /// Measures the process now.
    pub fn measure(&mut self) {
        self.seen.push(ProcessUsage::read(self.process));
    }

    /// Number of events that the sink has received.
    #[must_use]
    pub fn delivered(&self) -> usize {
        self.delivered.load(Ordering::Relaxed)
    }
}

impl LoadProgram {
    /// Starts the program with these further arguments.
    pub async fn start(arguments: &[&str]) -> Self {
        let (url, delivered) = counting_sink().await;
        // The journal is on a disk, which a temporary folder of the system may not be.
        let folder = tempfile::tempdir_in(Program::path().parent().unwrap()).unwrap();
        let log = "2026-11-22T13:04:10Z compiling another module of the widget\n".repeat(37);
        let logs = json!({"before-build": log, "before-test": log, "before-deploy": log});
        let file = folder.path().join("logs.json");
        std::fs::write(&file, logs.to_string()).unwrap();
        let mut observer = Program::new()
            .args(["replay", "-", "--to", &url, "--logs"])
            .arg(&file)
            .args(["--log", "error,step_observer::admin=info", "--journal"])
            .arg(folder.path().join("journal"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn_std()
            .unwrap();
        Self {
            pipe: observer.stdin.take().map(BufWriter::new),
            observer,
            delivered,
            _folder: folder,
        }
    }

    /// Returns the address of the admin server, which `arguments` have asked for. To be called once.
    pub async fn admin_address(&mut self) -> String {
        let log = BufReader::new(self.observer.stderr.take().unwrap());
        let read = move || {
            let mut lines = log.lines().map(Result::unwrap);
            let line = lines.find(|line| line.contains("address=")).unwrap();
            // Reads the rest, so that the program never waits for this reader.
            std::thread::spawn(move || lines.count());
            line.split_once("address=").unwrap().1.trim().to_owned()
        };
        tokio::task::spawn_blocking(read).await.unwrap()
    }

    /// Plays a load to its end. Returns the measurements, the last one of them at the end.
    pub async fn play(
        &mut self,
        play: impl FnOnce(&mut Load<'_>) + Send + 'static,
    ) -> Vec<ProcessUsage> {
        let mut pipe = self.pipe.take().unwrap();
        let (process, delivered) = (self.observer.id(), self.delivered.clone());
        let playing = tokio::task::spawn_blocking(move || {
            let mut load = Load {
                pipe: &mut pipe,
                process,
                seen: Vec::new(),
                delivered: &delivered,
            };
            play(&mut load);
            load.measure();
            let seen = load.seen;
            pipe.flush().unwrap();
            (pipe, seen)
        });
        let (pipe, seen) = playing.await.unwrap();
        self.pipe = Some(pipe);
        seen
    }

    /// Measures the process now.
    #[must_use]
    pub fn usage(&self) -> ProcessUsage {
        ProcessUsage::read(self.observer.id())
    }

    /// Waits until the sink has `events` events.
    ///
    /// # Panics
    ///
    /// If it does not get them in time.
    pub async fn wait_for(&self, events: usize) {
        let wait = async {
            let mut interval = tokio::time::interval(POLL_INTERVAL);
            loop {
                interval.tick().await;
                if self.delivered.load(Ordering::Relaxed) >= events {
                    break;
                }
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        let delivered = self.delivered.load(Ordering::Relaxed);
        assert!(waited.is_ok(), "{delivered} of {events} events");
    }

    /// Ends the stream, and waits until the program has delivered all `events` events and ended.
    pub async fn finish(mut self, events: usize) {
        drop(self.pipe.take());
        let mut observer = self.observer;
        let ended = tokio::task::spawn_blocking(move || observer.wait().unwrap());
        assert!(ended.await.unwrap().success());
        assert_eq!(self.delivered.load(Ordering::Relaxed), events);
    }
}
