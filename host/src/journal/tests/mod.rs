//! Tests of the journal against a model, and of changed files.

mod disk;
mod failing;
mod format;
mod model;
mod power;
mod shares;
mod state;
mod submitting;

use super::frame::SEGMENT_HEADER;
use super::*;
use crate::bounded::Bounded;
use bytes::Bytes;
use model::Model;
use proptest::prelude::*;

fn config(folder: &Path) -> JournalConfig {
    JournalConfig {
        directory: Some(folder.to_owned()),
        ..JournalConfig::default()
    }
}

/// Opens a journal with small segments, so that a test with little data reaches compaction.
fn open(folder: &Path) -> Result<Journal, JournalError> {
    Journal::open_with(&config(folder), Timestamp::UNIX_EPOCH, 4096, None)
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let mut runtime = runtime;
    runtime.enable_all().build().unwrap().block_on(work)
}

/// Closes a journal. Its folder can be opened again after this.
fn close(journal: Journal, folder: &Path) {
    run(journal.sync()).unwrap();
    drop(journal);
    wait_for_the_lock(folder);
}

/// Waits until the writer has ended and released the lock.
fn wait_for_the_lock(folder: &Path) {
    let lock = std::fs::File::open(folder.join("lock")).unwrap();
    lock.lock().unwrap();
}

async fn accept(journal: &Journal, run: &str, mark: &str, sinks: &[&str], body: &str) {
    let events = match sinks {
        [] => Vec::new(),
        sinks => vec![NewEvent {
            sinks: sinks.iter().map(ToString::to_string).collect(),
            body: Bytes::from(body.to_owned()),
        }],
    };
    let mark = Some(mark.into());
    let accept = Accept {
        origin: run.into(),
        mark,
        at: Timestamp::UNIX_EPOCH,
        events,
    };
    journal.accept(accept).await.unwrap();
}

fn letter(reason: &str) -> DeadLetter {
    DeadLetter {
        reason: reason.to_owned(),
        attempts: 3,
        first: Timestamp::UNIX_EPOCH,
        last: Timestamp::UNIX_EPOCH,
        refused: false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn it_gives_the_entries_written_before_any_restarts(
        drops in any::<bool>(),
        lives in proptest::collection::vec(proptest::collection::vec(model::act(), 0..40), 1..4),
    ) {
        let when_full = if drops { WhenFull::DropOldest } else { WhenFull::Block };
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut model = Model::default();
        model.when_full = when_full;
        for acts in lives {
            let journal = model::open_as(when_full, folder, None).unwrap();
            model.check_reopened(&journal);
            for act in acts {
                model.act(&journal, act).unwrap();
                model.check(&journal);
            }
            close(journal, folder);
            model.promise();
        }
        model.check_reopened(&model::open(folder, None).unwrap());
    }
}

/// Writes entries with one write each. Returns the bytes of the segment and the end of each entry.
fn written(folder: &Path) -> (Vec<u8>, Vec<usize>) {
    let journal = Journal::open(&config(folder), Timestamp::UNIX_EPOCH).unwrap();
    let file = folder.join("000000000000.journal");
    let length = || usize::try_from(std::fs::metadata(&file).unwrap().len()).unwrap();
    run(journal.sync()).unwrap();
    let mut ends = vec![length()];
    for number in 0..5 {
        let body = "body ".repeat(number + 1);
        run(accept(
            &journal,
            "run",
            &format!("mark-{number}"),
            &["a"],
            &body,
        ));
        ends.push(length());
    }
    close(journal, folder);
    let bytes = std::fs::read(&file).unwrap();
    // Removes the empty entry that closing the journal appends.
    (bytes[..ends[5]].to_vec(), ends)
}

fn with_segment(bytes: &[u8]) -> (tempfile::TempDir, Result<Journal, JournalError>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("000000000000.journal"), bytes).unwrap();
    let opened = Journal::open(&config(folder.path()), Timestamp::UNIX_EPOCH);
    (folder, opened)
}

