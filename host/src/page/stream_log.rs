//! The messages of the stream: snapshots and changes with their ids, and the last changes for
//! streams that continue. Pure: the time is an argument.

use super::table::{Table, TableChange};
use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::Arc;

/// Bounds of the changes that are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogLimits {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

pub(super) const LIMITS: LogLimits = LogLimits {
    messages: 1024,
    bytes: 4 << 20,
};

/// Number of a change: the last one that a stream has sent.
pub(crate) type ChangeNumber = u64;

/// The stream is so far behind that changes are no longer kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Behind;

/// The table and the messages about it.
#[derive(Debug)]
pub(super) struct StreamLog {
    pub(super) table: Table,
    /// Name of this process: 16 hexadecimal digits.
    process: Arc<str>,
    limits: LogLimits,
    /// Number of the last change.
    last: ChangeNumber,
    /// The last messages. The newest one has the number `last`.
    kept: VecDeque<Bytes>,
    kept_bytes: usize,
    /// Interval in which the last change was made.
    published: Option<u64>,
    /// JSON of all runs after the change `last`.
    snapshot: Option<Bytes>,
}

#[derive(Serialize)]
struct ChangeJson<'a> {
    now: Timestamp,
    runs: Vec<super::run::RunJson<'a>>,
    gone: Vec<&'a str>,
}

impl StreamLog {
    pub(super) fn new(table: Table, process: Arc<str>, limits: LogLimits) -> Self {
        Self {
            table,
            process,
            limits,
            last: 0,
            kept: VecDeque::new(),
            kept_bytes: 0,
            published: None,
            snapshot: None,
        }
    }

    pub(super) fn last(&self) -> ChangeNumber {
        self.last
    }

    /// Returns the id of the message with this number.
    pub(super) fn id(&self, number: ChangeNumber) -> String {
        format!("{}-{number}", self.process)
    }

    /// Makes a message of what changed, at most one in each interval.
    pub(super) fn publish(&mut self, now: Timestamp, interval: u64) {
        if !self.table.has_news() || self.published == Some(interval) {
            return;
        }
        let number = self.last + 1;
        let message = match self.table.change() {
            TableChange::None => return,
            TableChange::TooMuch => None,
            TableChange::Known(gone, runs) => message(
                "change",
                Some(&self.id(number)),
                &ChangeJson { now, runs, gone },
            ),
        };
        self.table.mark_sent();
        (self.last, self.published, self.snapshot) = (number, Some(interval), None);
        match message {
            Some(message) => self.keep(message),
            // Every stream begins anew.
            None => (self.kept, self.kept_bytes) = (VecDeque::new(), 0),
        }
    }

    fn keep(&mut self, message: Bytes) {
        self.kept_bytes += message.len();
        self.kept.push_back(message);
        while self.kept.len() > self.limits.messages || self.kept_bytes > self.limits.bytes {
            let Some(oldest) = self.kept.pop_front() else {
                return;
            };
            self.kept_bytes = self.kept_bytes.saturating_sub(oldest.len());
        }
    }

    /// Returns the number in an id, if the stream can continue after it.
    pub(super) fn resume(&self, last_event_id: &str) -> Option<ChangeNumber> {
        let (process, number) = last_event_id.split_once('-')?;
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse().ok().filter(|_| is_number)?;
        (process == &*self.process && self.after(number).is_ok()).then_some(number)
    }

    /// Returns the changes after a number.
    pub(super) fn after(
        &self,
        number: ChangeNumber,
    ) -> Result<impl Iterator<Item = Bytes>, Behind> {
        let missed = self.last.checked_sub(number).ok_or(Behind)?;
        let missed = usize::try_from(missed).map_err(|_| Behind)?;
        let known = self.kept.len().checked_sub(missed).ok_or(Behind)?;
        Ok(self.kept.iter().skip(known).cloned())
    }

    /// Returns all runs as JSON, after the change [`StreamLog::last`]. `None` if they changed since
    /// then: the next interval makes a message of that.
    pub(super) fn snapshot(&mut self) -> Option<Bytes> {
        if self.table.has_news() {
            return None;
        }
        if self.snapshot.is_none() {
            let json = serde_json::to_vec(&self.table.snapshot()).ok()?;
            self.snapshot = Some(json.into());
        }
        self.snapshot.clone()
    }

    /// Frees the snapshot: nobody reads it.
    pub(super) fn drop_snapshot(&mut self) {
        self.snapshot = None;
    }
}

/// Makes a message of the stream. `None` if the data cannot be encoded, which no data of the page
/// causes.
pub(crate) fn message(event: &str, id: Option<&str>, data: &impl Serialize) -> Option<Bytes> {
    // JSON has no line breaks, so the data is one line.
    let mut text = head(event, id).into_bytes();
    serde_json::to_writer(&mut text, data).ok()?;
    text.extend_from_slice(b"\n\n");
    Some(text.into())
}

/// Returns the beginning of a message, before its data.
pub(super) fn head(event: &str, id: Option<&str>) -> String {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!("event: {event}\n{id}data: ")
}
