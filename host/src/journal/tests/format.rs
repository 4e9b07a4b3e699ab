//! The bytes that `docs/journal-format.md` shows.

use super::{accept, config, run, with_segment};
use crate::journal::dead_letters::{MAX_DEAD_LETTERS, RESERVED_FOR_REFUSED};
use crate::journal::entry::{AcceptedEvent, Entry};
use crate::journal::frame::{self, SEGMENT_HEADER};
use crate::journal::in_flight::MAX_IN_FLIGHT_BYTES;
use crate::journal::index::MAX_SINKS;
use crate::journal::segments::SEGMENT_BYTES;
use crate::journal::{Journal, WaitingEvent};
use bytes::Bytes;
use jiff::Timestamp;

/// Returns the bytes of the hex dump in the document: lines of an offset, bytes and text.
fn worked_example() -> Vec<u8> {
    let document = include_str!("../../../../docs/journal-format.md");
    let dump = document.split("```text\n").nth(1).unwrap();
    let lines = dump.split("```").next().unwrap().lines();
    let bytes = lines.flat_map(|line| {
        let (_offset, rest) = line.split_once("  ").unwrap();
        let (hex, _text) = rest.split_once("  ").unwrap();
        hex.split(' ')
            .map(|byte| u8::from_str_radix(byte, 16).unwrap())
    });
    bytes.collect()
}

#[test]
fn the_worked_example_is_what_the_journal_writes_and_reads() {
    let body = Bytes::from_static(br#"{"id":"1"}"#);
    let entry = Entry::Accepted {
        run: "r".into(),
        namespace: "ci".into(),
        mark: Some("1".to_owned()),
        name: None,
        at: "2026-11-22T13:00:00Z".parse().unwrap(),
        events: vec![AcceptedEvent {
            seq: 0,
            sinks: vec!["http-1".to_owned()],
            bytes: 10,
            sum: crc32fast::hash(&body),
        }],
    };
    let mut written = SEGMENT_HEADER.to_vec();
    let synced = written.len() as u64;
    frame::encode(&mut written, &entry, std::slice::from_ref(&body), synced);
    assert_eq!(written, worked_example());

    let (_folder, journal) = with_segment(&worked_example());
    let journal = journal.unwrap();
    assert!(journal.is_emitted("r", "1"));
    assert_eq!(&*journal.origin(0, "r".into()).namespace, "ci");
    assert_eq!(journal.waiting("http-1", 0, 2).len(), 1);
    assert_eq!(run(journal.body(0)).unwrap(), Some(body));
}

/// Returns the kinds of all entries in a segment.
fn kinds(segment: &[u8]) -> Vec<String> {
    let mut kinds = Vec::new();
    let mut at = SEGMENT_HEADER.len();
    while let frame::Parsed::Frame(frame) = frame::parse(segment, at) {
        let entry = serde_json::to_value(&frame.entry).unwrap();
        kinds.push(entry["is"].as_str().unwrap().to_owned());
        at = frame.end;
    }
    kinds
}

#[test]
fn each_operation_writes_the_kind_of_entry_that_the_document_names() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(&config(folder.path()), Timestamp::UNIX_EPOCH).unwrap();
    run(async {
        journal.set_scope("all").await.unwrap();
        accept(&journal, "run", "mark", &["a", "b"], "body").await;
        journal.acknowledge(0, "a").await.unwrap();
        journal
            .dead_letter(0, "b", super::letter("no"))
            .await
            .unwrap();
        journal.forget("run".into()).await.unwrap();
        journal.sync().await.unwrap();
    });
    let letters = journal.dead_letters();
    assert_eq!(letters.len(), 1);
    assert_eq!(journal.waiting("b", 0, 1), Vec::<WaitingEvent>::new());
    let segment = std::fs::read(folder.path().join("000000000000.journal")).unwrap();
    let expected = [
        "begun",
        "scope",
        "accepted",
        "done",
        "dead",
        "forgotten",
        "marks",
    ];
    assert_eq!(kinds(&segment), expected);
    let document = include_str!("../../../../docs/journal-format.md");
    for kind in expected {
        assert!(document.contains(&format!("| `{kind}` |")), "{kind}");
    }
}

/// Writes a number as the document does: with a comma before each three digits.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&[u8]> = digits.as_bytes().rchunks(3).rev().collect();
    String::from_utf8(groups.join(&b',')).unwrap()
}

#[test]
fn the_document_states_the_bounds_of_the_code() {
    let document = include_str!("../../../../docs/journal-format.md");
    let mib = |bytes: usize| format!("{} MiB", bytes >> 20);
    for bound in [
        grouped(frame::MAX_PAYLOAD_BYTES),
        grouped(MAX_DEAD_LETTERS),
        format!("{} beyond", grouped(RESERVED_FOR_REFUSED)),
        format!("reached {}", mib(usize::try_from(SEGMENT_BYTES).unwrap())),
        format!("bytes in flight | {}", mib(MAX_IN_FLIGHT_BYTES)),
        format!("dead letters | {MAX_SINKS}, "),
    ] {
        assert!(document.contains(&bound), "{bound}");
    }
}
