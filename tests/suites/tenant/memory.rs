//! Memory for TaskRuns that never end is bounded.

use super::live;
use jiff::Timestamp;
use serde_json::{Value, json};
use step_observer::observe::Finding;
use step_observer_tests::recording::{changes, feed, recordings, settle, watch_events};

/// Returns a TaskRun of another tenant. It never starts, and has as much text as the observer keeps
/// of one TaskRun.
fn pending(number: usize, at: &Value) -> Value {
    let step = |step: usize| json!({"name": format!("s{step}"), "script": format!("{number} {step} {}", "x".repeat(15_000))});
    let steps: Vec<Value> = (0..8).map(step).collect();
    json!({"at": at, "type": "ADDED", "object": {
        "apiVersion": "tekton.dev/v1", "kind": "TaskRun",
        "metadata": {"name": format!("r{number}"), "namespace": "sec-a", "uid": format!("pending-{number}")},
        "spec": {"taskSpec": {"steps": steps}},
    }})
}

#[test]
fn runs_that_never_start_give_way_before_those_of_others() {
    let name = recordings()
        .into_iter()
        .find(|name| name == "b-fail")
        .unwrap();
    let events = watch_events(&name);
    let (before, after) = events.split_at(events.len() / 2);
    let words = |records: &[step_observer::step::StepRecord]| {
        let words = records.iter().map(|record| format!("{record:?}"));
        words.collect::<Vec<_>>()
    };
    let mut alone = live();
    let mut expected = feed(&mut alone, changes(&events));
    expected.extend(settle(&mut alone, Timestamp::MAX));

    let mut tracker = live();
    let mut records = feed(&mut tracker, changes(before));
    let mut gave_way = 0;
    // Twice as much text as all runs together may hold.
    for number in 0..800 {
        for seen in changes(&[pending(number, &before.last().unwrap()["at"])]) {
            for finding in tracker.apply(seen.change, seen.at) {
                match finding {
                    Finding::TextsEvicted(runs) => gave_way += runs,
                    other => unreachable!("{other:?}"),
                }
            }
        }
    }
    assert!(gave_way > 400 && gave_way < 800, "{gave_way}");
    records.extend(feed(&mut tracker, changes(after)));
    records.extend(settle(&mut tracker, Timestamp::MAX));
    assert_eq!(words(&records), words(&expected));
}

#[test]
fn an_oversized_script_is_omitted_and_the_event_says_so() {
    let mut events = watch_events("a-success");
    for event in &mut events {
        for task in [
            "/object/spec/taskSpec/steps/0",
            "/object/status/taskSpec/steps/0",
        ] {
            if let Some(step) = event.pointer_mut(task) {
                step["script"] = "x".repeat(500_000).into();
            }
        }
    }
    let mut tracker = live();
    let mut records = feed(&mut tracker, changes(&events));
    records.extend(settle(&mut tracker, Timestamp::MAX));
    let first = records
        .iter()
        .find(|record| record.transition.index == 0)
        .unwrap();
    assert!(first.spec_truncation.unwrap().bytes.unwrap() > 500_000);
    let spec: Value = serde_json::from_str(&first.spec).unwrap();
    assert!(
        spec.get("script").is_none() && spec["name"].is_string(),
        "{spec}"
    );
    assert!(spec["image"].is_string(), "{spec}");
    let config = step_observer::event::EventConfig::default();
    let identity = step_observer::event::EventIdentity::new(first, &config);
    let built = step_observer::event::build(first, &identity, None, &config).unwrap();
    let data = step_observer::event::structured(&built.event).unwrap();
    let data: Value = serde_json::from_slice(&data).unwrap();
    let data = &data["data"];
    assert_eq!(data["stepInfo"]["truncated"], true);
    let left_out = serde_json::json!([{"bytes": 500_000, "path": "/step/script"}]);
    assert_eq!(data["leftOut"], left_out);
    let others = records.iter().filter(|record| record.transition.index > 0);
    assert!(
        others.clone().count() > 0
            && others
                .into_iter()
                .all(|record| record.spec_truncation.is_none())
    );
}
