//! Stores the entries of the history as lines of JSON, in memory or in two files. When the newer
//! file is full, it replaces the older one.

use super::Listener;
use super::entry::HistoryEntry;
use super::queue::{Queue, Request, Work};
use crate::file_permissions;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use tracing::warn;

/// Names of the files in the journal's folder, the newer first.
const FILE_NAMES: [&str; 2] = ["history.jsonl", "history.1.jsonl"];
/// Bound of the entries that a request returns. If an event has more, the oldest ones are returned.
const MAX_ENTRIES_PER_EVENT: usize = 10_000;

/// Why the history cannot be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// A file cannot be opened, read or written.
    #[error(
        "the history in {file} cannot be used (journal.historyBytes: 0 turns it off): {source}"
    )]
    File {
        /// The file.
        file: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The thread cannot be started.
    #[error("failed to start the history's thread: {0}")]
    Thread(io::Error),
    /// The thread has ended, or too many requests wait.
    #[error("the history has ended")]
    Ended,
}

pub(super) enum Store {
    Memory {
        lines: VecDeque<String>,
        bytes: usize,
        max_bytes: usize,
    },
    Files(Files),
}

/// The two files.
pub(super) struct Files {
    folder: PathBuf,
    newer: BufWriter<File>,
    bytes: u64,
    max_bytes: u64,
}

/// Writes entries and answers requests until the history is closed.
pub(super) fn run(mut store: Store, queue: &Queue, mut listener: Option<Listener>) {
    let mut is_failing = false;
    loop {
        let Work {
            entries,
            requests,
            closed,
        } = queue.next();
        if let Some(listener) = &mut listener {
            entries.iter().for_each(listener);
        }
        let written = entries.iter().try_for_each(|entry| store.write(entry));
        let flushed = written.and_then(|()| store.flush());
        is_failing = !log_failure(&flushed, is_failing);
        for request in requests {
            // Fails if the caller no longer waits.
            match request {
                Request::Find(id, sender) => drop(sender.send(store.find(&id))),
                Request::Flush(sender) => drop(sender.send(())),
            }
        }
        if closed {
            return;
        }
    }
}

/// Logs only the first error of a series. Returns whether the entries were written.
fn log_failure(written: &Result<(), HistoryError>, is_failing: bool) -> bool {
    if let Err(error) = written
        && !is_failing
    {
        warn!(%error, "the history cannot be written; events are delivered nevertheless");
    }
    written.is_ok()
}

impl Store {
    pub(super) fn memory(max_bytes: u64) -> Self {
        Self::Memory {
            lines: VecDeque::new(),
            bytes: 0,
            max_bytes: usize::try_from(max_bytes).unwrap_or(usize::MAX),
        }
    }

    pub(super) fn file(folder: &Path, max_bytes: u64) -> Result<Self, HistoryError> {
        let (newer, bytes) = open(folder)?;
        Ok(Self::Files(Files {
            folder: folder.to_owned(),
            newer,
            bytes,
            max_bytes: max_bytes / 2,
        }))
    }

    fn write(&mut self, entry: &HistoryEntry) -> Result<(), HistoryError> {
        let Ok(line) = serde_json::to_string(entry) else {
            return Ok(());
        };
        match self {
            Self::Memory {
                lines,
                bytes,
                max_bytes,
            } => {
                *bytes += line.len();
                lines.push_back(line);
                while *bytes > *max_bytes
                    && let Some(oldest) = lines.pop_front()
                {
                    *bytes -= oldest.len();
                }
                Ok(())
            }
            Self::Files(files) => files.write(&line),
        }
    }

    fn flush(&mut self) -> Result<(), HistoryError> {
        match self {
            Self::Memory { .. } => Ok(()),
            Self::Files(files) => {
                let flushed = files.newer.flush();
                flushed.map_err(|source| file_error(&files.folder, source))
            }
        }
    }

    fn find(&self, id: &str) -> Result<Vec<HistoryEntry>, HistoryError> {
        match self {
            Self::Memory { lines, .. } => {
                let start = line_start(id);
                let found = lines.iter().filter(|line| line.starts_with(&start));
                Ok(found
                    .filter_map(|line| parse(line))
                    .take(MAX_ENTRIES_PER_EVENT)
                    .collect())
            }
            Self::Files(files) => find(&files.folder, id),
        }
    }
}

impl Files {
    fn write(&mut self, line: &str) -> Result<(), HistoryError> {
        if self.bytes + line.len() as u64 > self.max_bytes {
            let [newer, older] = FILE_NAMES.map(|name| self.folder.join(name));
            let moved = self.newer.flush().and_then(|()| fs::rename(newer, older));
            moved.map_err(|source| file_error(&self.folder, source))?;
            (self.newer, self.bytes) = open(&self.folder)?;
        }
        self.bytes += line.len() as u64 + 1;
        let written = writeln!(self.newer, "{line}");
        written.map_err(|source| file_error(&self.folder, source))
    }
}

fn file_error(folder: &Path, source: io::Error) -> HistoryError {
    let [newer, _] = FILE_NAMES;
    let file = folder.join(newer);
    HistoryError::File { file, source }
}

