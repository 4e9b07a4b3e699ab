//! Events that are submitted without a wait, and bodies that are read ahead.

use super::{Accept, Failpoint, Journal, JournalConfig, NewEvent, config, open, run};
use crate::bounded::Bounded;
use crate::journal::SEGMENT_BYTES;
use crate::journal::files::Step;
use crate::journal::in_flight::MAX_IN_FLIGHT_BYTES;
use crate::journal::read_ahead::MAX_BYTES_PER_READ;
use bytes::Bytes;
use jiff::Timestamp;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

async fn submit(
    journal: &Journal,
    mark: &str,
    size: usize,
    accepted: impl FnOnce() + Send + 'static,
) {
    let event = NewEvent {
        sinks: vec!["a".to_owned()],
        body: Bytes::from(vec![b'x'; size]),
    };
    let mark = Some(mark.into());
    let accept = Accept {
        origin: "run".into(),
        mark,
        at: Timestamp::UNIX_EPOCH,
        events: vec![event],
    };
    journal.submit(accept, accepted).await.unwrap();
}

/// Blocks writes until a message arrives or the sender is dropped.
#[derive(Debug)]
struct Gate(Mutex<Receiver<()>>);

impl Failpoint for Gate {
    fn before(&self, step: Step<'_>) -> std::io::Result<()> {
        if let Step::Write { at: 1.., .. } = step {
            // If the sender is dropped, all writes pass.
            self.0.lock().unwrap().recv().ok();
        }
        Ok(())
    }
}

fn behind_a_gate(config: &JournalConfig) -> (Journal, Sender<()>) {
    let (open, gate) = channel();
    let gate = Arc::new(Gate(Mutex::new(gate)));
    let journal = Journal::open_with(config, Timestamp::UNIX_EPOCH, SEGMENT_BYTES, Some(gate));
    (journal.unwrap(), open)
}

#[test]
fn acceptance_is_reported_after_the_sync_and_before_any_sink_reads() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, gate) = behind_a_gate(&config(folder.path()));
    run(async {
        let (report, reported) = tokio::sync::oneshot::channel();
        let shared = journal.shared.clone();
        let mut reported = std::pin::pin!(reported);
        submit(&journal, "mark", 10, move || {
            let waiting = shared.index(|index| index.waiting("a", 0, 1).len());
            report.send(waiting).unwrap();
        })
        .await;
        assert!(futures::poll!(reported.as_mut()).is_pending());
        drop(gate);
        assert_eq!(reported.await.unwrap(), 0);
        journal.sync().await.unwrap();
        assert_eq!(journal.waiting("a", 0, 2).len(), 1);
    });
}

#[test]
fn a_run_that_ends_with_entries_in_flight_is_forgotten_after_them() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, gate) = behind_a_gate(&config(folder.path()));
    run(async {
        submit(&journal, "mark", 10, || {}).await;
        journal.forget("run".into()).await.unwrap();
        drop(gate);
        journal.sync().await.unwrap();
    });
    assert_eq!(journal.waiting("a", 0, 2).len(), 1);
    assert!(!journal.is_emitted("run", "mark"));
}

#[test]
fn an_entry_in_flight_is_submitted_again_only_if_it_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, gate) = behind_a_gate(&config(folder.path()));
    run(async {
        submit(&journal, "0", MAX_IN_FLIGHT_BYTES, || {}).await;
        let mut second = Box::pin(submit(&journal, "1", 1, || {}));
        assert!(futures::poll!(second.as_mut()).is_pending());
        // The caller stops waiting, as at the end of the grace period of a shutdown while the disk
        // is full.
        drop(second);
        assert_eq!(
            ["0", "1"].map(|mark| journal.is_emitted("run", mark)),
            [true, false]
        );
        assert_eq!(journal.waiting("a", 0, 2).len(), 0);
        drop(gate);
        journal.sync().await.unwrap();
        submit(&journal, "1", 1, || {}).await;
        assert!(journal.is_emitted("run", "1") && !journal.is_emitted("another", "1"));
        journal.sync().await.unwrap();
    });
    assert_eq!(
        ["0", "1"].map(|mark| journal.is_emitted("run", mark)),
        [true, true]
    );
    assert_eq!(journal.waiting("a", 0, 3).len(), 2);
}

