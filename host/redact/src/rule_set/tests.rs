use super::*;
use base64::Engine as _;
use proptest::prelude::*;
use serde_json::Value;

fn rule(id: &str, pattern: &str, keywords: &[&str]) -> Rule {
    Rule {
        id: id.to_owned(),
        pattern: pattern.to_owned(),
        keywords: keywords.iter().map(|word| (*word).to_owned()).collect(),
        replacement: None,
    }
}

fn generous() -> ScanLimits {
    ScanLimits {
        growth: 1 << 20,
        deadline: Instant::now() + std::time::Duration::from_secs(60),
    }
}

fn redact(scanner: &Scanner, text: &str) -> String {
    scanner
        .redact(text, &mut RedactionCounts::default(), generous())
        .unwrap()
        .into_owned()
}

#[test]
fn only_the_secret_group_is_replaced() {
    let scanner = Scanner::new(
        &[rule("pw", r"password=(?P<secret>\S+)", &["PASSWORD"])],
        &[],
    )
    .unwrap();
    assert_eq!(
        redact(&scanner, "a password=x1 b"),
        "a password=[redacted:pw] b"
    );
    assert_eq!(redact(&scanner, "nothing here"), "nothing here");
}

#[test]
fn rules_that_were_checked_before_find_the_same_and_compile_when_called_for() {
    let rules = [
        rule("pw", r"password=(?P<secret>\S+)", &["password"]),
        rule("id", "id-[0-9]+", &["id-"]),
    ];
    let scanner = Scanner::with_checked_rules(&rules, &[]).unwrap();
    let compiled = |scanner: &Scanner| {
        scanner
            .rules
            .iter()
            .filter(|rule| rule.compiled.get().is_some())
            .count()
    };
    assert_eq!(redact(&scanner, "nothing"), "nothing");
    assert_eq!(compiled(&scanner), 0);
    assert_eq!(redact(&scanner, "password=x1"), "password=[redacted:pw]");
    assert_eq!(compiled(&scanner), 1);
    // A pattern that does not compile makes every scan fail, so no text passes unredacted.
    let broken = Scanner::with_checked_rules(&[rule("broken", "(", &[])], &[]).unwrap();
    let scanned = broken.redact("anything", &mut RedactionCounts::default(), generous());
    assert_eq!(scanned, Err(Exhausted));
}

#[test]
fn overlapping_matches_are_covered_together() {
    let scanner = Scanner::new(&[rule("a", "abcd", &[]), rule("b", "cdef", &[])], &[]).unwrap();
    assert_eq!(redact(&scanner, "xabcdefx"), "x[redacted:a]x");
}

#[test]
fn names_count_as_part_of_the_text_in_json() {
    let scanner = Scanner::new(
        &[rule(
            "pw",
            r"(?i)token\s*[=:]\s*(?P<secret>\S{4,})",
            &["token"],
        )],
        &[],
    )
    .unwrap();
    let mut value = serde_json::json!({
        "env": [{"name": "NPM_TOKEN", "value": "hunter22"}, {"name": "HOME", "value": "/root"}],
        "token": "abcdef",
        "args": ["--token=zzzzzz"],
    });
    let mut counts = RedactionCounts::default();
    scanner
        .redact_json(&mut value, &mut counts, generous())
        .unwrap();
    assert_eq!(counts.total(), 3);
    assert_eq!(
        value,
        serde_json::json!({
            "env": [{"name": "NPM_TOKEN", "value": "[redacted:pw]"}, {"name": "HOME", "value": "/root"}],
            "token": "[redacted:pw]",
            "args": ["--token=[redacted:pw]"],
        })
    );
}

#[test]
fn bad_rules_are_refused_by_name_and_values_by_position() {
    let error = Scanner::new(&[rule("broken", "(", &[])], &[])
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("rule `broken`:"), "{error}");
    assert!(Scanner::new(&[rule("empty", "x*", &[])], &[]).is_err());
    let error = Scanner::new(&[], &["long enough".to_owned(), "pin".to_owned()]).unwrap_err();
    assert_eq!(error, RuleError::Value { index: 1 });
    let huge = Rule {
        pattern: r"\pL{500}{500}".to_owned(),
        ..rule("huge", "", &[])
    };
    assert!(Scanner::new(&[huge], &[]).is_err());
}