/// Opens the newer file. Returns the file and its length.
fn open(folder: &Path) -> Result<(BufWriter<File>, u64), HistoryError> {
    let [newer, older] = FILE_NAMES.map(|name| folder.join(name));
    if older.exists() {
        file_permissions::restrict_file(folder, &older);
    }
    let mut options = File::options();
    let opened =
        file_permissions::open_restricted(folder, &newer, options.create(true).append(true));
    let opened = opened.and_then(|mut file| {
        let bytes = file.metadata()?.len();
        if bytes > 0 {
            // Ends the last line, which may be incomplete, so that the next entry has its own line.
            file.write_all(b"\n")?;
        }
        Ok((BufWriter::new(file), bytes))
    });
    opened.map_err(|source| file_error(folder, source))
}

/// Returns the start of all lines of an event.
fn line_start(id: &str) -> String {
    let id = serde_json::to_string(id).unwrap_or_default();
    format!("{{\"id\":{id},")
}

fn parse(line: &str) -> Option<HistoryEntry> {
    serde_json::from_str(line).ok()
}

/// Returns the entries of an event in the folder of a journal, the oldest first, also while an
/// observer writes there. Skips lines that are incomplete.
///
/// # Errors
///
/// Fails if there is no history, or it cannot be read.
pub fn find(folder: &Path, id: &str) -> Result<Vec<HistoryEntry>, HistoryError> {
    let mut entries = Vec::new();
    visit(folder, id, |entry| {
        if entries.len() < MAX_ENTRIES_PER_EVENT {
            entries.push(entry);
        }
    })?;
    Ok(entries)
}

/// Returns the last entry with an id, even if [`find`] omits it because of its bound.
///
/// # Errors
///
/// Fails if there is no history, or it cannot be read.
pub fn last(folder: &Path, id: &str) -> Result<Option<HistoryEntry>, HistoryError> {
    let mut last = None;
    visit(folder, id, |entry| last = Some(entry))?;
    Ok(last)
}

fn visit(folder: &Path, id: &str, mut each: impl FnMut(HistoryEntry)) -> Result<(), HistoryError> {
    let [newer, older] = FILE_NAMES.map(|name| folder.join(name));
    let start = line_start(id);
    for file in [older, newer.clone()] {
        let opened = match File::open(&file) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound && file != newer => continue,
            Err(source) => return Err(HistoryError::File { file, source }),
        };
        let mut lines = BufReader::with_capacity(64 * 1024, opened);
        let mut line = Vec::new();
        loop {
            line.clear();
            match lines.read_until(b'\n', &mut line) {
                Ok(0) => break,
                Ok(_) if line.starts_with(start.as_bytes()) => {
                    let text = str::from_utf8(&line).unwrap_or_default();
                    if let Some(entry) = parse(text) {
                        each(entry);
                    }
                }
                Ok(_) => {}
                Err(source) => return Err(HistoryError::File { file, source }),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{EventStage, History};
    use super::*;

    fn delivered(id: &str, attempt: u32) -> HistoryEntry {
        HistoryEntry {
            id: id.to_owned(),
            at: "2026-11-22T13:00:00Z".parse().unwrap(),
            stage: EventStage::Delivered {
                sink: "all".to_owned(),
                attempt,
            },
        }
    }

    #[test]
    fn the_oldest_goes_and_the_newest_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let stores = [
            Store::memory(4096),
            Store::file(folder.path(), 4096).unwrap(),
        ];
        for mut store in stores {
            for number in 0..1000 {
                store
                    .write(&delivered(&format!("\"{}\"", number % 100), number))
                    .unwrap();
            }
            store.flush().unwrap();
            let newest = store.find("\"99\"").unwrap();
            assert_eq!(newest, [delivered("\"99\"", 999)]);
            assert_eq!(store.find("99").unwrap(), []);
        }
        let sizes = FILE_NAMES.map(|name| fs::metadata(folder.path().join(name)).unwrap().len());
        assert!(sizes.iter().all(|size| *size <= 2048), "{sizes:?}");
    }

    #[test]
    fn a_torn_line_costs_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::file(folder.path(), 1 << 20).unwrap();
        store.write(&delivered("a", 1)).unwrap();
        store.flush().unwrap();
        let file = folder.path().join("history.jsonl");
        let whole = fs::read(&file).unwrap();
        fs::write(&file, [&whole[..], &whole[..20]].concat()).unwrap();
        let mut store = Store::file(folder.path(), 1 << 20).unwrap();
        store.write(&delivered("a", 2)).unwrap();
        store.flush().unwrap();
        assert_eq!(
            store.find("a").unwrap(),
            [delivered("a", 1), delivered("a", 2)]
        );
        assert_eq!(last(folder.path(), "a").unwrap(), Some(delivered("a", 2)));
        assert_eq!(last(folder.path(), "b").unwrap(), None);
    }

    #[tokio::test]
    async fn the_history_is_written_and_queried() {
        let history = History::open(None, 1 << 20, None).unwrap();
        let HistoryEntry { id, at, stage } = delivered("a", 1);
        history.record(at, || (id, stage));
        assert_eq!(
            history.entries("a".to_owned()).await.unwrap(),
            [delivered("a", 1)]
        );
        assert_eq!(history.entries("b".to_owned()).await.unwrap(), []);
        assert_eq!(history.dropped(), 0);
        let none = History::open(None, 0, None).unwrap();
        none.record(at, || panic!("no entry is built"));
        assert_eq!(none.entries("a".to_owned()).await.unwrap(), []);
    }
}