#[test]
fn no_more_is_in_flight_than_may_be() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, gate) = behind_a_gate(&config(folder.path()));
    run(async {
        for mark in ["0", "1", "2", "3"] {
            submit(&journal, mark, MAX_IN_FLIGHT_BYTES / 4, || {}).await;
        }
        let mut fifth = std::pin::pin!(submit(&journal, "4", 1, || {}));
        assert!(futures::poll!(fifth.as_mut()).is_pending());
        drop(gate);
        fifth.await;
        // Submits more than the bound: such a submission is accepted when nothing else is in
        // flight.
        submit(&journal, "5", 2 * MAX_IN_FLIGHT_BYTES, || {}).await;
        journal.sync().await.unwrap();
    });
    assert!(journal.in_flight.is_empty());
    assert_eq!(
        (
            journal.in_flight.bytes(),
            journal.in_flight.namespace_bytes("")
        ),
        (0, 0)
    );
    assert_eq!(journal.waiting("a", 0, 10).len(), 6);
}

#[test]
fn entries_in_flight_count_towards_the_bound() {
    let folder = tempfile::tempdir().unwrap();
    let config = JournalConfig {
        max_bytes: Some(Bounded::unchecked(1000)),
        ..config(folder.path())
    };
    let (journal, gate) = behind_a_gate(&config);
    run(async {
        submit(&journal, "0", 400, || {}).await;
        gate.send(()).unwrap();
        gate.send(()).unwrap();
        journal.sync().await.unwrap();
        submit(&journal, "1", 400, || {}).await;
        let mut third = std::pin::pin!(submit(&journal, "2", 400, || {}));
        assert!(futures::poll!(third.as_mut()).is_pending());
        drop(gate);
        journal.sync().await.unwrap();
        assert!(futures::poll!(third.as_mut()).is_pending());
        journal.acknowledge(0, "a").await.unwrap();
        third.await;
    });
}

#[test]
fn the_next_events_of_a_sink_are_read_together() {
    const SIZE: usize = MAX_BYTES_PER_READ / 8;
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).unwrap();
    run(async {
        for number in 0..20 {
            submit(&journal, &number.to_string(), SIZE, || {}).await;
        }
    });
    super::close(journal, folder.path());
    // After a start no body is in memory.
    let journal = open(folder.path()).unwrap();
    let held = || (0..20).filter(|seq| journal.shared.cached(*seq).is_some());
    assert_eq!(held().count(), 0);
    run(async {
        let body = journal.next_body(3, "a").await.unwrap().unwrap();
        assert_eq!(body.len(), SIZE);
        assert_eq!(held().collect::<Vec<_>>(), [4, 5, 6, 7, 8, 9, 10]);
        // The body of an acknowledged event is not returned.
        journal.acknowledge(4, "a").await.unwrap();
        journal.sync().await.unwrap();
        assert!(journal.next_body(4, "a").await.unwrap().is_none());
        // Reads ahead neither bodies that are in memory nor events of other sinks.
        journal.next_body(2, "b").await.unwrap().unwrap();
        assert_eq!(held().count(), 6);
        journal.next_body(2, "a").await.unwrap().unwrap();
        assert_eq!(
            held().collect::<Vec<_>>(),
            [3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]
        );
        // The last read added the events 3 and 11 to 16. Its middle is 13, which triggers the next
        // read.
        journal.next_body(12, "a").await.unwrap().unwrap();
        journal.next_body(13, "a").await.unwrap().unwrap();
        while held().next_back() != Some(19) {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn an_unreadable_event_delays_none_of_those_read_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).unwrap();
    run(async {
        for number in 0..4 {
            submit(&journal, &number.to_string(), 100 + number, || {}).await;
        }
    });
    super::close(journal, folder.path());
    let journal = open(folder.path()).unwrap();
    let place = journal.shared.index(|index| index.place(2)).unwrap();
    let file = folder.path().join("000000000000.journal");
    let file = std::fs::File::options().write(true).open(file).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"?", place.offset).unwrap();
    run(async {
        journal.next_body(0, "a").await.unwrap().unwrap();
        for (seq, size) in [(1, 101), (3, 103)] {
            assert_eq!(journal.shared.cached(seq).unwrap().len(), size);
        }
        assert!(journal.next_body(2, "a").await.is_err());
    });
}