#[test]
fn whole_entries_survive_a_cut_at_any_byte() {
    let folder = tempfile::tempdir().unwrap();
    let (bytes, ends) = written(folder.path());
    for cut in 0..=bytes.len() {
        let (_folder, journal) = with_segment(&bytes[..cut]);
        let journal = journal.unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        let whole = ends
            .iter()
            .filter(|end| **end <= cut)
            .count()
            .saturating_sub(1);
        let waiting = journal.waiting("a", 0, 10);
        assert_eq!(waiting.len(), whole, "cut at {cut}");
        for number in 0..5 {
            assert_eq!(
                journal.is_emitted("run", &format!("mark-{number}")),
                number < whole
            );
        }
        // The journal can be written again.
        run(accept(&journal, "run", "another", &["a"], "another"));
        assert_eq!(journal.waiting("a", 0, 10).len(), whole + 1, "cut at {cut}");
    }
}

#[test]
fn a_flipped_bit_is_reported_or_costs_no_more_than_the_last_entry() {
    let folder = tempfile::tempdir().unwrap();
    let (bytes, ends) = written(folder.path());
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        let (_folder, journal) = with_segment(&flipped);
        match journal {
            // The header of the segment holds the version.
            Err(JournalError::Damaged { .. } | JournalError::Version { .. }) => {
                assert!(at < SEGMENT_HEADER.len() || at < ends[4], "at {at}");
            }
            Err(error) => panic!("at {at}: {error}"),
            // This looks like a crash during the last write.
            Ok(journal) => {
                assert!(at >= ends[4], "at {at}");
                assert_eq!(journal.waiting("a", 0, 10).len(), 4, "at {at}");
            }
        }
    }
}

#[test]
fn damage_before_the_last_segment_is_never_taken_for_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let journal = open(folder).unwrap();
    for number in 0..10 {
        let body = "x".repeat(1000);
        run(accept(
            &journal,
            "run",
            &format!("mark-{number}"),
            &["a"],
            &body,
        ));
    }
    close(journal, folder);
    let first = folder.join("000000000000.journal");
    let bytes = std::fs::read(&first).unwrap();
    std::fs::write(&first, &bytes[..bytes.len() - 10]).unwrap();
    let error = open(folder).unwrap_err().to_string();
    assert!(
        error.contains("is damaged") && error.contains("later segments follow"),
        "{error}"
    );
}

#[test]
fn a_folder_is_used_by_one_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let _first = open(folder.path()).unwrap();
    let error = open(folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("is used by another step-observer"),
        "{error}"
    );
}

#[test]
fn a_later_format_is_refused_as_such() {
    let (_folder, opened) = with_segment(b"step-observer journal 2\nanything");
    let error = opened.unwrap_err().to_string();
    assert!(error.contains("written by another version"), "{error}");
}

#[test]
fn delivered_events_soon_take_no_room() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let journal = open(folder).unwrap();
    // One event that still waits for its sink, a dead letter, and many delivered events.
    run(accept(&journal, "run", "kept", &["a"], "kept"));
    run(accept(&journal, "run", "dead", &["a"], "dead"));
    run(journal.dead_letter(1, "a", letter("no"))).unwrap();
    for number in 0..200_u64 {
        let body = "x".repeat(1000);
        run(accept(
            &journal,
            "run",
            &format!("mark-{number}"),
            &["a"],
            &body,
        ));
        run(journal.acknowledge(number + 2, "a")).unwrap();
    }
    close(journal, folder);
    let size = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().metadata().unwrap().len();
    let total: u64 = std::fs::read_dir(folder).unwrap().map(size).sum();
    // The marks are kept; everything else is removed.
    assert!(total < 150_000, "{total}");
    let journal = open(folder).unwrap();
    assert_eq!(journal.waiting("a", 0, 10).len(), 1);
    assert_eq!(run(journal.body(0)).unwrap().unwrap(), "kept");
    assert_eq!(run(journal.body(1)).unwrap().unwrap(), "dead");
    assert_eq!(journal.dead_letters()[0].2.reason, "no");
    assert!(journal.is_emitted("run", "mark-0") && journal.is_emitted("run", "mark-199"));
    assert_eq!(journal.horizon(), Some(Timestamp::UNIX_EPOCH));
}

