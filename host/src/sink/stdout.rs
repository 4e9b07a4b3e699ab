//! Standard output: one structured CloudEvent a line, and nothing else. It may be a terminal: control characters are escaped,
//! as JSON allows.

use super::Attempt;
use crate::event::Encoded;
use crate::terminal;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Mutex;

/// Has no settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StdoutConfig {}

/// Standard output.
#[derive(Debug)]
pub struct Stdout(Mutex<tokio::io::Stdout>);

impl Default for Stdout {
    fn default() -> Self {
        Self(Mutex::new(tokio::io::stdout()))
    }
}

impl Stdout {
    pub(super) async fn send(&self, event: &Encoded) -> Attempt {
        // It may be a terminal.
        let event = event.structured();
        let mut line = match std::str::from_utf8(&event) {
            Ok(text) => terminal::escape_json(text).into_owned().into_bytes(),
            Err(_) => event.to_vec(),
        };
        line.push(b'\n');
        let mut stdout = self.0.lock().await;
        let written = async {
            stdout.write_all(&line).await?;
            stdout.flush().await
        };
        match written.await {
            Ok(()) => Attempt::Delivered,
            // Whoever read it has gone.
            Err(error) => Attempt::reject(format!("failed to write to standard output: {error}")),
        }
    }
}
