//! No namespace and no sink takes the space of others.

use super::{accept, close, letter, letters, open, owned, run, small};
use crate::journal::{
    Accept, Blocked, DeadLetter, DeadLettered, DroppedLetter, Journal, JournalConfig, NewEvent,
    Origin, Seq, SinkCursor, WhenFull,
};
use jiff::Timestamp;

/// Accepts an event of a namespace for some sinks.
async fn accept_of(journal: &Journal, namespace: &str, sinks: &[&str], size: usize) {
    let origin = Origin {
        run: namespace.into(),
        namespace: namespace.into(),
    };
    let event = NewEvent {
        sinks: sinks.iter().map(ToString::to_string).collect(),
        body: vec![b'x'; size].into(),
    };
    let mark = Some(format!("{}", fastrand::u64(..)).as_str().into());
    let accept = Accept {
        origin,
        mark,
        at: Timestamp::UNIX_EPOCH,
        events: vec![event],
    };
    journal.accept(accept).await.unwrap();
}

#[test]
fn a_refused_event_never_waits_and_the_namespace_with_the_most_dead_letters_makes_room() {
    let journal = small(WhenFull::Block);
    let refused = || DeadLetter {
        refused: true,
        ..letter("413 Payload Too Large")
    };
    run(async {
        // One given-up event, one event of an uninvolved namespace, and many of a third one.
        accept_of(&journal, "given-up", &["a"], 100).await;
        journal.dead_letter(0, "a", letter("old")).await.unwrap();
        accept_of(&journal, "innocent", &["a"], 100).await;
        assert_eq!(
            journal.try_dead_letter(1, "a", refused()).await.unwrap(),
            DeadLettered::Done(vec![])
        );
        for seq in 2..30 {
            accept_of(&journal, "sec-a", &["a"], 200).await;
            assert_ne!(
                journal.try_dead_letter(seq, "a", refused()).await.unwrap(),
                DeadLettered::NoRoom
            );
            journal.sync().await.unwrap();
        }
        let left = letters(&journal);
        assert_eq!(left[..2], [(0, "a"), (1, "a")].map(owned));
        assert_eq!(left[2..], [26, 27, 28, 29].map(|seq| owned((seq, "a"))));
        assert_eq!(journal.dead_letters_dropped(), 24);
        // Another sink has room for its own dead letters.
        accept_of(&journal, "innocent", &["b"], 200).await;
        let outcome = journal.try_dead_letter(30, "b", refused()).await.unwrap();
        let gone = DroppedLetter {
            sink: "a".to_owned(),
            body: vec![b'x'; 200].into(),
        };
        assert_eq!(outcome, DeadLettered::Done(vec![gone]));
        journal.sync().await.unwrap();
        assert!(letters(&journal).contains(&owned((30, "b"))));
        assert!(letters(&journal).contains(&owned((1, "a"))));
    });
}

#[test]
fn a_namespace_that_has_its_share_waits_while_others_are_accepted() {
    let journal = small(WhenFull::Block);
    run(async {
        for _ in 0..8 {
            accept_of(&journal, "sec-a", &["a"], 100).await;
        }
        let mut more = std::pin::pin!(accept_of(&journal, "sec-a", &["a"], 100));
        assert!(futures::poll!(more.as_mut()).is_pending());
        // No other namespace has events.
        let blocked = |is_all| Blocked {
            namespaces: 1,
            is_all,
        };
        assert_eq!(journal.blocked(), blocked(true));
        for namespace in ["sec-b", "sec-c"] {
            accept_of(&journal, namespace, &["a"], 100).await;
        }
        assert_eq!(journal.blocked(), blocked(false));
        assert!(futures::poll!(more.as_mut()).is_pending());
        for seq in 0..3 {
            journal.acknowledge(seq, "a").await.unwrap();
        }
        more.await;
        assert_eq!(journal.blocked(), Blocked::default());
        assert_eq!(journal.counts("a"), (8, 0));
    });
}

#[test]
fn a_dropped_event_is_of_the_namespace_that_has_the_most() {
    let journal = small(WhenFull::DropOldest);
    run(async {
        accept_of(&journal, "sec-b", &["a"], 100).await;
        for _ in 0..20 {
            accept_of(&journal, "sec-a", &["a"], 100).await;
        }
        let waiting: Vec<Seq> = journal
            .waiting("a", 0, 99)
            .iter()
            .map(|event| event.seq)
            .collect();
        assert_eq!(waiting, [0, 12, 13, 14, 15, 16, 17, 18, 19, 20]);
    });
}

#[test]
fn a_sink_takes_of_each_namespace_in_turn() {
    let journal = Journal::open(&JournalConfig::default(), Timestamp::UNIX_EPOCH).unwrap();
    run(async {
        for _ in 0..6 {
            accept_of(&journal, "sec-a", &["a", "b"], 10).await;
        }
        for namespace in ["sec-b", "sec-c", "sec-b"] {
            accept_of(&journal, namespace, &["a"], 10).await;
        }
        let mut cursor = SinkCursor::default();
        let take = |cursor: &mut SinkCursor, most| {
            let taken = journal.next_events("a", cursor, most, |_| true);
            let seqs: Vec<Seq> = taken.events.iter().map(|event| event.seq).collect();
            (seqs, taken.has_more)
        };
        assert_eq!(take(&mut cursor, 4), (vec![0, 6, 7, 1], true));
        assert_eq!(take(&mut cursor, 4), (vec![8, 2, 3, 4], true));
        accept_of(&journal, "sec-c", &["a"], 10).await;
        let (rest, has_more) = take(&mut cursor, 4);
        assert_eq!((rest.len(), has_more), (2, false));
        assert!(rest.contains(&5) && rest.contains(&9), "{rest:?}");
        // Takes no events from namespaces without room. Takes only events of the given sink.
        let mut cursor = SinkCursor::default();
        let taken = journal.next_events("a", &mut cursor, 99, |namespace| namespace == 1);
        assert_eq!((taken.events.len(), taken.is_blocked), (2, true));
        let taken = journal.next_events("a", &mut cursor, 99, |_| true);
        assert_eq!((taken.events.len(), taken.is_blocked), (8, false));
        let taken = journal.next_events("b", &mut SinkCursor::default(), 99, |_| true);
        assert_eq!(taken.events.len(), 6);
    });
}

#[test]
fn namespaces_survive_a_restart_and_are_found_in_entries_written_before_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let journal = open(folder).unwrap();
    run(accept_of(&journal, "sec-a", &["a"], 10));
    // An event of the first builds of version 0.1.0: its entry holds no namespace.
    let body = r#"{"id":"1","subject":"sec-b/build/test"}"#;
    run(accept(&journal, "run", "mark", &["a"], body));
    close(journal, folder);
    let journal = open(folder).unwrap();
    let names = [0, 1].map(|seq| journal.origin(seq, "run".into()).namespace);
    assert_eq!(names, ["sec-a".into(), "sec-b".into()]);
}
