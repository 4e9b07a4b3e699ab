//! What is known about gaps, from one configuration to the next.

use super::decide::{Gap, Note, Unknown, of_start};
use super::note;
use crate::locked::Locked;
use crate::metrics::Registry;
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, info, warn};

/// Length of a gap from which on it is a warning: within it, a run may come and go together with its pods.
const MAX_SHORT: Duration = Duration::from_secs(60);

/// The gaps of a process. Clones share the state.
#[derive(Clone, Debug, Default)]
pub struct Gaps(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// The folder of the journal; `None` if the journal is in memory.
    folder: Option<PathBuf>,
    state: Locked<State>,
}

#[derive(Debug, Default)]
struct State {
    note: Option<Note>,
    delivered_until: Option<Timestamp>,
    last: Option<Gap>,
    /// Gaps whose beginning is known, and others.
    known: u64,
    unknown: u64,
    /// True if the last write failed. The problem is logged only once.
    write_failed: bool,
}

impl Gaps {
    /// Reads what an earlier process has left in the folder of the journal. If that cannot be read, it counts
    /// as unknown.
    #[must_use]
    pub fn open(folder: Option<&Path>) -> Self {
        let read = folder.map(note::read).transpose();
        let note = read.map(Option::flatten).unwrap_or_else(|problem| {
            error!(
                error = %problem,
                remedy = "none is needed: it is replaced within a minute; if this error comes back at the next start, remove it",
                "it is unknown until when an earlier observer has watched"
            );
            None
        });
        Self(Arc::new(Inner {
            folder: folder.map(Path::to_owned),
            state: Locked::new(State {
                note,
                ..State::default()
            }),
        }))
    }

    /// Sets the time until which the last holder of the Lease had delivered everything.
    pub fn hand_over(&self, delivered_until: Option<Timestamp>) {
        self.0.state.lock().delivered_until = delivered_until;
    }

    /// Counts and logs the gap of a start, or of a change of the configuration, whose first lists were
    /// complete at `to`.
    #[must_use]
    pub fn started(&self, scope: &str, to: Timestamp) -> Gap {
        let mut state = self.0.state.lock();
        let (gap, unknown) = of_start(state.note.as_ref(), state.delivered_until, scope, to);
        match unknown {
            Some(problem @ Unknown::InFuture(_)) => {
                error!("{problem}");
            }
            Some(reason) => info!(%reason, "it is unknown since when runs may have been missed"),
            None => {}
        }
        state.count(gap);
        drop(state);
        log(gap, "the observer has started");
        gap
    }

    /// Logs a gap in the middle, and counts it. One that overlaps the last one makes that one longer instead.
    #[must_use]
    pub fn interrupted(&self, from: Option<Timestamp>, to: Timestamp) -> Gap {
        let gap = self.0.state.lock().continue_or_count(Gap::new(from, to));
        log(gap, "a watch was interrupted and began again with a list");
        gap
    }

    /// Keeps until when the observer has watched, in memory and in the folder of the journal. Blocks while
    /// it writes to the disk.
    pub fn keep(&self, note: &Note) {
        {
            let mut state = self.0.state.lock();
            if state.note.as_ref() == Some(note) {
                return;
            }
            state.note = Some(note.clone());
        }
        let Some(folder) = &self.0.folder else {
            return;
        };
        let written = note::write(folder, note);
        let mut state = self.0.state.lock();
        let was_failed = std::mem::replace(&mut state.write_failed, written.is_err());
        drop(state);
        match written {
            Err(problem) if !was_failed => warn!(
                error = %problem,
                remedy = "make the folder of the journal writable, and remove what has this name in it",
                "the next start will report a gap that is longer than it was"
            ),
            Ok(()) if was_failed => {
                info!("the time until which the observer watches is written again")
            }
            Err(_) | Ok(()) => {}
        }
    }

    /// Returns the last gap.
    #[must_use]
    pub fn last(&self) -> Option<Gap> {
        self.0.state.lock().last
    }

