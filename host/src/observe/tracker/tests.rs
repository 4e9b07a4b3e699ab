use super::*;
use jiff::SignedDuration;
use serde_json::json;

const SCRIPT: usize = 10_000;

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Returns a TaskRun with a long script that ended at noon.
fn ended_run(uid: &str) -> Change {
    let json = json!({
        "metadata": {"uid": uid, "name": uid, "namespace": "ns", "creationTimestamp": "2026-01-01T11:00:00Z"},
        "spec": {"taskSpec": {"steps": [{"name": "a", "script": "x".repeat(SCRIPT)}]}},
        "status": {
            "podName": format!("{uid}-pod"),
            "completionTime": "2026-01-01T12:00:00Z",
            "conditions": [{"type": "Succeeded", "status": "True", "reason": "Succeeded"}],
            "steps": [{"name": "a", "container": "step-a", "terminated": {
                "exitCode": 0, "reason": "Completed", "finishedAt": "2026-01-01T12:00:00Z"
            }}],
        },
    });
    Change::TaskRun(Box::new(serde_json::from_str(&json.to_string()).unwrap()))
}

fn listed() -> Change {
    Change::Listed {
        without: Vec::new(),
    }
}

/// Returns the bytes of texts that are kept of a listed run, and the number of its events.
fn kept_and_emitted(horizon: Timestamp) -> (usize, usize) {
    let mut tracker = Tracker::new(Ledger::new(horizon));
    let now = time("2026-01-02T00:00:00Z");
    tracker.apply(ended_run("a"), now);
    tracker.texts.purge();
    let kept = tracker.texts.bytes();
    let mut findings = tracker.apply(listed(), now);
    while let Some(due) = tracker.next_wake() {
        findings.extend(tracker.tick(due));
    }
    let is_record = |finding: &&Finding| matches!(finding, Finding::Record(_));
    assert_eq!(tracker.run_count(), 1);
    (kept, findings.iter().filter(is_record).count())
}

#[test]
fn nothing_but_names_is_kept_of_a_run_that_ended_an_hour_before_the_horizon() {
    let end = time("2026-01-01T12:00:00Z");
    let at = |after: SignedDuration| kept_and_emitted(end + after);
    let second = SignedDuration::from_secs(1);
    let hour = SignedDuration::from_hours(1);
    let (kept, emitted) = at(SignedDuration::ZERO);
    assert!(kept > SCRIPT && emitted > 0, "{kept} {emitted}");
    let (kept, emitted) = at(hour);
    assert!(kept > SCRIPT, "{kept}");
    assert_eq!(emitted, 0);
    assert_eq!(at(hour + second), ("ns".len(), 0));
}

#[test]
fn a_run_that_ended_long_ago_is_not_due_when_the_lists_are_complete() {
    let mut tracker = Tracker::new(Ledger::new(Timestamp::MAX));
    let now = time("2026-01-02T00:00:00Z");
    tracker.apply(ended_run("a"), now);
    tracker.apply(ended_run("b"), now);
    let forgotten = tracker.apply(Change::TaskRunGone { uid: "b".into() }, now);
    assert!(matches!(&forgotten[..], [Finding::Forgotten(uid)] if &**uid == "b"));
    tracker.apply(listed(), now);
    assert_eq!((tracker.next_wake(), tracker.run_count()), (None, 1));
}
