//! Tests the journal under power cuts, kills and disk faults. Everything that the journal promised
//! survives, and no crash is mistaken for damage.

use super::disk::{Disk, Fault};
use super::model::{self, Act, Model};
use crate::journal::JournalError;
use proptest::prelude::*;

/// The time from one start of the process to the next.
#[derive(Clone, Debug)]
struct Life {
    acts: Vec<Act>,
    /// Steps after which the process is killed, if it has not ended.
    steps: usize,
    fault: Option<(usize, Fault)>,
    /// The disk loses its power at the end.
    cut: bool,
    seed: u64,
}

fn lives(fault: impl Strategy<Value = Option<(usize, Fault)>>) -> impl Strategy<Value = Vec<Life>> {
    let steps = prop_oneof![3 => 0..150_usize, 1 => Just(usize::MAX)];
    let acts = proptest::collection::vec(model::act(), 0..40);
    let cut = proptest::bool::weighted(0.7);
    let life = (acts, steps, fault, cut, any::<u64>());
    let life = life.prop_map(|(acts, steps, fault, cut, seed)| Life {
        acts,
        steps,
        fault,
        cut,
        seed,
    });
    proptest::collection::vec(life, 1..5)
}

fn live(lives: Vec<Life>) {
    let (mut disk, mut model) = (Disk::new(), Model::default());
    for life in lives {
        disk.arm(life.steps, life.fault, life.seed);
        let folder = disk.folder();
        match model::open(&folder, Some(disk.clone())) {
            Ok(journal) => {
                model.check_reopened(&journal);
                let mut acts = life.acts.into_iter();
                if let Some(problem) = acts.find_map(|act| model.act(&journal, act).err()) {
                    assert!(disk.failed(), "{problem}");
                }
                drop(journal);
                super::wait_for_the_lock(&folder);
            }
            // The journal reports a full disk. The next start may find space.
            Err(JournalError::Open { source, .. })
                if source.kind() == std::io::ErrorKind::StorageFull => {}
            Err(problem) => assert!(disk.failed(), "{problem}"),
        }
        if life.cut {
            disk = disk.cut_power();
        }
    }
    disk.arm(usize::MAX, None, 0);
    let journal = model::open(&disk.folder(), Some(disk.clone())).unwrap();
    model.check_reopened(&journal);
}

proptest! {
    // 512 by default; `PROPTEST_CASES` changes it.
    #![proptest_config(ProptestConfig { cases: 2 * ProptestConfig::default().cases, ..ProptestConfig::default() })]

    #[test]
    fn accepted_entries_survive_power_cuts_at_any_moment(lives in lives(Just(None))) {
        live(lives);
    }

    #[test]
    fn accepted_entries_survive_failing_syncs_and_writes(
        lives in lives((0..60_usize, prop_oneof![Just(Fault::Sync), Just(Fault::Write)]).prop_map(Some)),
    ) {
        live(lives);
    }

    #[test]
    fn a_disk_that_is_full_at_any_moment_loses_nothing(
        lives in lives((0..60_usize, (1..4_u8).prop_map(Fault::Full)).prop_map(Some)),
    ) {
        live(lives);
    }
}
