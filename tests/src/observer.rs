//! `step-observer run` against the fake API server.

use crate::api_server::ApiServer;
use crate::program::{Program, send_signal};
use crate::sink::{HttpSink, PATIENCE};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Configuration that accepts runs of any age, because the runs of the recordings ended long ago.
pub const UNLIMITED_LOOK_BACK: &str = "lookBack: 1000000h\n";

/// A running observer. Its process is killed when this value is dropped.
#[derive(Debug)]
pub struct Observer {
    /// Its process.
    pub child: Child,
    /// `None` once the log is kept.
    stderr: Option<BufReader<ChildStderr>>,
    /// The task that reads the log in the background; empty before [`Observer::keep_log`].
    kept_log: JoinSet<String>,
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

    /// Starts an observer with a configuration file and further environment variables.
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
            stderr: Some(stderr),
            kept_log: JoinSet::new(),
            folder,
        }
    }

    /// Replaces its configuration file, as editors and mounted ConfigMaps do.
    pub fn replace_config(&self, text: &str) {
        let folder = self.folder.path();
        std::fs::write(folder.join("next.yaml"), text).unwrap();
        std::fs::rename(folder.join("next.yaml"), folder.join("config.yaml")).unwrap();
    }

    /// Reads the rest of the log in the background; [`Observer::stop`] returns it. Without a
    /// reader, the observer would block once the log fills the pipe.
    pub fn keep_log(&mut self) {
        let mut stderr = self.stderr.take().unwrap();
        let read = async move {
            let mut log = String::new();
            stderr.read_to_string(&mut log).await.unwrap();
            log
        };
        self.kept_log.spawn(read);
    }

    /// Reads the log to its end.
    async fn rest_of_log(&mut self) -> String {
        let mut log = String::new();
        if let Some(stderr) = &mut self.stderr {
            stderr.read_to_string(&mut log).await.unwrap();
        }
        match self.kept_log.join_next().await {
            Some(kept) => kept.unwrap(),
            None => log,
        }
    }

    /// Stops the observer with SIGTERM. Returns its exit code and the rest of its log.
    ///
    /// # Panics
    ///
    /// If it does not end within [`PATIENCE`].
    pub async fn stop(mut self) -> (Option<i32>, String) {
        send_signal("TERM", self.child.id().unwrap());
        let ended = timeout(PATIENCE, async {
            let log = self.rest_of_log().await;
            (self.child.wait().await.unwrap(), log)
        });
        let ended = ended.await;
        let (status, log) = ended.unwrap_or_else(|_| panic!("no end {PATIENCE:?} after SIGTERM"));
        (status.code(), log)
    }

    /// Waits until the observer ends without a signal. Returns the rest of its log.
    ///
    /// # Panics
    ///
    /// If it does not end within [`PATIENCE`].
    pub async fn ended(mut self) -> String {
        let ended = timeout(PATIENCE, self.rest_of_log()).await;
        ended.unwrap_or_else(|_| panic!("the observer did not end in {PATIENCE:?}"))
    }

    /// Reads the observer's log to the end, so that the observer never blocks on it.
    pub async fn drain_log(mut self) {
        self.rest_of_log().await;
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
        let stderr = self.stderr.as_mut().unwrap();
        let found = async {
            loop {
                let mut line = String::new();
                if stderr.read_line(&mut line).await.unwrap() == 0 {
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
