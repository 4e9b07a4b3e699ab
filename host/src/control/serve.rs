//! Answers operators over the socket. Several connections are served at a time and each has a time
//! limit, so that a silent client blocks no other.

use super::{EXCHANGE_TIMEOUT, Response, SOCKET_NAME, handle};
use crate::file_permissions;
use crate::history::History;
use crate::journal::Journal;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tracing::warn;

/// Name of the socket until its permissions are set.
const NEW_SOCKET_NAME: &str = "control.new";
/// Largest request in bytes.
const MAX_REQUEST_BYTES: u64 = 1024 * 1024;
/// Longest time until a request has arrived.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that are served at a time. Further ones wait.
const MAX_CLIENTS: usize = 8;

/// Answers operators until this future is dropped. If the socket cannot be opened, the observer
/// works without it.
pub async fn serve(folder: &Path, journal: &Journal, history: &History, sinks: Vec<String>) {
    let path = folder.join(SOCKET_NAME);
    // The caller holds the lock of the journal, so an existing socket belongs to a process that has
    // ended.
    std::fs::remove_file(&path).ok();
    let listener = match listen(folder, &path) {
        Ok(listener) => listener,
        Err(error) => {
            let path = path.display().to_string();
            warn!(path, %error, "the control socket cannot be opened: `step-observer dead-letters` does not reach this observer");
            return std::future::pending().await;
        }
    };
    let server = Server {
        journal: journal.clone(),
        history: history.clone(),
        sinks: sinks.into(),
        one_at_a_time: Arc::default(),
    };
    let mut clients = JoinSet::new();
    loop {
        if clients.len() >= MAX_CLIENTS {
            clients.join_next().await;
        }
        while clients.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            // Usually too many files are open: other connections will be closed in time.
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        };
        clients.spawn(server.clone().serve(stream));
    }
}

/// Binds the socket under another name first, so that no other user can connect before its
/// permissions are set.
fn listen(folder: &Path, path: &Path) -> std::io::Result<UnixListener> {
    let unnamed = folder.join(NEW_SOCKET_NAME);
    std::fs::remove_file(&unnamed).ok();
    let listener = UnixListener::bind(&unnamed)?;
    file_permissions::restrict_file(folder, &unnamed);
    std::fs::rename(&unnamed, path)?;
    Ok(listener)
}

/// The state that all connections share. Cheap to clone.
#[derive(Clone)]
struct Server {
    journal: Journal,
    history: History,
    sinks: Arc<[String]>,
    /// Handles one request at a time: two operators who send all dead letters again must not send
    /// each of them twice.
    one_at_a_time: Arc<Mutex<()>>,
}

impl Server {
    /// Answers one connection.
    async fn serve(self, stream: UnixStream) {
        match tokio::time::timeout(EXCHANGE_TIMEOUT, self.answer(stream)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "a request of an operator failed"),
            Err(_) => warn!("a request of an operator timed out"),
        }
    }

    async fn answer(self, stream: UnixStream) -> std::io::Result<()> {
        let (read, mut write) = stream.into_split();
        let mut line = String::new();
        let mut reader = BufReader::new(read.take(MAX_REQUEST_BYTES));
        let read = tokio::time::timeout(REQUEST_TIMEOUT, reader.read_line(&mut line));
        read.await??;
        let request = serde_json::from_str(&line)?;
        let turn = self.one_at_a_time.lock().await;
        let handled = handle(&self.journal, &self.history, Some(&self.sinks), &request).await;
        drop(turn);
        let response = handled.unwrap_or_else(|error| Response::Refused(error.to_string()));
        write.write_all(&serde_json::to_vec(&response)?).await?;
        write.shutdown().await
    }
}
