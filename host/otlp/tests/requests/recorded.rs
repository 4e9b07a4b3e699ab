//! Events that the observer made in tests of plugins, of this release and of earlier ones.

use crate::kit::{attribute, records, requests, spans, translator};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use step_observer_otlp::LogMode;

/// All inputs of plugins in the repository that the observer can have made. Cases that show what a
/// plugin does with members of other types, or without them, are none: each event of the observer
/// names its step.
fn recorded() -> Vec<(PathBuf, Value)> {
    fn add(folder: &Path, to: &mut Vec<PathBuf>) {
        let Ok(entries) = std::fs::read_dir(folder) else {
            return;
        };
        for path in entries.map(|entry| entry.unwrap().path()) {
            match path.is_dir() {
                true if !path.ends_with("target") => add(&path, to),
                true => {}
                false if path.ends_with("in.json") => to.push(path),
                false => {}
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for folder in ["plugins", "guest-sdk/languages/cases", "tests/corpus"] {
        add(&root.join(folder), &mut files);
    }
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        (path, serde_json::from_str(&text).unwrap())
    };
    let names_its_step =
        |(_, event): &(PathBuf, Value)| event["data"]["stepState"]["name"].is_string();
    files.into_iter().map(read).filter(names_its_step).collect()
}

#[test]
fn every_recorded_end_of_a_step_has_its_span_and_its_log() {
    let translator = translator(|options| options.log = LogMode::Whole);
    let all = recorded();
    assert!(all.len() >= 30, "{}", all.len());
    for (path, event) in all {
        let requests = requests(&translator, std::slice::from_ref(&event));
        let is_start = event["type"].as_str().unwrap().ends_with(".started.v1");
        let spans = spans(&requests);
        assert_eq!(spans.len(), usize::from(!is_start), "{}", path.display());
        let Some(span) = spans.first() else { continue };
        assert_eq!(
            span["name"],
            event["data"]["stepState"]["name"],
            "{}",
            path.display()
        );
        let code = event["data"]["exitCode"]
            .as_i64()
            .map(|code| json!(code.to_string()));
        assert_eq!(attribute(span, "process.exit.code"), code.as_ref());
        let logs = records(&requests);
        let log = event["data"]["log"].as_str();
        let sent = logs
            .first()
            .and_then(|record| record["body"]["stringValue"].as_str());
        // Escape sequences are removed (`escapes`), so such a log is not compared.
        match log.is_some_and(|log| log.contains('\u{1b}')) {
            true => assert!(!sent.unwrap().contains('\u{1b}'), "{}", path.display()),
            false => assert_eq!(
                sent,
                log.map(|log| log.trim_end_matches('\n')),
                "{}",
                path.display()
            ),
        }
    }
}
