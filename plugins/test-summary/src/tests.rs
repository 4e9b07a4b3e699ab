//! Outputs of tools, each with its summary; and texts that nobody would expect.

use crate::summary::{Bounds, Summary, summarize};
use proptest::prelude::*;
use std::fmt::Write as _;

const BOUNDS: Bounds = Bounds {
    failing: 10,
    excerpt: 2048,
};

/// Returns a summary in one line: tools, passed, failed, skipped, milliseconds, and the failing tests.
fn shown(log: &str) -> String {
    let Some(Summary {
        tools,
        counts,
        failing,
        excerpt: _,
    }) = summarize(log, BOUNDS)
    else {
        return "none".to_owned();
    };
    let number = |number: Option<u64>| number.map_or("?".to_owned(), |number| number.to_string());
    let mut text = format!(
        "{}: {} {} {} {}ms",
        tools.join(","),
        number(counts.passed),
        counts.failed,
        number(counts.skipped),
        number(counts.millis)
    );
    for name in failing {
        write!(text, " [{name}]").unwrap();
    }
    text
}

/// Reads the outputs of tools: after `### NAME` an output, and after `>>> ` its summary. `recorded.txt` has what the tools printed;
/// `outputs.txt` is written after the documented formats of the other tools and versions.
fn outputs() -> Vec<(&'static str, String, &'static str)> {
    let mut outputs = Vec::new();
    for file in [include_str!("outputs.txt"), include_str!("recorded.txt")] {
        for part in file.split("\n### ").skip(1) {
            let (name, rest) = part.split_once('\n').unwrap();
            let (output, summary) = rest.rsplit_once("\n>>> ").unwrap();
            outputs.push((name, format!("{output}\n"), summary.trim_end()));
        }
    }
    outputs
}

