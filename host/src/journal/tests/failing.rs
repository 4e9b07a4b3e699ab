//! A failing disk under the journal, one case at a time.

use super::disk::{Disk, Fault};
use super::{accept, close, letter, model, run};
use crate::bounded::Bounded;
use crate::journal::{Accept, Journal, JournalConfig, JournalError, NewEvent, WhenFull};
use jiff::Timestamp;
use std::path::Path;
use std::sync::Arc;

async fn try_accept(journal: &Journal, body: &str) -> Result<(), JournalError> {
    let event = NewEvent {
        sinks: vec!["a".to_owned()],
        body: body.to_owned().into(),
    };
    let accept = Accept {
        origin: "run-0".into(),
        mark: Some(body.into()),
        at: Timestamp::UNIX_EPOCH,
        events: vec![event],
    };
    journal.accept(accept).await
}

fn waiting(journal: &Journal) -> Vec<String> {
    let waiting = journal.waiting("a", 0, usize::MAX).into_iter();
    let bodies = waiting.map(|event| run(journal.body(event.seq)).unwrap().unwrap());
    let texts = bodies.map(|body| String::from_utf8(body.to_vec()).unwrap());
    texts.collect()
}

#[test]
fn a_failed_sync_or_write_is_final_and_not_retried() {
    for (fault, syncs) in [(Fault::Sync, 1), (Fault::Write, 0)] {
        let disk = Disk::new();
        let journal = model::open(&disk.folder(), Some(disk.clone())).unwrap();
        run(try_accept(&journal, "before")).unwrap();
        disk.arm(usize::MAX, Some((0, fault)), 1);
        let before = disk.syncs();
        run(async {
            let refused = try_accept(&journal, "refused").await.unwrap_err();
            assert!(
                refused.to_string().contains("cannot be written"),
                "{refused}"
            );
            let failed = journal.failed().await.to_string();
            assert!(failed.contains("Input/output error"), "{failed}");
            try_accept(&journal, "too late").await.unwrap_err();
            journal.sync().await.unwrap_err();
        });
        assert_eq!(disk.syncs() - before, syncs, "{fault:?}");
        drop(journal);
        super::wait_for_the_lock(&disk.folder());
        // An event that was not accepted does not come back, although the system may still show its
        // bytes.
        disk.arm(usize::MAX, None, 1);
        let journal = model::open(&disk.folder(), Some(disk.clone())).unwrap();
        assert_eq!(waiting(&journal), ["before"], "{fault:?}");
        assert!(!journal.is_emitted("run-0", "refused"));
    }
}

#[test]
fn a_failure_of_the_disk_ends_the_wait_for_room() {
    let disk = Disk::new();
    let folder = disk.folder();
    let config = JournalConfig {
        directory: Some(folder),
        max_bytes: Some(Bounded::unchecked(10)),
        when_full: WhenFull::Block,
        history_bytes: None,
    };
    let journal =
        Journal::open_with(&config, Timestamp::UNIX_EPOCH, 4096, Some(disk.clone())).unwrap();
    run(async {
        try_accept(&journal, "ten bytes!").await.unwrap();
        let mut waits = std::pin::pin!(try_accept(&journal, "more"));
        assert!(futures::poll!(waits.as_mut()).is_pending());
        disk.arm(usize::MAX, Some((0, Fault::Sync)), 0);
        journal.sync().await.unwrap_err();
        waits.await.unwrap_err();
    });
}

#[test]
fn a_changed_segment_is_never_compacted_away() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let journal = super::open(folder).unwrap();
    run(accept(&journal, "run", "kept", &["a"], "the oldest of all"));
    for number in 0..5 {
        run(accept(
            &journal,
            "run",
            &format!("mark-{number}"),
            &["a"],
            &"x".repeat(1000),
        ));
    }
    let first = folder.join("000000000000.journal");
    let mut bytes = std::fs::read(&first).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&first, &bytes).unwrap();
    // Acknowledges events, so that few bytes are live. Ends when compaction handles the first
    // segment.
    let failed = run(async {
        let mut number = 1;
        loop {
            journal.acknowledge(number, "a").await.ok();
            if let Err(failed) = try_accept(&journal, &"x".repeat(1000)).await {
                break failed.to_string();
            }
            number += 1;
            assert!(number < 1000, "it was never cleaned");
        }
    });
    assert!(
        failed.contains("000000000000.journal has changed at byte"),
        "{failed}"
    );
    drop(journal);
    super::wait_for_the_lock(folder);
    assert_eq!(std::fs::read(&first).unwrap(), bytes);
    assert!(matches!(
        super::open(folder),
        Err(JournalError::Damaged { .. })
    ));
}

