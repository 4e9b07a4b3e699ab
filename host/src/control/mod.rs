//! Lets operators list, show, send again and drop the dead letters of a journal. The observer that
//! uses the journal answers over a Unix socket in its folder. If no observer uses it, the caller
//! opens the journal itself. The permissions of the folder decide who may connect.

mod serve;

pub use serve::serve;

use crate::clock;
use crate::event::{DecodeError, Encoded, run_uid_of};
use crate::history::{EventStage, History, HistoryError};
use crate::journal::{Accept, DeadLetter, Journal, JournalError, NewEvent};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tracing::info;

/// Name of the socket in the journal's folder.
const SOCKET_NAME: &str = "control";
/// Largest response in bytes.
const MAX_RESPONSE_BYTES: u64 = 256 * 1024 * 1024;
/// Bound of the history in bytes if no observer runs, because the configuration is not known then.
const DEFAULT_HISTORY_BYTES: u64 = 64 * 1024 * 1024;
/// Dead letters that are sent again before each sync of the journal.
const RESENT_PER_SYNC: usize = 64;
/// Longest time for a request, response included.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(30);

/// A request of an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Request {
    /// Lists all dead letters.
    List,
    /// Shows one of them with its event.
    Show(DeadLetterId),
    /// Sends the selected dead letters again: to the sink `to`, or to their own sinks if it is
    /// `None`.
    Replay {
        /// The dead letters.
        letters: Selection,
        /// The other sink.
        to: Option<String>,
    },
    /// Drops them.
    Drop(Selection),
}

/// Names a dead letter: the number of its event in the journal, and the sink, such as `12:http-1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeadLetterId {
    seq: u64,
    sink: String,
}

impl std::str::FromStr for DeadLetterId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once(':').and_then(|(seq, sink)| {
            let seq = seq.parse().ok()?;
            let sink = sink.to_owned();
            (!sink.is_empty()).then_some(Self { seq, sink })
        });
        parsed
            .ok_or_else(|| "write it as `dead-letters list` shows it, such as 12:http-1".to_owned())
    }
}

impl TryFrom<String> for DeadLetterId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<DeadLetterId> for String {
    fn from(id: DeadLetterId) -> Self {
        id.to_string()
    }
}

impl std::fmt::Display for DeadLetterId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.seq, self.sink)
    }
}

/// Selects dead letters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Selection {
    /// All of them.
    All,
    /// Those of one sink.
    Sink(String),
    /// Those with these names.
    These(Vec<DeadLetterId>),
}

impl Selection {
    fn contains(&self, id: &DeadLetterId) -> bool {
        match self {
            Self::All => true,
            Self::Sink(sink) => *sink == id.sink,
            Self::These(ids) => ids.contains(id),
        }
    }
}

/// A dead letter and the facts that name its event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterView {
    /// Its name.
    pub letter: DeadLetterId,
    /// `id` of its event.
    pub id: String,
    /// `type` of its event.
    #[serde(rename = "type")]
    pub ty: String,
    /// `subject` of its event.
    pub subject: String,
    /// The sink.
    pub sink: String,
    /// Why it was not delivered.
    #[serde(flatten)]
    pub failure: DeadLetter,
    /// The event, if the request is for one dead letter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<Value>,
}

/// The response to a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Response {
    /// Dead letters.
    #[serde(rename = "letters")]
    DeadLetters(Vec<DeadLetterView>),
    /// Number of dead letters that were sent again or dropped.
    Done(u64),
    /// The request cannot be fulfilled; says why.
    Refused(String),
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The folder holds no journal.
    #[error("there is no journal in {0}; give the folder with --journal")]
    NoJournal(String),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The history cannot be used.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The observer does not answer.
    #[error("the observer that uses the journal does not answer: {0}")]
    Observer(String),
    /// The event of a dead letter cannot be read.
    #[error("dead letter {0}: its event cannot be read from the journal: {1}")]
    Read(DeadLetterId, std::io::Error),
    /// The event of a dead letter cannot be parsed.
    #[error("dead letter {0}: {1}")]
    Decode(DeadLetterId, DecodeError),
}

