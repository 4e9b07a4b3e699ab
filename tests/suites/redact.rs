//! `redact`: the engine that masks secrets, as a filter on the command line.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use step_observer::redact::{catalog, forms};
use step_observer_tests::program::{Program, send_signal};
use step_observer_tests::sink::PATIENCE;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

/// The rule of [`token`].
const RULE: &str = "github-app-user-token";

/// Returns a made-up credential.
fn token(seed: u64) -> String {
    catalog::example("ghu_{a36}", seed)
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Runs the command with a text on standard input.
fn redact(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Program::new()
        .arg("redact")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn_std()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // A command that refuses its arguments does not read standard input.
        scope.spawn(move || stdin.write_all(input).ok());
        child.wait_with_output().unwrap()
    })
}

/// Writes a file, and returns its path.
fn file(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

#[test]
fn secrets_are_masked_and_every_other_byte_stays() {
    let binary: Vec<u8> = (0..=255).collect();
    let input = [
        &binary[..],
        b" one ",
        token(1).as_bytes(),
        b"\r\n\xff\xc3 two \x1b[32m",
        token(2).as_bytes(),
        b"\x1b[0m no line end",
    ]
    .concat();
    let output = redact(&[], &input);
    let mask = format!("[redacted:{RULE}]");
    let expected = [
        &binary[..],
        b" one ",
        mask.as_bytes(),
        b"\r\n\xff\xc3 two \x1b[32m",
        mask.as_bytes(),
        b"\x1b[0m no line end",
    ]
    .concat();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&expected)
    );
    assert_eq!(output.stdout, expected);
    assert_eq!((code(&output), text(&output.stderr)), (0, ""));
    assert_eq!(redact(&[], b"").stdout, b"");
    // Masked text is not masked again.
    assert_eq!(redact(&[], &expected).stdout, expected);
}

#[tokio::test]
async fn each_line_is_passed_on_at_once() {
    let mut child = Program::new()
        .arg("redact")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let talk = async {
        for round in 0..20 {
            let line = format!("round {round}: {}\nthe start of a", token(round));
            stdin.write_all(line.as_bytes()).await.unwrap();
            let masked = format!("round {round}: [redacted:{RULE}]");
            assert_eq!(lines.next_line().await.unwrap().unwrap(), masked);
            stdin.write_all(b" line\n").await.unwrap();
            let rest = lines.next_line().await.unwrap().unwrap();
            assert_eq!(rest, "the start of a line");
        }
        drop(stdin);
        assert_eq!(lines.next_line().await.unwrap(), None);
    };
    let done = tokio::time::timeout(PATIENCE, talk).await;
    done.expect("every line arrives before the next one is written");
    assert!(child.wait().await.unwrap().success());
}

#[test]
fn any_division_of_the_stream_gives_the_same() {
    let mut input = String::new();
    for (number, kind) in catalog::kinds().enumerate() {
        for template in kind.examples {
            let example = catalog::example(template, number as u64);
            input += &format!("line {number} of a log: ✓ {example} is made up\n");
        }
    }
    let whole = redact(&[], input.as_bytes());
    assert!(text(&whole.stdout).matches("[redacted:").count() >= catalog::kinds().count());
    for size in [1, 37, 4096] {
        let mut child = Program::new()
            .arg("redact")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn_std()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let parts = input.as_bytes();
        let output = std::thread::scope(|scope| {
            scope.spawn(move || {
                for part in parts.chunks(size) {
                    stdin.write_all(part).unwrap();
                }
            });
            child.wait_with_output().unwrap()
        });
        assert_eq!(text(&output.stdout), text(&whole.stdout), "{size}");
    }
}

#[test]
fn the_exit_code_says_whether_something_was_found() {
    let dirty = format!("{}\n", token(1));
    for (arguments, input, expected) in [
        (&[][..], &dirty[..], 0),
        (&["--check"], "clean\n", 0),
        (&["--check"], &dirty, 3),
        (&["--check", "--explain"], &dirty, 3),
        (&["--check", "--json"], "clean", 0),
        (&["--explain"], &dirty, 0),
        (&["--check", "there is no such file"], &dirty, 1),
        (&["--without", "no-such-rule"], &dirty, 1),
        (&["--check", "--without", RULE], &dirty, 0),
        (&["--check", "--only", RULE], &dirty, 3),
        (&["--replacement", "stars"], &dirty, 2),
        (&["--rules", "file"], &dirty, 2),
        (&["--no-such-option"], &dirty, 2),
    ] {
        let output = redact(arguments, input.as_bytes());
        assert_eq!(code(&output), expected, "{arguments:?}: {output:?}");
        assert!(!text(&output.stderr).contains(&token(1)));
    }
    let checked = redact(&["--check"], dirty.as_bytes());
    assert_eq!(text(&checked.stdout), format!("[redacted:{RULE}]\n"));
    assert_eq!(text(&checked.stderr), format!("1 secret found: 1 {RULE}\n"));
}

