//! The entries of a segment that are still needed when it is removed.

use super::JournalIndex;
use crate::journal::entry::{AcceptedEvent, Entry, Seq};
use jiff::Timestamp;
use std::sync::Arc;

impl JournalIndex {
    /// Returns the entries that replace an entry of a segment that will be removed. If an entry has
    /// a number beside it, the body of the event with this number must follow the entry.
    pub(in crate::journal) fn live_entries(&self, entry: Entry) -> Vec<(Entry, Option<Seq>)> {
        match entry {
            Entry::Created { .. } => vec![(entry, None)],
            Entry::Scope { ref scope } if self.scope.as_ref() == Some(scope) => {
                vec![(entry, None)]
            }
            Entry::Accepted {
                run,
                mark,
                name,
                at,
                events,
                ..
            } => {
                let mut live = Vec::new();
                let marks: Vec<String> = [mark, name].into_iter().flatten().collect();
                live.extend(self.live_marks(run.clone(), marks));
                for event in events {
                    live.extend(self.live_event(&run, at, &event));
                }
                live
            }
            Entry::Marks { run, marks } => self.live_marks(run, marks).into_iter().collect(),
            // No longer needed: these entries only change the state of older entries, which are in
            // this segment or an older one.
            Entry::Acknowledged { .. }
            | Entry::DeadLettered { .. }
            | Entry::Scope { .. }
            | Entry::Forgotten { .. } => Vec::new(),
        }
    }

    fn live_marks(&self, run: Arc<str>, marks: Vec<String>) -> Option<(Entry, Option<Seq>)> {
        let marks: Vec<String> = marks
            .into_iter()
            .filter(|mark| self.is_emitted(&run, mark))
            .collect();
        (!marks.is_empty()).then_some((Entry::Marks { run, marks }, None))
    }

    fn live_event(
        &self,
        run: &Arc<str>,
        at: Timestamp,
        event: &AcceptedEvent,
    ) -> Vec<(Entry, Option<Seq>)> {
        let seq = event.seq;
        let moved = |event: AcceptedEvent| Entry::Accepted {
            run: run.clone(),
            namespace: self.namespace(seq).unwrap_or_default(),
            mark: None,
            name: None,
            at,
            events: vec![event],
        };
        let Some(now) = self.events.get(&seq) else {
            // The last number must stay assigned. If another event got this number, an operator who
            // uses it would reach the wrong event.
            let last = AcceptedEvent {
                seq,
                sinks: Vec::new(),
                bytes: 0,
                sum: crc32fast::hash(&[]),
            };
            let is_last = seq + 1 == self.next;
            return is_last.then(|| (moved(last), None)).into_iter().collect();
        };
        let moved = moved(AcceptedEvent {
            sinks: self.sink_names(now.waiting | now.dead),
            ..event.clone()
        });
        let mut live = vec![(moved, Some(seq))];
        for (bit, letter) in self.dead_letters.of_event(seq) {
            if let Some(sink) = self.sinks.get(bit) {
                let dead = Entry::DeadLettered {
                    seq,
                    sink: sink.clone(),
                    letter: letter.clone(),
                };
                live.push((dead, None));
            }
        }
        live
    }
}
