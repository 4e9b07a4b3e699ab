//! Tests of syntax and its bounds.

use super::*;

fn refused(source: &str) -> (usize, String) {
    let mistake = parse(source).unwrap_err();
    (mistake.at, mistake.message)
}

#[test]
fn mistakes_have_their_place() {
    assert_eq!(refused("a &&").0, 4);
    assert_eq!(refused("a b").0, 2);
    assert_eq!(refused("[1, 2").0, 5);
    assert_eq!(refused("a.?b").0, 2);
    assert_eq!(refused("for == 1").0, 0);
    assert_eq!(refused("has(a)").0, 0);
    assert_eq!(refused("a.exists(1, true)").0, 9);
    assert_eq!(refused("9223372036854775808").0, 0);
    assert!(parse("-9223372036854775808").is_ok());
}

#[test]
fn every_bound_refuses_what_is_beyond_and_nothing_else() {
    let at_bounds = |repeat: &dyn Fn(usize) -> String, most: usize, word: &str| {
        assert!(parse(&repeat(most)).is_ok(), "{word}: {most}");
        let (_, message) = refused(&repeat(most + 1));
        assert!(message.contains(word), "{message}");
    };
    let depth = usize::from(MAX_DEPTH);
    let parentheses = |count| format!("{}a{}", "(".repeat(count - 1), ")".repeat(count - 1));
    at_bounds(&parentheses, depth, "inside each other");
    at_bounds(
        &|count| format!("a{}", "+a".repeat(count - 1)),
        depth,
        "inside each other",
    );
    at_bounds(
        &|count| format!("{}a", "!".repeat(count - 1)),
        depth,
        "inside each other",
    );
    at_bounds(
        &|count| format!("a{}", ".a".repeat(count - 1)),
        depth,
        "inside each other",
    );
    at_bounds(
        &|count| format!("[{}]", "a,".repeat(count)),
        MAX_ELEMENTS,
        "elements",
    );
    at_bounds(
        &|count| format!("{{{}}}", "a:a,".repeat(count)),
        MAX_ELEMENTS,
        "elements",
    );
    // The chain itself is one part.
    at_bounds(
        &|count| format!("a{}", "||a".repeat(count - 2)),
        MAX_NODES,
        "operators",
    );
    at_bounds(
        &|count| format!("a{}", " ".repeat(count - 1)),
        MAX_SOURCE_BYTES,
        "bytes",
    );
}
