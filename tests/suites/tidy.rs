//! Rules of the code that the compiler does not check.

mod circles;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use step_observer_tests::path;
use step_observer_tests::sources::{code, rust_files};

/// Returns the room of a file in the host: a folder, or a file directly below `src`.
fn room(file: &Path) -> String {
    let below = file.strip_prefix(path("../host/src")).unwrap();
    let first = below
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_string_lossy()
        .into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// Rooms that each room may use. Only `app`, and the command line above it, may use all.
const ROOMS: [(&str, &[&str]); 37] = [
    ("allocator", &[]),
    ("file_permissions", &[]),
    ("step", &["known_secrets"]),
    ("bounded", &[]),
    ("bounded_file", &[]),
    ("clock", &[]),
    ("truncate", &[]),
    ("fair", &["clock", "locked", "metrics"]),
    ("lanes", &[]),
    ("locked", &[]),
    ("metrics", &["locked"]),
    ("step_metrics", &["event", "metrics", "step"]),
    ("yaml", &[]),
    ("terminal", &[]),
    ("history", &["file_permissions", "locked", "metrics"]),
    ("gap", &["file_permissions", "locked", "metrics"]),
    (
        "admin",
        &[
            "clock", "history", "locked", "metrics", "page", "plugin", "sink",
        ],
    ),
    ("page", &["event", "locked", "step"]),
    ("http", &[]),
    ("observer_client", &["clock", "http"]),
    (
        "oci",
        &[
            "bounded_file",
            "clock",
            "file_permissions",
            "http",
            "locked",
        ],
    ),
    ("trace", &["history", "http"]),
    (
        "known_secrets",
        &["bounded", "clock", "fair", "locked", "metrics"],
    ),
    (
        "observe",
        &[
            "bounded",
            "clock",
            "truncate",
            "fair",
            "known_secrets",
            "locked",
            "metrics",
            "standby",
            "step",
            "http",
        ],
    ),
    ("standby", &["bounded", "clock", "locked", "metrics"]),
    (
        "event",
        &[
            "bounded",
            "known_secrets",
            "locked",
            "metrics",
            "truncate",
            "step",
        ],
    ),
    (
        "plugin",
        &[
            "allocator",
            "file_permissions",
            "bounded",
            "bounded_file",
            "event",
            "locked",
            "metrics",
            "step",
            "yaml",
        ],
    ),
    (
        "sink",
        &["bounded", "clock", "event", "locked", "terminal", "http"],
    ),
    (
        "journal",
        &["file_permissions", "bounded", "locked", "metrics"],
    ),
    (
        "control",
        &["file_permissions", "clock", "event", "history", "journal"],
    ),
    (
        "deliver",
        &[
            "bounded", "clock", "event", "history", "journal", "lanes", "locked", "metrics",
            "page", "sink", "standby",
        ],
    ),
    // `config` only combines types: each room defines its own configuration.
    (
        "config",
        &[
            "admin",
            "bounded",
            "deliver",
            "event",
            "journal",
            "known_secrets",
            "logs",
            "observe",
            "oci",
            "plugin",
            "sink",
            "standby",
            "step_metrics",
            "trace",
            "yaml",
            "http",
        ],
    ),
    ("logs", &["bounded", "locked", "metrics", "observe", "step"]),
    ("record", &["observe", "plugin", "step"]),
    (
        "prepare",
        &[
            "clock",
            "event",
            "fair",
            "history",
            "journal",
            "known_secrets",
            "logs",
            "metrics",
            "observe",
            "page",
            "plugin",
            "step",
            "step_metrics",
        ],
    ),
    (
        "app",
        &[
            "admin",
            "bounded",
            "clock",
            "config",
            "control",
            "deliver",
            "event",
            "fair",
            "gap",
            "history",
            "journal",
            "known_secrets",
            "lanes",
            "locked",
            "logs",
            "metrics",
            "observe",
            "oci",
            "page",
            "plugin",
            "prepare",
            "sink",
            "standby",
            "step",
            "step_metrics",
            "trace",
            "http",
        ],
    ),
    ("lib", &[]),
];

#[test]
fn rooms_use_only_the_rooms_below_them() {
    for file in rust_files(&path("../host/src")) {
        let room = room(&file);
        if room == "main" || room == "cli" {
            continue;
        }
        let (_, may) = ROOMS
            .iter()
            .find(|(name, _)| *name == room)
            .unwrap_or_else(|| panic!("{room} is not on the map"));
        let used: BTreeSet<String> = code(&file)
            .split("crate::")
            .skip(1)
            .map(|rest| {
                rest.split(|c: char| !c.is_alphanumeric() && c != '_')
                    .next()
                    .unwrap()
                    .to_owned()
            })
            .filter(|other| *other != room && ROOMS.iter().any(|(name, _)| name == other))
            .collect();
        for other in used {
            assert!(
                may.contains(&other.as_str()),
                "{}: `{room}` must not use `{other}`",
                file.display()
            );
        }
    }
}

#[test]
fn each_external_crate_is_used_only_in_its_rooms() {
    for (world, homes) in [
        ("kube", &["observe", "app"][..]),
        ("k8s_openapi", &["observe"]),
        ("wasmtime", &["plugin"]),
        ("wasmtime_wizer", &["plugin"]),
        ("wit_component", &["plugin"]),
        ("reqwest", &["http"]),
        ("async_nats", &["sink"]),
        ("rskafka", &["sink"]),
        ("aho_corasick", &[]),
        ("regex", &[]),
        ("axum", &["admin", "cli"]),
        ("hyper", &["admin"]),
        ("prometheus_client", &["metrics"]),
        ("minisign_verify", &["plugin"]),
        ("clap", &["cli"]),
        ("crossterm", &["cli"]),
        ("ratatui", &["cli"]),
        ("clap_complete", &["cli"]),
        ("clap_mangen", &["cli"]),
        ("crc32fast", &["journal"]),
        ("PoisonError", &["locked"]),
        ("serde_saphyr", &["yaml"]),
    ] {
        for file in rust_files(&path("../host/src")) {
            let uses = code(&file).contains(&format!("{world}::"));
            assert!(
                !uses || homes.contains(&room(&file).as_str()),
                "{}: {world} lives in {homes:?}",
                file.display()
            );
        }
    }
}

#[test]
fn the_core_uses_neither_io_nor_a_clock() {
    let manifest = std::fs::read_to_string(path("../host/core/Cargo.toml")).unwrap();
    let dependencies = manifest
        .split("[dependencies]")
        .nth(1)
        .unwrap()
        .split('[')
        .next()
        .unwrap();
    let names: Vec<&str> = dependencies
        .lines()
        .filter_map(|line| line.split('.').next())
        .filter(|name| !name.is_empty())
        .collect();
    assert_eq!(names, ["jiff"]);
    for file in rust_files(&path("../host/core/src")) {
        for word in [
            "Timestamp::now",
            "std::env",
            "std::fs",
            "std::net",
            "std::thread",
            "unwrap()",
            "expect(",
        ] {
            assert!(!code(&file).contains(word), "{}: {word}", file.display());
        }
    }
}

#[test]
fn the_redactor_does_no_io() {
    for file in rust_files(&path("../host/redact/src")) {
        for word in ["std::env", "std::fs", "std::net", "std::thread", "println!"] {
            assert!(!code(&file).contains(word), "{}: {word}", file.display());
        }
    }
}

#[test]
fn cel_otlp_and_oci_use_neither_io_nor_a_clock() {
    let folders = ["../host/cel/src", "../host/oci/src", "../host/otlp/src"].map(path);
    for file in folders.iter().flat_map(|folder| rust_files(folder)) {
        for word in [
            "Timestamp::now",
            "std::env",
            "std::fs",
            "std::net",
            "std::thread",
            "std::time",
            "rand::",
        ] {
            assert!(!code(&file).contains(word), "{}: {word}", file.display());
        }
    }
}

#[test]
fn no_file_is_longer_than_600_lines() {
    for file in rust_files(&path("..")) {
        let lines = std::fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 600, "{} has {lines} lines", file.display());
    }
}

