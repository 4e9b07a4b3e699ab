//! Rules for the suites that a compiler does not check.

use std::collections::BTreeMap;
use step_observer_tests::path;
use step_observer_tests::sources::{code, rust_files};

/// The code of all files below a folder of this crate, by path, without white space.
fn squeezed(folder: &str) -> BTreeMap<String, String> {
    let folder = path(folder);
    let files = rust_files(&folder).into_iter();
    files
        .filter(|file| !file.ends_with("suites/tidy_kit.rs"))
        .map(|file| {
            let name = file.strip_prefix(&folder).unwrap().display().to_string();
            (name, code(&file).split_whitespace().collect())
        })
        .collect()
}

#[test]
fn fixtures_are_in_the_kit() {
    for (file, code) in squeezed("suites") {
        // The suite `tidy` searches for this text in other files.
        let uses_suite = code.contains("crate::") && !file.starts_with("tidy");
        assert!(
            !uses_suite,
            "{file} uses another suite: move the fixture to tests/src"
        );
        let is_part = file.contains('/');
        assert!(
            is_part || !code.contains("usesuper::"),
            "{file} uses another suite: move the fixture to tests/src"
        );
    }
}

#[test]
fn the_program_is_started_by_its_builder() {
    for folder in ["suites", "src", "benches"] {
        for (file, code) in squeezed(folder) {
            let starts = ["Command::new(program())", "Command::new(Program::path())"];
            let starts = starts.iter().any(|start| code.contains(start));
            assert!(!starts, "{folder}/{file}: start it with `Program::new()`");
        }
    }
}

#[test]
fn no_test_is_skipped_silently() {
    for (file, code) in squeezed("suites") {
        assert!(
            !code.contains("else{return;}"),
            "{file}: use `available!`, which prints SKIPPED"
        );
    }
}

#[test]
fn no_loop_is_busy() {
    for folder in ["suites", "src"] {
        for file in rust_files(&path(folder)) {
            let code = code(&file);
            let mut lines = code.lines().map(str::trim);
            let is_busy = |line: &str| line.starts_with("while ") && line.ends_with("{}");
            // These wait for the end of a pipe, of a task, of the server or of a stream, and do not poll.
            let drains = [
                "next_line()",
                "try_join_next()",
                "changed.changed()",
                "stream.next()",
            ];
            let busy = lines
                .find(|line| is_busy(line) && !drains.iter().any(|drain| line.contains(drain)));
            assert_eq!(busy, None, "{}: bound the wait", file.display());
        }
    }
}
