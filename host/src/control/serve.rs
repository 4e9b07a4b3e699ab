//! Answers operators over the socket: several at a time, each within a time, so that one who connects and says nothing
//! holds no other.

use super::{Response, SOCKET, TIMEOUT, handle};
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

/// The socket's name before it is ready.
const NEW_SOCKET: &str = "control.new";
/// Largest request in bytes.
const MAX_REQUEST_BYTES: u64 = 1024 * 1024;
/// Longest time until it is there.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Clients that are served at a time; further ones wait until one of them is done.
const MAX_CLIENTS: usize = 8;

/// Answers those who ask, several at a time, for ever. Without the socket the observer works as well.
pub async fn serve(folder: &Path, journal: &Journal, history: &History, sinks: Vec<String>) {
    let path = folder.join(SOCKET);
    // Who holds the journal's lock is alone here: it is one of a process that has ended.
    std::fs::remove_file(&path).ok();
    let listener = match listen(folder, &path) {
        Ok(listener) => listener,
        Err(error) => {
            let path = path.display().to_string();
            warn!(path, %error, "`step-observer dead-letters` cannot ask this observer");
            return std::future::pending().await;
        }
    };
    let asked = Server {
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
            // Too many open files, most likely: they are closed in time.
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        };
        clients.spawn(asked.clone().serve(stream));
    }
}

/// Nobody else may ask, not even while the socket has no rights of its own yet.
fn listen(folder: &Path, path: &Path) -> std::io::Result<UnixListener> {
    let unnamed = folder.join(NEW_SOCKET);
    std::fs::remove_file(&unnamed).ok();
    let listener = UnixListener::bind(&unnamed)?;
    file_permissions::restrict_file(folder, &unnamed);
    std::fs::rename(&unnamed, path)?;
    Ok(listener)
}

/// EventStage is asked. Cheap to clone.
#[derive(Clone)]
struct Server {
    journal: Journal,
    history: History,
    sinks: Arc<[String]>,
    /// Two who send all letters again must not send each of them twice.
    one_at_a_time: Arc<Mutex<()>>,
}

impl Server {
    /// Answers one client.
    async fn serve(self, stream: UnixStream) {
        match tokio::time::timeout(TIMEOUT, self.answer(stream)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "an operator's request is not answered"),
            Err(_) => warn!("an operator's request is not answered in time"),
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
        let answered = handle(&self.journal, &self.history, Some(&self.sinks), &request).await;
        drop(turn);
        let answer = answered.unwrap_or_else(|error| Response::Refused(error.to_string()));
        write.write_all(&serde_json::to_vec(&answer)?).await?;
        write.shutdown().await
    }
}