#[test]
fn tests_do_not_wait_for_the_clock() {
    for folder in [
        "../tests/suites",
        "../tests/src",
        "../host/cel",
        "../host/core",
        "../host/oci",
        "../host/otlp",
        "../host/redact",
        "../guest-sdk",
        "../plugins",
    ] {
        for file in rust_files(&path(folder)) {
            let sleeps = ["thread::sleep", "time::sleep"].map(|word| format!("{word}("));
            let this = file.ends_with("suites/tidy.rs");
            assert!(
                this || !sleeps.iter().any(|word| code(&file).contains(word)),
                "{}",
                file.display()
            );
        }
    }
}

#[test]
fn every_room_is_in_the_architecture() {
    let architecture = std::fs::read_to_string(path("../ARCHITECTURE.md")).unwrap();
    for (room, _) in ROOMS.iter().filter(|(room, _)| *room != "lib") {
        assert!(
            architecture.contains(&format!("`{room}")),
            "ARCHITECTURE.md does not mention `{room}`"
        );
    }
}

/// Returns the file of a module: a suite, or a module of the host.
fn module(names: &[&str]) -> Option<PathBuf> {
    let below = names.join("/");
    [
        "suites",
        "../host/src",
        "../host/cel/src",
        "../host/core/src",
        "../host/oci/src",
        "../host/otlp/src",
        "../host/redact/src",
    ]
    .into_iter()
    .flat_map(|folder| {
        [
            format!("{folder}/{below}.rs"),
            format!("{folder}/{below}/mod.rs"),
        ]
    })
    .map(|file| path(&file))
    .find(|file| file.exists())
}

