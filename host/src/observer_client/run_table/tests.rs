//! Tests of the table.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn updates(runs: Value) -> Vec<RunUpdate> {
    serde_json::from_value(runs).unwrap()
}

fn told(transitions: &[StepTransition]) -> Vec<String> {
    let told = transitions.iter();
    let told = told.map(|t| format!("{} {} {}", t.run.task_run, t.step.name, t.phase.as_str()));
    told.collect()
}

fn step(key: &str, state: &str, phases: &[&str]) -> Value {
    let events: Vec<_> = phases
        .iter()
        .map(|phase| json!({"id": format!("{key}-{phase}"), "phase": phase}))
        .collect();
    json!({"key": key, "name": key, "state": state, "events": events,
           "startedAt": "2026-11-22T13:00:00Z", "endedAt": "2026-11-22T13:00:02.5Z"})
}

#[test]
fn each_phase_is_reported_once_whatever_is_sent_again() {
    let mut table = RunTable::new(TableLimits::OF_MEMORY);
    let first = json!([{"uid": "1", "namespace": "ci", "taskRun": "run", "steps": [step("a", "running", &["started"]), step("b", "waiting", &[])]}]);
    assert_eq!(
        told(&table.merge(updates(first.clone()))),
        ["run a started"]
    );
    assert!(table.merge(updates(first)).is_empty());
    let ended = json!([{"uid": "1", "steps": [step("a", "failed", &["started", "failed"]), step("b", "skipped", &["skipped"])]}]);
    let transitions = table.merge(updates(ended.clone()));
    assert_eq!(told(&transitions), ["run a failed", "run b skipped"]);
    assert_eq!(transitions[0].event.as_deref(), Some("a-failed"));
    assert_eq!(
        transitions[0].step.duration(None),
        Some(Duration::from_millis(2_500))
    );
    assert!(table.merge(updates(ended)).is_empty());
    // The same step of another pod, with start and end in one message.
    let again =
        json!([{"uid": "1", "steps": [step("a2", "succeeded", &["started", "succeeded"])]}]);
    assert_eq!(
        told(&table.merge(updates(again))),
        ["run a2 started", "run a2 succeeded"]
    );
    // An id that is too long to be listed hides no end.
    let unlisted = json!([{"uid": "1", "steps": [step("c", "succeeded", &[])]}]);
    assert_eq!(told(&table.merge(updates(unlisted))), ["run c succeeded"]);
    let run = table.runs().next().unwrap();
    assert_eq!(
        (&*run.namespace, run.steps.len()),
        ("ci", 4),
        "names stay if they are not sent"
    );
}

#[test]
fn the_table_stays_within_its_bounds() {
    let limits = TableLimits {
        runs: 3,
        steps_of_run: 2,
        steps: 4,
    };
    let mut table = RunTable::new(limits);
    for run in 0..5 {
        let steps: Vec<_> = (0..4)
            .map(|at| step(&format!("s{at}"), "running", &[]))
            .collect();
        table.merge(updates(
            json!([{"uid": format!("{run}"), "taskRun": "x".repeat(70_000), "steps": steps}]),
        ));
    }
    let kept: Vec<_> = table
        .runs()
        .map(|run| (&*run.uid, run.steps.len(), run.task_run.len()))
        .collect();
    assert_eq!(kept, [("3", 2, 256), ("4", 2, 256)]);
    let hostile = json!([{"uid": "9".repeat(300)}, {"uid": ""}, {"uid": "5", "steps": [{"key": "k".repeat(2_000)}, {"key": ""}]}]);
    assert!(table.merge(updates(hostile)).is_empty());
    assert_eq!(table.runs().last().unwrap().steps.len(), 0);
    table.remove(&["4".to_owned()]);
    assert!(table.runs().all(|run| run.uid != "4"));
}

#[test]
fn unknown_members_and_states_are_accepted() {
    let run = json!([{"uid": "1", "later": {}, "steps": [{"key": "a", "state": "paused", "later": 1, "exitCode": null}]}]);
    let mut table = RunTable::new(TableLimits::OF_PAGE);
    assert!(table.merge(updates(run)).is_empty());
    assert_eq!(
        table.runs().next().unwrap().steps[0].state,
        StepState::Waiting
    );
}

proptest! {
    /// However updates are cut into messages and repeated, each phase of a step comes at most once.
    #[test]
    fn no_phase_comes_twice(sent in prop::collection::vec((0..3_u8, 0..3_u8, 0..5_usize), 0..40)) {
        let states = [("waiting", &[][..]), ("running", &["started"][..]), ("succeeded", &["started", "succeeded"][..]),
                      ("failed", &["started", "failed"][..]), ("skipped", &["skipped"][..])];
        let mut table = RunTable::new(TableLimits::OF_MEMORY);
        let mut seen = std::collections::BTreeSet::new();
        let mut last = std::collections::BTreeMap::new();
        for (run, key, state) in sent {
            // Observers take no state back.
            let state = *last.entry((run, key)).and_modify(|known: &mut usize| if *known < 2 { *known = state.max(*known) }).or_insert(state);
            let (name, phases) = states[state];
            let update = json!([{"uid": run.to_string(), "steps": [step(&key.to_string(), name, phases)]}]);
            for transition in table.merge(updates(update)) {
                prop_assert!(seen.insert((run, key, transition.phase)), "{transition:?}");
            }
        }
    }
}