#[test]
fn a_rule_for_any_digits_or_letters_masks_only_what_it_matches() {
    let masked = |pattern: &str| {
        let broad = rule("broad", pattern, &[]);
        let token = rule("token", r"(?i)token[=:](?P<secret>\S{4,})", &["token"]);
        let scanner = Scanner::new(&[broad, token], &[]).unwrap();
        let mut value = serde_json::json!({
            "startedAt": "2026-11-22T13:31:16Z", "name": "compile", "token": "hunter two",
        });
        scanner
            .redact_json(&mut value, &mut RedactionCounts::default(), generous())
            .unwrap();
        assert_eq!(value["token"], "[redacted:token]", "{pattern}");
        (value["startedAt"].clone(), value["name"].clone())
    };
    let (started, name) = masked("[0-9]{4}");
    assert_eq!(started, "[redacted:broad]-11-22T13:31:16Z");
    assert_eq!(name, "compile");
    let (started, name) = masked("[0-9A-Za-z]{20}");
    assert_eq!(
        (started, name),
        ("2026-11-22T13:31:16Z".into(), "compile".into())
    );
    let (started, name) = masked("[a-z]{7}");
    assert_eq!(
        (started, name),
        ("2026-11-22T13:31:16Z".into(), "[redacted:broad]".into())
    );
}

#[test]
fn results_stay_json_and_flags_name_the_next_argument() {
    let token = rule(
        "token",
        r"(?i)(?:token|password)[ =:]+(?P<secret>\S{4,})",
        &["token", "password"],
    );
    let scanner = Scanner::new(&[token], &[]).unwrap();
    let mut value = serde_json::json!({
        "message": r#"[{"key":"api-token","type":1,"value":"hunter 22 \"x\""},{"key":"image","value":"web:1"}]"#,
        "args": ["--password", "hunter22", "-v", "build"],
        "env": [{"name": "API_TOKEN", "value": "two words here"}, {"name": "TOKEN", "value": "$OTHER"}],
    });
    scanner
        .redact_json(&mut value, &mut RedactionCounts::default(), generous())
        .unwrap();
    let message: Value = serde_json::from_str(value["message"].as_str().unwrap()).unwrap();
    assert_eq!(message[0]["value"], "[redacted:token]");
    assert_eq!(message[1]["value"], "web:1");
    assert_eq!(
        value["args"],
        serde_json::json!(["--password", "[redacted:token]", "-v", "build"])
    );
    assert_eq!(value["env"][0]["value"], "[redacted:token]");
    assert_eq!(value["env"][1]["value"], "$OTHER");
}

#[test]
fn output_and_time_are_bounded() {
    let bomb = Rule {
        replacement: Some("x".repeat(256)),
        ..rule("bomb", "[a-z]", &[])
    };
    let scanner = Scanner::new(&[bomb], &[]).unwrap();
    let text = "a".repeat(50_000);
    let tight = ScanLimits {
        growth: 1000,
        ..generous()
    };
    assert_eq!(
        scanner.redact(&text, &mut RedactionCounts::default(), tight),
        Err(Exhausted)
    );
    let late = ScanLimits {
        deadline: Instant::now(),
        ..generous()
    };
    assert_eq!(
        scanner.redact(&text, &mut RedactionCounts::default(), late),
        Err(Exhausted)
    );
    let long = Rule {
        replacement: Some("x".repeat(257)),
        ..rule("long", "[a-z]", &[])
    };
    assert!(Scanner::new(&[long], &[]).is_err());
}

/// A deadline that has passed is noticed, also where nothing is found.
#[test]
fn a_passed_deadline_is_noticed_without_a_match() {
    let late = ScanLimits {
        deadline: Instant::now(),
        ..generous()
    };
    let rules = [rule("pw", "password=[a-z]+", &["password"])];
    for scanner in [
        Scanner::new(&rules, &[]),
        Scanner::new(&[], &["w1nter-3333".to_owned()]),
    ] {
        let scanner = scanner.unwrap();
        let mut counts = RedactionCounts::default();
        assert_eq!(scanner.redact("nothing", &mut counts, late), Err(Exhausted));
        let mut value = serde_json::json!(["nothing"]);
        assert_eq!(
            scanner.redact_json(&mut value, &mut counts, late),
            Err(Exhausted)
        );
    }
}

