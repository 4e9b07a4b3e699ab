use super::*;

/// An id of the catalogue.
fn an_id() -> String {
    catalog::kinds().next().unwrap().id.to_owned()
}

fn refused(options: &Options) -> String {
    options.check().unwrap_err().to_string()
}

fn rule(change: impl FnOnce(&mut FullRule)) -> Options {
    let mut rule = FullRule {
        id: "ours".to_owned(),
        pattern: "OURS-[0-9]{8}".to_owned(),
        ..FullRule::default()
    };
    change(&mut rule);
    Options {
        rules: vec![rule],
        ..Options::default()
    }
}

#[test]
fn an_id_that_does_not_exist_is_refused_with_its_place_and_similar_ids() {
    let id = an_id();
    let options = Options {
        without: vec![id.clone(), format!("{id}z")],
        ..Options::default()
    };
    let refused = refused(&options);
    assert!(
        refused.starts_with("without[1]: there is no rule of this id; similar"),
        "{refused}"
    );
    assert!(refused.contains(&id) && refused.len() < 400, "{refused}");
    let options = Options {
        only: vec!["\u{1b}[31mqqqqqqqqqqqqqqqqqqqqqqqq".to_owned()],
        ..Options::default()
    };
    assert_eq!(
        options.check().unwrap_err().to_string(),
        "only[0]: there is no rule of this id; `step-observer redact --rules` lists all"
    );
}

#[test]
fn only_and_without_choose_from_the_catalogue() {
    let id = an_id();
    let all = Options::default();
    assert!(all.uses(&id));
    let without = Options {
        without: vec![id.clone()],
        ..Options::default()
    };
    assert!(!without.uses(&id) && without.uses("other"));
    let only = Options {
        only: vec![id.clone()],
        ..Options::default()
    };
    assert!(only.uses(&id) && !only.uses("other"));
    assert_eq!(only.catalogue_rules(), 1);
    assert_eq!(
        without.catalogue_rules() + 1,
        Options::default().catalogue_rules()
    );
    let none = without.without_catalogue();
    assert_eq!((none.catalogue_rules(), none.check()), (0, Ok(0)));
}

#[test]
fn an_old_id_names_what_replaced_it() {
    let options = Options {
        without: vec!["github-token".to_owned()],
        ..Options::default()
    };
    assert_eq!(options.check(), Ok(0));
    assert!(!options.uses("github-app-user-token"));
    assert!(options.uses("gitlab-token"));
}

/// The ids of the rules of `redact-secrets` 0.1.0.
const RULES_OF_0_1_0: &[&str] = &[
    "github-token",
    "gitlab-token",
    "npm-token",
    "pypi-token",
    "docker-token",
    "hugging-face-token",
    "digitalocean-token",
    "stripe-key",
    "openai-key",
    "sendgrid-key",
    "age-key",
    "aws-access-key-id",
    "aws-secret-access-key",
    "slack-token",
    "slack-webhook",
    "google-api-key",
    "google-oauth-token",
    "jwt",
    "bearer-token",
    "authorization-header",
    "url-credentials",
    "url-token",
    "password-assignment",
    "secret-assignment",
    "password-flag",
    "user-flag",
    "netrc-password",
    "xml-password",
    "docker-auth",
    "credentials-to-base64",
    "private-key",
    "private-key-rest",
];

#[test]
fn configurations_of_0_1_0_are_accepted_and_every_old_beginning_names_a_rule() {
    let options = Options {
        without: RULES_OF_0_1_0.iter().map(|id| (*id).to_owned()).collect(),
        ..Options::default()
    };
    assert_eq!(options.check(), Ok(0));
    let known = known_ids();
    for (old, new) in OLD_IDS {
        assert!(RULES_OF_0_1_0.contains(old), "{old}");
        for start in *new {
            assert!(known.iter().any(|id| id.starts_with(start)), "{start}");
        }
    }
    assert!(!options.uses("stripe-secret-key") && !options.uses("json-web-token"));
}

#[test]
fn a_rule_that_cannot_work_is_refused_with_its_position() {
    assert_eq!(rule(|_| ()).check(), Ok(0));
    let refused = rule(|rule| rule.pattern = "a(".to_owned()).check();
    assert_eq!(
        refused,
        Err(SelectionError::Rule {
            index: 0,
            reason: "rule `ours`: unclosed group".to_owned()
        })
    );
}

#[test]
fn everything_is_bounded() {
    let many = |count: usize| vec![an_id(); count];
    let ids = Options {
        without: many(MAX_RULES + 1),
        ..Options::default()
    };
    assert!(refused(&ids).contains("ids"));
    let values = Options {
        values: many(MAX_VALUES + 1),
        ..Options::default()
    };
    assert!(refused(&values).contains("values"));
    let one = rule(|rule| rule.pattern = r"\pL{10}x".to_owned());
    let rules = one.rules.iter().cycle().take(MAX_LARGE_PATTERNS + 1);
    let large = Options {
        rules: rules.cloned().collect(),
        ..Options::default()
    };
    assert!(refused(&large).contains("large patterns"));
    let words = rule(|rule| rule.allow_words = vec!["a".to_owned(); 256]);
    let rules = words.rules.iter().cycle().take(MAX_RULES);
    let words = Options {
        rules: rules.cloned().collect(),
        ..Options::default()
    };
    assert!(refused(&words).contains("words in allow lists"));
    let short = Options {
        values: vec!["long enough".to_owned(), "abc".to_owned()],
        ..Options::default()
    };
    assert_eq!(
        refused(&short),
        "value 1 is shorter than 4 bytes: it would mask ordinary text"
    );
}

#[test]
fn a_key_is_not_too_short_and_never_shown() {
    let key = |length: usize| Options {
        replacement: Replacement::Token("k".repeat(length)),
        values: vec!["a-known-value".to_owned()],
        rules: vec![FullRule {
            pattern: "a-known-pattern".to_owned(),
            ..rule(|_| ()).rules.remove(0)
        }],
        ..Options::default()
    };
    assert_eq!(key(16).check(), Ok(0));
    assert!(refused(&key(15)).contains("15 bytes"));
    let shown = format!("{:?}", key(16));
    assert!(
        !shown.contains("kkk") && !shown.contains("a-known"),
        "{shown}"
    );
}

#[test]
fn distances_count_insertions_removals_and_replacements() {
    for (one, other, expected) in [
        ("", "", 0),
        ("", "abc", 3),
        ("kitten", "sitting", 3),
        ("npm-tokn", "npm-token", 1),
        ("abc", "abc", 0),
    ] {
        assert_eq!(distance(one, other), expected, "{one} {other}");
        assert_eq!(distance(other, one), expected, "{other} {one}");
    }
}
