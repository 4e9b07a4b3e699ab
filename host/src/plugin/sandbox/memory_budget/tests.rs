use super::*;
use proptest::prelude::*;
use std::time::Duration;

const MIB: usize = 1024 * 1024;

fn budget(mib: usize) -> MemoryBudget {
    MemoryBudget::new((mib * MIB) as u64)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn now() -> Instant {
    Instant::now()
}

#[test]
fn the_budget_follows_the_limit() {
    const MIB: u64 = 1024 * 1024;
    for (limit, total) in [
        (None, 96),
        (Some(256), 96),
        (Some(1024), 384),
        // The lower bound makes sure that every plugin runs. The upper bound keeps the budget at a
        // size that operators expect.
        (Some(8), 16),
        (Some(1024 * 1024), 4096),
    ] {
        assert_eq!(
            default_plugin_memory(limit.map(|mib| mib * MIB)),
            total * MIB
        );
    }
    // With the memory limit of the manifest, a call can have the default `limits.memoryBytes`, and
    // the reserved part is enough for small plugins.
    let budget = MemoryBudget::new(default_plugin_memory(Some(256 * MIB)));
    assert!(budget.largest_call() > 64 * MIB);
    assert_eq!(budget.0.reserved as u64, 3 * MIB / 2);
}

#[test]
fn a_call_has_its_own_share_beside_all_others() {
    let budget = budget(96);
    let (hostile, innocent) = (
        Arc::new(budget.plugin_memory()),
        Arc::new(budget.plugin_memory()),
    );
    let hoards = hostile.reserve_whole(1024 * MIB, now()).unwrap();
    let shares: Vec<CallMemory> = (1..MAX_RESERVED_CALLS)
        .map(|_| {
            let mut call_memory = innocent.reserve_usual(now()).unwrap();
            call_memory.cover(3 * MIB / 2).unwrap();
            call_memory
        })
        .collect();
    // The whole budget is in use; one more byte is refused.
    let mut last = innocent.reserve_usual(now()).unwrap();
    assert!(last.cover(1).is_err());
    assert!(last.starved);
    drop((shares, hoards, last));
    assert_eq!(budget.shared_in_use(), 0);
    assert_eq!(budget.0.running.load(Ordering::Relaxed), 0);
}

#[test]
fn the_usual_memory_of_a_plugin_is_reserved_for_it() {
    let budget = budget(96);
    let (hostile, innocent) = (
        Arc::new(budget.plugin_memory()),
        Arc::new(budget.plugin_memory()),
    );
    let mut first = innocent.reserve_usual(now()).unwrap();
    first.cover(10 * MIB).unwrap();
    drop(first);
    assert!(innocent.is_large());
    // The other plugin cannot take the reserved memory, even with large and repeated requests.
    let taken: Vec<_> = (0..4)
        .filter_map(|_| hostile.reserve_whole(1024 * MIB, now()))
        .collect();
    assert_eq!(taken.len(), 1);
    let mut second = innocent.reserve_usual(now()).unwrap();
    second.cover(10 * MIB).unwrap();
    assert!(budget.shared_in_use() <= (96 * MIB) as u64);
}

#[test]
fn one_large_event_is_forgotten() {
    let budget = budget(96);
    let plugin_memory = Arc::new(budget.plugin_memory());
    plugin_memory
        .reserve_usual(now())
        .unwrap()
        .cover(20 * MIB)
        .unwrap();
    let mut calls = 0;
    while plugin_memory.is_large() {
        plugin_memory
            .reserve_usual(now())
            .unwrap()
            .cover(MIB)
            .unwrap();
        calls += 1;
    }
    assert!((50..500).contains(&calls), "{calls}");
}

#[test]
fn each_waiting_call_gets_its_turn_and_an_expired_one_leaves_nothing() {
    let budget = budget(96);
    let (one, other) = (
        Arc::new(budget.plugin_memory()),
        Arc::new(budget.plugin_memory()),
    );
    let whole = one.reserve_whole(1024 * MIB, now()).unwrap();
    assert!(other.reserve_whole(20 * MIB, now()).is_none());
    assert!(!budget.0.lock().has_waiting());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            other
                .reserve_whole(20 * MIB, soon())
                .map(|call_memory| call_memory.taken)
        });
        while !budget.0.lock().has_waiting() {}
        drop(whole);
        assert!(waiting.join().unwrap().is_some());
    });
    assert_eq!(budget.shared_in_use(), 0);
}