    /// Registers the metrics.
    pub fn register_metrics(&self, registry: &mut Registry) {
        let gaps = self.clone();
        registry.register_samples(move |samples| {
            let state = gaps.0.state.lock();
            let length = state.last.and_then(|gap| gap.length());
            samples.gauge(
                "gap_seconds",
                "Length of the last gap, in which runs may have come and gone unseen; 0 if its beginning is unknown, \
                 or if there was none",
                length.unwrap_or_default().as_secs_f64(),
            )?;
            samples.counters(
                "gaps",
                "Gaps, by their beginning: known or unknown",
                ["beginning"],
                [(["known"], state.known), (["unknown"], state.unknown)],
            )
        });
    }
}

impl State {
    fn continue_or_count(&mut self, gap: Gap) -> Gap {
        let longer = self.last.and_then(|last| last.continued(gap));
        match longer {
            Some(longer) => self.last = Some(longer),
            None => self.count(gap),
        }
        longer.unwrap_or(gap)
    }

    fn count(&mut self, gap: Gap) {
        self.last = Some(gap);
        match gap.from {
            Some(_) => self.known += 1,
            None => self.unknown += 1,
        }
    }
}

fn log(gap: Gap, cause: &'static str) {
    let Gap { from, to } = gap;
    let (Some(from), Some(length)) = (from, gap.length()) else {
        return;
    };
    match length > MAX_SHORT {
        true => warn!(
            %from, %to, ?length, cause,
            "runs that came and went in this time may have been missed"
        ),
        false => info!(
            %from, %to, ?length, cause,
            "runs that came and went in this time may have been missed"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn note(until: i64, scope: &str) -> Note {
        Note {
            watched_until: at(until),
            scope: scope.to_owned(),
        }
    }

    #[test]
    fn each_start_continues_where_the_last_one_ended() {
        let folder = tempfile::tempdir().unwrap();
        let gaps = Gaps::open(Some(folder.path()));
        assert_eq!(gaps.started("all", at(10)).from, None);
        gaps.keep(&note(20, "all"));
        // The same process, with another configuration.
        assert_eq!(gaps.started("all", at(21)).from, Some(at(20)));
        gaps.keep(&note(30, "all"));
        let next = Gaps::open(Some(folder.path()));
        assert_eq!(next.last(), None);
        assert_eq!(next.started("all", at(40)), Gap::new(Some(at(30)), at(40)));
        assert_eq!(next.last(), Some(Gap::new(Some(at(30)), at(40))));
        let other = Gaps::open(Some(folder.path()));
        assert_eq!(other.started("one", at(40)).from, None);
        other.hand_over(Some(at(35)));
        assert_eq!(other.started("one", at(40)).from, Some(at(35)));
    }

    #[test]
    fn gaps_that_overlap_are_one() {
        let gaps = Gaps::open(None);
        let gap = |from, to| Gap::new(Some(at(from)), at(to));
        let interrupted = |from, to| gaps.interrupted(Some(at(from)), at(to));
        let counts = || {
            let state = gaps.0.state.lock();
            (state.known, state.unknown)
        };
        // The beginning of a first start is unknown. A gap after it has its own.
        assert_eq!(gaps.started("all", at(10)).from, None);
        assert_eq!(interrupted(9, 20), gap(9, 20));
        assert_eq!(interrupted(8, 21), gap(8, 21));
        assert_eq!(interrupted(21, 22), gap(8, 22));
        assert_eq!((gaps.last(), counts()), (Some(gap(8, 22)), (1, 1)));
        assert_eq!(interrupted(23, 24), gap(23, 24));
        assert_eq!((gaps.last(), counts()), (Some(gap(23, 24)), (2, 1)));
    }

    #[test]
    fn without_a_folder_only_the_same_process_knows_it() {
        let gaps = Gaps::open(None);
        assert_eq!(gaps.started("all", at(10)).from, None);
        gaps.keep(&note(20, "all"));
        assert_eq!(gaps.started("all", at(21)).from, Some(at(20)));
        assert_eq!(Gaps::open(None).started("all", at(40)).from, None);
    }

    #[test]
    fn what_cannot_be_written_or_read_changes_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("watched-until")).unwrap();
        let gaps = Gaps::open(Some(folder.path()));
        assert_eq!(gaps.started("all", at(10)).from, None);
        gaps.keep(&note(20, "all"));
        assert_eq!(gaps.started("all", at(21)).from, Some(at(20)));
    }
}
