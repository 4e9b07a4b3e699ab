//! Results of expressions.

use super::event::{event, result, text};
use crate::FailureKind;
use serde_json::json;

/// The cases of `cases.txt`: what they give, and the expression.
fn cases() -> Vec<(&'static str, String)> {
    let mut given = "";
    let mut cases: Vec<(&'static str, String)> = Vec::new();
    for line in include_str!("cases.txt").lines() {
        let is_open = cases
            .last()
            .is_some_and(|(_, source)| source.matches("'''").count() % 2 == 1);
        match (line.strip_prefix("# "), cases.last_mut()) {
            (Some(heading), _) => given = heading,
            (None, Some((_, source))) if is_open => {
                source.push('\n');
                source.push_str(line);
            }
            (None, _) => cases.push((given, line.to_owned())),
        }
    }
    cases
}

#[test]
fn every_case_gives_the_result_of_the_specification() {
    let event = event();
    let mut counts = [0, 0];
    for (given, source) in cases() {
        match (given, result(&source, &event)) {
            ("true", Ok(true)) => counts[0] += 1,
            ("error", Err(_)) => counts[1] += 1,
            (_, other) => panic!("{source} gives {other:?}, not {given}"),
        }
    }
    assert!(counts[0] > 100 && counts[1] > 20, "{counts:?}");
}

#[test]
fn attributes_have_their_types() {
    let event = event();
    for source in [
        "event.type.endsWith('.failed.v1')",
        "event['type'] == event.type",
        "event['priority'] > 2 && event['urgent']",
        "!has(event.traceparent)",
        "event.data.reason == data.reason && labels.team == data.labels.team && step.name == 'compile'",
    ] {
        assert_eq!(result(source, &event), Ok(true), "{source}");
    }
    let missing = result("event['nosuch'] == 'a'", &event).unwrap_err();
    assert_eq!(missing.kind, FailureKind::Missing("nosuch".to_owned()));
    assert_eq!((missing.line, missing.column), (1, 6));
}

#[test]
fn an_absent_member_is_empty_if_the_schema_says_so_and_else_an_error() {
    let mut event = event();
    event.data = json!({"stepIndex": 0, "logInfo": {"bytes": 1, "truncated": false}, "step": {}});
    for (source, expected) in [
        ("size(data.labels) == 0 && !has(data.labels.team)", true),
        ("labels.exists(k, k == 'team')", false),
        ("!data.logInfo.atLeast && data.leftOut == []", true),
        ("has(data.logInfo.incomplete) || has(data.exitCode)", false),
        ("has(step.resources.limits.cpu)", false),
        ("has(data.labels)", false),
    ] {
        assert_eq!(result(source, &event), Ok(expected), "{source}");
    }
    for (source, name, column) in [
        ("data.exitCode == 1", "exitCode", 6),
        ("labels.team == 'shop'", "team", 8),
        ("true && data.taskRun.name == 'a'", "taskRun", 14),
        ("step.resources.limits == 1", "resources", 6),
    ] {
        let error = result(source, &event).unwrap_err();
        assert_eq!(
            error.kind,
            FailureKind::Missing(name.to_owned()),
            "{source}"
        );
        assert_eq!((error.line, error.column), (1, column), "{source}");
    }
}

#[test]
fn data_that_is_not_as_the_schema_says_is_an_error() {
    let mut event = event();
    for data in [
        json!(null),
        json!([]),
        json!("text"),
        json!({"labels": 1, "log": 2}),
    ] {
        event.data = data;
        for source in [
            "labels.team == 'a'",
            "data.log.contains('a')",
            "has(data.labels.team)",
            "data.log.matches('a')",
        ] {
            assert!(result(source, &event).is_err(), "{source}");
        }
    }
}

#[test]
fn matches_searches_and_is_anchored_only_by_the_pattern() {
    let event = event();
    for (source, expected) in [
        ("data.log.matches('error: .*out')", true),
        ("data.log.matches('^error')", false),
        ("data.log.matches('(?m)^error')", true),
        (r"data.taskRun.name.matches(r'^build-\d+$')", true),
        ("data.log.lowerAscii().matches('ERROR')", false),
        ("matches(data.log, '(?i)ERROR')", true),
    ] {
        assert_eq!(result(source, &event), Ok(expected), "{source}");
    }
}

#[test]
fn an_error_contains_no_value_of_the_event() {
    let mut event = event();
    event.data["step"] =
        json!({"secret": "hunter2", "list": ["hunter2"], "hunter": {"hunter2": 1}});
    event.attributes.push(("secret", text("hunter2")));
    for source in [
        "step.secret < 1",
        "step.secret + 1 == 2",
        "int(step.secret) == 1",
        "step.list[step.secret] == 1",
        "step.list.matches('a')",
        "{'a': 1}[step.secret] == 1",
        "step.secret.foo == 1",
        "step.secret.all(x, true)",
        "step.secret.join() == ''",
        "step.secret ? true : false",
        "{step.secret: 1, step.secret: 2} == {}",
        "int(event['secret']) == 1",
        "step.hunter.map(k, step[k]) == []",
    ] {
        let error = result(source, &event).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}