#[test]
fn a_plugin_with_many_calls_does_not_keep_another_from_its_turn() {
    let mut shared = SharedPool::new(100);
    shared.take(1, 100);
    let first = shared.enqueue(1, 60);
    let second = shared.enqueue(1, 60);
    let other = shared.enqueue(2, 50);
    shared.give_back(1, 100);
    // The call of the other plugin is first, because this plugin has not been served before.
    assert!(shared.is_turn(other) && !shared.is_turn(first) && !shared.is_turn(second));
    shared.take(2, 50);
    shared.leave(other);
    // None of the waiting calls fits yet. The call of plugin 3 is first, because this plugin has
    // not been served before.
    let small = shared.enqueue(3, 60);
    assert!(
        ![first, second, small]
            .iter()
            .any(|ticket| shared.is_turn(*ticket))
    );
    shared.give_back(2, 50);
    assert!(shared.is_turn(small));
}

#[test]
fn code_has_its_bound() {
    let budget = budget(16);
    let first = budget.reserve_code(10 * MIB).unwrap();
    assert_eq!(budget.code_bytes_left(), 6 * MIB as u64);
    assert!(budget.reserve_code(7 * MIB).is_none());
    drop(first);
    assert_eq!(budget.code_bytes_left(), 16 * MIB as u64);
}

#[derive(Clone, Debug)]
enum Step {
    Begin(usize),
    Whole(usize, usize),
    Cover(usize, usize),
    End(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_usize..4).prop_map(Step::Begin),
        (0_usize..4, 0_usize..100).prop_map(|(plugin, mib)| Step::Whole(plugin, mib * MIB)),
        (0_usize..40, 0_usize..100).prop_map(|(call, mib)| Step::Cover(call, mib * MIB)),
        (0_usize..40).prop_map(Step::End),
    ]
}

proptest! {
    /// For every sequence of calls, all plugins together stay within the budget, and all memory is
    /// returned after the calls.
    #[test]
    fn the_budget_is_never_exceeded(steps in proptest::collection::vec(step(), 0..200)) {
        let budget = budget(96);
        let plugins: Vec<_> = (0..4).map(|_| Arc::new(budget.plugin_memory())).collect();
        let mut running: Vec<(CallMemory, usize)> = Vec::new();
        for step in steps {
            match step {
                Step::Begin(plugin) => running.extend(plugins[plugin].reserve_usual(now()).map(|call_memory| (call_memory, 0))),
                Step::Whole(plugin, bytes) => {
                    running.extend(plugins[plugin].reserve_whole(bytes, now()).map(|call_memory| (call_memory, 0)));
                }
                Step::Cover(call, bytes) => {
                    if let Some((call_memory, has)) = running.get_mut(call)
                        && call_memory.cover(bytes).is_ok()
                    {
                        *has = bytes.max(*has);
                    }
                }
                Step::End(call) if call < running.len() => drop(running.swap_remove(call)),
                Step::End(_) => {}
            }
            let all: usize = running.iter().map(|(_, has)| has).sum();
            prop_assert!(all <= 96 * MIB, "{all}");
            let taken: usize = running.iter().map(|(call_memory, _)| call_memory.taken).sum();
            prop_assert_eq!(taken as u64, budget.shared_in_use());
        }
        drop(running);
        prop_assert_eq!(budget.shared_in_use(), 0);
        let whole = plugins[0].reserve_whole(64 * MIB, now());
        // The reservations of the other plugins take at most half of the shared part, so this call
        // gets the other half.
        prop_assert!(whole.unwrap().taken >= 34 * MIB);
    }
}
