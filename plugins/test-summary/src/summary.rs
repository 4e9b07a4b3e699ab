//! Passes the lines of a log to the readers of all tools, and makes one summary of what they found.

use crate::build_tools::{Dotnet, Gradle, Maven};
use crate::findings::{BEFORE, Counts, Findings, Mark, add};
use crate::go::{GoJson, GoTest};
use crate::javascript::{Jest, Mocha, Node, Vitest};
use crate::junit;
use crate::lines::plain;
use crate::python::{Pytest, Unittest};
use crate::rust::{CargoTest, Nextest};
use crate::tap::Tap;

/// Bounds of what is copied into the event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Most names of failing tests.
    pub(crate) failing: usize,
    /// Most bytes of the excerpt.
    pub(crate) excerpt: usize,
}

/// The result.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) tools: Vec<&'static str>,
    pub(crate) counts: Counts,
    pub(crate) failing: Vec<String>,
    pub(crate) excerpt: String,
}

/// Reads the output of one tool.
pub(crate) trait Tool {
    /// Reads the next line.
    fn line(&mut self, line: &str) -> Mark;

    /// Returns the lines of the excerpt about a failing test, if they are not the lines around it.
    fn excerpt(&self, _failing: &str) -> Option<Vec<String>> {
        None
    }

    /// Returns the counts, if there was a report of the tool.
    fn counts(&self) -> Option<Counts>;
}

/// Returns the summary of the tests in a log; `None` if there is no report of a known tool. A report in JUnit XML counts alone, because the
/// tool that wrote it prints the same tests in words.
pub(crate) fn summarize(log: &str, bounds: Bounds) -> Option<Summary> {
    if let Some((counts, findings)) = junit::read(log, bounds) {
        return Some(Summary {
            tools: vec!["junit"],
            counts,
            failing: findings.failing,
            excerpt: findings.excerpt,
        });
    }
    let tools: [(&'static str, Box<dyn Tool>); 14] = [
        ("gotest", Box::new(GoTest::default())),
        ("gojson", Box::new(GoJson::default())),
        ("pytest", Box::new(Pytest::default())),
        ("unittest", Box::new(Unittest::default())),
        ("cargo", Box::new(CargoTest::default())),
        ("nextest", Box::new(Nextest::default())),
        ("jest", Box::new(Jest::default())),
        ("vitest", Box::new(Vitest::default())),
        ("mocha", Box::new(Mocha::default())),
        ("node", Box::new(Node::default())),
        ("maven", Box::new(Maven::default())),
        ("gradle", Box::new(Gradle::default())),
        ("dotnet", Box::new(Dotnet::default())),
        ("tap", Box::new(Tap::default())),
    ];
    let mut tools = tools.map(|(name, tool)| (name, tool, Findings::new(bounds)));
    let mut before: Vec<String> = Vec::with_capacity(BEFORE + 1);
    for (number, line) in log.split('\n').enumerate() {
        let line = plain(line);
        for (_, tool, findings) in &mut tools {
            let mark = tool.line(&line);
            match mark.name().and_then(|name| tool.excerpt(name)) {
                Some(excerpt) => findings.own_excerpt(&mark, &excerpt),
                None => findings.line(&mark, number, &line, &before),
            }
        }
        if before.len() == BEFORE {
            before.remove(0);
        }
        before.push(line);
    }
    let mut names = Vec::new();
    let mut sum = None;
    let mut all = Findings::new(bounds);
    for (name, tool, findings) in &tools {
        let Some(counts) = tool.counts() else {
            continue;
        };
        names.push(*name);
        add(&mut sum, counts);
        for failing in &findings.failing {
            all.name(failing);
        }
        if !findings.excerpt.is_empty() {
            all.push(&findings.excerpt);
        }
    }
    Some(Summary {
        tools: names,
        counts: sum?,
        failing: all.failing,
        excerpt: all.excerpt,
    })
}
