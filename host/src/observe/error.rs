//! Errors of observation.

/// Errors that prevent observation.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// A file or stream cannot be read.
    #[error("failed to read {name}: {source}")]
    Read {
        /// Name of the file or stream.
        name: String,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The stream is not a recording.
    #[error(
        "{name}, line {line}: this is not a recording: event {event}: {problem}\n  expected watch events or objects as \
         JSON, as `kubectl get pods -w -o json --output-watch-events` gives them"
    )]
    NotARecording {
        /// Name of the file or stream.
        name: String,
        /// Number of the line, from 1.
        line: usize,
        /// Number of the watch event, from 1.
        event: usize,
        /// Description of the problem, without values.
        problem: String,
    },
    /// The recording contains no watch event.
    #[error(
        "{name} holds no watch event of a Pod or TaskRun\n  record some with `step-observer record --out DIR`, or run \
         `kubectl get pods -w -o json --output-watch-events > pods.json` and the same command for `taskruns` at the \
         same time"
    )]
    EmptyRecording {
        /// Name of the empty stream, or the names of several, separated by commas.
        name: String,
    },
    /// The log file beside a recording does not have the expected format.
    #[error(
        "{name} is not a log file: {problem}\n  expected one JSON object: {{\"<pod>-<container>\": \"text\"}}"
    )]
    NotLogs {
        /// Name of the file.
        name: String,
        /// Description of the problem, without values.
        problem: String,
    },
    /// The number of the shard is not less than the number of shards.
    #[error(
        "shard {shard} of {shards}: shards are counted from 0; raise cluster.shards (--shards), or run fewer observers"
    )]
    InvalidShard {
        /// Number of the shard, from 0.
        shard: u32,
        /// Number of shards.
        shards: u32,
    },
    /// No usable configuration of an API server was found.
    #[error(
        "failed to find an API server: {0}\n  set KUBECONFIG, or run in a cluster with a service account"
    )]
    Config(String),
}

/// Returns the message of a serde error without the values that it quotes: observed objects may
/// contain secrets.
pub(super) fn without_values(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match (text.find('"'), text.rfind('"')) {
        (Some(first), Some(last)) if first < last => {
            let (before, after) = (text.get(..first), text.get(last + 1..));
            format!(
                "{}\"…\"{}",
                before.unwrap_or_default(),
                after.unwrap_or_default()
            )
        }
        _ => text,
    }
}

/// Returns the message of a serde error without values and without the position. serde counts the
/// position from the beginning of the part that it was given.
pub(super) fn without_position(error: &serde_json::Error) -> String {
    let text = without_values(error);
    let position = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&position) {
        Some(without) => without.to_owned(),
        None => text,
    }
}
