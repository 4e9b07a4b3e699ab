//! Tests of all forms: the text between the arrows of each example is masked, all else stays.

use super::*;
use crate::{Engine, Options, testing};
use std::collections::BTreeSet;
use std::sync::OnceLock;

/// Masks a text with the forms alone.
pub(crate) fn mask(text: &str) -> String {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    let engine = ENGINE.get_or_init(|| {
        let options = Options {
            only: forms().iter().map(|form| form.id.to_owned()).collect(),
            ..Options::default()
        };
        Engine::new(&options).unwrap()
    });
    testing::mask(engine, text)
}

/// Checks that exactly the texts between arrows are masked, each by one mask. Masking the result
/// again must change nothing.
#[track_caller]
pub(super) fn check(marked: &str) {
    let mut parts = marked.split('→');
    let mut kept = vec![parts.next().unwrap_or_default()];
    kept.extend(parts.map(|part| part.split_once('←').expect(marked).1));
    let masked = mask(&marked.replace(['→', '←'], ""));
    let mut rest = masked.as_str();
    for (index, text) in kept.iter().enumerate() {
        if index > 0 {
            let mask = rest.find(']').filter(|_| rest.starts_with("[redacted:"));
            let Some(mask) = mask else {
                panic!("{marked:?} gives {masked:?}");
            };
            rest = rest.split_at(mask + 1).1;
        }
        let Some(after) = rest.strip_prefix(text) else {
            panic!("{marked:?} gives {masked:?}");
        };
        rest = after;
    }
    assert_eq!(rest, "", "{marked:?} gives {masked:?}");
    assert_eq!(mask(&masked), masked, "masked again: {marked:?}");
}

/// Checks that exactly the texts between arrows are masked in each line.
#[track_caller]
pub(super) fn check_all(lines: &[&str]) {
    for line in lines {
        check(line);
    }
}

/// Checks that nothing is masked.
#[track_caller]
pub(super) fn check_kept(lines: &[&str]) {
    for line in lines {
        assert_eq!(mask(line), *line);
    }
}

#[test]
fn every_form_masks_its_examples_and_nothing_else() {
    let mut ids = BTreeSet::new();
    for form in forms() {
        assert!(ids.insert(form.id), "{} stands twice", form.id);
        assert!(
            !form.title.is_empty() && !form.examples.is_empty(),
            "{}",
            form.id
        );
        for example in form.examples {
            assert!(example.contains('→'), "{example}");
            check(example);
        }
    }
}
