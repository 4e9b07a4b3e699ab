//! What an operator asks a journal for: its dead letters. By the observer that uses it, over a Unix
//! socket in the journal's folder, or directly where nobody does. Whoever may write to
//! the files there may ask.

mod serve;

pub use serve::serve;

use crate::clock;
use crate::event::{DecodeError, Encoded, run_of};
use crate::history::{History, HistoryError, What};
use crate::journal::{Journal, JournalError, Letter, NewEvent};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tracing::info;

/// Name of the socket in the journal's folder.
const SOCKET: &str = "control";
/// Largest answer in bytes.
const MAX_ANSWER: u64 = 256 * 1024 * 1024;
/// Bytes of the history where no observer says how many.
const HISTORY: u64 = 64 * 1024 * 1024;
/// Dead letters that are sent again with one sync.
const TOGETHER: usize = 64;
/// Longest time for one who asks, answer included.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Question {
    /// All dead letters.
    List,
    /// One of them with its event.
    Show(LetterId),
    /// Send them again, to another sink where one is named.
    Replay {
        /// Which.
        letters: Selection,
        /// Where to.
        to: Option<String>,
    },
    /// Forget them.
    Drop(Selection),
}

/// Names a dead letter: number of the event in the journal and sink, such as `12:http-1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LetterId {
    seq: u64,
    sink: String,
}

impl std::str::FromStr for LetterId {
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

impl TryFrom<String> for LetterId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<LetterId> for String {
    fn from(id: LetterId) -> Self {
        id.to_string()
    }
}

impl std::fmt::Display for LetterId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.seq, self.sink)
    }
}

/// Some dead letters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Selection {
    /// All of them.
    All,
    /// Those of one sink.
    Sink(String),
    /// These.
    These(Vec<LetterId>),
}

impl Selection {
    fn has(&self, id: &LetterId) -> bool {
        match self {
            Self::All => true,
            Self::Sink(sink) => *sink == id.sink,
            Self::These(ids) => ids.contains(id),
        }
    }
}

/// A dead letter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// Names it.
    pub letter: LetterId,
    /// `id` of its event.
    pub id: String,
    /// `type` of its event.
    #[serde(rename = "type")]
    pub ty: String,
    /// `subject` of its event.
    pub subject: String,
    /// The sink.
    pub sink: String,
    /// What became of it.
    #[serde(flatten)]
    pub fate: Letter,
    /// The event, where it is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<Value>,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// Dead letters.
    Letters(Vec<DeadLetter>),
    /// So many were sent again or dropped.
    Done(u64),
    /// It cannot be done.
    Refused(String),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// There is nothing to ask.
    #[error("there is no journal in {0}; give the folder with --journal")]
    NoJournal(String),
    /// The journal says no.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The history says no.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The observer does not answer.
    #[error("the observer that uses the journal does not answer: {0}")]
    Observer(String),
    /// An event cannot be read.
    #[error("letter {0}: its event cannot be read from the journal: {1}")]
    Read(LetterId, std::io::Error),
    /// An event cannot be understood.
    #[error("letter {0}: {1}")]
    Decode(LetterId, DecodeError),
}

