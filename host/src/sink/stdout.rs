//! Standard output, with one structured CloudEvent per line and nothing else. Control characters
//! are escaped with JSON escapes, because standard output may be a terminal.

use super::wire::{SinkContext, Wire};
use super::{Attempt, SinkError};
use crate::event::Encoded;
use crate::terminal;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Mutex;

/// Standard output. It has no settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StdoutConfig {}

/// Standard output.
#[derive(Debug)]
pub(super) struct Stdout(Mutex<tokio::io::Stdout>);

impl Wire for Stdout {
    type Config = StdoutConfig;

    const NAME: &'static str = "stdout";

    async fn open(
        StdoutConfig {}: &StdoutConfig,
        _: &mut SinkContext<'_>,
    ) -> Result<Self, SinkError> {
        Ok(Self(Mutex::new(tokio::io::stdout())))
    }

    async fn send(&self, event: &Encoded) -> Attempt {
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
            // Rejects the event, because further attempts cannot succeed: the reader of the pipe
            // has ended.
            Err(error) => Attempt::reject(format!("failed to write to standard output: {error}")),
        }
    }

    /// One, so that lines never mix.
    fn concurrency(&self) -> usize {
        1
    }
}
