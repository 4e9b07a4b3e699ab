//! The bound of the time of an evaluation.

use super::event::{event, result};
use crate::FailureKind;
use serde_json::json;

#[test]
fn work_that_grows_faster_than_the_event_ends_with_an_error() {
    let mut event = event();
    let log = "a".repeat(64 * 1024);
    let labels: serde_json::Map<_, _> = (0..3000).map(|i| (format!("l{i}"), json!("v"))).collect();
    event.data = json!({"log": log, "labels": labels, "stepIndex": 0, "step": {}});
    let doubled = "data.log.replace('a', 'aa')";
    for source in [
        &format!("{doubled}.replace('a', 'aa').replace('a', 'aa').size() == 1"),
        &format!("({doubled} + {doubled}).size() == 1"),
        // The lengths of texts are compared without reading them, so that these texts are only made.
        &format!("data.log.replace('a', '{}') != ''", "b".repeat(100)),
        "data.log.split('a', 100).join(data.log) != ''",
        "(data.log + data.log + data.log + data.log + data.log) != ''",
        "data.log.split('').size() == 1",
        "data.log.split('a').join(data.log).size() == 1",
        "labels.all(k, labels.size() > 0 && labels[k] == 'v' && k.startsWith('l'))",
        "labels.exists(k, data.log.contains('b'))",
        "labels.map(k, data.log + k) == []",
        "[data.log, data.log].exists(t, t.lowerAscii().upperAscii().reverse().trim().contains('b'))",
    ] {
        let error = result(source, &event).expect_err(source);
        assert_eq!(error.kind, FailureKind::Budget, "{source}");
    }
    for source in [
        "!data.log.contains('error') && !data.log.matches('error|failed')",
        "data.log.size() > 1000 && data.log.indexOf('b') == -1",
        "labels.exists(k, k == 'l2999')",
    ] {
        assert_eq!(result(source, &event), Ok(true), "{source}");
    }
}

#[test]
fn an_evaluation_without_steps_left_is_not_decided_by_another_operand() {
    let mut event = event();
    event.data["log"] = json!("a".repeat(64 * 1024));
    for source in [
        "data.log.split('').size() == 1 || true",
        // What was too much in one step leaves no steps for the others, either.
        &format!("data.log.replace('a', '{}') == '' || true", "b".repeat(100)),
        "!(data.log.split('').size() == 1 && false)",
        "[1].exists(x, data.log.split('').size() == x || true)",
    ] {
        let error = result(source, &event).expect_err(source);
        assert_eq!(error.kind, FailureKind::Budget, "{source}");
    }
}
