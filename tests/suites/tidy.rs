//! The house rules that a compiler does not check.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use step_observer_tests::path;

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        let name = entry.file_name().unwrap().to_string_lossy().into_owned();
        if entry.is_dir() && name != "target" && !name.starts_with('.') {
            files.extend(sources(&entry));
        } else if name.ends_with(".rs") {
            files.push(entry);
        }
    }
    files
}

fn code(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Which room of the host a file is in: a folder, or a file of its own.
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

/// What each room may use of the others. Only `app` (with the command line above it) knows them all.
const ROOMS: [(&str, &[&str]); 22] = [
    ("access", &[]),
    ("step", &[]),
    ("bounded", &[]),
    ("clock", &[]),
    ("lanes", &[]),
    ("yaml", &[]),
    ("history", &["access"]),
    ("admin", &["history", "plugin"]),
    ("trace", &["history", "sink"]),
    ("redact", &[]),
    ("observe", &["bounded", "clock", "step"]),
    ("event", &["bounded", "step"]),
    ("plugin", &["bounded", "event", "redact", "step", "yaml"]),
    ("sink", &["bounded", "clock", "event"]),
    ("journal", &["access", "bounded"]),
    (
        "control",
        &["access", "clock", "event", "history", "journal"],
    ),
    (
        "deliver",
        &[
            "bounded", "clock", "event", "history", "journal", "lanes", "sink",
        ],
    ),
    // Types only: what can be configured is defined by whom it configures.
    (
        "config",
        &[
            "bounded", "deliver", "event", "journal", "observe", "plugin", "sink", "trace", "yaml",
        ],
    ),
    ("logs", &["config", "observe", "step"]),
    (
        "prepare",
        &[
            "clock", "event", "history", "journal", "logs", "plugin", "step",
        ],
    ),
    (
        "app",
        &[
            "admin", "clock", "config", "control", "deliver", "event", "history", "journal",
            "lanes", "logs", "observe", "plugin", "prepare", "sink", "step", "trace",
        ],
    ),
    ("lib", &[]),
];

#[test]
fn rooms_use_only_what_they_may() {
    for file in sources(&path("../host/src")) {
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
fn each_outside_world_is_known_by_one_room() {
    for (world, homes) in [
        ("kube", &["observe", "app"][..]),
        ("k8s_openapi", &["observe"]),
        ("wasmtime", &["plugin"]),
        ("wasmtime_wizer", &["plugin"]),
        ("wit_component", &["plugin"]),
        ("reqwest", &["sink"]),
        ("async_nats", &["sink"]),
        ("rskafka", &["sink"]),
        ("aho_corasick", &["redact"]),
        ("regex", &["redact"]),
        ("axum", &["admin", "cli"]),
        ("prometheus_client", &["admin"]),
        ("minisign_verify", &["plugin"]),
        ("clap", &["cli"]),
        ("clap_complete", &["cli"]),
        ("clap_mangen", &["cli"]),
        ("crc32fast", &["journal"]),
        ("serde_saphyr", &["yaml"]),
    ] {
        for file in sources(&path("../host/src")) {
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
fn the_core_knows_nothing_of_the_outside() {
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
    for file in sources(&path("../host/core/src")) {
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
fn no_file_is_one_that_nobody_wants_to_open() {
    for file in sources(&path("..")) {
        let lines = std::fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 600, "{} has {lines} lines", file.display());
    }
}

#[test]
fn tests_do_not_wait_for_the_clock() {
    for folder in [
        "../tests/suites",
        "../tests/src",
        "../host/core",
        "../guest-sdk",
        "../plugins",
    ] {
        for file in sources(&path(folder)) {
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
fn every_map_of_the_architecture_is_there() {
    let architecture = std::fs::read_to_string(path("../ARCHITECTURE.md")).unwrap();
    for (room, _) in ROOMS.iter().filter(|(room, _)| *room != "lib") {
        assert!(
            architecture.contains(&format!("`{room}")),
            "ARCHITECTURE.md does not mention `{room}`"
        );
    }
    // Tests that guard an invariant are named `suite::test`.
    for guard in architecture
        .split('`')
        .filter(|word| word.contains("::") && !word.contains(' '))
    {
        let Some((suite, test)) = guard.split_once("::") else {
            continue;
        };
        let file = path(&format!("suites/{suite}.rs"));
        if file.exists() {
            assert!(
                code(&file).contains(&format!("fn {test}(")),
                "there is no test {guard}"
            );
        }
    }
}

#[test]
fn the_image_says_of_itself_what_the_workspace_says() {
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
