//! From when to when a watch shows every change. Pure.

use jiff::Timestamp;

/// What one watch is known to have shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sight {
    /// Every change until then was shown; `None` before the first list is complete.
    pub(super) until: Option<Timestamp>,
    /// Begin of the list that is being read.
    listing_since: Option<Timestamp>,
    /// The time between what was shown and the list that followed, if a list had to follow.
    missed: Option<Missed>,
}

/// A time in which objects may have come and gone unseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Missed {
    /// The last change, or sign of life, that was shown before.
    pub(crate) from: Timestamp,
    /// When the list was complete.
    pub(crate) to: Timestamp,
}

impl Missed {
    fn with(self, other: Option<Self>) -> Self {
        let other = other.unwrap_or(self);
        Self {
            from: self.from.min(other.from),
            to: self.to.max(other.to),
        }
    }
}

impl Sight {
    /// A list is requested.
    pub(super) fn list_begins(&mut self, now: Timestamp) {
        self.listing_since = Some(now);
    }

    /// The last page of the list was read. It shows the objects of a moment after its begin. The changes
    /// since then follow in the watch.
    pub(super) fn list_complete(&mut self, now: Timestamp) {
        let began = self.listing_since.take().unwrap_or(now);
        if let Some(from) = self.until {
            let missed = Missed { from, to: now };
            self.missed = Some(missed.with(self.missed));
        }
        self.until = self.until.max(Some(began));
    }

    /// The watch has shown a change, or a bookmark: there was no other change before.
    pub(super) fn shows(&mut self, now: Timestamp) {
        if self.until.is_some() && self.listing_since.is_none() {
            self.until = self.until.max(Some(now));
        }
    }

    /// Returns whether a list is being read that replaces an earlier one.
    pub(super) fn is_relisting(&self) -> bool {
        self.until.is_some() && self.listing_since.is_some()
    }

    pub(super) fn missed(&self) -> Option<Missed> {
        self.missed
    }

    /// Returns what was missed, and forgets it, because it is reported.
    pub(super) fn take_missed(&mut self) -> Option<Missed> {
        self.missed.take()
    }
}

/// Returns the time that covers all of these.
pub(super) fn union(missed: impl Iterator<Item = Missed>) -> Option<Missed> {
    missed.fold(None, |all, one| Some(one.with(all)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_first_list_misses_nothing_and_each_later_one_what_the_watch_did_not_show() {
        let mut sight = Sight::default();
        sight.shows(at(1));
        assert_eq!(sight.until, None);
        sight.list_begins(at(2));
        sight.list_complete(at(5));
        assert_eq!((sight.until, sight.missed()), (Some(at(2)), None));
        sight.shows(at(7));
        assert_eq!(sight.until, Some(at(7)));
        // The list is refused, and requested again.
        sight.list_begins(at(20));
        sight.list_begins(at(30));
        sight.shows(at(31));
        assert_eq!(sight.until, Some(at(7)));
        assert!(sight.is_relisting());
        sight.list_complete(at(32));
        let missed = |from, to| Missed {
            from: at(from),
            to: at(to),
        };
        assert_eq!(sight.missed(), Some(missed(7, 32)));
        assert_eq!(sight.until, Some(at(30)));
        sight.list_begins(at(40));
        sight.list_complete(at(41));
        assert_eq!(sight.missed(), Some(missed(7, 41)));
        assert_eq!(sight.take_missed(), Some(missed(7, 41)));
        assert_eq!(sight.missed(), None);
        assert_eq!(
            union([missed(3, 4), missed(1, 2)].into_iter()),
            Some(missed(1, 4))
        );
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Begin,
        Complete,
        Show,
    }

    proptest! {
        /// Whatever the watch does, each moment after the first list is shown, missed and not yet reported, or
        /// later than what is known to be shown. So no moment is claimed to be shown that was not.
        #[test]
        fn no_moment_is_lost(steps in proptest::collection::vec(
            prop_oneof![Just(Step::Begin), Just(Step::Complete), Just(Step::Show)], 0..60,
        )) {
            let mut sight = Sight::default();
            // The moments that a watch has shown: those since the begin of its last list, or since its
            // last line, up to each line.
            let mut shown = std::collections::BTreeSet::new();
            let (mut first, mut begun, mut last) = (None, None, None);
            for (second, step) in (1_i64..).zip(steps) {
                match step {
                    Step::Begin => {
                        sight.list_begins(at(second));
                        begun = Some(second);
                    }
                    Step::Complete => {
                        sight.list_complete(at(second));
                        let began = begun.take().unwrap_or(second);
                        first = first.or(Some(began));
                        last = last.max(Some(began));
                        shown.insert(began);
                    }
                    Step::Show => {
                        sight.shows(at(second));
                        if let (Some(before), None) = (last, begun) {
                            shown.extend(before..=second);
                            last = Some(second);
                        }
                    }
                }
                let until = sight.until.map(|until| until.as_second());
                prop_assert_eq!(until, last);
                for moment in first.unwrap_or(1)..=until.unwrap_or(0) {
                    let missed = sight.missed().is_some_and(|missed| {
                        (missed.from..=missed.to).contains(&at(moment))
                    });
                    prop_assert!(shown.contains(&moment) || missed, "{moment}: {sight:?}");
                }
            }
        }
    }
}
