//! OTLP receivers that others have written, each a process on a free port. `cargo xtask receivers`
//! installs them.

use crate::path;
use crate::peer::Missing;
use crate::receivers::{LANGUAGES_REQUIRED, installed};
use crate::sink::PATIENCE;
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// Pause between two attempts to connect to a receiver that starts.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A receiver. It is killed when this value is dropped.
#[derive(Debug)]
pub struct OtlpReceiver {
    port: u16,
    lines: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl OtlpReceiver {
    /// Starts the receiver with the official protobuf messages for Python. It takes protobuf and JSON,
    /// gzip too, and prints each request as one line: see [`Self::request`]. It says that it rejected
    /// that many spans or log records.
    pub async fn official(rejected: u64) -> Result<Self, Missing> {
        let mut python = Command::new(installed("venv/bin/python")?);
        python
            .arg(path("receivers/otlp.py"))
            .arg(rejected.to_string());
        let (process, mut lines) = spawn(python);
        let port = timeout(PATIENCE, lines.next_line()).await;
        let port = port.unwrap().unwrap().unwrap().parse().unwrap();
        Ok(Self {
            port,
            lines,
            _process: process,
        })
    }

    /// Starts `oteltap`. It takes protobuf only, and prints spans and log records as JSON.
    pub async fn oteltap() -> Result<Self, Missing> {
        let mut python = Command::new(installed("venv/bin/python")?);
        let port = free_port().await;
        python.args(["-u", "-m", "oteltap", "--port", &port.to_string()]);
        let (process, lines) = spawn(python);
        Ok(Self::ready(port, lines, process).await)
    }

    /// Starts the collector `rotel`. It takes protobuf and JSON, and prints spans and log records as
    /// text.
    pub async fn rotel() -> Result<Self, Missing> {
        let mut rotel = rotel_command().await?;
        let (http, grpc) = (free_port().await, free_port().await);
        rotel
            .args(["start", "--exporter", "blackhole"])
            .args(["--otlp-http-endpoint", &address(http).to_string()])
            .args(["--otlp-grpc-endpoint", &address(grpc).to_string()])
            .args(["--debug-log", "traces", "--debug-log", "logs"])
            .args(["--debug-log-verbosity", "detailed"]);
        let (process, lines) = spawn(rotel);
        Ok(Self::ready(http, lines, process).await)
    }

    /// Waits until the receiver accepts connections.
    async fn ready(port: u16, lines: Lines<BufReader<ChildStdout>>, process: Child) -> Self {
        let connected = timeout(PATIENCE, async {
            let mut interval = tokio::time::interval(POLL_INTERVAL);
            loop {
                interval.tick().await;
                if TcpStream::connect(address(port)).await.is_ok() {
                    break;
                }
            }
        });
        connected.await.expect("it accepts connections");
        Self {
            port,
            lines,
            _process: process,
        }
    }

    /// The URL without the path of a signal.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", address(self.port))
    }

    /// Posts a body, such as one to `/v1/traces`. Returns the status and the body of the answer.
    pub async fn post(&self, path: &str, content_type: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(address(self.port)).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: {content_type}\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n",
            address(self.port),
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        let mut answer = Vec::new();
        let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        read.expect("it answers").unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
        let (head, body) = answer.split_at(end.expect("it has a head") + 4);
        let head = String::from_utf8_lossy(head);
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.to_vec())
    }

    /// Returns the next line that the receiver prints.
    pub async fn line(&mut self) -> String {
        let line = timeout(PATIENCE, self.lines.next_line()).await;
        line.expect("it prints").unwrap().unwrap()
    }

    /// Returns the lines up to the one that contains a text.
    pub async fn lines_to(&mut self, text: &str) -> String {
        let mut lines = String::new();
        while !lines.contains(text) {
            lines += &self.line().await;
            lines.push('\n');
        }
        lines
    }

    /// Returns the next request as the official receiver decodes it: `path`, and `request` in JSON with
    /// ids in hexadecimal.
    pub async fn request(&mut self) -> Value {
        serde_json::from_str(&self.line().await).unwrap()
    }
}

/// Returns the command of the collector, which is linked with Debian's Python.
async fn rotel_command() -> Result<Command, Missing> {
    let program = installed("venv/lib/python3.11/site-packages/rotel/rotel-agent")?;
    let libraries = installed("libpython/usr/lib/x86_64-linux-gnu")?;
    let command = || {
        let mut command = Command::new(&program);
        command.env("LD_LIBRARY_PATH", &libraries);
        command
    };
    let version = command().arg("--version").output().await;
    match version.is_ok_and(|output| output.status.success()) {
        true => Ok(command()),
        false => {
            let missing = Missing::new("rotel does not start", "it needs Debian 12 on x86-64");
            Err(missing.required_by(LANGUAGES_REQUIRED))
        }
    }
}

fn spawn(mut command: Command) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut process = command
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    (process, lines)
}

fn address(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Returns a port that was free a moment ago, for receivers that cannot choose one.
async fn free_port() -> u16 {
    let listener = TcpListener::bind(address(0)).await.unwrap();
    listener.local_addr().unwrap().port()
}
