//! What is still true of a segment that is about to be removed.

use super::Book;
use crate::journal::entry::{Accepted, Entry, Seq};
use jiff::Timestamp;
use std::sync::Arc;

impl Book {
    /// Entries that say what is still true of one that is about to be removed, with the number of
    /// the event whose body goes with each.
    pub(in crate::journal) fn still_true(&self, entry: Entry) -> Vec<(Entry, Option<Seq>)> {
        match entry {
            Entry::Begun { .. } => vec![(entry, None)],
            Entry::Scope { ref scope } if self.scope.as_ref() == Some(scope) => {
                vec![(entry, None)]
            }
            Entry::Accepted {
                run,
                mark,
                at,
                events,
                ..
            } => {
                let mut kept = Vec::new();
                let marks: Vec<String> = mark.into_iter().collect();
                kept.extend(self.marks_still_true(run.clone(), marks));
                for event in events {
                    kept.extend(self.event_still_true(&run, at, &event));
                }
                kept
            }
            Entry::Marks { run, marks } => self.marks_still_true(run, marks).into_iter().collect(),
            // What they speak of is in this segment or was before it.
            Entry::Done { .. }
            | Entry::Dead { .. }
            | Entry::Scope { .. }
            | Entry::Forgotten { .. } => Vec::new(),
        }
    }

    fn marks_still_true(&self, run: Arc<str>, marks: Vec<String>) -> Option<(Entry, Option<Seq>)> {
        let marks: Vec<String> = marks
            .into_iter()
            .filter(|mark| self.is_told(&run, mark))
            .collect();
        (!marks.is_empty()).then_some((Entry::Marks { run, marks }, None))
    }

    fn event_still_true(
        &self,
        run: &Arc<str>,
        at: Timestamp,
        event: &Accepted,
    ) -> Vec<(Entry, Option<Seq>)> {
        let seq = event.seq;
        let moved = |event: Accepted| Entry::Accepted {
            run: run.clone(),
            namespace: self.namespace(seq).unwrap_or_default(),
            mark: None,
            at,
            events: vec![event],
        };
        let Some(now) = self.events.get(&seq) else {
            // The last number stays taken: no other event may get it, or an operator would mean the wrong one.
            let last = Accepted {
                seq,
                sinks: Vec::new(),
                bytes: 0,
                sum: crc32fast::hash(&[]),
            };
            let is_last = seq + 1 == self.next;
            return is_last.then(|| (moved(last), None)).into_iter().collect();
        };
        let moved = moved(Accepted {
            sinks: self.names(now.waiting | now.dead),
            ..event.clone()
        });
        let mut kept = vec![(moved, Some(seq))];
        for (bit, letter) in self.letters.of(seq) {
            if let Some(sink) = self.sinks.get(bit) {
                let dead = Entry::Dead {
                    seq,
                    sink: sink.clone(),
                    letter: letter.clone(),
                };
                kept.push((dead, None));
            }
        }
        kept
    }
}