/// Asks the journal in a folder.
///
/// # Errors
///
/// There is none, or it gives no answer.
pub async fn ask(folder: &Path, question: &Question) -> Result<Answer, ControlError> {
    if !Journal::exists(folder) {
        return Err(ControlError::NoJournal(folder.display().to_string()));
    }
    let config = crate::journal::JournalConfig {
        directory: Some(folder.to_owned()),
        ..Default::default()
    };
    match Journal::open(&config, Timestamp::MIN) {
        Ok(journal) => {
            let history = History::open(Some(folder), HISTORY, None)?;
            let answer = answer(&journal, &history, None, question).await?;
            journal.sync().await?;
            history.written().await;
            Ok(answer)
        }
        Err(JournalError::Locked { .. }) => {
            let asked = tokio::time::timeout(TIMEOUT, ask_observer(folder, question)).await;
            let answered =
                asked.map_err(|_| ControlError::Observer("it takes too long".to_owned()))?;
            answered.map_err(|error| ControlError::Observer(error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}

async fn ask_observer(folder: &Path, question: &Question) -> std::io::Result<Answer> {
    let mut stream = UnixStream::connect(folder.join(SOCKET)).await?;
    let mut line = serde_json::to_vec(question)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let mut answer = Vec::new();
    let mut limited = stream.take(MAX_ANSWER);
    limited.read_to_end(&mut answer).await?;
    Ok(serde_json::from_slice(&answer)?)
}

/// `sinks` are those that are configured, where that is known.
async fn answer(
    journal: &Journal,
    history: &History,
    sinks: Option<&[String]>,
    question: &Question,
) -> Result<Answer, ControlError> {
    match question {
        Question::List => {
            let mut letters = Vec::new();
            for (id, fate) in letters_of(journal, &Selection::All) {
                // One that cannot be read must not hide the others: its reason says so.
                let event = journal.body(id.seq).await.ok().flatten();
                letters.push(DeadLetter {
                    event: None,
                    ..dead_letter(id, fate, &event.unwrap_or_default())
                });
            }
            Ok(Answer::Letters(letters))
        }
        Question::Show(id) => {
            let wanted = Selection::These(vec![id.clone()]);
            match letters_of(journal, &wanted).pop() {
                Some((id, fate)) => Ok(Answer::Letters(vec![read(journal, id, fate).await?])),
                None => Ok(Answer::Refused(format!("there is no dead letter {id}"))),
            }
        }
        Question::Replay { letters, to } => {
            if to.is_some() && sinks.is_none() {
                let problem = "only a running observer knows which sinks have no plugins of their own: start it for --to, or send the letters to their own sinks";
                return Ok(Answer::Refused(problem.to_owned()));
            }
            if let (Some(to), Some(sinks)) = (to, sinks)
                && !sinks.contains(to)
            {
                let known = sinks.join(", ");
                return Ok(Answer::Refused(format!(
                    "letters cannot go to `{to}`: of the sinks without plugins of their own there are {known}"
                )));
            }
            let chosen = letters_of(journal, letters);
            let count = chosen.len() as u64;
            for some in chosen.chunks(TOGETHER) {
                send_again(journal, history, some, to.as_deref()).await?;
            }
            info!(count, "dead letters are sent again");
            Ok(Answer::Done(count))
        }
        Question::Drop(letters) => {
            let chosen = letters_of(journal, letters);
            for (id, _) in &chosen {
                let event = journal.body(id.seq).await.ok().flatten();
                journal.done(id.seq, &id.sink).await?;
                history.tell(clock::now(), || {
                    let event = Encoded::stored(event.unwrap_or_default());
                    let sink = id.sink.clone();
                    (event.id(), What::Discarded { sink })
                });
            }
            let count = chosen.len() as u64;
            info!(count, "dead letters are dropped");
            Ok(Answer::Done(count))
        }
    }
}

fn letters_of(journal: &Journal, selection: &Selection) -> Vec<(LetterId, Letter)> {
    let letters = journal.letters().into_iter();
    let named = letters.map(|(seq, sink, fate)| (LetterId { seq, sink }, fate));
    named.filter(|(id, _)| selection.has(id)).collect()
}

async fn read(journal: &Journal, id: LetterId, fate: Letter) -> Result<DeadLetter, ControlError> {
    let body = journal.body(id.seq).await;
    let body = body.map_err(|error| ControlError::Read(id.clone(), error))?;
    Ok(dead_letter(id, fate, &body.unwrap_or_default()))
}

fn dead_letter(id: LetterId, fate: Letter, body: &[u8]) -> DeadLetter {
    let event: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
    DeadLetter {
        id: text("id").to_owned(),
        ty: text("type").to_owned(),
        subject: text("subject").to_owned(),
        sink: id.sink.clone(),
        fate,
        letter: id,
        event: Some(event),
    }
}

/// As new events at the end of their lanes, in this order, with the ids, the times and the bytes that
/// they had.
async fn send_again(
    journal: &Journal,
    history: &History,
    letters: &[(LetterId, Letter)],
    to: Option<&str>,
) -> Result<(), ControlError> {
    let mut again = Vec::new();
    for (id, _) in letters {
        let body = journal.body(id.seq).await;
        let body = body.map_err(|error| ControlError::Read(id.clone(), error))?;
        let body = body.unwrap_or_default();
        let run = run_of(&body).map_err(|error| ControlError::Decode(id.clone(), error))?;
        let origin = journal.origin(id.seq, run);
        let event_id = Encoded::stored(body.clone()).id();
        let event = NewEvent {
            sinks: vec![to.unwrap_or(&id.sink).to_owned()],
            body,
        };
        again.push((origin, event, event_id));
    }
    // None before all can be, and in this order.
    let mut ids = Vec::new();
    for (origin, event, id) in again {
        journal
            .hand_over(origin, None, clock::now(), vec![event], || {})
            .await?;
        ids.push(id);
    }
    journal.sync().await?;
    for ((letter, _), id) in letters.iter().zip(ids) {
        journal.done(letter.seq, &letter.sink).await?;
        history.tell(clock::now(), || {
            let from = letter.sink.clone();
            let sink = to.unwrap_or(&from).to_owned();
            (id, What::SentAgain { from, sink })
        });
    }
    Ok(())
}
