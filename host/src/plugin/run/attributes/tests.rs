use super::*;
use crate::event;
use crate::redact::{Engine, FullRule, Options, Rule, Scanner};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PATTERN: &str = "ticket-(?P<secret>[0-9a-z]+)";

fn limits() -> ScanLimits {
    ScanLimits {
        growth: usize::MAX,
        deadline: Instant::now() + Duration::from_secs(60),
    }
}

/// Both kinds of sets, with the same rule and the same known value.
fn sets() -> [RuleSets; 2] {
    let rule = Rule {
        id: "ticket".to_owned(),
        pattern: PATTERN.to_owned(),
        keywords: Vec::new(),
        replacement: None,
    };
    let values = vec!["hunter2222".to_owned()];
    let declared = RuleSet::Declared(Scanner::new(&[rule], &values).unwrap());
    let options = Options {
        rules: vec![FullRule {
            id: "ticket".to_owned(),
            pattern: PATTERN.to_owned(),
            keywords: vec!["ticket-".to_owned()],
            ..FullRule::default()
        }],
        values,
        ..Options::default().without_catalogue()
    };
    let selected = RuleSet::Selected(Arc::new(Engine::new(&options).unwrap()));
    [declared, selected].map(|set| vec![("ours".to_owned(), set)])
}

/// Masks an event with these attributes. Returns its attributes, and the number of matches.
fn masked(sets: &RuleSets, attributes: &Value) -> (Value, u32) {
    let mut event =
        json!({"specversion": "1.0", "id": "ticket-1", "source": "ticket-2", "type": "ticket-3"});
    for (name, value) in attributes.as_object().unwrap() {
        event[name] = value.clone();
    }
    let mut event = event::from_json(event).unwrap().event;
    let counts = mask(&mut event, sets, limits()).unwrap();
    let event = serde_json::from_slice(&event::structured(&event).unwrap()).unwrap();
    (event, counts.total())
}

#[test]
fn sets_of_both_kinds_mask_subject_and_extensions_but_not_what_identifies_the_event() {
    for sets in sets() {
        let attributes = json!({
            "subject": "ci/ticket-7x2/hunter2222",
            "team": "shop, hunter2222",
            "note": "ticket-7x2",
            "plain": "shop",
            "number": 7,
            "flag": true,
            "partitionkey": "ticket-7x2",
            "sequence": "hunter2222",
            "recordedtime": "ticket-7x2",
            "pluginerror": "ticket-7x2",
        });
        let (event, count) = masked(&sets, &attributes);
        assert_eq!(
            event,
            json!({
                "specversion": "1.0", "id": "ticket-1", "source": "ticket-2", "type": "ticket-3",
                "subject": "ci/ticket-[redacted:ticket]/[redacted:known-value]",
                "team": "shop, [redacted:known-value]",
                "note": "ticket-[redacted:ticket]",
                "plain": "shop",
                "number": 7,
                "flag": true,
                "partitionkey": "ticket-7x2",
                "sequence": "hunter2222",
                "recordedtime": "ticket-7x2",
                "pluginerror": "ticket-7x2",
            })
        );
        assert_eq!(count, 4);
        // Masking the event again changes nothing and counts no match.
        let (again, count) = masked(&sets, &event);
        assert_eq!((again, count), (event, 0));
    }
}

#[test]
fn an_extension_with_the_name_of_a_secret_is_masked_as_a_member_of_the_data_is() {
    let engine = Engine::new(&Options::default()).unwrap();
    let sets = vec![("all".to_owned(), RuleSet::Selected(Arc::new(engine)))];
    let (event, count) = masked(
        &sets,
        &json!({"dbpassword": "pa7w0rd;more", "team": "pa7w0rd;more"}),
    );
    assert_eq!(count, 1);
    assert!(
        event["dbpassword"]
            .as_str()
            .unwrap()
            .starts_with("[redacted:"),
        "{event}"
    );
    assert_eq!(event["team"], "pa7w0rd;more");
}

#[test]
fn an_attribute_that_is_not_valid_after_masking_is_removed_or_cut() {
    for sets in sets() {
        let (event, _) = masked(&sets, &json!({"long": "ticket-1 ".repeat(200)}));
        let long = event["long"].as_str().unwrap();
        assert!(
            long.len() <= attribute::MAX_VALUE && !long.contains("ticket-1"),
            "{long}"
        );
    }
    let [_, selected] = sets();
    // The name itself is a known value.
    let (event, count) = masked(&selected, &json!({"hunter2222": "x"}));
    assert_eq!((event.get("hunter2222"), count), (None, 1));
}

#[test]
fn masking_that_takes_too_long_fails() {
    for sets in sets() {
        let attributes = json!({"specversion": "1.0", "id": "i", "source": "s", "type": "t", "note": "ticket-1"});
        let mut event = event::from_json(attributes).unwrap().event;
        let late = ScanLimits {
            growth: 0,
            ..limits()
        };
        assert_eq!(mask(&mut event, &sets, late), Err(Exhausted));
    }
}
