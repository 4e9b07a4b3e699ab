//! `step-observer run` against the fake API server.

use crate::api_server::ApiServer;
use crate::program::{Program, send_signal};
use crate::sink::{HttpSink, PATIENCE};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr};
use tokio::time::timeout;

/// Configuration that accepts runs of any age, because the runs of the recordings ended long ago.
pub const UNLIMITED_LOOK_BACK: &str = "lookBack: 1000000h\n";

/// A running observer. Its process is killed when this value is dropped.
#[derive(Debug)]
pub struct Observer {
    /// Its process.
    pub child: Child,
    stderr: BufReader<ChildStderr>,
    /// The folder with its `config.yaml`.
    pub folder: tempfile::TempDir,
}

impl Observer {
    /// Starts one that sends to `sink`.
    #[must_use]
    pub fn start(server: &ApiServer, sink: &HttpSink, args: &[&str]) -> Self {
        let args = [&["--to", &sink.url], args].concat();
        Self::with_config(server, UNLIMITED_LOOK_BACK, &args)
    }

    /// Starts one with a configuration file.
    #[must_use]
    pub fn with_config(server: &ApiServer, config: &str, args: &[&str]) -> Self {
        Self::with_environment(server, config, args, &[])
    }

    /// Starts one with a configuration file and further variables of the environment.
    #[must_use]
    pub fn with_environment(
        server: &ApiServer,
        config: &str,
        args: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        std::fs::write(&file, format!("shutdownGrace: 5s\n{config}")).unwrap();
        let mut program = Program::new();
        program
            .args(["run", "--config"])
            .arg(file)
            .args(args)
            .env("KUBECONFIG", server.kubeconfig(folder.path()))
            .stderr(Stdio::piped());
        for (name, value) in environment {
            program.env(name, value);
        }
        let mut child = program.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self {
            child,
            stderr,
            folder,
        }
    }

    /// Stops the observer with SIGTERM. Returns its exit code and the rest of its log.
    ///
    /// # Panics
    ///
    /// If it does not end within [`PATIENCE`].
    pub async fn stop(mut self) -> (Option<i32>, String) {
        send_signal("TERM", self.child.id().unwrap());
        let mut log = String::new();
        let ended = timeout(PATIENCE, async {
            self.stderr.read_to_string(&mut log).await.unwrap();
            self.child.wait().await.unwrap()
        });
        let status = ended.await;
        let status = status.unwrap_or_else(|_| panic!("no end {PATIENCE:?} after SIGTERM"));
        (status.code(), log)
    }

    /// Waits until the observer ends without a signal. Returns the rest of its log.
    ///
    /// # Panics
    ///
    /// If it does not end within [`PATIENCE`].
    pub async fn ended(mut self) -> String {
        let mut log = String::new();
        let ended = timeout(PATIENCE, self.stderr.read_to_string(&mut log)).await;
        ended
            .unwrap_or_else(|_| panic!("the observer did not end in {PATIENCE:?}"))
            .unwrap();
        log
    }

    /// Reads the observer's log to the end, so that the observer never blocks on it.
    pub async fn drain_log(mut self) {
        let mut log = String::new();
        self.stderr.read_to_string(&mut log).await.ok();
    }

    /// Waits for a line of the observer's log that contains a text.
    ///
    /// # Panics
    ///
    /// If there is no such line within [`PATIENCE`].
    pub async fn wait_for_log(&mut self, text: &str) -> String {
        self.wait_for_line(&[text]).await
    }

    /// Waits for a line of the observer's log that contains all these texts.
    ///
    /// # Panics
    ///
    /// If there is no such line within [`PATIENCE`].
    pub async fn wait_for_line(&mut self, texts: &[&str]) -> String {
        let mut seen = String::new();
        let found = async {
            loop {
                let mut line = String::new();
                if self.stderr.read_line(&mut line).await.unwrap() == 0 {
                    return None;
                }
                seen.push_str(&line);
                if texts.iter().all(|text| line.contains(text)) {
                    return Some(line);
                }
            }
        };
        let found = timeout(PATIENCE, found).await;
        found
            .ok()
            .flatten()
            .unwrap_or_else(|| panic!("no line with {texts:?} in {PATIENCE:?}:\n{seen}"))
    }
}