/// Returns true if `names` is the path of a test or of a module. The tests of a room may be in a
/// module `tests` within its file.
fn is_there(names: &[&str]) -> bool {
    let Some((test, place)) = names.split_last() else {
        return false;
    };
    let within = place.strip_suffix(&["tests"]);
    let files = [Some(place), within]
        .into_iter()
        .flatten()
        .filter_map(module);
    let mut texts = files.map(|file| code(&file));
    texts.any(|text| text.contains(&format!("fn {test}("))) || module(names).is_some()
}

/// Documents name the test of a promise as `suite::test`, and files by their path from the root.
#[test]
fn every_test_that_a_document_names_is_there() {
    let mut documents: Vec<PathBuf> = std::fs::read_dir(path("../docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|file| file.extension().is_some_and(|ending| ending == "md"))
        .collect();
    documents.extend(
        [
            "ARCHITECTURE.md",
            "README.md",
            "SECURITY.md",
            "deploy/README.md",
        ]
        .map(|file| path(&format!("../{file}"))),
    );
    let mut named = 0;
    for document in documents {
        let text = std::fs::read_to_string(&document).unwrap();
        for word in text
            .split('`')
            .filter(|word| !word.contains(char::is_whitespace))
        {
            let is_a_file = word.starts_with("tests/") && word.ends_with(".rs");
            assert!(
                !is_a_file || path("..").join(word).exists(),
                "{}: there is no file {word}",
                document.display()
            );
            let names: Vec<&str> = word.split("::").collect();
            if names.len() > 1 && module(&names[..1]).is_some() {
                named += 1;
                assert!(
                    is_there(&names),
                    "{}: there is no test {word}",
                    document.display()
                );
            }
        }
    }
    assert!(named > 100, "only {named} tests are named");
}

/// cargo-deny checks the workspace; examples, peers and fuzz targets are separate workspaces.
#[test]
fn all_crates_come_from_the_same_index() {
    let texts = [
        "..",
        "../tests/fuzz",
        "../tests/peers",
        "../tests/peers/guests/extism",
        "../tests/peers/guests/step-observer",
        "../tests/peers/guests/wapc",
        "../guest-sdk/languages/rust-no-std",
    ]
    .map(|folder| std::fs::read_to_string(path(folder).join("Cargo.lock")).unwrap());
    let sources: BTreeSet<String> = texts
        .iter()
        .flat_map(|text| {
            let sources = text
                .lines()
                .filter_map(|line| line.strip_prefix("source = "));
            sources.map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(sources.len(), 1, "{sources:?}");
    assert!(
        sources
            .iter()
            .all(|source| source.ends_with("/crates.io-index\""))
    );
}

#[test]
fn labels_of_the_image_agree_with_the_workspace() {
    let recipe = std::fs::read_to_string(path("../deploy/image/Dockerfile")).unwrap();
    let program = std::fs::read_to_string(path("../host/Cargo.toml")).unwrap();
    let description = program
        .lines()
        .find_map(|line| line.strip_prefix("description = "))
        .unwrap();
    for (label, text) in [
        ("description", description),
        ("version", concat!('"', env!("CARGO_PKG_VERSION"), '"')),
        ("licenses", "\"Apache-2.0\""),
    ] {
        let label = format!("org.opencontainers.image.{label}={text}");
        assert!(recipe.contains(&label), "{label}");
    }
}