proptest! {
    /// A known value is found in every place and in every encoding, and nothing of it is left.
    #[test]
    fn known_values_are_found_in_every_encoding(
        before in "[ -~]{0,12}",
        after in "[ -~]{0,12}",
        secret in "[!-~]{9,40}",
    ) {
        let scanner = Scanner::new(&[], std::slice::from_ref(&secret)).unwrap();
        let whole = format!("{before}{secret}{after}");
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        let encodings = [
            whole.clone(),
            serde_json::to_string(&whole).unwrap(),
            base64::engine::general_purpose::STANDARD.encode(&whole),
            base64::engine::general_purpose::URL_SAFE.encode(&whole),
            percent_encoding::utf8_percent_encode(&whole, percent_encoding::NON_ALPHANUMERIC).to_string(),
            hex,
        ];
        for text in encodings {
            let mut counts = RedactionCounts::default();
            let redacted = scanner.redact(&text, &mut counts, generous()).unwrap().into_owned();
            prop_assert!(counts.total() > 0, "not found in {text}");
            prop_assert!(!redacted.replace("[redacted:known-value]", "").contains(&secret));
        }
    }

    /// No text and no rule causes a panic, and text without a match stays as it is.
    #[test]
    fn any_text_is_taken(text in "\\PC{0,200}") {
        let scanner = Scanner::new(&[rule("x", "[a-c]+", &[]), rule("y", "é.", &["É"])], &["ñandú!".to_owned()]).unwrap();
        let redacted = redact(&scanner, &text);
        if !text.contains(['a', 'b', 'c', 'é', 'ñ']) {
            prop_assert_eq!(redacted, text);
        }
    }
}

#[test]
fn json_in_a_string_hides_nothing() {
    let token = format!("ghp_{}", "0123456789abcdefABCDEF0123456789abcd");
    let rules = [
        rule("token", r"ghp_[0-9A-Za-z]{36}", &["ghp_"]),
        rule("pw", r"(?i)password=(?P<secret>\S+)", &["password"]),
    ];
    let scanner = Scanner::new(&rules, &[]).unwrap();
    let masked = |mut value: Value| {
        scanner
            .redact_json(&mut value, &mut RedactionCounts::default(), generous())
            .unwrap();
        value.to_string()
    };
    // The JSON parser keeps only the last of two members with the same name, but the token must be
    // masked in the first member, too.
    let twice = format!(r#"{{"x":"{token}","x":"y"}}"#);
    assert!(!masked(serde_json::json!({ "args": [twice] })).contains(&token));
    let secret = "Sup3rSecretVal77";
    for value in [
        serde_json::json!(format!(r#"["{secret}"]"#)),
        serde_json::json!(format!(r#"{{"v":"{secret}"}}"#)),
        serde_json::json!([secret]),
        serde_json::json!({"v": [secret]}),
    ] {
        for name in ["value", "default"] {
            let text = masked(serde_json::json!({"name": "PASSWORD", name: value}));
            assert!(!text.contains(secret), "{text}");
            // A harmless name does not cause masking, although the same value was masked under the
            // name `PASSWORD` before.
            let text = masked(serde_json::json!({"name": "COLOUR", name: value}));
            assert!(text.contains(secret), "{text}");
        }
    }
}

#[test]
fn values_in_a_long_run_of_base64_take_linear_time() {
    let value = "k9Xw2pQz7LmRt4".to_owned();
    let scanner = Scanner::new(&[], std::slice::from_ref(&value)).unwrap();
    // More matches than the limit would end the scan early.
    let run = base64::engine::general_purpose::STANDARD_NO_PAD.encode(value.repeat(20_000));
    let masked = redact(&scanner, &format!("before {run} after"));
    assert_eq!(masked, "before [redacted:known-value] after");
}
