//! Tests of known values: every encoding, at every place, in every split of a stream.

mod encodings;

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use encodings::encodings;
use proptest::prelude::*;

fn known(values: &[&str]) -> ValueSearch {
    let values: Vec<_> = values
        .iter()
        .map(|value| KnownValue {
            source: "test".into(),
            value: (*value).to_owned(),
        })
        .collect();
    let (values, refusals) = KnownValues::new(&values, Policy::READ);
    assert_eq!(refusals, []);
    ValueSearch::new(&[Arc::new(values)])
}

/// Returns the text with `~` in the place of each masked character.
fn masked(search: &ValueSearch, text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    search.find(&Text::new(text), 0..text.len(), &mut |range| {
        assert!(text.is_char_boundary(range.start) && text.is_char_boundary(range.end));
        bytes[range].fill(b'~');
    });
    String::from_utf8(bytes).unwrap()
}

/// Checks that no eight consecutive characters of an encoded value are left, and that a shorter
/// value is not left whole. `around` is the number of characters of other text at each end of the
/// encoded text.
fn check(
    search: &ValueSearch,
    value: &str,
    (name, encoded): &(String, String),
    text: &str,
    at: usize,
    around: (usize, usize),
) {
    let output = masked(search, text);
    // The document around the value.
    let more = if name.ends_with("of json") { 8 } else { 0 };
    let around = (around.0 + more, around.1 + more);
    let explain = || format!("{name} of {value:?} in {text:?}: {output:?}");
    let shown = output.get(at..at + encoded.len()).unwrap_or_default();
    let shown: Vec<char> = shown.chars().filter(|c| !c.is_whitespace()).collect();
    let first = shown
        .iter()
        .position(|c| *c == '~')
        .unwrap_or_else(|| panic!("{}", explain()));
    let last = shown.iter().rposition(|c| *c == '~').unwrap_or_default();
    assert!(first < around.0 + 8, "beginning of {}", explain());
    assert!(shown.len() - last <= around.1 + 8, "end of {}", explain());
    let mut left = 0;
    for c in &shown[first..last] {
        // Backslashes alone show nothing.
        match c {
            '~' => left = 0,
            '\\' => {}
            _ => left += 1,
        }
        // Line breaks between two lines that are masked may stay.
        assert!(
            left < 8.max(12 * value.matches('\n').count()),
            "middle of {}",
            explain()
        );
    }
}

const VALUES: &[&str] = &[
    "s3cr3t",
    "hunter2hunter",
    "p@ss w0rd!",
    "it's \"quoted\" \\ back",
    "a+b/c=d&e<f>g%20h$i`j",
    "C:\\new\\table\\u0041",
    "100%sure%41and%%more",
    "line one is here\nline two is there\nthree",
    "ab\ncd\nef\ngh",
    "pässwörd→✓𝄞",
    "$(rm -rf) ${HOME}",
    "tr41ling\\",
    "&amp;&lt;x;y",
    "0123456789012345678901234567890123456789012345678901234567890123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnop",
];

#[test]
fn a_value_of_quotation_marks_is_found_in_the_simple_encodings() {
    let value = "'\"a'\"'\\\\''";
    let search = known(&[value]);
    let names = [
        "raw",
        "percent upper",
        "percent lower",
        "json",
        "json in json",
        "xml",
        "html",
        "sql",
        "hex",
        "base64 standard",
    ];
    let encodings = encodings(value, "", "");
    for name in names {
        let encoded = encodings.iter().find(|(known, _)| known == name).unwrap();
        check(&search, value, encoded, &encoded.1, 0, (0, 0));
    }
}

#[test]
fn every_value_is_found_in_every_encoding() {
    for value in VALUES {
        let search = known(&[value]);
        for (before, after) in [
            ("", ""),
            ("u:", ""),
            ("user:", "\n"),
            ("abc", "xyz"),
            ("x", "12"),
        ] {
            for encoded in encodings(value, before, after) {
                for (left, right) in [
                    ("", ""),
                    ("token=", " end"),
                    ("\"", "\""),
                    ("> ", "\n"),
                    ("'", "'"),
                ] {
                    let text = format!("{left}{}{right}", encoded.1);
                    let joined = value.len() + before.len() + after.len();
                    let part = |other: &str| (other.len() * encoded.1.len() * 2).div_ceil(joined);
                    check(
                        &search,
                        value,
                        &encoded,
                        &text,
                        left.len(),
                        (part(before), part(after)),
                    );
                }
            }
        }
    }
}