#[test]
fn the_outputs_of_all_tools_are_read() {
    let wrong: Vec<String> = outputs()
        .into_iter()
        .filter_map(|(name, output, expected)| {
            let actual = shown(&output);
            (actual != expected).then(|| format!("{name}:\n  {actual}\n  {expected}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(outputs().len() >= 20);
}

#[test]
fn colours_line_ends_and_timestamps_change_nothing() {
    for (name, output, expected) in outputs() {
        let mut times = String::new();
        let mut windows = String::new();
        for line in output.lines() {
            writeln!(times, "2026-11-22T13:31:16.753074123Z {line}").unwrap();
            write!(windows, "{line}\r\n").unwrap();
        }
        assert_eq!(shown(&windows), expected, "{name} with CRLF");
        assert_eq!(shown(&times), expected, "{name} with timestamps");
        // Escape sequences are within words, too, but in JUnit XML, which no tool colours.
        if !output.contains("<testsuite") {
            let coloured = output.replace('e', "\u{1b}[31me\u{1b}[0m");
            assert_eq!(shown(&coloured), expected, "{name} with colours");
        }
    }
}

#[test]
fn tests_of_several_tools_are_added() {
    let log = "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.05s\n\
               == 1 failed, 2 passed in 0.10s ==\n";
    assert_eq!(shown(log), "pytest,cargo: 7 1 1 150ms");
}

#[test]
fn a_report_in_xml_counts_alone() {
    let log = "1 failed, 2 passed in 0.10s\n<testsuite tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"0\" time=\"0.1\"></testsuite>\n";
    assert_eq!(shown(log), "junit: 2 1 0 100ms");
}

#[test]
fn a_log_that_begins_or_ends_in_a_report_is_read_as_far_as_it_goes() {
    for (log, expected) in [
        // The total of Maven's module is missing; that of the class is there.
        (
            "[INFO] Tests run: 3, Failures: 1, Errors: 0, Skipped: 0, Time elapsed: 0.05 s -- in a.B\n[INFO] Runn",
            "maven: 2 1 0 50ms",
        ),
        (
            "test a ... ok\ntest b ... FAILED\ntest c ... ",
            "cargo: 1 1 0 ?ms [b]",
        ),
        (
            "me=\"x\"/>\n<testcase name=\"b\"><failure message=\"m\"/></testcase><testcase name=\"c\"/>\n</testsuite>",
            "none",
        ),
        (
            "</testcase><testsuite><testcase name=\"b\"><failure message=\"m\"/></testcase><testcase name=\"c\"/><testca",
            "junit: 1 1 0 ?ms [b]",
        ),
        (
            "<testsuite tests=\"4\" failures=\"1\"><testcase name=\"b\"><failure",
            "junit: 3 1 0 ?ms",
        ),
        ("ok 1 - a\nnot ok 2 - b\n", "none"),
        ("not ok 2 - b\n1..2\n", "tap: 0 1 0 ?ms [b]"),
    ] {
        assert_eq!(shown(log), expected, "{log}");
    }
}

#[test]
fn ordinary_logs_have_no_summary() {
    for log in [
        "",
        "128 tests passed, 0 failed\n",
        "FAILED to connect\nERROR: no such host\nok then\nok 1\n",
        "2 apples in 3s\n1..2..3\nTests: none\nRan away in 2s\nOK\n",
        "Build in 1.2s\n1 warning in 0.1s\n",
        "INFO > something FAILED\n--- a/file\n+++ b/file\n",
        "<testsuite-like> and <b>text</b>\n",
        "{\"Action\":\"output\",\"Test\":\"x\"}\n{\"Action\":7}\n",
    ] {
        assert_eq!(shown(log), "none", "{log}");
    }
}

#[test]
fn the_excerpt_has_the_lines_around_failures() {
    let log = "one\ntwo\nthree\n--- FAIL: TestX (0.00s)\n    x_test.go:5: got 1\nFAIL\nFAIL\ta/b\t0.01s\n";
    let summary = summarize(log, BOUNDS).unwrap();
    assert_eq!(
        summary.excerpt,
        "two\nthree\n--- FAIL: TestX (0.00s)\n    x_test.go:5: got 1\nFAIL\nFAIL\ta/b\t0.01s"
    );
    let log = "{\"Action\":\"output\",\"Package\":\"p\",\"Test\":\"TestX\",\"Output\":\"    x_test.go:5: got 1\\n\"}\n\
               {\"Action\":\"output\",\"Package\":\"p\",\"Test\":\"TestY\",\"Output\":\"other\\n\"}\n\
               {\"Action\":\"fail\",\"Package\":\"p\",\"Test\":\"TestX\",\"Elapsed\":0.01}\n";
    assert_eq!(
        summarize(log, BOUNDS).unwrap().excerpt,
        "    x_test.go:5: got 1"
    );
}

#[test]
fn names_and_excerpts_are_bounded() {
    let mut log = String::new();
    for test in 0..1000 {
        writeln!(log, "--- FAIL: Test{test}{} (0.00s)", "é".repeat(500)).unwrap();
    }
    let summary = summarize(&log, BOUNDS).unwrap();
    assert_eq!((summary.failing.len(), summary.counts.failed), (10, 1000));
    assert!(summary.failing.iter().all(|name| name.len() <= 200));
    assert!(summary.excerpt.len() <= 2048);
    let none = summarize(
        &log,
        Bounds {
            failing: 0,
            excerpt: 0,
        },
    )
    .unwrap();
    assert!(none.failing.is_empty() && none.excerpt.is_empty());
}

/// Texts that a careless search would read again and again. Each takes well below a second in a debug build; such a search would take
/// hours, which the time limit of the tests ends.
#[test]
fn hostile_texts_are_read_to_their_end() {
    for piece in [
        "<testcase ",
        "<testsuite \"",
        "<![CDATA[",
        "<!--",
        "\u{1b}[",
        "\u{1b}]",
        "\r",
        "not ok 1 - ",
        "1, 1, ",
        " failed, ",
        "Tests run: 1, ",
        "{\"Action\":",
        " > ",
        " ... ",
        "a=\"",
        "--- FAIL: x (0s)\n",
        "1) x\n",
    ] {
        let hostile = piece.repeat(1_000_000 / piece.len());
        for begin in ["", "<testsuite>"] {
            let log = format!("{begin}{hostile}\ntest result: ok. 7 passed; 0 failed; 0 ignored\n");
            let summary = summarize(&log, BOUNDS);
            if let Some(summary) = summary {
                assert!(summary.excerpt.len() <= BOUNDS.excerpt, "{piece:?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_fail_and_bounds_hold(
        pieces in prop::collection::vec((0_usize..PIECES.len(), any::<String>(), 0_u64..2_000_000_000), 0..60),
        failing in 0_usize..20, excerpt in 0_usize..300,
    ) {
        let mut log = String::new();
        for (piece, text, number) in pieces {
            log.push_str(&PIECES[piece].replace('N', &number.to_string()).replace('T', &text));
        }
        if let Some(summary) = summarize(&log, Bounds { failing, excerpt }) {
            prop_assert!(summary.failing.len() <= failing);
            prop_assert!(summary.excerpt.len() <= excerpt);
            prop_assert!(!summary.tools.is_empty());
        }
    }
}

const PIECES: [&str; 24] = [
    "T\n",
    "T",
    "\r",
    "N failed, N passed in N.Ns\n",
    "Ran N tests in Ns\nOK (skipped=N)\n",
    "--- FAIL: T (N.Ns)\n",
    "ok  \tT\tN.Ns\n",
    "{\"Action\":\"fail\",\"Test\":\"T\"}\n",
    "test T ... FAILED\n",
    "test result: FAILED. N passed; N failed; T\n",
    "Tests: N failed, N total\n",
    " Tests  N failed | T (N)\n",
    "N passing (Nms)\nN failing\nN) T\nT:\n",
    "Tests run: N, Failures: N, Errors: N, Skipped: N\n",
    "N tests completed, N failed\nT > T FAILED\n",
    "Failed! - Failed: N, Passed: N, Total: N, Duration: N ms - T\n",
    "1..N\nnot ok N - T # TODO\n",
    "<testsuite tests=\"N\" failures=\"N\">",
    "<testcase name='T'>",
    "<failure message=\"T\"/>",
    "<![CDATA[T]]>",
    "</testsuite>",
    "\u{1b}[Nm",
    "2026-11-22T13:31:16Z ",
];

#[test]
fn a_wrong_configuration_is_refused_with_its_place() {
    for (config, expected) in [
        (
            r#"{"maxFailing": 101}"#,
            "maxFailing: it is 101, and 100 is allowed",
        ),
        (
            r#"{"excerptBytes": 16385}"#,
            "excerptBytes: it is 16385, and 16384 is allowed",
        ),
        (r#"{"excerpt": 1}"#, "unknown field `excerpt`"),
        (r#"{"maxFailing": -1}"#, "invalid value"),
    ] {
        let refused = step_observer_guest::testing::process::<super::TestSummary>(
            config,
            &serde_json::json!({}),
        );
        let refused = refused.unwrap_err();
        assert!(refused.contains(expected), "{config}: {refused}");
    }
}

#[test]
fn cases() {
    step_observer_guest::testing::check_cases::<super::TestSummary>("cases");
}

#[test]
fn the_schema_is_that_of_the_configuration() {
    step_observer_guest::testing::check_schema::<super::TestSummary>(include_str!(
        "../config.schema.json"
    ));
}
