//! Rules that comments cite exist in `docs/tekton-semantics.md`, and links in documents have a
//! target.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use step_observer_tests::path;

/// Other documents whose sections are cited with `§`: a comment that names one of them does not
/// cite `docs/tekton-semantics.md`.
const OTHER_DOCUMENTS: [&str; 7] = [
    "RFC",
    "ECMA",
    "CloudEvents",
    "HTTP binding",
    "Trace Context",
    "Webhook",
    "webhook",
];

/// Names that `docs/tekton-semantics.md` defines, such as `§6`, `row 10a` and `decision 5`.
fn defined() -> BTreeSet<String> {
    let text = std::fs::read_to_string(path("../docs/tekton-semantics.md")).unwrap();
    let mut names = BTreeSet::new();
    let mut section = String::new();
    for line in text.lines() {
        if let Some((number, _)) = line
            .strip_prefix("## ")
            .and_then(|title| title.split_once('.'))
        {
            section = number.to_owned();
            names.insert(format!("§{number}"));
        } else if let Some(row) = line.strip_prefix("| ").filter(|_| section == "6") {
            names.insert(format!("row {}", row.split(' ').next().unwrap()));
        } else if let Some((number, _)) = line.split_once(". ").filter(|_| section == "8") {
            names.insert(format!("decision {number}"));
        }
    }
    names
}

/// Names that a text cites: `rows 9 to 10b, 16a` gives `row 9`, `row 10b` and `row 16a`.
fn cited(text: &str) -> Vec<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut names = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let about = word.trim_start_matches('(').to_lowercase();
        let singular = about.trim_end_matches('s');
        if matches!(singular, "row" | "decision") {
            for number in words.iter().skip(index + 1) {
                let name = number.trim_matches(|c: char| !c.is_alphanumeric());
                if name.starts_with(|c: char| c.is_ascii_digit()) {
                    names.push(format!("{singular} {name}"));
                    let goes_on =
                        number.ends_with(',') || !number.ends_with(|c: char| !c.is_alphanumeric());
                    if !goes_on {
                        break;
                    }
                } else if !matches!(*number, "to" | "and") {
                    break;
                }
            }
        }
        if let Some(number) = word.split('§').nth(1) {
            let number: String = number.chars().take_while(char::is_ascii_digit).collect();
            names.push(format!("§{number}"));
        }
    }
    names
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        if file.is_dir() && !file.ends_with("target") {
            rust_files(&file, found);
        } else if file.extension().is_some_and(|ending| ending == "rs") {
            found.push(file);
        }
    }
}

/// The comments of a file, each with its lines joined.
fn comments(code: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    for line in code.lines() {
        match line.split_once("//") {
            Some((before, comment)) => {
                if !before.trim().is_empty() {
                    found.push(String::new());
                }
                if let Some(last) = found.last_mut() {
                    last.push(' ');
                    last.push_str(comment.trim_start_matches(['/', '!']));
                }
            }
            None => found.push(String::new()),
        }
    }
    found.retain(|comment| !comment.is_empty());
    found
}

#[test]
fn cited_rows_sections_and_decisions_exist() {
    let defined = defined();
    for name in ["row 1", "row 10a", "row 24", "§1", "§8", "decision 8"] {
        assert!(defined.contains(name), "{name}");
    }
    let mut files = Vec::new();
    for folder in ["../host", "../tests/src", "../tests/suites"] {
        rust_files(&path(folder), &mut files);
    }
    let mut count = 0;
    for file in files.iter().filter(|file| !file.ends_with("citations.rs")) {
        for comment in comments(&std::fs::read_to_string(file).unwrap()) {
            let is_other = OTHER_DOCUMENTS.iter().any(|name| comment.contains(name));
            for name in cited(&comment) {
                count += 1;
                assert!(
                    is_other || defined.contains(&name),
                    "{}: {name} is not in docs/tekton-semantics.md:{comment}",
                    file.display()
                );
            }
        }
    }
    assert!(count > 40, "only {count} citations were found");
}

#[test]
fn citations_are_read_from_all_forms() {
    assert_eq!(
        cited("ended first (rows 9 to 10b, 16a, 17)."),
        ["row 9", "row 10b", "row 16a", "row 17"]
    );
    assert_eq!(cited("Row 12: an init container"), ["row 12"]);
    assert_eq!(
        cited("see §7, decision 5 and row 10b: an end"),
        ["§7", "decision 5", "row 10b"]
    );
    assert_eq!(cited("a row of text, and rows of it"), [""; 0]);
}

/// The documents of the repository, with their paths.
fn documents() -> Vec<(PathBuf, String)> {
    let mut files = vec![
        path("../guest-sdk/README.md"),
        path("../guest-sdk/wit/README.md"),
    ];
    for folder in ["..", "../docs", "../deploy", "../deploy/chart", "../tests"] {
        let entries = std::fs::read_dir(path(folder)).unwrap();
        files.extend(
            entries
                .map(|entry| entry.unwrap().path())
                .filter(|file| file.extension().is_some_and(|ending| ending == "md")),
        );
    }
    files
        .into_iter()
        .map(|file| {
            let text = std::fs::read_to_string(&file).unwrap();
            (file, text)
        })
        .collect()
}

/// The anchor of a heading, as code hosting sites derive it.
fn anchor(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn relative_links_of_documents_lead_to_files_and_headings() {
    let mut count = 0;
    for (file, text) in documents() {
        for target in text.split("](").skip(1) {
            let target = target.split(')').next().unwrap();
            if target.contains("://") {
                continue;
            }
            count += 1;
            let (name, heading) = target.split_once('#').unwrap_or((target, ""));
            let linked = if name.is_empty() {
                file.clone()
            } else {
                file.parent().unwrap().join(name)
            };
            assert!(linked.exists(), "{}: {target}", file.display());
            if !heading.is_empty() {
                let text = std::fs::read_to_string(&linked).unwrap();
                let has_heading = text
                    .lines()
                    .filter(|line| line.starts_with('#'))
                    .any(|line| anchor(line.trim_start_matches('#').trim()) == heading);
                assert!(has_heading, "{}: {target}", file.display());
            }
        }
    }
    assert!(count > 60, "only {count} links were found");
}
