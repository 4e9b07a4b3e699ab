use super::*;
use serde_json::json;

fn plugin(name: &str) -> Redactor {
    Redactor::Plugin {
        name: name.into(),
        version: "1.2.3".into(),
    }
}

fn counts<const N: usize>(counts: [(&str, u32); N]) -> RedactionCounts {
    let counts = counts.into_iter();
    counts
        .map(|(rule, count)| (rule.to_owned(), count))
        .collect()
}

fn receipt(masked: &[(Redactor, RedactionCounts)]) -> Value {
    let mut all = MaskCounts::default();
    for (redactor, counts) in masked {
        all.add(redactor, counts);
    }
    serde_json::to_value(Redaction::of(&all)).unwrap()
}

#[test]
fn the_receipt_of_one_plugin_has_its_rules_and_values() {
    let masked = counts([("github-token", 2), ("known-value", 3), ("npm-token", 1)]);
    assert_eq!(
        receipt(&[(plugin("redact"), masked)]),
        json!({
            "plugin": "redact",
            "rules": {"github-token": 2, "npm-token": 1},
            "values": 3,
            "version": "1.2.3",
        })
    );
}

#[test]
fn nothing_masked_gives_no_receipt() {
    assert_eq!(receipt(&[]), Value::Null);
    assert_eq!(receipt(&[(plugin("redact"), counts([]))]), Value::Null);
}

#[test]
fn rules_and_values_count_all_redactors_and_say_who_they_were() {
    let masked = [
        (Redactor::KnownSecrets, counts([("known-value", 4)])),
        (plugin("first"), counts([("a", 1), ("known-value", 1)])),
        (plugin("second"), counts([("a", 2), ("b", 1)])),
    ];
    assert_eq!(
        receipt(&masked),
        json!({
            "knownSecrets": 4,
            "others": [{"count": 3, "plugin": "second", "version": "1.2.3"}],
            "plugin": "first",
            "rules": {"a": 3, "b": 1},
            "values": 5,
            "version": "1.2.3",
        })
    );
    assert_eq!(
        receipt(&masked[..1]),
        json!({"knownSecrets": 4, "rules": {}, "values": 4})
    );
}

/// Returns counts that exceed all bounds of a receipt: the number of rules, the number of plugins,
/// and the length and characters of names.
fn many() -> Vec<(Redactor, RedactionCounts)> {
    let odd = ["", "a\nb", "größe", "a=b", "<script>", &"x".repeat(65)];
    let odd: RedactionCounts = odd.into_iter().map(|id| (id.to_owned(), 1)).collect();
    let many = (1..=40).map(|number| (format!("{:-<64}", format!("rule-{number:02}")), number));
    let mut masked = vec![
        (plugin(&"n".repeat(500)), odd),
        (plugin("p"), many.collect()),
    ];
    masked.extend((0..20).map(|number| (plugin(&format!("other-{number}")), counts([("a", 1)]))));
    masked
}

#[test]
fn a_receipt_is_bounded_and_shows_no_id_that_could_be_a_text() {
    let receipt = receipt(&many());
    // 41 rules have a valid id, and the receipt lists 32: `a` with 20 matches, and `rule-10` to
    // `rule-40`. The 9 rules with 1 to 9 matches are omitted.
    let rules = receipt["rules"].as_object().unwrap();
    assert_eq!(rules.len(), 32);
    assert!(rules.contains_key("a") && !rules.contains_key(&format!("{:-<64}", "rule-09")));
    assert_eq!(receipt["otherRules"], 6 + (1..=9).sum::<u32>());
    assert_eq!(receipt["others"].as_array().unwrap().len(), 8);
    assert_eq!(receipt["plugin"].as_str().unwrap().len(), 64);
    assert!(receipt.to_string().len() < 4 * 1024, "{receipt}");
}

#[test]
fn a_receipt_replaces_what_stands_in_its_place() {
    let mut envelope = crate::event::from_json(json!({
        "specversion": "1.0", "id": "i", "source": "s", "type": "t",
        "data": {"attempt": 0, "redaction": {"rules": {"forged": 1}}},
    }))
    .unwrap();
    write_redaction(&mut envelope);
    let Some(Data::Json(data)) = envelope.event.data() else {
        panic!("no data");
    };
    assert_eq!(*data, json!({"attempt": 0}));
    envelope.count_masked(&plugin("redact"), &counts([("a", 1)]));
    write_redaction(&mut envelope);
    let Some(Data::Json(data)) = envelope.event.data() else {
        panic!("no data");
    };
    assert_eq!(data["redaction"]["rules"], json!({"a": 1}));
    remove_redaction(&mut envelope);
    let Some(Data::Json(data)) = envelope.event.data() else {
        panic!("no data");
    };
    assert_eq!(*data, json!({"attempt": 0}));
}

#[test]
fn an_event_stays_within_its_bound_and_loses_a_long_receipt_last() {
    for (masked, is_kept) in [
        (vec![(plugin("redact"), counts([("a", 1)]))], true),
        (many(), false),
    ] {
        let event = json!({
            "specversion": "1.0", "id": "i", "source": "s", "type": "t",
            "data": {"attempt": 0, "log": "word ".repeat(5000), "logInfo": {}, "redaction": receipt(&masked)},
        });
        let body =
            crate::event::structured(&crate::event::from_json(event).unwrap().event).unwrap();
        let whole = crate::event::Encoded::from_structured(body);
        let (bounded, oversize) = whole.bounded(3500, 0).unwrap();
        assert!(oversize.is_some_and(|oversize| oversize.fits));
        let event: Value = serde_json::from_slice(&bounded.structured()).unwrap();
        assert_eq!(event["data"]["redaction"].is_object(), is_kept, "{event}");
        let paths = event["data"]["leftOut"].to_string();
        assert_eq!(!paths.contains("/redaction"), is_kept, "{paths}");
    }
}
