//! Reads lists and watch events of any content, in pieces of any size. A tenant can store such
//! objects.
#![no_main]

use libfuzzer_sys::fuzz_target;
use step_observer::observe::{Change, ListItems, SlimPod, SlimTaskRun, Tracker};
use step_observer_core::Ledger;
use step_observer_fuzz::{guard, init};

fuzz_target!(init: init(), |data: &[u8]| {
    guard(|| {
        // The first byte selects the sizes of the pieces.
        let Some((piece, list)) = data.split_first() else {
            return;
        };
        let mut tracker = Tracker::new(Ledger::new(jiff::Timestamp::MIN));
        let without = Vec::new();
        let now = jiff::Timestamp::UNIX_EPOCH;
        tracker.apply(Change::Listed { without }, now);
        let mut items = ListItems::default();
        for mut bytes in list.chunks(usize::from(*piece).max(1)) {
            while !bytes.is_empty() {
                let (taken, is_whole) = items.take(bytes);
                assert!(taken > 0 && (is_whole || taken == bytes.len()));
                bytes = bytes.get(taken..).unwrap_or_default();
                if is_whole {
                    object(&mut tracker, items.item().bytes);
                }
            }
        }
        object(&mut tracker, list);
        while let Some(due) = tracker.next_wake() {
            tracker.tick(due);
        }
    });
});

fn object(tracker: &mut Tracker, json: &[u8]) {
    let now = jiff::Timestamp::UNIX_EPOCH;
    if let Ok(run) = serde_json::from_slice::<SlimTaskRun>(json) {
        tracker.apply(Change::TaskRun(Box::new(run)), now);
    }
    if let Ok(pod) = serde_json::from_slice::<SlimPod>(json) {
        tracker.apply(Change::Pod(Box::new(pod)), now);
    }
}