#[test]
fn an_engine_masks_the_values_of_its_options_and_of_shared_sets() {
    let engine = crate::Engine::new(&crate::Options {
        values: vec!["abcd".to_owned(), "s3cret/one".to_owned()],
        ..crate::Options::default()
    })
    .unwrap();
    let mask = |engine: &crate::Engine, text: &str| {
        let limits = crate::ScanLimits {
            growth: 1000,
            deadline: std::time::Instant::now() + std::time::Duration::from_secs(60),
        };
        let mut counts = crate::RedactionCounts::default();
        engine.mask(text, &mut counts, limits).unwrap().into_owned()
    };
    assert_eq!(
        mask(&engine, "it is abcd, s3cret%2Fone."),
        "it is [redacted:known-value], [redacted:known-value]."
    );
    let known = KnownValue {
        source: "file x".into(),
        value: "an0ther".to_owned(),
    };
    let (values, _) = KnownValues::new(&[known], Policy::READ);
    let engine = engine.with_values(&[Arc::new(values)]);
    assert_eq!(mask(&engine, "abcd an0ther"), "abcd [redacted:known-value]");
}

#[test]
fn ordinary_values_are_refused_by_the_name_of_their_source() {
    let cases = [
        ("short", "abcde", Reason::Short(6)),
        ("blank", "  abc \n", Reason::Short(6)),
        ("word", "Production", Reason::Common),
        ("number", "123456", Reason::Number),
        ("line", "--------", Reason::Repeated),
    ];
    let values: Vec<_> = cases
        .iter()
        .map(|(source, value, _)| KnownValue {
            source: (*source).into(),
            value: (*value).to_owned(),
        })
        .collect();
    let (known, refusals) = KnownValues::new(&values, Policy::READ);
    assert!(known.is_empty());
    let refused: Vec<_> = refusals
        .iter()
        .map(|refusal| (&*refusal.source_name, refusal.reason))
        .collect();
    let expected: Vec<_> = cases
        .iter()
        .map(|(source, _, reason)| (*source, *reason))
        .collect();
    assert_eq!(refused, expected);
    assert_eq!(
        refusals[0].to_string(),
        "the value of short is shorter than 6 bytes"
    );
    let (known, refusals) = KnownValues::new(&values[..1], Policy::WRITTEN);
    assert!(!known.is_empty() && refusals.is_empty());
    // Debug output shows no value.
    assert!(!format!("{values:?} {known:?} {refusals:?}").contains("abcde"));
}

#[test]
fn texts_of_a_document_are_found_by_themselves() {
    let document = r#"{"auths":{"r.example.com":{"username":"robot-account","password":"pa\"ss/w0rd","auth":"cm9ib3Q6b3RoZXItcDRzcw=="}}}"#;
    let search = known(&[document]);
    for text in [
        "pa\"ss/w0rd",
        "cm9ib3Q6b3RoZXItcDRzcw==",
        "other-p4ss",
        "pa%22ss%2Fw0rd",
    ] {
        let output = masked(&search, text);
        assert!(output.chars().all(|c| c == '~'), "{text}: {output}");
    }
    assert_eq!(
        masked(&search, "robot-account at r.example.com"),
        "robot-account at r.example.com"
    );
    let kubeconfig = "apiVersion: v1\nkind: Config\nusers:\n- name: a\n  user:\n    token: \"tk-0123456789abc\"\n";
    let search = known(&[kubeconfig]);
    let text = "apiVersion: v1\nkind: Config\n+ kubectl --token tk-0123456789abc";
    assert_eq!(
        masked(&search, text),
        text.replace("tk-0123456789abc", "~~~~~~~~~~~~~~~~")
    );
}

/// Six characters are eight characters of base64, which may be at any place in a longer word.
#[test]
fn a_short_value_is_found_in_base64_as_a_whole_only() {
    let search = known(&["abc123"]);
    let text = STANDARD.encode("abc123");
    assert_eq!(text.len(), 8);
    assert_eq!(masked(&search, &text), "~~~~~~~~");
    assert_eq!(masked(&search, &format!("xyz{text}")), "xyz~~~~~~~~");
    // Without one of the characters, the base64 does not hold the value.
    for part in [text.get(..7).unwrap(), text.get(1..).unwrap()] {
        assert_eq!(masked(&search, part), part);
    }
}