#[test]
fn an_unreadable_event_is_a_distinct_error_and_can_become_a_dead_letter() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let journal = super::open(folder).unwrap();
    for body in ["first body", "second body", "third body"] {
        run(accept(&journal, "run", body, &["a"], body));
    }
    close(journal, folder);
    let journal = super::open(folder).unwrap();
    change(&folder.join("000000000000.journal"), b"second body");
    let body = |seq| run(journal.body(seq));
    assert_eq!(body(0).unwrap().unwrap(), "first body");
    let problem = body(1).unwrap_err().to_string();
    assert!(problem.contains("has changed on the disk"), "{problem}");
    assert_eq!(body(2).unwrap().unwrap(), "third body");
    run(journal.dead_letter(1, "a", letter("unreadable"))).unwrap();
    run(journal.sync()).unwrap();
    assert_eq!(journal.counts("a"), (2, 1));
}

/// Changes a byte of a text in a file.
fn change(file: &Path, text: &[u8]) {
    let mut bytes = std::fs::read(file).unwrap();
    let mut places = bytes.windows(text.len());
    let last = places.rposition(|found| found == text).unwrap();
    bytes[last] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

#[test]
fn a_number_is_never_given_twice() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let journal = super::open(folder).unwrap();
    let count = 60;
    for number in 0..count {
        run(accept(&journal, "run", "mark", &["a"], &"x".repeat(100)));
        run(journal.acknowledge(number, "a")).unwrap();
    }
    // Appends entries without events, until compaction has removed all entries with events.
    for _ in 0..200 {
        run(accept(
            &journal,
            &"a run with a long name ".repeat(10),
            "mark",
            &[],
            "",
        ));
    }
    close(journal, folder);
    assert!(
        !folder.join("000000000000.journal").exists(),
        "nothing was cleaned"
    );
    let journal = super::open(folder).unwrap();
    run(accept(&journal, "run", "another", &["a"], "another"));
    assert_eq!(journal.waiting("a", 0, 10)[0].seq, count);
}

/// Opens a journal on a disk that never fails from now on.
fn open_whole(disk: &Arc<Disk>, seed: u64) -> Journal {
    disk.arm(usize::MAX, None, seed);
    model::open(&disk.folder(), Some(disk.clone())).unwrap()
}

#[test]
fn unsynced_entries_of_a_killed_process_are_synced_before_new_ones() {
    for seed in 0..20 {
        let disk = Disk::new();
        let open = |disk: &Arc<Disk>| open_whole(disk, seed);
        let journal = open(&disk);
        run(async {
            try_accept(&journal, "first").await.unwrap();
            try_accept(&journal, "second").await.unwrap();
            let mut changes = journal.changes();
            journal.acknowledge(0, "a").await.unwrap();
            let done = |_: &u64| journal.counts("a").0 == 1;
            changes.wait_for(done).await.unwrap();
        });
        disk.arm(0, None, seed);
        drop(journal);
        super::wait_for_the_lock(&disk.folder());
        let journal = open(&disk);
        assert_eq!(waiting(&journal), ["second"]);
        let after = disk.cut_power();
        assert_eq!(waiting(&open(&after)), ["second"], "{seed}");
    }
}

/// After the failed sync the system treats the bytes as written, so that another sync alone would
/// write nothing.
#[test]
fn entries_of_a_failed_sync_are_written_again_before_new_ones() {
    for seed in 0..20 {
        let disk = Disk::new();
        let open = |disk: &Arc<Disk>| open_whole(disk, seed);
        let journal = open(&disk);
        run(try_accept(&journal, "first")).unwrap();
        // The process writes, fails to sync, and is killed before it truncates the written bytes.
        disk.arm(2, Some((1, Fault::Sync)), seed);
        run(try_accept(&journal, "second")).unwrap_err();
        drop(journal);
        super::wait_for_the_lock(&disk.folder());
        let shown = waiting(&open(&disk));
        assert_eq!(shown, ["first", "second"]);
        assert_eq!(waiting(&open(&disk.cut_power())), shown, "{seed}");
    }
}
