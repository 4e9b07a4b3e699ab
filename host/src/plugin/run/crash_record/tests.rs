use super::*;
use proptest::prelude::*;

fn digest(number: u8) -> [u8; 32] {
    [number; 32]
}

/// Simulates the death of a process: its file stays as it is.
fn dies_while_it_runs(folder: &Path, boot: &str, plugins: &[u8]) {
    let record = CrashRecord::open(folder, Some(boot)).unwrap();
    record.mark_running();
    for number in plugins {
        let call_marker = record.call_marker(digest(*number));
        std::mem::forget(call_marker.begin());
    }
}

fn refused(folder: &Path, number: u8) -> Option<u32> {
    let record = CrashRecord::open(folder, Some("a")).unwrap();
    record.deaths_if_refused(digest(number))
}

#[test]
fn a_plugin_that_killed_the_process_twice_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    dies_while_it_runs(folder, "a", &[1]);
    assert_eq!(refused(folder, 1), None);
    dies_while_it_runs(folder, "a", &[]);
    dies_while_it_runs(folder, "a", &[1]);
    assert_eq!(refused(folder, 1), Some(2));
    // Further starts do not lift the refusal, and it does not affect other plugins.
    assert_eq!(refused(folder, 1), Some(2));
    assert_eq!(refused(folder, 2), None);
    std::fs::remove_file(folder.join(CALLS_FILE)).unwrap();
    assert_eq!(refused(folder, 1), None);
}

#[test]
fn only_the_plugin_that_ran_longest_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for _ in 0..2 {
        let record = CrashRecord::open(folder, Some("a")).unwrap();
        record.mark_running();
        let (hostile, innocent) = (record.call_marker(digest(1)), record.call_marker(digest(2)));
        let first = hostile.begin();
        while record.0.opened.elapsed().as_micros() < 2 {}
        let began = record.0.opened.elapsed();
        while record.0.opened.elapsed().as_micros() == began.as_micros() {}
        std::mem::forget((first, innocent.begin(), innocent.begin()));
    }
    assert_eq!(refused(folder, 1), Some(2));
    assert_eq!(refused(folder, 2), None);
}

#[test]
fn an_end_in_order_a_call_that_ended_and_another_boot_count_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for _ in 0..3 {
        let record = CrashRecord::open(folder, Some("a")).unwrap();
        record.mark_running();
        let call_marker = record.call_marker(digest(1));
        drop(call_marker.begin());
        let last = call_marker.begin();
        record.mark_stopped();
        std::mem::forget(last);
    }
    for boot in ["b", "c", "d", "e"] {
        dies_while_it_runs(folder, boot, &[1]);
    }
    assert_eq!(refused(folder, 1), None);
    let record = CrashRecord::open(folder, Some("a")).unwrap();
    assert_eq!(record.0.suspects().deaths(PluginKey(digest(1))), 0);
}

#[test]
fn more_calls_at_a_time_than_there_are_slots_are_not_noted_and_harm_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let record = CrashRecord::open(folder.path(), None).unwrap();
    let call_marker = record.call_marker(digest(1));
    let running: Vec<_> = (0..SLOT_COUNT + 3).map(|_| call_marker.begin()).collect();
    assert_eq!(running.iter().filter(|call| call.slot.is_none()).count(), 3);
    drop(running);
    assert_eq!(record.0.occupied.load(Ordering::Relaxed), 0);
    let bytes = std::fs::read(folder.path().join(CALLS_FILE)).unwrap();
    assert!(bytes[HEADER_BYTES..].iter().all(|byte| *byte == 0));
}

proptest! {
    /// A file with any content can be opened. Opening it again gives the same suspects.
    #[test]
    fn any_file_is_opened(bytes in proptest::collection::vec(any::<u8>(), 0..4096), is_ours in any::<bool>()) {
        let folder = tempfile::tempdir().unwrap();
        let mut file = bytes;
        if is_ours {
            file.splice(0..0, Header::stopped("a").running().bytes());
        }
        std::fs::write(folder.path().join(CALLS_FILE), file).unwrap();
        let first = CrashRecord::open(folder.path(), Some("a")).unwrap();
        let table = first.0.suspects().clone();
        drop(first);
        let second = CrashRecord::open(folder.path(), Some("a")).unwrap();
        prop_assert_eq!(&*second.0.suspects(), &table);
    }

    #[test]
    fn slots_headers_and_tables_are_read_as_they_were_written(
        numbers in proptest::collection::vec((any::<u8>(), any::<u64>()), 0..40),
        boot in "[a-z0-9-]{0,64}",
    ) {
        let header = Header::stopped(&boot).running();
        prop_assert_eq!(Header::parse(&header.bytes()), Some(header));
        let slots: Vec<Slot> = numbers.iter().map(|(key, began)| Slot { key: PluginKey(digest(*key)), began: *began }).collect();
        for slot in &slots {
            prop_assert_eq!(Slot::parse(&slot.bytes()), Some(*slot));
        }
        let mut table = Suspects::default();
        for calls in slots.chunks(3) {
            table.count_death(calls);
        }
        prop_assert_eq!(Suspects::parse(&table.bytes()), table);
    }
}