#[test]
fn explanations_name_the_place_and_never_show_the_secret() {
    let folder = tempfile::tempdir().unwrap();
    let long = "x ".repeat(500);
    let first = format!("one\n  key \x1b[31m{}\x1b[0m, {}\n", token(1), token(2));
    let second = format!("{long}{} {long}\u{1b}]0;title\u{7}\n", token(3));
    file(folder.path(), "first.log", &first);
    file(folder.path(), "second.log", &second);
    let run = |arguments: &[&str]| {
        Program::new()
            .arg("redact")
            .args(arguments)
            .args(["first.log", "-", "second.log"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .run()
            .unwrap()
    };
    let output = run(&["--explain", "--check"]);
    let mask = format!("[redacted:{RULE}]");
    let (before, after) = ("x ".repeat(40), " x".repeat(40));
    let expected = format!(
        "first.log:2: {RULE}: key {mask}, {mask}\nfirst.log:2: {RULE}: key {mask}, {mask}\n\
         second.log:1: {RULE}: …{before}{mask}{after}…\n"
    );
    assert_eq!(text(&output.stdout), expected);
    assert_eq!(text(&output.stderr), format!("3 secrets found: 3 {RULE}\n"));
    assert_eq!(code(&output), 3);

    let found: Vec<Value> = text(&run(&["--json"]).stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(found.len(), 3);
    let places: Vec<_> = found
        .iter()
        .map(|one| (&one["file"], &one["line"]))
        .collect();
    assert_eq!(places[0], (&"first.log".into(), &2.into()));
    assert_eq!(places[2], (&"second.log".into(), &1.into()));
    for one in &found {
        assert_eq!(one["rule"], RULE);
        assert_eq!(one["title"], "GitHub App user access token");
        assert!(one["excerpt"].as_str().unwrap().contains(&mask));
    }

    let colored = run(&["--explain", "--color", "always"]);
    assert!(text(&colored.stdout).contains("\u{1b}[35m[redacted:"));
    for arguments in [
        &["--explain"][..],
        &["--json"],
        &["--explain", "--color", "always"],
        &["--explain", "--replacement", "text="],
    ] {
        let output = run(arguments);
        for seed in 1..4 {
            let secret = token(seed);
            for part in secret.as_bytes().windows(8) {
                let part = text(part);
                assert!(!text(&output.stdout).contains(part), "{arguments:?}");
            }
        }
    }
    let nothing = redact(&["--explain"], b"clean\n");
    assert_eq!(text(&nothing.stdout), "");
    assert_eq!(text(&nothing.stderr), "no secrets found\n");
}

#[test]
fn all_rules_are_listed_with_examples_that_they_mask() {
    const END: &str = "== end of the example ==";
    let ids: BTreeSet<&str> = catalog::kinds()
        .map(|kind| kind.id)
        .chain(forms::forms().iter().map(|form| form.id))
        .collect();
    let table = redact(&["--rules"], b"");
    for id in &ids {
        let row = format!("\n{id} ");
        assert!(text(&table.stdout).contains(&row), "{id}");
    }
    assert!(text(&table.stdout).contains("All examples are made up"));
    let lines = redact(&["--rules", "--json"], b"");
    let listed: Vec<Value> = text(&lines.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let listed_ids: BTreeSet<&str> = listed
        .iter()
        .map(|rule| rule["id"].as_str().unwrap())
        .collect();
    assert_eq!(listed_ids, ids);
    assert_eq!(listed.len(), ids.len());
    let mut examples = String::new();
    for rule in &listed {
        assert!(!rule["title"].as_str().unwrap().is_empty());
        let example = rule["example"].as_str().unwrap();
        if rule["kind"] == "credential" {
            assert!(rule["source"].as_str().unwrap().starts_with("https://"));
            examples += &format!("{example} \n{END}\n");
        }
    }
    let masked = redact(&[], examples.as_bytes());
    // An example may have several lines, of which the first may only announce the secret. So each
    // example is checked as a whole.
    for example in text(&masked.stdout).trim_end().split_terminator(END) {
        assert!(example.contains("[redacted:"), "{example}");
    }
    let one = redact(&["--rules", "--only", RULE, "--json"], b"");
    assert_eq!(text(&one.stdout).lines().count(), 1);
}

#[test]
fn a_configuration_has_the_members_of_the_plugin() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = format!(
        "without: [{RULE}]\nlogOnly: true\nvalues: [ordinary-secret]\nreplacement: {{text: '***'}}\n\
         rules:\n- id: ticket\n  pattern: 'TICKET-(?P<secret>[0-9]{{8}})'\n  keywords: [TICKET-]\n"
    );
    let json = serde_json::json!({
        "without": [RULE], "values": ["ordinary-secret"], "replacement": {"text": "***"},
        "rules": [{"id": "ticket", "pattern": "TICKET-(?P<secret>[0-9]{8})", "keywords": ["TICKET-"]}],
    });
    let input = format!("{} TICKET-12345678\n", token(1));
    for (name, content) in [("c.yaml", yaml), ("c.json", json.to_string())] {
        let config = file(folder.path(), name, content);
        let config = config.to_str().unwrap();
        let output = redact(&["--config", config], input.as_bytes());
        let expected = format!("{} TICKET-***\n", token(1));
        assert_eq!(text(&output.stdout), expected, "{name}");
        // An option goes before the configuration.
        let arguments = ["--config", config, "--replacement", "rule"];
        let output = redact(&arguments, input.as_bytes());
        assert!(text(&output.stdout).contains("TICKET-[redacted:ticket]"));
    }
}

#[test]
fn mistakes_of_a_configuration_are_named_with_their_place_and_without_values() {
    let folder = tempfile::tempdir().unwrap();
    for (content, problem) in [
        ("values: [hunter2-hunter2\n", "c.yaml:1:9: values[0]: "),
        (
            "a: 1\nvalus: [hunter2]\n",
            "c.yaml:2:1: valus: unknown field",
        ),
        (
            "only:\n- none\n",
            "c.yaml:2:3: only[0]: there is no rule of this id",
        ),
        (
            "rules:\n- id: mine\n  pattern: '(hunter2'\n",
            "c.yaml:2:3: rules[0]: rule `mine`: ",
        ),
        ("values: [hunter2hunter2, x]\n", "c.yaml:1:26: values[1]"),
        (
            "replacement: {token: hunter2}\n",
            "c.yaml:1:1: replacement: the key has 7 bytes",
        ),
        ("replacement: hunter2\n", "c.yaml:1:14: replacement: "),
    ] {
        let config = file(folder.path(), "c.yaml", content);
        let output = redact(&["--config", config.to_str().unwrap()], b"");
        let told = text(&output.stderr);
        assert_eq!(code(&output), 1, "{content}");
        assert!(told.contains(problem), "{content}: {told}");
        assert!(told.contains("redact --help"), "{content}: {told}");
        assert!(!told.contains("hunter2"), "{content}: {told}");
    }
    let missing = redact(&["--config", "no/such.yaml"], b"");
    assert!(text(&missing.stderr).contains("failed to read no/such.yaml"));
}

#[test]
fn files_hold_known_values() {
    let folder = tempfile::tempdir().unwrap();
    let value = "Ordinary words & a sign";
    let known = file(folder.path(), "known", format!("{value}\n"));
    let known = known.to_str().unwrap();
    let other = file(folder.path(), "other", "second of the values");
    let other = other.to_str().unwrap();
    let encoded = STANDARD.encode(format!("user:{value}"));
    let input = format!("{value}\nbasic {encoded}\nsecond of the values, and others\n");
    let output = redact(
        &["--value-file", known, "--value-file", other],
        input.as_bytes(),
    );
    let masked = text(&output.stdout);
    assert!(!masked.contains("words"), "{masked}");
    assert!(!masked.contains(&encoded[16..]), "{masked}");
    assert!(!masked.contains("second"), "{masked}");
    assert!(masked.ends_with(", and others\n"), "{masked}");

    let large = vec![b'x'; 256 * 1024 + 1];
    for (name, content) in [
        ("short", &b" abc\n"[..]),
        ("empty", b"\n"),
        ("word", b"latest\n"),
        ("binary", b"\xff\xfe\xfd\xfc\xfb\xfa"),
        ("large", &large),
    ] {
        let path = file(folder.path(), name, content);
        let output = redact(&["--value-file", path.to_str().unwrap()], b"");
        assert_eq!(code(&output), 1, "{name}");
        let told = text(&output.stderr);
        assert!(told.contains(path.to_str().unwrap()), "{told}");
        assert!(!told.contains("abc") && !told.contains("latest"), "{told}");
    }
}

#[test]
fn equal_secrets_have_equal_tokens_that_depend_on_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let key = file(folder.path(), "key", "the key of this test, 32 bytes!!\n");
    let other = file(folder.path(), "other", "another key of this test, longer\n");
    let masks = |key: &Path| {
        let replacement = format!("token={}", key.display());
        let input = format!("{}\n{}\n{}\n", token(1), token(2), token(1));
        let output = redact(&["--replacement", &replacement], input.as_bytes());
        let lines = text(&output.stdout).lines();
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let (first, second) = (masks(&key), masks(&other));
    assert_eq!(first.len(), 3);
    assert!(first[0].starts_with(&format!("[redacted:{RULE}:")));
    assert_eq!(first[0], first[2]);
    assert_ne!(first[0], first[1]);
    assert_ne!(first[0], second[0]);
}

#[test]
fn files_are_read_in_order_and_a_missing_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), "a", "first, without a line end");
    file(folder.path(), "b", format!("{}\n", token(1)));
    let mut command = Program::new();
    command
        .args(["redact", "b", "missing", "a", "b"])
        .current_dir(folder.path());
    let output = command.run().unwrap();
    let mask = format!("[redacted:{RULE}]");
    let expected = format!("{mask}\nfirst, without a line end{mask}\n");
    assert_eq!(text(&output.stdout), expected);
    assert_eq!(code(&output), 1);
    let told = text(&output.stderr);
    assert!(
        told.starts_with("error: failed to read missing: "),
        "{told}"
    );
    assert_eq!(told.lines().count(), 1);
}

