//! The live page of an observer over plain HTTP, and its tests in a browser.

use crate::peer::Missing;
use crate::receivers::installed;
use crate::sink::PATIENCE;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

/// An answer to a request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its head, in lower case.
    pub head: String,
    /// Its body.
    pub body: String,
}

/// Sends a request with these headers; `Host` is the address, unless it is among them.
///
/// # Panics
///
/// If there is no response within [`PATIENCE`].
pub async fn request(address: &str, line: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let exchange = async {
        let mut stream = send(address, line, headers, body).await;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    };
    let answer = timeout(PATIENCE, exchange).await;
    let answer = answer.unwrap_or_else(|_| panic!("{line}: no response in {PATIENCE:?}"));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_lowercase(),
        body: body.to_owned(),
    }
}

async fn send(address: &str, line: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut request = format!("{line} HTTP/1.0\r\n");
    if headers.iter().all(|(name, _)| *name != "Host") {
        request += &format!("Host: {address}\r\n");
    }
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        request += &format!("Content-Length: {}\r\n", body.len());
    }
    request += &format!("\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// A message of the stream.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its kind.
    pub event: String,
    /// Its id; empty if it has none.
    pub id: String,
    /// Its data.
    pub data: Value,
}

/// An open stream of the live page, and the table that it has shown so far.
#[derive(Debug)]
pub struct PageStream {
    lines: BufReader<TcpStream>,
    /// Status of the answer.
    pub status: u16,
    /// The last id.
    pub last_id: String,
    /// Steps by the UID of their run and their key.
    pub steps: BTreeMap<(String, String), Value>,
    /// Runs without their steps, by UID.
    pub runs: BTreeMap<String, Value>,
}

impl PageStream {
    /// Opens a stream.
    pub async fn open(address: &str, headers: &[(&str, &str)]) -> Self {
        let stream = send(address, "GET /page/stream", headers, "").await;
        let mut lines = BufReader::new(stream);
        let status = read_line(&mut lines).await.expect("an answer");
        let status = status.split(' ').nth(1).unwrap().parse().unwrap();
        while read_line(&mut lines)
            .await
            .is_some_and(|line| !line.is_empty())
        {}
        Self {
            lines,
            status,
            last_id: String::new(),
            steps: BTreeMap::new(),
            runs: BTreeMap::new(),
        }
    }

    /// Returns the next message; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Message> {
        let (mut event, mut id, mut data) = (String::new(), String::new(), Value::Null);
        loop {
            let line = read_line(&mut self.lines).await?;
            match line.split_once(": ") {
                Some(("event", text)) => event = text.to_owned(),
                Some(("id", text)) => id = text.to_owned(),
                Some(("data", text)) => data = serde_json::from_str(text).unwrap(),
                Some(_) => panic!("{line}"),
                None if line.is_empty() && !event.is_empty() => break,
                None => {}
            }
        }
        if !id.is_empty() {
            self.last_id.clone_from(&id);
            self.merge(&data);
        }
        Some(Message { event, id, data })
    }

    /// Reads the next message without looking at it. Returns false at the end of the stream.
    pub async fn skip(&mut self) -> bool {
        let mut lines = 0;
        while let Some(line) = read_line(&mut self.lines).await {
            lines += 1;
            if line.is_empty() && lines > 1 {
                return true;
            }
        }
        false
    }

    fn merge(&mut self, data: &Value) {
        for uid in data["gone"].as_array().into_iter().flatten() {
            let uid = uid.as_str().unwrap();
            self.runs.remove(uid);
            self.steps.retain(|(run, _), _| run != uid);
        }
        for run in data["runs"].as_array().unwrap() {
            let uid = run["uid"].as_str().unwrap().to_owned();
            for step in run["steps"].as_array().unwrap() {
                let key = step["key"].as_str().unwrap().to_owned();
                self.steps.insert((uid.clone(), key), step.clone());
            }
            let mut members = run.as_object().unwrap().clone();
            members.remove("steps");
            let known = self
                .runs
                .entry(uid)
                .or_insert_with(|| Value::Object(Default::default()));
            known.as_object_mut().unwrap().extend(members);
        }
    }

    /// Reads until the table meets a condition.
    ///
    /// # Panics
    ///
    /// If the stream ends before.
    pub async fn until(&mut self, condition: impl Fn(&Self) -> bool) {
        while !condition(self) {
            let next = self.next().await;
            assert!(next.is_some(), "the stream ended: {self:?}");
        }
    }

    /// Returns names and states of all steps, sorted.
    #[must_use]
    pub fn states(&self) -> Vec<String> {
        let text = |step: &Value, member: &str| step[member].as_str().unwrap().to_owned();
        let states = self.steps.values();
        let mut states: Vec<String> = states
            .map(|step| format!("{} {}", text(step, "name"), text(step, "state")))
            .collect();
        states.sort();
        states
    }
}

/// Reads a line without its end; `None` at the end of the connection.
async fn read_line(lines: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    let read = timeout(PATIENCE, lines.read_line(&mut line)).await;
    let read = read.unwrap_or_else(|_| panic!("no line in {PATIENCE:?}"));
    // A connection that the server resets has ended, too.
    (read.unwrap_or(0) > 0).then(|| line.trim_end().to_owned())
}

/// Returns the command that tests the page in a browser, and the folder that it runs in: copies of its
/// modules beside the packages that `cargo xtask receivers` has installed.
pub fn browser_test() -> Result<(Command, tempfile::TempDir), Missing> {
    let packages = installed("page/node_modules")?;
    let folder = tempfile::tempdir().unwrap();
    let tests = folder.path().join("tests/page");
    std::fs::create_dir_all(&tests).unwrap();
    for entry in std::fs::read_dir(crate::path("page")).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "mjs") {
            std::fs::copy(&file, tests.join(file.file_name().unwrap())).unwrap();
        }
    }
    link(&packages, &tests.join("node_modules"));
    // The mock serves the files of the page.
    std::fs::create_dir_all(folder.path().join("host/src/admin")).unwrap();
    let page = folder.path().join("host/src/admin/page");
    link(&crate::path("../host/src/admin/page"), &page);
    let mut node = Command::new("node");
    node.arg(tests.join("page.test.mjs")).kill_on_drop(true);
    Ok((node, folder))
}

fn link(to: &Path, from: &Path) {
    std::os::unix::fs::symlink(std::fs::canonicalize(to).unwrap(), from).unwrap();
}
