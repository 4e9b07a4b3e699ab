//! A stream gives what the whole text gives, however it is split.

use crate::catalog::example;
use crate::{Engine, Masker, Options, RedactionCounts, ScanLimits};
use proptest::prelude::*;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

const VALUE: &str = "kn0wn \"value\" of the/test+1";

/// The default engine with a known value.
fn engine() -> Arc<Engine> {
    static ENGINE: OnceLock<Arc<Engine>> = OnceLock::new();
    let make = || {
        let options = Options {
            values: vec![VALUE.to_owned(), "aXaXaXaX".to_owned()],
            ..Options::default()
        };
        Arc::new(Engine::new(&options).unwrap())
    };
    ENGINE.get_or_init(make).clone()
}

fn whole(engine: &Engine, text: &str) -> (String, RedactionCounts) {
    let mut counts = RedactionCounts::default();
    let limits = ScanLimits {
        growth: usize::MAX / 2,
        deadline: Instant::now() + Duration::from_secs(600),
    };
    let masked = engine.mask(text, &mut counts, limits).unwrap();
    (masked.into_owned(), counts)
}

fn streamed(engine: &Arc<Engine>, text: &str, sizes: &[usize]) -> (String, RedactionCounts) {
    let mut masker = Masker::new(engine.clone());
    let mut output = Vec::new();
    let mut rest = text.as_bytes();
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (part, others) = rest.split_at((*size).min(rest.len()));
        masker.push(part, &mut output);
        rest = others;
    }
    let counts = masker.finish(&mut output);
    (String::from_utf8(output).unwrap(), counts)
}

/// A part of a text: ordinary lines, or something that is masked.
fn part() -> impl Strategy<Value = String> {
    let base64 = |text: &str| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(text)
    };
    let token = example(concat!("gh", "p_{a36}"), 1);
    let plants = vec![
        VALUE.to_owned(),
        serde_json::to_string(VALUE).unwrap(),
        base64(&format!("x:{VALUE}")),
        base64(&base64(VALUE)),
        VALUE.replace('"', "%22"),
        "aX".repeat(40_000),
        format!("token {token}\n"),
        format!("\u{1b}[31m{token}\u{1b}[0m\n"),
        "password=hunter2hunter\n".to_owned(),
        "DB_PASSWORD: 'x y z 1 2 3'\n".to_owned(),
        format!("-----BEGIN {} KEY-----\n", "PRIVATE"),
        format!("{}\n", "QUJD".repeat(300)),
        format!("-----END {} KEY-----\n", "PRIVATE"),
        "\u{1b}[1m".to_owned(),
        "\\\\\\%25%25&amp;".to_owned(),
        "✓ é\n".to_owned(),
    ];
    prop_oneof![
        3 => prop::sample::select(plants),
        1 => (1_usize..900, "[a-z ]{5,60}\n").prop_map(|(times, line)| line.repeat(times)),
        1 => (1_usize..40_000, prop::sample::select(vec!["a", "=", " ", "'", "\\", "\"", "%4", "\n", "A0"]))
            .prop_map(|(times, unit)| unit.repeat(times)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_stream_gives_what_the_whole_text_gives(
        parts in prop::collection::vec(part(), 1..40),
        sizes in prop::collection::vec(prop_oneof![1_usize..100, 100_usize..200_000], 1..6),
    ) {
        let text = parts.concat();
        let engine = engine();
        let (masked, counts) = whole(&engine, &text);
        let (stream, stream_counts) = streamed(&engine, &text, &sizes);
        let differs = masked.bytes().zip(stream.bytes()).position(|(a, b)| a != b);
        prop_assert!(
            masked == stream,
            "differs at {:?} of {} and {}: {:?} is not {:?}",
            differs, masked.len(), stream.len(),
            masked.chars().skip(differs.unwrap_or(0).saturating_sub(40)).take(120).collect::<String>(),
            stream.chars().skip(differs.unwrap_or(0).saturating_sub(40)).take(120).collect::<String>()
        );
        prop_assert_eq!(counts.total(), stream_counts.total());
    }

    /// Lines that are written at once contain no known value, and nothing is written twice.
    #[test]
    fn lines_that_are_written_at_once_are_masked(
        parts in prop::collection::vec(prop_oneof![
            Just(format!("{VALUE}\n")), Just("\u{1b}[0m\n\u{1b}[1m".to_owned()), Just("ordinary\n".to_owned()), Just(VALUE.to_owned()),
        ], 1..20),
    ) {
        let engine = engine();
        let mut masker = Masker::new(engine.clone());
        let mut output = Vec::new();
        for part in &parts {
            masker.push(part.as_bytes(), &mut output);
            masker.flush_lines(&mut output);
        }
        drop(masker.finish(&mut output));
        prop_assert_eq!(String::from_utf8(output).unwrap(), whole(&engine, &parts.concat()).0);
    }
}