#[test]
fn a_line_without_end_takes_bounded_memory() {
    const CHUNKS: usize = 1024;
    let mut child = Program::new()
        .arg("redact")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn_std()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let chunk = [vec![b'a'; 65_000], b" and ".to_vec(), vec![b'='; 531]].concat();
    let fed = (chunk.len() * CHUNKS) as u64;
    let (read, peak) = std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            let mut total = 0_u64;
            loop {
                match stdout.read(&mut buffer).unwrap() {
                    0 => return total,
                    length => total += length as u64,
                }
            }
        });
        for _ in 0..CHUNKS {
            stdin.write_all(&chunk).unwrap();
        }
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        drop(stdin);
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.unwrap().trim().trim_end_matches(" kB");
        (reader.join().unwrap(), kib.parse::<u64>().unwrap())
    });
    assert!(child.wait().unwrap().success());
    assert_eq!(read, fed);
    assert!(fed >= 64 * 1024 * 1024);
    assert!(peak < 160 * 1024, "{peak} KiB");
}

#[tokio::test]
async fn a_reader_that_ends_early_ends_the_command_quietly() {
    for arguments in [&["redact"][..], &["redact", "--rules"], &["man"]] {
        let mut child = Program::new()
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut stdin = child.stdin.take().unwrap();
        let feed = async {
            let block = b"a line\n".repeat(10_000);
            // Ends when the command has ended.
            while stdin.write_all(&block).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, feed).await.expect("it ends");
        let output = child.wait_with_output().await.unwrap();
        assert_eq!(code(&output), 0, "{arguments:?}");
        assert_eq!(text(&output.stderr), "", "{arguments:?}");
    }
}

