use super::*;
use crate::meter::{self, Meter};
use proptest::prelude::*;
use regex::{Regex, RegexBuilder};

/// Memory of an automaton: none, so little that it is given up, and enough.
const MEMORY: [usize; 3] = [0, 24 * 1024, 2 << 20];

/// Patterns of classes, repetitions, alternatives and assertions.
fn part() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "a",
        "b",
        "ab",
        "abc",
        "c-",
        "é",
        "✓",
        r"\n",
        ".",
        "(?s:.)",
        r"\s",
        r"\S",
        r"\w",
        r"\W",
        "[a-c]",
        "[^a]",
        r"[^b\n]",
        r"[ab\n]",
        "(?i:AB)",
        r"\b",
        r"\B",
        r"(?-u:\b)",
        r"\b{start}",
        r"\b{end-half}",
        "^",
        "$",
        "(?m:^)",
        "(?m:$)",
        r"\A",
        r"\z",
        "(?:)",
    ]);
    leaf.prop_map(str::to_owned)
        .prop_recursive(4, 24, 4, |part| {
            let repeat = prop::sample::select(vec![
                "*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{2,}?", "{0,9}",
            ]);
            prop_oneof![
                prop::collection::vec(part.clone(), 1..4).prop_map(|parts| parts.concat()),
                prop::collection::vec(part.clone(), 2..4)
                    .prop_map(|parts| format!("(?:{})", parts.join("|"))),
                (part.clone(), repeat).prop_map(|(part, repeat)| format!("(?:{part}){repeat}")),
                part.prop_map(|part| format!("({part})")),
            ]
        })
}

/// A pattern with or without the group to mask, which may take no part in a match.
fn pattern() -> impl Strategy<Value = String> {
    (part(), part(), part(), 0..4).prop_map(|(before, group, after, form)| match form {
        0 => before,
        1 => format!("{before}(?P<secret>{group}){after}"),
        2 => format!("(?m){before}(?:(?P<secret>{group})|{after})"),
        _ => format!("(?s)(?:{before}(?P<secret>{group}))+{after}"),
    })
}

fn text() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "a", "b", "ab", "abc", "c-", "AB", "é", "✓", " ", "\n", "-", "x", "aaaaaaaa", "\n\n",
        "abab",
    ]);
    prop::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

/// The matches of the library.
fn expected(regex: &Regex, text: &str) -> Vec<Found> {
    let matches = regex.captures_iter(text).map(|captures| {
        let whole = captures.get(0).unwrap().range();
        let group = captures.name(SECRET_GROUP).map(|group| group.range());
        Found {
            secret: group.unwrap_or_else(|| whole.clone()),
            whole,
        }
    });
    matches.collect()
}

fn found(pattern: &Pattern, text: &str, work: &mut dyn Work) -> Result<Vec<Found>, Exhausted> {
    let mut all = Vec::new();
    pattern.find_each(text, 0, work, |one| {
        all.push(one);
        Ok(())
    })?;
    Ok(all)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// For every pattern and text, the matches are those of the library, with each of the memory
    /// sizes.
    #[test]
    fn matches_are_those_of_the_library(pattern in pattern(), texts in prop::collection::vec(text(), 1..4)) {
        // Large ones take long.
        let Ok(regex) = RegexBuilder::new(&pattern).size_limit(1 << 18).build() else {
            return Ok(());
        };
        for memory in MEMORY {
            let compiled = Pattern::new(&pattern, 1 << 20, memory).unwrap();
            for text in &texts {
                let all = found(&compiled, text, &mut meter::until(None)).unwrap();
                prop_assert_eq!(&all, &expected(&regex, text), "{} in {:?} with {}", pattern, text, memory);
                let is_match = compiled.is_match(text, &mut meter::until(None)).unwrap();
                prop_assert_eq!(is_match, !all.is_empty());
            }
        }
    }
}

/// Searches with a meter that lets the search go on for a number of checks. Returns the number of
/// matches, and the number of checks.
fn ask(
    pattern: &str,
    memory: usize,
    text: &str,
    questions: usize,
) -> (Result<usize, Exhausted>, usize) {
    let compiled = Pattern::new(pattern, 1 << 20, memory).unwrap();
    let mut asked = 0;
    let mut work = Meter::new(|| {
        asked += 1;
        asked <= questions
    });
    let all = found(&compiled, text, &mut work);
    (all.map(|all| all.len()), asked)
}

/// A search over 8 MiB ends in the middle when it may not go on, with every automaton. All matches
/// are at the end, so the checks are not made between matches.
#[test]
fn one_search_ends_in_the_middle() {
    const SIZE: usize = 8 << 20;
    for (pattern, unit, memory) in [
        // The whole text may be one match, so the search cannot end at a line.
        (r"[a-y\s]+z", "lorem ipsum\n", 2 << 20),
        (r"[a-y\s]+z", "lorem ipsum\n", 0),
        (r"(?s)\bk.*?z", "lorem ipsum ✓\n", 2 << 20),
        (r"[ab]*a[ab]{200}z", "abbabaab", 2 << 20),
        // Only the search for the first letters reads the whole text.
        ("lorem1z", "lorem ipsum\n", 2 << 20),
    ] {
        let text = unit.repeat(SIZE / unit.len()) + "k lorem1z";
        let (all, asked) = ask(pattern, memory, &text, usize::MAX);
        assert!(all.is_ok() && asked >= 8, "{pattern}: {asked} questions");
        let (all, asked) = ask(pattern, memory, &text, 3);
        assert_eq!((all, asked), (Err(Exhausted), 4), "{pattern}");
    }
}

/// The search for the group of a long match also ends when it may not go on.
#[test]
fn the_group_of_a_long_match_ends_in_the_middle() {
    let text = format!("k={}", "lorem ipsum\n".repeat(200_000));
    let (_, without) = ask(r"k=[\s\S]+", 2 << 20, &text, usize::MAX);
    let (all, with) = ask(r"k=(?P<secret>[\s\S]+)", 2 << 20, &text, usize::MAX);
    assert_eq!(all, Ok(1));
    assert!(with > without + 3, "{with} questions, {without} without");
    let (all, _) = ask(r"k=(?P<secret>[\s\S]+)", 2 << 20, &text, without + 1);
    assert_eq!(all, Err(Exhausted));
}
