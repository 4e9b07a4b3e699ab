use crate::testing::limits;
use crate::{Engine, Options, RedactionCounts};
use serde_json::{Value, json};

fn masked(mut value: Value) -> (Value, u32) {
    let engine = Engine::new(&Options::default()).unwrap();
    let mut counts = RedactionCounts::default();
    engine.mask_json(&mut value, &mut counts, limits()).unwrap();
    let total = counts.total();
    let mut again = value.clone();
    engine.mask_json(&mut again, &mut counts, limits()).unwrap();
    assert_eq!(again, value, "masked twice");
    (value, total)
}

#[test]
fn values_under_the_name_of_a_secret_are_masked_as_a_whole() {
    let (value, count) = masked(json!({
        "password": "two words & a sign",
        "dbPassword": 1_683_816,
        "DB_PASSWORDS": ["hunter2", {"old": "hunter3", "n": 77_777}, true, null],
        "tests": {"pass": 120, "fail": 0},
        "maxTokens": 4096,
        "image": "web:1",
        "apiKey": "$API_KEY",
    }));
    let mask = "[redacted:password-assignment]";
    assert_eq!(
        value,
        json!({
            "password": mask,
            "dbPassword": mask,
            "DB_PASSWORDS": [mask, {"old": mask, "n": mask}, true, null],
            "tests": {"pass": 120, "fail": 0},
            "maxTokens": 4096,
            "image": "web:1",
            "apiKey": "$API_KEY",
        })
    );
    assert_eq!(count, 5);
}

#[test]
fn names_and_values_may_stand_apart() {
    let secret = "Zk81 vYjqfItyh77";
    for value in [
        json!(secret),
        json!([secret]),
        json!({"v": secret}),
        json!(format!(r#"["{secret}"]"#)),
    ] {
        for member in ["value", "default"] {
            let (text, _) = masked(json!({"env": [{"name": "DB_PASSWORD", member: value}]}));
            assert!(!text.to_string().contains("vYjqf"), "{text}");
            let (text, count) = masked(json!({"name": "COLOUR", member: value}));
            assert!(text.to_string().contains(secret) && count == 0, "{text}");
        }
    }
    let (value, _) = masked(json!({
        "args": ["--password", "hunter22", "-v", "build"],
        "login": ["docker", "login", "-u", "ci", "-p", "hunter22", "r.example.com"],
        "header": {"name": "X-Api-Token", "value": "Zk81vYjqfItyh77"},
        "pair": ["password", "Zk81vYjqfItyh77"],
    }));
    assert_eq!(
        value,
        json!({
            "args": ["--password", "[redacted:password-assignment]", "-v", "build"],
            "login": ["docker", "login", "-u", "ci", "-p", "[redacted:command-password]", "r.example.com"],
            "header": {"name": "X-Api-Token", "value": "[redacted:secret-assignment]"},
            "pair": ["password", "[redacted:password-assignment]"],
        })
    );
}

#[test]
fn json_in_a_string_stays_json_and_hides_nothing() {
    let (value, _) = masked(json!({
        "message": r#"[{"key":"api-token","value":"hunter 22 \"x\" 9"},{"key":"image","value":"web:1"},{"password":77777}]"#,
        "plain": r#"{ "image" : "web:1" }"#,
    }));
    let message: Value = serde_json::from_str(value["message"].as_str().unwrap()).unwrap();
    assert_eq!(message[0]["value"], "[redacted:secret-assignment]");
    assert_eq!(message[1]["value"], "web:1");
    assert_eq!(message[2]["password"], "[redacted:password-assignment]");
    assert_eq!(
        value["plain"], r#"{ "image" : "web:1" }"#,
        "unchanged byte for byte"
    );
    // Of two members with the same name, a parser keeps one.
    let twice = r#"{"password":"Zk81vYjqfItyh77","password":"x"}"#;
    let (value, _) = masked(json!({"args": [twice]}));
    assert!(!value.to_string().contains("vYjqf"), "{value}");
}

#[test]
fn names_of_members_are_searched_and_stay_apart() {
    let (value, count) = masked(json!({
        "token=Zk81vYjqfItyh77": 1,
        "token=Zk81vYjqfItyh78": 2,
        "token=Zk81vYjqfItyh79": 4,
        "plain": 3,
    }));
    assert_eq!(
        value,
        json!({
            "plain": 3,
            "token=[redacted:secret-assignment]": 1,
            "token=[redacted:secret-assignment] 2": 2,
            "token=[redacted:secret-assignment] 3": 4,
        })
    );
    assert_eq!(count, 3);
}

#[test]
fn without_forms_only_texts_are_searched() {
    let engine = Engine::new(&Options {
        forms: false,
        ..Options::default()
    })
    .unwrap();
    let mut value = json!({"password": "hunter22"});
    let mut counts = RedactionCounts::default();
    engine.mask_json(&mut value, &mut counts, limits()).unwrap();
    assert_eq!(value, json!({"password": "hunter22"}));
}
