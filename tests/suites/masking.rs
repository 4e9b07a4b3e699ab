//! The interface by which a plugin selects masks of the host's catalogue.
use serde_json::json;
use step_observer::plugin::{Chain, PluginEngine, SetSummary, sample_event};

use step_observer_tests::masking::{MaskSet, redactor, tickets};
use step_observer_tests::plugins::{load, process, refusal};

fn log_after(sets: &[MaskSet], log: &str) -> String {
    let chain = load(&[redactor(Ok(sets))]).unwrap();
    let mut event = sample_event();
    event["data"]["log"] = json!(log);
    let processed = process(&chain, &event);
    processed["data"]["log"].as_str().unwrap().to_owned()
}

#[test]
fn a_plugin_masks_with_the_sets_that_it_selects() {
    let log = "ticket-7x2w ticket-aaaa ticket-7x";
    assert_eq!(
        log_after(&[tickets()], log),
        "ticket-[redacted:ticket] ticket-aaaa ticket-7x"
    );
    let fixed = MaskSet {
        replacement: (1, "***"),
        ..tickets()
    };
    assert_eq!(log_after(&[fixed], log), "ticket-*** ticket-aaaa ticket-7x");
    let token = MaskSet {
        replacement: (2, "a key of sixteen bytes"),
        ..tickets()
    };
    let masked = log_after(&[token], log);
    assert!(masked.starts_with("ticket-[redacted:ticket:"), "{masked}");
}

#[test]
fn a_set_is_described_without_its_values() {
    let value = "a-known-value";
    let set = MaskSet {
        values: vec![value.to_owned()],
        replacement: (2, "a key of sixteen bytes"),
        ..tickets()
    };
    let chain = load(&[redactor(Ok(&[set]))]).unwrap();
    let expected = SetSummary {
        name: "ours".to_owned(),
        catalogue: Some(0),
        rules: vec!["ticket".to_owned()],
        values: 1,
        replacement: Some("token"),
    };
    assert_eq!(chain.plugins()[0].sets(), [expected]);
    assert!(chain.plugins()[0].redacts());
    let shown = format!("{chain:?}{:?}", chain.plugins()[0].sets());
    assert!(
        !shown.contains(value) && !shown.contains("sixteen"),
        "{shown}"
    );
}

#[test]
fn a_set_that_cannot_work_is_refused_with_the_place_of_the_mistake() {
    let unknown = |list: &str| format!("{list}[1]: there is no rule of this id");
    let ids = || vec!["github-token".to_owned(), "no-such-rule".to_owned()];
    let mistakes = [
        (
            MaskSet {
                without: ids(),
                only: None,
                ..tickets()
            },
            unknown("without"),
        ),
        (
            MaskSet {
                only: Some(ids()),
                ..tickets()
            },
            unknown("only"),
        ),
        (
            MaskSet {
                rule: ("ticket", "("),
                ..tickets()
            },
            "rule `ticket`: unclosed group".to_owned(),
        ),
        (
            MaskSet {
                min_entropy: f32::NAN,
                ..tickets()
            },
            "between 0 and 8 bits".to_owned(),
        ),
        (
            MaskSet {
                values: vec!["long enough".to_owned(), "abc".to_owned()],
                ..tickets()
            },
            "value 1 is shorter than 4 bytes".to_owned(),
        ),
        (
            MaskSet {
                replacement: (2, "short"),
                ..tickets()
            },
            "replacement: the key has 5 bytes".to_owned(),
        ),
    ];
    for (set, expected) in mistakes {
        let refused = refusal(&redactor(Ok(&[set])));
        assert!(
            refused.contains("mask set `ours`") && refused.contains(&expected),
            "{refused}"
        );
    }
    let twice = refusal(&redactor(Ok(&[tickets(), tickets()])));
    assert!(twice.contains("two sets with the name `ours`"), "{twice}");
    let many = refusal(&redactor(Ok(&vec![tickets(); 17])));
    assert!(many.contains("more than 16 sets"), "{many}");
}

#[test]
fn a_plugin_that_has_no_mask_sets_is_not_loaded() {
    let refused = refusal(&redactor(Err("the moon is full")));
    assert!(
        refused.contains("it has no mask sets: the moon is full"),
        "{refused}"
    );
}

#[test]
fn a_set_that_was_not_declared_is_refused() {
    let other = MaskSet {
        name: "theirs",
        ..tickets()
    };
    let chain = load(&[redactor(Ok(&[other]))]).unwrap();
    assert_eq!(process(&chain, &sample_event()), json!({"error": "ours"}));
}

#[test]
fn the_self_test_accepts_a_redactor() {
    let engine = PluginEngine::new().unwrap();
    let chain = Chain::load(&engine, &[redactor(Ok(&[tickets()]))]).unwrap();
    chain.plugins()[0].self_test(&engine).unwrap();
    assert!(chain.plugins()[0].is_snapshotted());
}
