//! The calls of cargo by `cargo xtask build` and `cargo xtask install`, and their order. Real
//! builds would take ten minutes, so cargo is a script here that records its arguments.

use std::path::Path;
use std::process::{Command, Stdio};
use step_observer_tests::path;
use step_observer_tests::program::Program;

/// A script that records its arguments and the content of the plugins' folder. It also creates the
/// files that cargo would create.
const CARGO: &str = r#"#!/bin/sh
echo "$* | $(ls "$STEP_OBSERVER_GUESTS" 2> /dev/null | tr '\n' ' ')" >> "$NOTES"
case "$*" in
*wasm32-unknown-unknown*)
    for folder in "$CARGO_TARGET_DIR" "$CARGO_TARGET_DIR/guests-debian"; do
        modules="$folder/wasm32-unknown-unknown/guest"
        mkdir -p "$modules"
        for plugin in "$PLUGINS"/*; do
            echo module > "$modules/$(basename "$plugin" | tr - _).wasm"
        done
    done ;;
build*)
    mkdir -p "$CARGO_TARGET_DIR/release"
    printf '#!/bin/sh\necho "the program $*"\n' > "$CARGO_TARGET_DIR/release/step-observer"
    chmod +x "$CARGO_TARGET_DIR/release/step-observer" ;;
esac
"#;

/// Returns the arguments of cargo, and the output.
fn xtask(folder: &Path, arguments: &[&str]) -> (Vec<String>, String) {
    let (cargo, notes) = (folder.join("cargo"), folder.join("notes"));
    // Another process writes the script. If this process wrote it, a program that another thread
    // starts would inherit the open file, and executing the script would fail (ETXTBSY).
    let mut writer = Command::new("sh");
    writer.args([
        "-c",
        r#"printf '%s' "$1" > "$2" && chmod +x "$2""#,
        "sh",
        CARGO,
    ]);
    assert!(writer.arg(&cargo).status().unwrap().success());
    let output = Command::new(Program::path().with_file_name("xtask"))
        .args(arguments)
        .current_dir(folder)
        .env("CARGO", &cargo)
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .env("NOTES", &notes)
        .env("PLUGINS", path("../plugins"))
        .env_remove("STEP_OBSERVER_GUESTS")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let asked = std::fs::read_to_string(notes).unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    (asked.lines().map(str::to_owned).collect(), printed)
}

/// Returns the content of the folder of plugins once all plugins are built.
fn modules() -> String {
    let mut names: Vec<String> = std::fs::read_dir(path("../plugins"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names.iter().map(|name| format!("{name}.wasm ")).collect()
}

#[test]
fn a_release_is_built_after_its_plugins_and_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let (asked, printed) = xtask(
        folder.path(),
        &["build", "--release", "--features", "kafka"],
    );
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(
        asked[0].starts_with("build --target wasm32-unknown-unknown"),
        "{asked:?}"
    );
    assert!(asked[0].contains("--package redact-secrets"), "{asked:?}");
    let program = "build --package step-observer --locked --release --features kafka";
    assert_eq!(asked[1], format!("{program} | {}", modules()));
    // The parts of the program are printed.
    assert_eq!(printed, "the program --version\n");
}

#[test]
fn a_program_is_installed_with_its_plugins_where_cargo_installs() {
    let folder = tempfile::tempdir().unwrap();
    let (asked, _) = xtask(folder.path(), &["install", "--root", "here"]);
    assert_eq!(asked.len(), 2, "{asked:?}");
    let host = path("../host").canonicalize().unwrap();
    let program = format!("install --path {} --locked --root here", host.display());
    assert_eq!(asked[1], format!("{program} | {}", modules()));
}