#[test]
fn at_the_bound_it_waits_or_drops_the_oldest_as_configured() {
    for when_full in [WhenFull::Block, WhenFull::DropOldest] {
        let config = JournalConfig {
            max_bytes: Some(Bounded::unchecked(1000)),
            when_full,
            ..JournalConfig::default()
        };
        let journal = Journal::open(&config, Timestamp::UNIX_EPOCH).unwrap();
        run(async {
            for number in 0..2 {
                accept(
                    &journal,
                    "run",
                    &format!("mark-{number}"),
                    &["a"],
                    &"x".repeat(400),
                )
                .await;
            }
            let body = "x".repeat(400);
            let third = accept(&journal, "run", "third", &["a"], &body);
            let seqs = || {
                let waiting = journal.waiting("a", 0, 10).into_iter();
                waiting.map(|event| event.seq).collect::<Vec<_>>()
            };
            match when_full {
                WhenFull::Block => {
                    let mut third = std::pin::pin!(third);
                    assert!(futures::poll!(third.as_mut()).is_pending());
                    assert_eq!(seqs(), [0, 1]);
                    journal.acknowledge(0, "a").await.unwrap();
                    third.await;
                }
                WhenFull::DropOldest => third.await,
            }
            assert_eq!(seqs(), [1, 2]);
        });
    }
}

#[test]
fn a_hole_in_unsynced_data_is_taken_for_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let (mut bytes, _) = written(folder.path());
    let whole = bytes.len();
    // Two entries of one write that was never synced: the disk has only the second.
    let entry = |number: u64| Entry::Acknowledged {
        seq: number,
        sink: "a".to_owned(),
    };
    super::frame::encode(&mut bytes, &entry(0), &[], whole as u64);
    let second = bytes.len();
    super::frame::encode(&mut bytes, &entry(1), &[], whole as u64);
    bytes[whole..second].fill(0);
    let (_folder, journal) = with_segment(&bytes);
    assert_eq!(journal.unwrap().waiting("a", 0, 10).len(), 5);
    // The first entry is missing again, but the second one states that the first one was durable.
    bytes.truncate(second);
    super::frame::encode(&mut bytes, &entry(1), &[], second as u64);
    let (_folder, journal) = with_segment(&bytes);
    let error = journal.unwrap_err().to_string();
    assert!(error.contains("was written after it was whole"), "{error}");
}

#[test]
fn dead_letters_take_no_room_of_the_backlog_and_have_their_bound() {
    for when_full in [WhenFull::Block, WhenFull::DropOldest] {
        let journal = small(when_full);
        run(async {
            for number in 0..4 {
                let body = "x".repeat(300);
                accept(&journal, "run", &format!("mark-{number}"), &["a"], &body).await;
                if number < 3 {
                    journal
                        .dead_letter(number, "a", letter("no"))
                        .await
                        .unwrap();
                }
                journal.sync().await.unwrap();
            }
            // Given-up events may take seven eighths of 1,000 bytes.
            let dead_letter = journal.dead_letter(3, "a", letter("no"));
            match when_full {
                WhenFull::Block => {
                    let mut dead_letter = std::pin::pin!(dead_letter);
                    assert!(futures::poll!(dead_letter.as_mut()).is_pending());
                    assert_eq!(letters(&journal), [(0, "a"), (1, "a"), (2, "a")].map(owned));
                    journal.acknowledge(0, "a").await.unwrap();
                    dead_letter.await.unwrap();
                    journal.sync().await.unwrap();
                    assert_eq!(letters(&journal), [(1, "a"), (2, "a"), (3, "a")].map(owned));
                    assert_eq!(journal.dropped(), 0);
                }
                WhenFull::DropOldest => {
                    dead_letter.await.unwrap();
                    accept(&journal, "run", "last", &["a"], &"x".repeat(300)).await;
                    journal.dead_letter(4, "a", letter("no")).await.unwrap();
                    journal.sync().await.unwrap();
                    assert_eq!((journal.dropped(), journal.dead_letters_dropped()), (1, 1));
                    assert_eq!(
                        letters(&journal),
                        [(1, "a"), (2, "a"), (3, "a"), (4, "a")].map(owned)
                    );
                }
            }
        });
    }
}

fn small(when_full: WhenFull) -> Journal {
    let config = JournalConfig {
        max_bytes: Some(Bounded::unchecked(1000)),
        when_full,
        ..JournalConfig::default()
    };
    Journal::open(&config, Timestamp::UNIX_EPOCH).unwrap()
}

fn letters(journal: &Journal) -> Vec<(Seq, String)> {
    let letters = journal.dead_letters().into_iter();
    letters.map(|(seq, sink, _)| (seq, sink)).collect()
}

fn owned((seq, sink): (Seq, &str)) -> (Seq, String) {
    (seq, sink.to_owned())
}