/// Sends a request to the journal in a folder.
///
/// # Errors
///
/// Fails if there is no journal, or the request cannot be handled.
pub async fn call(folder: &Path, request: &Request) -> Result<Response, ControlError> {
    if !Journal::exists(folder) {
        return Err(ControlError::NoJournal(folder.display().to_string()));
    }
    let config = crate::journal::JournalConfig {
        directory: Some(folder.to_owned()),
        ..Default::default()
    };
    match Journal::open(&config, Timestamp::MIN) {
        Ok(journal) => {
            let history = History::open(Some(folder), DEFAULT_HISTORY_BYTES, None)?;
            let response = handle(&journal, &history, None, request).await?;
            journal.sync().await?;
            history.flush().await;
            Ok(response)
        }
        Err(JournalError::Locked { .. }) => {
            let called =
                tokio::time::timeout(EXCHANGE_TIMEOUT, call_observer(folder, request)).await;
            let response =
                called.map_err(|_| ControlError::Observer("it takes too long".to_owned()))?;
            response.map_err(|error| ControlError::Observer(error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}

async fn call_observer(folder: &Path, request: &Request) -> std::io::Result<Response> {
    let mut stream = UnixStream::connect(folder.join(SOCKET_NAME)).await?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let mut response = Vec::new();
    let mut limited = stream.take(MAX_RESPONSE_BYTES);
    limited.read_to_end(&mut response).await?;
    Ok(serde_json::from_slice(&response)?)
}

/// Handles a request. `sinks` are the sinks that dead letters may be sent to, if a running observer
/// knows them.
async fn handle(
    journal: &Journal,
    history: &History,
    sinks: Option<&[String]>,
    request: &Request,
) -> Result<Response, ControlError> {
    match request {
        Request::List => {
            let mut letters = Vec::new();
            for (id, failure) in letters_of(journal, &Selection::All) {
                // A dead letter whose event cannot be read must not hide the others: it is listed
                // without the id, type and subject of the event.
                let event = journal.body(id.seq).await.ok().flatten();
                letters.push(DeadLetterView {
                    event: None,
                    ..dead_letter(id, failure, &event.unwrap_or_default())
                });
            }
            Ok(Response::DeadLetters(letters))
        }
        Request::Show(id) => {
            let wanted = Selection::These(vec![id.clone()]);
            match letters_of(journal, &wanted).pop() {
                Some((id, failure)) => Ok(Response::DeadLetters(vec![
                    read(journal, id, failure).await?,
                ])),
                None => Ok(Response::Refused(format!("there is no dead letter {id}"))),
            }
        }
        Request::Replay { letters, to } => {
            if to.is_some() && sinks.is_none() {
                let problem = "only a running observer knows which sinks have no plugins of their own: start it for --to, or send the letters to their own sinks";
                return Ok(Response::Refused(problem.to_owned()));
            }
            if let (Some(to), Some(sinks)) = (to, sinks)
                && !sinks.contains(to)
            {
                let known = sinks.join(", ");
                return Ok(Response::Refused(format!(
                    "dead letters cannot be sent to `{to}`: it must be a sink without plugins of its own, which are {known}"
                )));
            }
            let chosen = letters_of(journal, letters);
            let count = chosen.len() as u64;
            for some in chosen.chunks(RESENT_PER_SYNC) {
                send_again(journal, history, some, to.as_deref()).await?;
            }
            info!(count, "dead letters sent again");
            Ok(Response::Done(count))
        }
        Request::Drop(letters) => {
            let chosen = letters_of(journal, letters);
            for (id, _) in &chosen {
                let event = journal.body(id.seq).await.ok().flatten();
                journal.acknowledge(id.seq, &id.sink).await?;
                history.record(clock::now(), || {
                    let event = Encoded::from_structured(event.unwrap_or_default());
                    let sink = id.sink.clone();
                    (event.id(), EventStage::Discarded { sink })
                });
            }
            let count = chosen.len() as u64;
            info!(count, "dead letters dropped");
            Ok(Response::Done(count))
        }
    }
}

fn letters_of(journal: &Journal, selection: &Selection) -> Vec<(DeadLetterId, DeadLetter)> {
    let letters = journal.dead_letters().into_iter();
    let named = letters.map(|(seq, sink, failure)| (DeadLetterId { seq, sink }, failure));
    named.filter(|(id, _)| selection.contains(id)).collect()
}

async fn read(
    journal: &Journal,
    id: DeadLetterId,
    failure: DeadLetter,
) -> Result<DeadLetterView, ControlError> {
    let body = journal.body(id.seq).await;
    let body = body.map_err(|error| ControlError::Read(id.clone(), error))?;
    Ok(dead_letter(id, failure, &body.unwrap_or_default()))
}

fn dead_letter(id: DeadLetterId, failure: DeadLetter, body: &[u8]) -> DeadLetterView {
    let event: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
    DeadLetterView {
        id: text("id").to_owned(),
        ty: text("type").to_owned(),
        subject: text("subject").to_owned(),
        sink: id.sink.clone(),
        failure,
        letter: id,
        event: Some(event),
    }
}

/// Submits dead letters as new events behind all others, in this order, with the ids, times and
/// bytes that they had.
async fn send_again(
    journal: &Journal,
    history: &History,
    letters: &[(DeadLetterId, DeadLetter)],
    to: Option<&str>,
) -> Result<(), ControlError> {
    let mut again = Vec::new();
    for (id, _) in letters {
        let body = journal.body(id.seq).await;
        let body = body.map_err(|error| ControlError::Read(id.clone(), error))?;
        let body = body.unwrap_or_default();
        let run = run_uid_of(&body).map_err(|error| ControlError::Decode(id.clone(), error))?;
        let origin = journal.origin(id.seq, run);
        let event_id = Encoded::from_structured(body.clone()).id();
        let event = NewEvent {
            sinks: vec![to.unwrap_or(&id.sink).to_owned()],
            body,
        };
        again.push((origin, event, event_id));
    }
    // No dead letter is submitted before all were read.
    let mut ids = Vec::new();
    for (origin, event, id) in again {
        let accept = Accept {
            origin,
            mark: None,
            at: clock::now(),
            events: vec![event],
        };
        journal.submit(accept, || {}).await?;
        ids.push(id);
    }
    journal.sync().await?;
    for ((letter, _), id) in letters.iter().zip(ids) {
        journal.acknowledge(letter.seq, &letter.sink).await?;
        history.record(clock::now(), || {
            let from = letter.sink.clone();
            let sink = to.unwrap_or(&from).to_owned();
            (id, EventStage::SentAgain { from, sink })
        });
    }
    Ok(())
}
