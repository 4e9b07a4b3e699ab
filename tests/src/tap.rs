//! `step-observer tap` as a process, and a server in place of an observer.

use crate::api_server::ApiServer;
use crate::program::{Program, send_signal};
use crate::sink::PATIENCE;
use serde_json::{Value, json};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStderr, ChildStdout};
use tokio::time::timeout;

/// A running `tap`. Its process is killed when this value is dropped.
#[derive(Debug)]
pub struct Tap {
    /// Its process.
    pub child: Child,
    /// Standard output.
    pub lines: Lines<BufReader<ChildStdout>>,
    /// Standard error.
    pub notes: Lines<BufReader<ChildStderr>>,
    _place: tempfile::TempDir,
}

impl Tap {
    /// Starts one with arguments.
    #[must_use]
    pub fn start(args: &[&str]) -> Self {
        Self::spawn(
            Program::new().arg("tap").args(args),
            tempfile::tempdir().unwrap(),
        )
    }

    /// Starts one for a cluster.
    #[must_use]
    pub fn of_cluster(server: &ApiServer, args: &[&str]) -> Self {
        let place = tempfile::tempdir().unwrap();
        let kubeconfig = server.kubeconfig(place.path());
        Self::spawn(
            Program::new()
                .arg("tap")
                .args(args)
                .env("KUBECONFIG", kubeconfig),
            place,
        )
    }

    fn spawn(program: &mut Program, place: tempfile::TempDir) -> Self {
        let program = program
            .env("TZ", "UTC")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = program.spawn().unwrap();
        Self {
            lines: BufReader::new(child.stdout.take().unwrap()).lines(),
            notes: BufReader::new(child.stderr.take().unwrap()).lines(),
            child,
            _place: place,
        }
    }

    /// Returns the next line of standard output.
    ///
    /// # Panics
    ///
    /// If there is none within [`PATIENCE`].
    pub async fn line(&mut self) -> String {
        let line = timeout(PATIENCE, self.lines.next_line()).await;
        line.expect("a line in time").unwrap().expect("a line")
    }

    /// Returns a number of lines, with one blank between two words.
    pub async fn words(&mut self, count: usize) -> Vec<String> {
        let mut lines = Vec::new();
        for _ in 0..count {
            lines.push(
                self.line()
                    .await
                    .split_whitespace()
                    .collect::<Vec<_>>()
                    .join(" "),
            );
        }
        lines
    }

    /// Returns the next line of standard error.
    ///
    /// # Panics
    ///
    /// If there is none within [`PATIENCE`].
    pub async fn note(&mut self) -> String {
        let line = timeout(PATIENCE, self.notes.next_line()).await;
        line.expect("a note in time").unwrap().expect("a note")
    }

    /// Waits for the end. Returns the exit code and what standard output and standard error still had.
    ///
    /// # Panics
    ///
    /// If there is none within [`PATIENCE`].
    pub async fn end(mut self) -> (Option<i32>, String, String) {
        let mut rest = (String::new(), String::new());
        let ended = async {
            let (mut output, mut notes) = (self.lines.into_inner(), self.notes.into_inner());
            output.read_to_string(&mut rest.0).await.unwrap();
            notes.read_to_string(&mut rest.1).await.unwrap();
            self.child.wait().await.unwrap()
        };
        let status = timeout(PATIENCE, ended).await.expect("an end in time");
        (status.code(), rest.0, rest.1)
    }

    /// Ends it as Ctrl-C does. Returns the same as [`Tap::end`].
    pub async fn interrupt(self) -> (Option<i32>, String, String) {
        send_signal("INT", self.child.id().unwrap());
        self.end().await
    }
}

/// A server in place of an observer, which answers as it is told.
#[derive(Debug)]
pub struct ScriptedObserver {
    listener: TcpListener,
    /// Its URL.
    pub url: String,
}

impl ScriptedObserver {
    /// Starts one.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self { listener, url }
    }

    /// Takes the next request, and returns its head and the connection.
    ///
    /// # Panics
    ///
    /// If there is none within [`PATIENCE`].
    pub async fn request(&self) -> (String, TcpStream) {
        let (mut connection, _) = timeout(PATIENCE, self.listener.accept())
            .await
            .expect("a request")
            .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(connection.read_u8().await.unwrap());
        }
        (String::from_utf8(head).unwrap().to_lowercase(), connection)
    }

    /// Gives an answer to the next request.
    pub async fn refuse(&self, answer: &str) {
        let (_, mut connection) = self.request().await;
        connection.write_all(answer.as_bytes()).await.unwrap();
    }

    /// Begins a stream as the answer to the next request. Returns the head of the request.
    pub async fn stream(&self) -> (String, TcpStream) {
        let (head, mut connection) = self.request().await;
        connection
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
            .await
            .unwrap();
        (head, connection)
    }
}

/// Sends a message of the stream.
pub async fn send(connection: &mut TcpStream, event: &str, id: &str, data: Value) {
    let message = format!("id: {id}\nevent: {event}\ndata: {data}\n\n");
    connection.write_all(message.as_bytes()).await.unwrap();
}

/// Begins a stream of the process with this name: a snapshot without runs.
pub async fn send_empty_snapshot(connection: &mut TcpStream, process: &str) {
    let snapshot = json!({"process": process, "runs": []});
    send(connection, "snapshot", &format!("{process}-0"), snapshot).await;
}

/// Returns runs with one TaskRun, whose steps have these names and states.
#[must_use]
pub fn runs(uid: &str, steps: &[(&str, &str)]) -> Value {
    let step = |(key, state): &(&str, &str)| json!({"key": key, "name": key, "state": state});
    let steps: Vec<_> = steps.iter().map(step).collect();
    json!([{"uid": uid, "namespace": "ci", "taskRun": uid, "steps": steps}])
}