/// Returns a dump: lines of hexadecimal digits in groups of `group` bytes.
fn dump(text: &str, group: usize, swaps: bool, column: bool) -> String {
    let mut lines = Vec::new();
    for (number, part) in text.as_bytes().chunks(16).enumerate() {
        let groups = part.chunks(group).map(|bytes| {
            let mut bytes = bytes.to_vec();
            if swaps {
                bytes.reverse();
            }
            bytes
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        });
        let groups: Vec<String> = groups.collect();
        let digits = groups.join(" ");
        let shown = std::str::from_utf8(part).unwrap();
        lines.push(if column {
            format!("{:08x}: {digits:39}  {shown}", number * 16)
        } else {
            format!("{:07x} {digits}", number * 16)
        });
    }
    lines.join("\n")
}

/// A value that goes on in the next line of a dump.
#[test]
fn values_are_found_in_columns_of_bytes() {
    let value = "0-Zk3fg!hijk-mn.pqrs-Tu";
    let search = known(&[value]);
    for skipped in [0, 3, 10, 15] {
        let text = format!("{}{value} and the rest of it", "-".repeat(skipped));
        for (group, swaps, column) in [
            (2, false, true),
            (1, false, true),
            (1, false, false),
            (2, true, false),
            (4, false, true),
        ] {
            let text = format!("$ xxd x\n{}\ndone\n", dump(&text, group, swaps, column));
            let output = masked(&search, &text);
            let first = output.find('~').unwrap_or_else(|| panic!("{text}"));
            let last = output.rfind('~').unwrap();
            let between = output.get(first..last).unwrap();
            assert!(between.chars().all(|c| c == '~'), "{output}");
            let hidden = text.get(first..=last).unwrap();
            // Both columns: neither the digits nor the characters are left.
            assert!(hidden.len() > value.len() * 2, "{output}");
            for part in value.as_bytes().windows(8) {
                assert!(
                    !output.contains(std::str::from_utf8(part).unwrap()),
                    "{output}"
                );
            }
        }
    }
    let other = dump("the same text, but without the value", 2, false, true);
    assert_eq!(masked(&search, &other), other);
}

/// Each line of a log begins with the time, or with the name of a container.
#[test]
fn base64_is_found_in_lines_with_a_prefix() {
    let long: String = (0..40)
        .map(|part| format!("k{part}.Q{}", part * 7))
        .collect();
    for value in [long.as_str(), "0123456789-abcdefghij-KLMNOPQRST-uvwxyz"] {
        let search = known(&[value]);
        for (skipped, columns) in [(0, 76), (1, 76), (40, 60), (55, 64), (56, 76)] {
            let encoded = STANDARD.encode(format!("{}{value} end of it", "-".repeat(skipped)));
            for prefix in [
                "12:01:0N ",
                "step-build | ",
                "2026-01-01T00:00:0N.12345Z stdout F ",
                "\tN\t",
            ] {
                let lines = encoded.as_bytes().chunks(columns).enumerate();
                let lines: Vec<_> = lines
                    .map(|(number, line)| {
                        let prefix = prefix.replace('N', &(number % 10).to_string());
                        format!("{prefix}{}", std::str::from_utf8(line).unwrap())
                    })
                    .collect();
                for (before, after) in [("", ""), ("12:01:00 other line\n", "\n12:01:09 done\n")] {
                    let text = format!("{before}{}{after}", lines.join("\n"));
                    let output = masked(&search, &text);
                    let shown = output.trim_end_matches(after);
                    let first = shown.find('~').unwrap_or_else(|| panic!("{text}"));
                    let last = shown.rfind('~').unwrap();
                    let between = shown.get(first..last).unwrap();
                    assert!(between.chars().all(|c| c == '~'), "{output}");
                    let start = before.len() + prefix.len() + skipped * 4 / 3;
                    assert!(first <= start + prefix.len() + 3, "{output}");
                    assert!(shown.len() - last <= 20 + prefix.len(), "{output}");
                }
            }
        }
    }
}

/// Lines with different prefixes, and lines that are not base64, are not joined.
#[test]
fn lines_with_other_prefixes_are_not_joined() {
    let value = "0123456789-abcdefghij-KLMNOPQRST-uvwxyz";
    let search = known(&[value]);
    let encoded = STANDARD.encode(value);
    let (first, second) = encoded.split_at(28);
    for text in [
        format!("a: {first}\nb: {second}"),
        format!("a: {first}\na: - {second}"),
        format!("a: {first}.\na: {second}"),
    ] {
        assert_eq!(masked(&search, &text), text);
    }
    let text = format!("a: {first}\na: {second}");
    assert!(masked(&search, &text).contains("~~~~"));
}

