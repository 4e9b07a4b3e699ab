//! Every recording and fixture gives exactly its events.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use step_observer::step::StepRecord;
use step_observer_tests::recording::{
    cases, changes, fixtures, json as read_json, recordings, track, watch_events,
};

/// Returns an event as one comparable line.
fn line(record: &StepRecord) -> String {
    format!(
        "{} {}",
        record.transition.step(),
        record.transition.kind.as_str()
    )
}

/// Groups events by pod, in order; pods may interleave.
fn by_pod(records: &[StepRecord]) -> BTreeMap<String, Vec<&StepRecord>> {
    let mut pods: BTreeMap<String, Vec<&StepRecord>> = BTreeMap::new();
    for record in records {
        pods.entry(record.transition.pod_name.to_string())
            .or_default()
            .push(record);
    }
    pods
}

fn check(name: &str, records: &[StepRecord], expected: &[Value], pod: &str, reason: &str) {
    let mut wanted: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for event in expected {
        wanted
            .entry(event[pod].as_str().unwrap().to_owned())
            .or_default()
            .push(event);
    }
    let found = by_pod(records);
    let lines = |pod: &str| -> Vec<String> {
        found
            .get(pod)
            .into_iter()
            .flatten()
            .map(|record| line(record))
            .collect()
    };
    for (pod, events) in &wanted {
        let expected: Vec<String> = events
            .iter()
            .map(|event| {
                format!(
                    "{} {}",
                    event["step"].as_str().unwrap(),
                    event["event"].as_str().unwrap()
                )
            })
            .collect();
        assert_eq!(lines(pod), expected, "{name}: {pod}");
        for (record, event) in found[pod].iter().zip(events) {
            let outcome = record
                .transition
                .kind
                .outcome()
                .cloned()
                .unwrap_or_default();
            let context = format!("{name}: {pod} {}", line(record));
            let reasons = match &event[reason] {
                Value::Array(any) => any.clone(),
                Value::Null => vec![],
                one => vec![one.clone()],
            };
            assert!(
                reasons.is_empty() || reasons.contains(&(&*outcome.reason).into()),
                "{context}: {}",
                outcome.reason
            );
            if let (Some(code), false) = (
                event["exitCode"].as_i64(),
                exit_code_may_differ(name, event),
            ) {
                assert_eq!(outcome.exit_code.map(i64::from), Some(code), "{context}");
            }
            if let Some(attempt) = event["attempt"].as_u64() {
                assert_eq!(u64::from(record.transition.attempt), attempt, "{context}");
            }
            if let Some(cause) = event["cause"].as_str() {
                assert_eq!(
                    record.transition.kind.cause().map(|cause| cause.as_str()),
                    Some(cause),
                    "{context}"
                );
            }
        }
    }
    assert_eq!(found.len(), wanted.len(), "{name}: {:?}", found.keys());
}

/// The fixture itself says: "A controller that prefers Pod evidence could wait for the terminated
/// statuses (exit 255) up to DELETED; then exitCode differs (255 vs 1)." This program does so: 255
/// is the exit code that the step really had.
fn exit_code_may_differ(name: &str, event: &Value) -> bool {
    name == "cancel_mid_step" && event["step"] == "work" && event["event"] == "failed"
}

#[test]
fn recordings_give_their_events() {
    for name in recordings() {
        let records = track(changes(&watch_events(&name)));
        let expected = read_json(&format!("recordings/{name}.expected.json"));
        check(
            &name,
            &records,
            expected.as_array().unwrap(),
            "pod",
            "reason",
        );
    }
}

#[test]
fn cases_give_their_events() {
    for name in cases() {
        let found: Vec<Value> = track(changes(&watch_events(&name)))
            .iter()
            .map(|record| json!({"step": record.transition.step(), "event": record.transition.kind.as_str()}))
            .collect();
        let expected = read_json(&format!("cases/{name}.expected.json"));
        assert_eq!(Value::from(found), expected, "{name}");
    }
}

#[test]
fn fixtures_give_their_events() {
    for name in fixtures() {
        let records = track(changes(&watch_events(&name)));
        let expected = read_json(&format!("fixtures/{name}.json"))["expectedStepEvents"].clone();
        let expected = expected.as_array().unwrap();
        check(&name, &records, expected, "podName", "terminationReason");
        for event in expected {
            let record = records.iter().find(|record| {
                record.transition.step() == event["step"]
                    && record.transition.kind.as_str() == event["event"]
                    && *record.transition.pod_name == *event["podName"].as_str().unwrap()
            });
            let transition = &record.unwrap().transition;
            assert_eq!(
                transition.pod_uid.as_deref(),
                event["podUid"].as_str(),
                "{name}"
            );
            let ended_in_pod = event["timeSource"] == "terminated.finishedAt";
            if ended_in_pod {
                assert_eq!(
                    transition.at.to_string(),
                    event["time"].as_str().unwrap(),
                    "{name}: {event}"
                );
            }
            if let Some(exact) = event["startedAtExact"].as_str() {
                assert_eq!(
                    transition.start.unwrap().at,
                    exact.parse().unwrap(),
                    "{name}: {event}"
                );
            }
        }
    }
}
