//! The bounds of the benchmarks.

use std::collections::BTreeSet;
use step_observer_tests::budget::Budget;
use step_observer_tests::path;

#[test]
fn every_benchmark_has_bounds_and_is_run_by_xtask() {
    let manifest = std::fs::read_to_string(path("Cargo.toml")).unwrap();
    let benches = manifest.split("[[bench]]\nname = \"").skip(1);
    let benches: BTreeSet<&str> = benches
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    let budgets = Budget::all();
    let bounded: BTreeSet<&str> = budgets.keys().map(String::as_str).collect();
    assert_eq!(bounded, benches);
    let xtask = std::fs::read_to_string(path("../xtask/src/main.rs")).unwrap();
    let run = xtask.split("\"--bench\",").skip(1);
    let run: BTreeSet<&str> = run.map(|rest| rest.split('"').nth(1).unwrap()).collect();
    assert_eq!(run, benches);
    for (figure, bound) in budgets.values().flatten() {
        let sides = [bound.at_most, bound.at_least];
        assert_eq!(sides.iter().flatten().count(), 1, "{figure}");
    }
}
