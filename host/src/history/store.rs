//! Where facts are kept: lines of JSON in two files, of which the older goes when the newer is full; or
//! in memory.

use super::Listener;
use super::fact::Fact;
use super::queue::{Question, Queue, Waiting};
use crate::file_permissions;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use tracing::warn;

/// Names of the files in the journal's folder, the newer first.
const FILES: [&str; 2] = ["history.jsonl", "history.1.jsonl"];
/// Most facts that are told of one event, the first ones.
const MOST: usize = 10_000;

/// Why there is no history.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// A file of it cannot be used.
    #[error(
        "the history in {file} cannot be used (journal.historyBytes: 0 does without): {source}"
    )]
    File {
        /// Its path.
        file: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Its thread cannot be started.
    #[error("failed to start the history's thread: {0}")]
    Thread(io::Error),
    /// Its thread is gone.
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

/// See the module.
pub(super) struct Files {
    folder: PathBuf,
    newer: BufWriter<File>,
    bytes: u64,
    max_bytes: u64,
}

/// Writes and finds until nobody asks any more.
pub(super) fn run(mut store: Store, queue: &Queue, mut also: Option<Listener>) {
    let mut failing = false;
    loop {
        let Waiting {
            facts,
            questions,
            closed,
        } = queue.next();
        if let Some(also) = &mut also {
            facts.iter().for_each(also);
        }
        let written = facts.iter().try_for_each(|fact| store.write(fact));
        failing = !told(&written.and_then(|()| store.flush()), failing);
        for question in questions {
            // Who asked may have gone.
            match question {
                Question::Find(id, answer) => drop(answer.send(store.find(&id))),
                Question::Written(answer) => drop(answer.send(())),
            }
        }
        if closed {
            return;
        }
    }
}

/// Was it written? If not, that is logged once.
fn told(written: &Result<(), HistoryError>, failing: bool) -> bool {
    if let Err(error) = written
        && !failing
    {
        warn!(%error, "what happens to events cannot be written down; they are delivered all the same");
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

    fn write(&mut self, fact: &Fact) -> Result<(), HistoryError> {
        let Ok(line) = serde_json::to_string(fact) else {
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
                flushed.map_err(|source| problem(&files.folder, source))
            }
        }
    }

    fn find(&self, id: &str) -> Result<Vec<Fact>, HistoryError> {
        match self {
            Self::Memory { lines, .. } => {
                let start = start(id);
                let about = lines.iter().filter(|line| line.starts_with(&start));
                Ok(about.filter_map(|line| parse(line)).take(MOST).collect())
            }
            Self::Files(files) => find(&files.folder, id),
        }
    }
}

impl Files {
    fn write(&mut self, line: &str) -> Result<(), HistoryError> {
        if self.bytes + line.len() as u64 > self.max_bytes {
            let [newer, older] = FILES.map(|name| self.folder.join(name));
            let moved = self.newer.flush().and_then(|()| fs::rename(newer, older));
            moved.map_err(|source| problem(&self.folder, source))?;
            (self.newer, self.bytes) = open(&self.folder)?;
        }
        self.bytes += line.len() as u64 + 1;
        let written = writeln!(self.newer, "{line}");
        written.map_err(|source| problem(&self.folder, source))
    }
}

fn problem(folder: &Path, source: io::Error) -> HistoryError {
    let [newer, _] = FILES;
    let file = folder.join(newer);
    HistoryError::File { file, source }
}

/// The newer file, and how long it is.
fn open(folder: &Path) -> Result<(BufWriter<File>, u64), HistoryError> {
    let [newer, older] = FILES.map(|name| folder.join(name));
    if older.exists() {
        file_permissions::restrict_file(folder, &older);
    }
    let mut options = File::options();
    let opened =
        file_permissions::open_restricted(folder, &newer, options.create(true).append(true));
    let opened = opened.and_then(|mut file| {
        let bytes = file.metadata()?.len();
        if bytes > 0 {
            // The last line may have been torn.
            file.write_all(b"\n")?;
        }
        Ok((BufWriter::new(file), bytes))
    });
    opened.map_err(|source| problem(folder, source))
}

/// How lines about an event begin.
fn start(id: &str) -> String {
    let id = serde_json::to_string(id).unwrap_or_default();
    format!("{{\"id\":{id},")
}

fn parse(line: &str) -> Option<Fact> {
    serde_json::from_str(line).ok()
}

/// All that is written down of an event in the folder of a journal, the oldest first; also while an
/// observer uses it. Torn lines are passed over.
///
/// # Errors
///
/// There is no history, or it cannot be read.
pub fn find(folder: &Path, id: &str) -> Result<Vec<Fact>, HistoryError> {
    let mut facts = Vec::new();
    visit(folder, id, |fact| {
        if facts.len() < MOST {
            facts.push(fact);
        }
    })?;
    Ok(facts)
}

/// The last fact with an id, found as [`find`] finds all.
///
/// # Errors
///
/// There is no history, or it cannot be read.
pub fn last(folder: &Path, id: &str) -> Result<Option<Fact>, HistoryError> {
    let mut last = None;
    visit(folder, id, |fact| last = Some(fact))?;
    Ok(last)
}

fn visit(folder: &Path, id: &str, mut take: impl FnMut(Fact)) -> Result<(), HistoryError> {
    let [newer, older] = FILES.map(|name| folder.join(name));
    let start = start(id);
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
                    if let Some(fact) = parse(text) {
                        take(fact);
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
    use super::super::{History, What};
    use super::*;

    fn delivered(id: &str, attempt: u32) -> Fact {
        Fact {
            id: id.to_owned(),
            at: "2026-11-22T13:00:00Z".parse().unwrap(),
            what: What::Delivered {
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
        let sizes = FILES.map(|name| fs::metadata(folder.path().join(name)).unwrap().len());
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
        let Fact { id, at, what } = delivered("a", 1);
        history.tell(at, || (id, what));
        assert_eq!(
            history.of("a".to_owned()).await.unwrap(),
            [delivered("a", 1)]
        );
        assert_eq!(history.of("b".to_owned()).await.unwrap(), []);
        assert_eq!(history.left_out(), 0);
        let none = History::open(None, 0, None).unwrap();
        none.tell(at, || panic!("nobody asks"));
        assert_eq!(none.of("a".to_owned()).await.unwrap(), []);
    }
}
