//! Reports in JUnit XML that a step has printed. The text is read once, from tag to tag; the log may hold only a part of the report.

use crate::findings::{Counts, Findings, failing};
use crate::lines::plain;
use crate::numbers::{millis, number};
use crate::summary::Bounds;

/// Returns the counts and the failing tests of all reports in a log, if there is one.
pub(crate) fn read(log: &str, bounds: Bounds) -> Option<(Counts, Findings)> {
    if !log.contains("<testsuite") {
        return None;
    }
    let mut reader = Reader::new(bounds);
    let mut rest = log;
    while let Some(start) = rest.find('<') {
        let (_, tag) = rest.split_at_checked(start + 1)?;
        rest = match tag.strip_prefix("![CDATA[") {
            // What a test printed is no report.
            Some(text) => text.split_once("]]>").map_or("", |(_, rest)| rest),
            None => match tag.strip_prefix("!--") {
                Some(text) => text.split_once("-->").map_or("", |(_, rest)| rest),
                None => reader.tag(tag),
            },
        };
    }
    reader.finish()
}

/// Returns the position of the end of a tag: a `>` that is not in a quoted value, or a `<`, which no tag may hold (XML 1.0 §2.4).
fn end_of_tag(text: &str) -> usize {
    let mut quote = None;
    for (index, byte) in text.bytes().enumerate() {
        match (byte, quote) {
            (b'<', _) | (b'>', None) => return index,
            (b'"' | b'\'', None) => quote = Some(byte),
            (byte, Some(open)) if byte == open => quote = None,
            _ => {}
        }
    }
    text.len()
}

/// Counts of suites and of their tests.
struct Reader {
    /// What the suites say.
    declared: Option<Counts>,
    /// What the tests say: the beginning of the report may be missing.
    observed: Counts,
    /// Suites that are open.
    depth: usize,
    /// Depth of the open suite whose counts are used: those of the suites in it are part of them.
    counted: Option<usize>,
    /// The open test.
    test: Option<Test>,
    findings: Findings,
}

#[derive(Default)]
struct Test {
    name: String,
    message: Option<String>,
    is_failed: bool,
    is_skipped: bool,
}

impl Reader {
    fn new(bounds: Bounds) -> Self {
        Self {
            declared: None,
            observed: Counts {
                passed: Some(0),
                skipped: Some(0),
                ..Counts::default()
            },
            depth: 0,
            counted: None,
            test: None,
            findings: Findings::new(bounds),
        }
    }

    /// Reads a tag, of which the `<` is read, and returns the text behind it. A `<` in a tag is an error of XML: the next tag begins there, so
    /// that no text is read twice.
    fn tag<'a>(&mut self, text: &'a str) -> &'a str {
        let end = end_of_tag(text);
        let (tag, rest) = text.split_at_checked(end).unwrap_or((text, ""));
        let Some(rest) = rest.strip_prefix('>') else {
            return rest;
        };
        let (tag, is_closed) = match tag.strip_suffix('/') {
            Some(tag) => (tag, true),
            None => (tag, false),
        };
        let (name, attributes) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
        match name {
            "testsuites" | "testsuite" => {
                if self.counted.is_none() && self.suite(name, attributes) && !is_closed {
                    self.counted = Some(self.depth);
                }
                self.depth += usize::from(!is_closed);
            }
            "/testsuites" | "/testsuite" => {
                self.depth = self.depth.saturating_sub(1);
                if self.counted == Some(self.depth) {
                    self.counted = None;
                }
            }
            "testcase" => {
                self.end_of_test();
                let attribute = |wanted| attribute(attributes, wanted).unwrap_or_default();
                let (class, name) = (plain(&attribute("classname")), plain(&attribute("name")));
                self.test = Some(Test {
                    name: match class.as_str() {
                        "" => name,
                        class => format!("{class}.{name}"),
                    },
                    ..Test::default()
                });
                if is_closed {
                    self.end_of_test();
                }
            }
            "/testcase" => self.end_of_test(),
            "failure" | "error" => {
                if let Some(test) = &mut self.test {
                    test.is_failed = true;
                    test.message = test
                        .message
                        .take()
                        .or_else(|| attribute(attributes, "message"));
                }
            }
            "skipped" => {
                if let Some(test) = &mut self.test {
                    test.is_skipped = true;
                }
            }
            _ => {}
        }
        rest
    }

    /// Adds the counts of a suite, and returns whether it has them. pytest writes `<testsuites>` without counts, and Vitest without that of
    /// skipped tests; then those of the suites in it are used.
    fn suite(&mut self, name: &str, attributes: &str) -> bool {
        let count = |wanted| attribute(attributes, wanted).and_then(|count| number(&count));
        let skipped = count("skipped").or_else(|| count("disabled"));
        let (Some(total), true) = (count("tests"), skipped.is_some() || name == "testsuite") else {
            return false;
        };
        let failed = count("failures").unwrap_or(0) + count("errors").unwrap_or(0);
        let skipped = skipped.unwrap_or(0);
        let counts = Counts {
            passed: Some(total.saturating_sub(failed + skipped)),
            failed,
            skipped: Some(skipped),
            millis: attribute(attributes, "time").and_then(|time| millis(&time)),
        };
        crate::findings::add(&mut self.declared, counts);
        true
    }

    fn end_of_test(&mut self) {
        let Some(test) = self.test.take() else {
            return;
        };
        let mut counts = Counts {
            passed: Some(0),
            skipped: Some(0),
            ..Counts::default()
        };
        if test.is_failed {
            counts.failed = 1;
            let message = test.message.unwrap_or_default();
            let lines = match message.lines().next() {
                Some(message) => [test.name.clone(), format!("  {}", plain(message))],
                None => [test.name.clone(), String::new()],
            };
            self.findings.own_excerpt(&failing(&test.name), &lines);
        } else if test.is_skipped {
            counts.skipped = Some(1);
        } else {
            counts.passed = Some(1);
        }
        self.observed.add(counts);
    }

    fn finish(mut self) -> Option<(Counts, Findings)> {
        self.end_of_test();
        let Self {
            declared,
            mut observed,
            findings,
            ..
        } = self;
        observed.millis = declared.and_then(|declared| declared.millis);
        match declared {
            Some(declared) if declared.total() >= observed.total() => Some((declared, findings)),
            _ if observed.total() > 0 => Some((observed, findings)),
            _ => None,
        }
    }
}

/// Most bytes of the value of an attribute that are kept.
const MAX_VALUE: usize = 1024;

/// Returns the value of an attribute, without references to characters and without control characters.
fn attribute(attributes: &str, wanted: &str) -> Option<String> {
    let mut rest = attributes;
    loop {
        let (name, value) = rest.split_once('=')?;
        let value = value.trim_start();
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let (value, after) = value.strip_prefix(quote)?.split_once(quote)?;
        if name.trim() == wanted {
            let value = crate::lines::cut(value, MAX_VALUE);
            let value = [
                ("&lt;", "<"),
                ("&gt;", ">"),
                ("&quot;", "\""),
                ("&apos;", "'"),
                ("&#10;", "\n"),
                ("&#xA;", "\n"),
                ("&amp;", "&"),
            ]
            .iter()
            .fold(value.to_owned(), |value, (from, to)| {
                value.replace(from, to)
            });
            return Some(value);
        }
        rest = after;
    }
}
