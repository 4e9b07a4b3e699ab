//! Decides what a gap is, from times that are passed in. It reads no clock and no file.

use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Until when an observer is known to have watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    /// Every change until then was seen, and what was seen is in the journal.
    pub watched_until: Timestamp,
    /// Names the part of the cluster that was watched. Two notes about the same part have the same text.
    pub scope: String,
}

/// A time in which runs may have come and gone unseen. In whole milliseconds, rounded so that it is never
/// shorter than it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The last moment at which the observer is known to have watched; `None` if none is known.
    pub from: Option<Timestamp>,
    /// When the lists were complete.
    pub to: Timestamp,
}

/// Why a time that is known from before does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// There is none.
    #[error(
        "no earlier observer has left a time: this is the first start with this journal, or there is no journal on disk"
    )]
    FirstStart,
    /// It is about other namespaces, labels or another shard.
    #[error(
        "the time that an earlier observer has left is about other namespaces, labels or shards"
    )]
    OtherScope,
    /// It is later than the lists of this start.
    #[error(
        "the time that an earlier observer has left, {0}, is in the future: check the clocks of the nodes"
    )]
    InFuture(Timestamp),
}

impl Gap {
    /// Makes a gap between two moments.
    #[must_use]
    pub fn new(from: Option<Timestamp>, to: Timestamp) -> Self {
        Self {
            from: from.map(|from| milliseconds(from, RoundMode::Floor)),
            to: milliseconds(to, RoundMode::Ceil),
        }
    }

    /// Returns both as one gap if the next one, whose beginning is known, overlaps this one: watches notice one
    /// interruption one after the other.
    pub(super) fn continued(self, next: Self) -> Option<Self> {
        let from = self.from?.min(next.from?);
        (next.from? <= self.to).then(|| Self {
            from: Some(from),
            to: self.to.max(next.to),
        })
    }

    /// Returns the length; `None` if the beginning is not known.
    #[must_use]
    pub fn length(&self) -> Option<Duration> {
        let length = self.to.duration_since(self.from?);
        Some(Duration::try_from(length).unwrap_or_default())
    }
}

fn milliseconds(at: Timestamp, mode: RoundMode) -> Timestamp {
    let round = TimestampRound::new().smallest(Unit::Millisecond).mode(mode);
    // Fails only at the ends of the range of time stamps.
    at.round(round).unwrap_or(at)
}

/// Returns the gap of a start whose first lists were complete at `to`, and why its beginning is not known,
/// or not as far as it could be.
///
/// `note` is what this observer has left, and `delivered_until` what the last holder of the Lease has left:
/// until then, everything was delivered. Both are true, so the later one counts.
#[must_use]
pub fn of_start(
    note: Option<&Note>,
    delivered_until: Option<Timestamp>,
    scope: &str,
    to: Timestamp,
) -> (Gap, Option<Unknown>) {
    let noted = note.map(|note| match note.scope == scope {
        true => not_after(note.watched_until, to),
        false => Err(Unknown::OtherScope),
    });
    let handed_over = delivered_until.map(|until| not_after(until, to));
    let known = [noted, handed_over];
    let times = known.iter().flatten().filter_map(|time| time.as_ref().ok());
    let from = times.copied().max();
    let problem = known.into_iter().flatten().find_map(Result::err);
    let unknown = problem.or_else(|| from.is_none().then_some(Unknown::FirstStart));
    (Gap::new(from, to), unknown)
}

fn not_after(from: Timestamp, to: Timestamp) -> Result<Timestamp, Unknown> {
    match from <= to {
        true => Ok(from),
        false => Err(Unknown::InFuture(from)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millisecond: i64) -> Timestamp {
        Timestamp::from_millisecond(millisecond).unwrap()
    }

    fn note(until: i64, scope: &str) -> Note {
        Note {
            watched_until: at(until),
            scope: scope.to_owned(),
        }
    }

    #[test]
    fn a_gap_begins_with_the_latest_time_that_is_known_and_possible() {
        for (noted, handed_over, from, unknown) in [
            (None, None, None, Some(Unknown::FirstStart)),
            (Some((10, "all")), None, Some(10), None),
            (Some((10, "all")), Some(20), Some(20), None),
            (Some((30, "all")), Some(20), Some(30), None),
            (None, Some(20), Some(20), None),
            (Some((10, "a")), None, None, Some(Unknown::OtherScope)),
            (Some((10, "a")), Some(5), Some(5), Some(Unknown::OtherScope)),
            (Some((100, "all")), None, Some(100), None),
            (
                Some((101, "all")),
                None,
                None,
                Some(Unknown::InFuture(at(101))),
            ),
            (
                Some((101, "all")),
                Some(5),
                Some(5),
                Some(Unknown::InFuture(at(101))),
            ),
            (
                Some((10, "all")),
                Some(101),
                Some(10),
                Some(Unknown::InFuture(at(101))),
            ),
        ] {
            let noted = noted.map(|(until, scope)| note(until, scope));
            let found = of_start(noted.as_ref(), handed_over.map(at), "all", at(100));
            let expected = Gap {
                from: from.map(at),
                to: at(100),
            };
            assert_eq!(found, (expected, unknown), "{noted:?} {handed_over:?}");
        }
    }

    #[test]
    fn the_ends_of_time_are_no_problem() {
        let note = Note {
            watched_until: Timestamp::MIN,
            scope: String::new(),
        };
        let (gap, _) = of_start(Some(&note), Some(Timestamp::MAX), "", Timestamp::MAX);
        assert_eq!(gap.from.unwrap().as_second(), Timestamp::MAX.as_second());
        assert!(Gap::new(Some(Timestamp::MIN), Timestamp::MAX).length() > Some(Duration::ZERO));
    }

    fn time() -> impl Strategy<Value = Timestamp> {
        let seconds = Timestamp::MIN.as_second() + 1..Timestamp::MAX.as_second();
        (seconds, 0..1_000_000_000).prop_map(|(second, nano)| Timestamp::new(second, nano).unwrap())
    }

    proptest! {
        /// A gap covers all of the time in which nobody watched, and at most a millisecond more at each end.
        #[test]
        fn a_gap_is_never_shorter_than_the_time_in_which_nobody_watched(
            noted in proptest::option::of(time()),
            handed_over in proptest::option::of(time()),
            to in time(),
        ) {
            let note = noted.map(|until| Note { watched_until: until, scope: String::new() });
            let (gap, unknown) = of_start(note.as_ref(), handed_over, "", to);
            let last = noted.into_iter().chain(handed_over).filter(|time| *time <= to).max();
            let millisecond = Duration::from_millis(1);
            prop_assert!(gap.to >= to && gap.to.duration_since(to).unsigned_abs() < millisecond);
            match (gap.from, last) {
                (Some(from), Some(last)) => {
                    prop_assert!(from <= last && last.duration_since(from).unsigned_abs() < millisecond);
                    prop_assert!(gap.length() >= Some(to.duration_since(last).unsigned_abs()));
                }
                (None, None) => prop_assert!(unknown.is_some() && gap.length().is_none()),
                other => prop_assert!(false, "{other:?}"),
            }
            let in_future = noted.into_iter().chain(handed_over).any(|time| time > to);
            prop_assert_eq!(in_future, matches!(unknown, Some(Unknown::InFuture(_))));
        }
    }
}
