//! Tests of all kinds: each example is masked, and no look-alike is.

use super::*;
use crate::matcher::Matcher;
use crate::testing::mask;
use crate::{Engine, Options};
use std::collections::BTreeSet;

#[test]
fn kinds_are_well_formed() {
    let mut ids = BTreeSet::new();
    for kind in kinds() {
        let id = kind.id;
        assert!(ids.insert(id), "{id} stands twice");
        assert!(
            id.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
            "{id}"
        );
        assert!(kind.source.starts_with("https://"), "{id}: source");
        assert!(!kind.title.is_empty() && !kind.examples.is_empty(), "{id}");
        Matcher::new(kind.pattern).unwrap_or_else(|error| panic!("{id}: {error}"));
        assert!(
            !kind.pattern.contains(r"\b") && !kind.pattern.contains(r"\w"),
            "{id}: ASCII classes only"
        );
        let hir = regex_automata::util::syntax::parse(kind.pattern).unwrap();
        let longest = hir.properties().maximum_len();
        assert!(
            longest.is_some_and(|length| length <= 8192),
            "{id}: the pattern has no finite length"
        );
        assert!(
            kind.keywords.iter().all(|word| word.len() >= 3),
            "{id}: short keyword"
        );
    }
}

#[test]
fn a_name_in_capitals_may_be_joined_to_a_credential() {
    let engine = Engine::new(&Options::default()).unwrap();
    for id in [
        "npm-access-token",
        "aws-access-key-id",
        "github-personal-access-token",
    ] {
        let kind = kinds().find(|kind| kind.id == id).unwrap();
        let credential = example(kind.examples.first().unwrap(), 1);
        let masked = mask(&engine, &format!("TOKEN_{credential}"));
        assert_eq!(masked, format!("TOKEN_[redacted:{id}]"));
    }
}

#[test]
fn every_kind_finds_its_examples_and_no_look_alike() {
    for kind in kinds() {
        let engine = Engine::new(&Options {
            only: vec![kind.id.to_owned()],
            forms: false,
            ..Options::default()
        })
        .unwrap();
        for template in kind.examples {
            for seed in 0..50 {
                let credential = example(template, seed);
                let other = example(template, seed + 1000);
                for (before, after) in [("made up ", " is here"), ("X=\"", "\","), ("a\\n", "\\n")]
                {
                    let text = format!("{before}{credential}{after}");
                    let masked = mask(&engine, &text);
                    if kind.pattern.contains("<secret>") {
                        assert!(masked.contains("[redacted:"), "{}: {text}", kind.id);
                        // Only literal text of the form, such as the name of a cookie, may stay.
                        let left = credential
                            .as_bytes()
                            .windows(8)
                            .filter_map(|part| std::str::from_utf8(part).ok())
                            .find(|part| !other.contains(part) && masked.contains(part));
                        assert_eq!(left, None, "{}: {text} gives {masked}", kind.id);
                    } else {
                        // Some patterns also match the next character, such as the backslash of an
                        // escape.
                        let whole = format!("{before}[redacted:{}]", kind.id);
                        let rest = masked.strip_prefix(&whole);
                        assert!(
                            rest.is_some_and(|rest| after.ends_with(rest)),
                            "{text} gives {masked}"
                        );
                    }
                    assert_eq!(mask(&engine, &masked), masked, "{}: again", kind.id);
                }
            }
        }
        for text in kind.look_alikes {
            assert_eq!(mask(&engine, text), *text, "{}", kind.id);
        }
    }
}

/// The replacement shows the id of the kind. No part of an id may look like a rest of the
/// credential.
#[test]
fn no_id_holds_a_part_of_an_example() {
    for kind in kinds() {
        let shown = format!("[redacted:{}]", kind.id);
        for template in kind.examples {
            for seed in 0..20 {
                let credential = example(template, seed);
                let part = credential
                    .as_bytes()
                    .windows(8)
                    .filter_map(|part| std::str::from_utf8(part).ok())
                    .find(|part| shown.contains(part));
                assert_eq!(part, None, "{}: {credential}", kind.id);
            }
        }
    }
}

#[test]
fn tokens_side_by_side_are_all_masked() {
    let engine = Engine::new(&Options {
        forms: false,
        ..Options::default()
    })
    .unwrap();
    for template in ["glpat-{w20}", "ghp_{a36}", "hvs.{a24}", "AKIA{t16}"] {
        for separator in [",", " ", "/", "\n"] {
            let tokens: Vec<_> = (0..8).map(|seed| example(template, seed)).collect();
            let masked = mask(&engine, &tokens.join(separator));
            assert!(
                tokens.iter().all(|token| !masked.contains(token.as_str())),
                "{masked}"
            );
        }
    }
}

/// A credential in base64 may be a name in a path, but not a part of other base64.
#[test]
fn credentials_in_base64_are_masked_in_paths_and_not_within_base64() {
    let engine = Engine::new(&Options::default()).unwrap();
    let key = example("ABSK{b128}", 7);
    for before in [
        "x /",
        "/run/keys/",
        r#"{"key":"\/tmp\/"#,
        "s3://bucket/a/",
        "C:/Temp/",
        "/",
    ] {
        let masked = mask(&engine, &format!("{before}{key} x"));
        assert_eq!(masked, format!("{before}[redacted:aws-bedrock-key] x"));
    }
    for before in [
        "MUEAAPzo/ejD/8T/",
        "{b60}/",
        "{b30}+",
        "x {b90}/a/",
        r"{b50}\/",
    ] {
        let text = format!("{}{key}", example(before, 7));
        assert_eq!(mask(&engine, &text), text);
    }
}

/// Masks variants of an example, far apart in one text, as if each stood alone. A remembered match
/// applies only to places with the same bytes.
#[test]
fn what_is_remembered_of_a_credential_changes_no_other() {
    let engine = Engine::new(&Options::default()).unwrap();
    let far = "\n".repeat(crate::REACH + 512);
    for kind in kinds() {
        let (one, other) = (kind.examples[0], kind.examples[kind.examples.len() - 1]);
        let (one, other) = (example(one, 1), example(other, 2));
        let cut: String = one.chars().take(one.chars().count() - 1).collect();
        let variants = [
            one.clone(),
            format!("{one}-a"),
            format!("a{one}"),
            cut,
            format!("({one})"),
            other,
            one,
        ];
        let alone = variants
            .clone()
            .map(|variant| mask(&engine, &format!("\n{variant}\n")));
        let text = variants.map(|variant| format!("\n{variant}\n"));
        let masked = mask(&engine, &text.join(&far));
        assert!(masked == alone.join(&far), "{}", kind.id);
    }
}