#[tokio::test]
async fn a_stop_signal_ends_the_command_quietly_after_the_rest() {
    for signal in ["INT", "TERM"] {
        let mut child = Program::new()
            .arg("redact")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let rest = format!("a line\nno line end: {}", token(1));
        stdin.write_all(rest.as_bytes()).await.unwrap();
        let talk = async {
            let mut line = String::new();
            stdout.read_line(&mut line).await.unwrap();
            assert_eq!(line, "a line\n");
            send_signal(signal, child.id().unwrap());
            let mut rest = String::new();
            stdout.read_to_string(&mut rest).await.unwrap();
            assert_eq!(rest, format!("no line end: [redacted:{RULE}]"));
        };
        tokio::time::timeout(PATIENCE, talk).await.expect("it ends");
        let output = child.wait_with_output().await.unwrap();
        assert_eq!((code(&output), text(&output.stderr)), (0, ""), "{signal}");
    }
}

#[test]
fn the_help_teaches() {
    let output = Program::new().args(["redact", "--help"]).run().unwrap();
    let help = text(&output.stdout);
    for line in [
        "| step-observer redact",
        "step-observer redact --check --explain",
        "step-observer redact --value-file",
        "Exit codes: 0 ",
    ] {
        assert!(help.contains(line), "{help}");
    }
}