#[test]
fn the_fewest_ranges_cover_a_run_of_overlapping_ones() {
    let ranges = |ends: &[(usize, usize)]| -> Vec<_> {
        ends.iter()
            .map(|(start, end)| (*start, Reverse(*end)))
            .collect()
    };
    let run: Vec<_> = (0..20)
        .map(|start| (start, start + 8))
        .chain([(40, 45), (40, 41), (41, 46)])
        .collect();
    let kept = cover(&ranges(&run));
    assert_eq!(kept, [0..8, 7..15, 14..22, 19..27, 40..45, 41..46]);
    assert!(cover(&[]).is_empty());
}

/// Values of printable signs, with line breaks and characters that are not ASCII.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{8,200}",
        "[A-Za-z0-9+/=_-]{6,200}",
        "[a-zA-Z0-9'\"\\\\ $%&;]{10,60}",
        "[a-zé✓0-9\n!-/]{12,80}",
    ]
    .prop_map(|value| value.trim().to_owned())
    .prop_filter("an ordinary value", |value| {
        // A value with a skeleton that is too short is found in simple encodings only.
        let undone = escapes::undo_value(value.as_bytes());
        // Several backslashes at an end may stay.
        let slashes = value.starts_with("\\\\") || value.ends_with("\\\\");
        !slashes
            && undone.skeleton.len() >= MIN_SKELETON
            && parts::parts(value, Policy::READ).is_ok()
    })
}

/// Signs at the end of a value, which its encodings double.
#[test]
fn values_that_end_with_many_signs_are_found_in_every_encoding() {
    for value in [
        r#";A0AAa"$""\"\\\$"#,
        r#"m\&%o"$$\95;;"\H0\\2VH\2\$z"&2\P$"" WtK\"\4\\'"#,
    ] {
        let search = known(&[value]);
        for encoded in encodings(value, "", "") {
            check(&search, value, &encoded, &encoded.1, 0, (0, 0));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_value_is_found_in_every_encoding(
        value in value(),
        before in "[a-z:]{0,4}",
        after in "[a-z\n]{0,3}",
        (left, right) in prop::sample::select(vec![("", ""), ("token=", " end"), ("\"", "\"\n"), (">", "<")]),
    ) {
        let search = known(&[&value]);
        for encoded in encodings(&value, &before, &after) {
            // Escapes in base64 are undone only beside eight printable ASCII characters.
            if encoded.0.ends_with("of json") && !value.is_ascii() {
                continue;
            }
            let text = format!("{left}{}{right}", encoded.1);
            let joined = value.len() + before.len() + after.len();
            let part = |other: &str| (other.len() * encoded.1.len() * 2).div_ceil(joined);
            check(&search, &value, &encoded, &text, left.len(), (part(&before), part(&after)));
        }
    }

    /// A search in parts finds what one search finds.
    #[test]
    fn a_search_in_parts_finds_the_same(
        value in value(),
        texts in prop::collection::vec(prop_oneof![
            "[ -~\n]{0,200}", "[A-Za-z0-9+/]{0,300}", "[%&\\\\'\"0-9a-fux;]{0,300}",
        ], 0..6),
        ends in prop::collection::vec(0_usize..3000, 1..5),
        pick in any::<prop::sample::Index>(),
    ) {
        let search = known(&[&value]);
        let encodings = encodings(&value, "", "");
        let encoded = &encodings[pick.index(encodings.len())].1;
        let text = texts.join(encoded);
        let whole = masked(&search, &text);
        let mut ends: Vec<_> = ends.iter().map(|end| text.floor_char_boundary((*end).min(text.len()))).collect();
        ends.push(text.len());
        ends.sort_unstable();
        let mut bytes = text.as_bytes().to_vec();
        let mut start = 0;
        for end in ends {
            search.find(&Text::new(&text), start..end, &mut |range| bytes[range].fill(b'~'));
            start = end;
        }
        prop_assert_eq!(String::from_utf8(bytes).unwrap(), whole);
    }

    #[test]
    fn a_text_without_the_value_stays(value in value(), text in "[ -~\n]{0,400}") {
        let search = known(&[&format!("{value}~€")]);
        prop_assert_eq!(masked(&search, &text), text);
    }
}
