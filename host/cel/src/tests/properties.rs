//! Nothing panics, and the bounds hold, whatever the expression and the event.

use super::event::{TestEvent, event, schema, text};
use crate::{Condition, FailureKind};
use proptest::prelude::*;
use serde_json::Value;

/// JSON of any shape, with the names that the expressions use.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
    ];
    let name = prop_oneof![
        Just("labels".to_owned()),
        Just("step".to_owned()),
        Just("log".to_owned()),
        Just("exitCode".to_owned()),
        Just("a".to_owned()),
        "\\PC{0,5}",
    ];
    leaf.prop_recursive(4, 32, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Expressions that are accepted more often than any characters.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "1",
        "-1",
        "2u",
        "1.5",
        "'a'",
        "'é'",
        "''",
        "true",
        "null",
        "[]",
        "{}",
        "data",
        "data.log",
        "labels",
        "labels.a",
        "step",
        "step.a",
        "step.b",
        "data.exitCode",
        "event['a']",
        "event.type",
        "9223372036854775807",
        "x",
    ]);
    let leaf = leaf.prop_map(str::to_owned);
    leaf.prop_recursive(5, 40, 3, |inner| {
        let operators = vec![
            "==", "!=", "<", "<=", ">", ">=", "in", "+", "-", "*", "/", "%", "&&", "||",
        ];
        let methods = vec![
            "contains",
            "startsWith",
            "endsWith",
            "split",
            "join",
            "indexOf",
            "lastIndexOf",
            "substring",
            "charAt",
            "matches",
        ];
        let globals = vec!["size", "int", "uint", "double", "string", "bool", "!", "-"];
        let macros = vec!["all", "exists", "exists_one", "map", "filter"];
        let (a, b, c) = (inner.clone(), inner.clone(), inner);
        prop_oneof![
            (a.clone(), prop::sample::select(operators), b.clone())
                .prop_map(|(a, operator, b)| format!("({a} {operator} {b})")),
            (a.clone(), prop::sample::select(methods), b.clone())
                .prop_map(|(a, method, b)| format!("{a}.{method}({b})")),
            (prop::sample::select(globals), a.clone()).prop_map(|(name, a)| format!("{name}({a})")),
            (a.clone(), prop::sample::select(macros), b.clone())
                .prop_map(|(a, name, b)| format!("{a}.{name}(x, {b})")),
            (a.clone(), b.clone(), c.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            (a.clone(), b.clone(), c).prop_map(|(a, b, c)| format!("{a}.replace({b}, {c})")),
            (a.clone(), b.clone()).prop_map(|(a, b)| format!("{a}[{b}]")),
            (a.clone(), b.clone()).prop_map(|(a, b)| format!("[{a}, {b}]")),
            (a.clone(), b).prop_map(|(a, b)| format!("{{{a}: {b}}}")),
            a.prop_map(|a| format!("{a}.trim()")),
        ]
    })
}

fn check(source: &str, data: Value) {
    let event = TestEvent {
        attributes: vec![("a", text("b")), ("type", text("t"))],
        data,
    };
    if let Ok(condition) = Condition::compile(source, &schema()) {
        match condition.matches(&event) {
            Ok(_) => {}
            Err(error) => assert_ne!(error.kind, FailureKind::Panic, "{source}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_characters_are_accepted_or_refused_without_a_panic(source in "\\PC{0,200}") {
        if let Err(error) = Condition::compile(&source, &schema()) {
            prop_assert!(!error.message.contains("panicked"), "{error}");
            prop_assert!(error.line == 1 && error.column <= source.chars().count() + 1);
        }
    }

    #[test]
    fn any_tokens_are_accepted_or_refused_without_a_panic(
        tokens in prop::collection::vec(
            prop::sample::select(vec![
                "data", ".", "log", "(", ")", "[", "]", "{", "}", "'a'", "1", "1u", "1.5", "-", "!",
                "&&", "||", "==", "<", "in", "?", ":", ",", "all", "has", "matches", "x", "\n", "r'",
                "\\", "\"\"\"", "//", "event", "+", "\u{e9}",
            ]),
            0..40,
        )
    ) {
        let source = tokens.concat();
        if let Err(error) = Condition::compile(&source, &schema()) {
            prop_assert!(!error.message.contains("panicked"), "{error}");
        }
    }

    #[test]
    fn any_expression_and_event_have_a_result_without_a_panic(
        source in expression(),
        data in json(),
    ) {
        check(&source, data);
        check(&source, event().data);
    }

    #[test]
    fn any_pattern_is_accepted_or_refused_without_a_panic(
        pattern in "[a-c.*+?|()\\[\\]{}0-9,^$\\\\dwsbB:-]{0,30}",
        text in "[a-c0-9 ]{0,200}",
    ) {
        let source = format!("data.log.matches(r'{pattern}')");
        check(&source, serde_json::json!({ "log": text }));
    }
}
