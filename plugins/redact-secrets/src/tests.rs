use super::RedactSecrets;
use serde_json::{Value, json};
use step_observer_guest::testing::{Processed, check_cases, process};

#[test]
fn cases() {
    check_cases::<RedactSecrets>("cases");
}

#[test]
fn the_schema_is_that_of_the_configuration() {
    step_observer_guest::testing::check_schema::<super::Config>(include_str!(
        "../config.schema.json"
    ));
}

fn redact_with(config: &Value, log: &str) -> Result<String, String> {
    let event = json!({
        "id": "1", "source": "s", "type": "x.failed.v1", "specversion": "1.0", "data": {"log": log},
    });
    match process::<RedactSecrets>(&config.to_string(), &event)? {
        Processed::Kept(event) => Ok(event["data"]["log"].as_str().unwrap().to_owned()),
        Processed::Dropped(reason) => panic!("dropped: {reason}"),
    }
}

fn redact(log: &str) -> String {
    redact_with(&Value::Null, log).unwrap()
}

/// Each line holds a made-up secret between the arrows.
#[test]
fn secrets_are_masked_wherever_they_stand() {
    let mut shown = Vec::new();
    for line in [
        "\x1b[32m→ghp_0123456789abcdefABCDEF0123456789abcd←\x1b[0m",
        r#"{"msg":"first\n→ghp_0123456789abcdefABCDEF0123456789abcd←"}"#,
        "TOKEN_→npm_9z8y7x6w5v4u3t2s1r0qponmlkjihgfedcba←",
        "CI_TOKEN: →glpat-abcdefghij0123456789←",
        "\\t→AKIAIOSFODNN7EXAMPLE←",
        "postgres://admin:→Sup3rSecret←@shared-db:5432/x",
        "https://→0123456789abcdefghijabcdefghij←@git.example.com",
        "DB_PASS=→hun←",
        "password: →pa$$w0rd;more&that(all)←",
        r#"password="→with \" quote and blank←""#,
        r#"{\"password\":\"→hunter2222←\"}"#,
        r#"{"client_secret": "→hunter2222←"}"#,
        "export API_TOKEN='→abcdefgh12345678←'",
        "curl -u admin:→hunter2222← http://x",
        "mytool --password →hunter2222← --verbose",
        "Authorization: token →abcdefgh12345678←",
        "Authorization: Basic →YWRtaW46aHVudGVyMg==←",
        "machine h login me password →hunter2222←",
        "<password>→hunter2222←</password>",
        "sk_live_ is →sk_live_abcdefghij0123456789←",
    ] {
        let secret = line.split('→').nth(1).unwrap().split('←').next().unwrap();
        let line = line.replace(['→', '←'], "");
        let masked = redact(&line);
        if !masked.contains("[redacted:") || masked.contains(secret) {
            shown.push(masked);
        }
    }
    assert!(shown.is_empty(), "{shown:#?}");
}

#[test]
fn ordinary_lines_stay_as_they_are() {
    for line in [
        "secret/my-secret created",
        "Basic functionality, bearer authentication",
        "max_tokens: 4096",
        "TOKEN_COUNT=1000",
        "private_key_path=/etc/ssl/private.pem",
        "token=\"$TOKEN\" and password=$PASSWORD",
        "docker-pullable://busybox:1.35@sha256:895ab622e92e18d6b461d671081757af7dbaa3b00e3e28e12505af7817f73649",
        "Enter password: \nchecking 12 keys",
        "[0/40] compiling module 0 with --user-agent x",
        "https://git.example.com:8443/shop/web.git",
    ] {
        assert_eq!(redact(line), line);
    }
}

#[test]
fn own_rules_have_length_entropy_and_allow_lists() {
    let config = json!({"only": [], "rules": [{
        "id": "ticket", "pattern": "ticket-(?<secret>[A-Za-z0-9]+)", "keywords": ["ticket-"],
        "minLength": 8, "minEntropy": 2.5, "allow": ["^demo"], "allowWords": ["sample"],
    }]});
    for (log, expected) in [
        ("ticket-x7Qp2Lm9", "ticket-[redacted:ticket]"),
        ("ticket-x7Qp", "ticket-x7Qp"),
        ("ticket-aaaaaaaaaa", "ticket-aaaaaaaaaa"),
        ("ticket-demoX7Qp2Lm9", "ticket-demoX7Qp2Lm9"),
        ("ticket-X7SamplePq2", "ticket-X7SamplePq2"),
    ] {
        assert_eq!(redact_with(&config, log).unwrap(), expected);
    }
}

#[test]
fn a_selection_names_rules_of_the_catalogue_by_new_and_old_ids() {
    let log = "DB_PASSWORD=hunter2222 https://me:hunter3333@shop.example/x";
    let masked = |config: Value| redact_with(&config, log).unwrap();
    let by_url = masked(json!({"only": ["url-credentials"]}));
    assert!(
        by_url.contains("hunter2222") && !by_url.contains("hunter3333"),
        "{by_url}"
    );
    let not_by_url = masked(json!({"without": ["url-credentials", "jwt"]}));
    assert!(
        !not_by_url.contains("hunter2222") && not_by_url.contains("hunter3333"),
        "{not_by_url}"
    );
    assert_eq!(masked(json!({"only": []})), log);
}

#[test]
fn an_unknown_id_is_refused_with_its_place_and_similar_ids() {
    let refused = redact_with(&json!({"without": ["jwt", "url-credential"]}), "").unwrap_err();
    assert!(
        refused
            .contains("without[1]: there is no rule of this id; similar ones are url-credentials"),
        "{refused}"
    );
}

#[test]
fn the_replacement_is_a_rule_a_text_or_a_token() {
    let log = "PASSWORD=hunter2222 PASSWORD=hunter2222";
    let masked =
        |replacement: Value| redact_with(&json!({"replacement": replacement}), log).unwrap();
    assert_eq!(
        masked(json!("rule")),
        "PASSWORD=[redacted:password-assignment] PASSWORD=[redacted:password-assignment]"
    );
    assert_eq!(masked(json!({"text": "***"})), "PASSWORD=*** PASSWORD=***");
    let tokens = masked(json!({"token": "0123456789abcdef"}));
    let (one, other) = tokens.split_once(' ').unwrap();
    assert!(
        one == other && one.starts_with("PASSWORD=[redacted:password-assignment:"),
        "{tokens}"
    );
}

#[test]
fn debug_output_shows_no_secret() {
    use step_observer_guest::Plugin as _;
    let config = json!({"values": ["a-value"], "replacement": {"token": "a-key-of-16-bytes"}});
    let plugin = RedactSecrets::configure(serde_json::from_value(config).unwrap()).unwrap();
    let shown = format!("{plugin:?}");
    assert!(!shown.contains("a-"), "{shown}");
}
