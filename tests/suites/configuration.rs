//! All mistakes of a configuration are reported at once, each with its place and its remedy.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};
use step_observer::config::{Config, ConfigError};
use step_observer_tests::manifests;
use step_observer_tests::path;
use step_observer_tests::program::Program;

fn run(arguments: &[&str], file: &Path) -> Output {
    let mut command = Program::new();
    command.args(arguments).arg(file);
    command.run().unwrap()
}

/// Returns the lines that `config check` prints on standard error.
fn check(text: &[u8]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.yaml");
    std::fs::write(&file, text).unwrap();
    let output = run(&["config", "check"], &file);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    let folder = format!("{}/", folder.path().display());
    told.lines().map(|line| line.replace(&folder, "")).collect()
}

/// Returns line and field of each mistake.
fn places(told: &[String]) -> Vec<(u64, String)> {
    let mistakes = told.iter().filter_map(|line| line.strip_prefix("c.yaml:"));
    let place = |line: &str| {
        let (number, rest) = line.split_once(':').unwrap();
        let field = rest.split(": ").nth(1).unwrap();
        (number.parse().unwrap(), field.to_owned())
    };
    mistakes.map(place).collect()
}

#[test]
fn an_old_name_of_a_setting_is_accepted_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.yaml");
    let check = |config: &str| {
        let text =
            format!("plugins: [{{name: f, from: {{bundled: filter-events}}, config: {config}}}]\n");
        std::fs::write(&file, text).unwrap();
        let output = run(&["config", "check"], &file);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{told}");
        told
    };
    let told = check("{types: [failed], namespaces: [a]}");
    for expected in [
        "a setting of the plugin is deprecated",
        "types",
        "Old name of `phases`.",
    ] {
        assert!(told.contains(expected), "{told}");
    }
    assert!(!told.contains("namespaces"), "{told}");
    assert_eq!(check("{phases: [failed], pipelineRuns: [\"a-*\"]}"), "");
}

const WRONG: &str = r#"lookback: 10m
lookBack: soon
log:
  maxBytes: 7
  capture: sometimes
  followers: many
admin:
  listen: 0.0.0.0:8080
  metrics: 0.0.0.0:8081
plugins:
- name: redact
  from: {bundled: redact-secrets}
  config:
    without:
    - user-flag
    - nope
    - github-token
    - hunter2-no-rule
    rules:
    - {id: mine, patern: x, pattern: "(hunter2"}
    values: [pin]
  onErorr: strip
- name: redact
  from: {bundled: redact-secretz}
- from: {file: /nowhere/x.wasm}
- name: filter
  from: {bundled: filter-events}
  config: {types: [hunter2, failed], stepz: [a], exitCodes: [x]}
  limits: {timeMs: 0}
- name: other
  from: {bundled: filter-events}
  config:
    phases: [failed, hunter2]
    stepz: [a]
sinks:
- name: a
  to:
    http:
      url: ftp://me:hunter2@x
      timeoutMs: 0
      headers:
      - {name: "bad name", value: x}
      - {name: Authorization, value: hunter2}
      - {name: X, value: a, fromEnv: B}
      batch: {maxEvents: 2}
- name: a
  to: {htpp: {url: "http://x"}}
- name: b
  to: hunter2
- name: c
  to: {http: {}}
- name: d
  to: {nats: {servers: ["http://x", "nats://me:hunter2@y"], subject: "a b", auth: {token: {}}}}
- name: e.dead-letters
  to: {stdout: {}}
log:
  concurrency: 0
"#;

#[test]
fn all_mistakes_of_a_file_are_reported_at_once_each_with_line_and_field() {
    let told = check(WRONG.as_bytes());
    let expected = [
        (1, "lookback"),
        (2, "lookBack"),
        (4, "log.maxBytes"),
        (5, "log.capture"),
        (6, "log.followers"),
        (8, "admin.listen"),
        (16, "plugins[0].config.without[1]"),
        (18, "plugins[0].config.without[3]"),
        (20, "plugins[0].config.rules[0]"),
        (20, "plugins[0].config.rules[0].patern"),
        (21, "plugins[0].config.values[0]"),
        (22, "plugins[0].onErorr"),
        (23, "plugins[1].name"),
        (24, "plugins[1].from.bundled"),
        (25, "plugins[2].name"),
        (25, "plugins[2].from.file"),
        // Expects only the invalid limits. The plugin is then not loaded, so nothing is reported
        // about its configuration: with such limits the report could be wrong.
        (29, "plugins[3].limits.timeMs"),
        (33, "plugins[4].config.phases[1]"),
        (34, "plugins[4].config.stepz"),
        (39, "sinks[0].to.http.url"),
        (40, "sinks[0].to.http.timeoutMs"),
        (42, "sinks[0].to.http.headers[0].name"),
        (43, "sinks[0].to.http.headers[1].value"),
        (44, "sinks[0].to.http.headers[2]"),
        (45, "sinks[0].to.http.batch"),
        (46, "sinks[1].name"),
        (47, "sinks[1].to.htpp"),
        (49, "sinks[2].to"),
        (51, "sinks[3].to.http.url"),
        (53, "sinks[4].to.nats.servers[0]"),
        (53, "sinks[4].to.nats.servers[1]"),
        (53, "sinks[4].to.nats.subject"),
        (53, "sinks[4].to.nats.auth.token.file"),
        (54, "sinks[5].name"),
        (56, "log"),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(line, field)| (*line, (*field).to_owned()))
        .collect();
    assert_eq!(places(&told), expected, "{told:#?}");
    // One line per mistake, and one line with the number of mistakes.
    assert_eq!(told.len(), expected.len() + 1, "{told:#?}");
    let last = told.last().unwrap();
    assert!(
        last.starts_with(&format!("error: {} mistakes", expected.len())),
        "{last}"
    );
    assert!(!told.concat().contains("hunter2"), "{told:#?}");
}

#[test]
fn a_namespace_that_cannot_exist_is_refused_with_its_line() {
    let told = check(b"cluster:\n  namespaces:\n  - ci\n  - Team_A\n  - ''\n  - release-2\n");
    let expected = [(4, "cluster.namespaces[1]"), (5, "cluster.namespaces[2]")];
    assert_eq!(
        places(&told),
        expected.map(|(line, field)| (line, field.to_owned())),
        "{told:#?}"
    );
    assert!(
        told[0].ends_with("begins and ends with a letter or digit"),
        "{told:#?}"
    );
    let arguments = ["record", "--namespace", "Team_A", "--out"];
    let refused = run(&arguments, Path::new("unused"));
    let refused = String::from_utf8(refused.stderr).unwrap();
    assert!(
        refused.contains("a namespace has 1 to 63 of a-z, 0-9 and -"),
        "{refused}"
    );
}

#[test]
fn a_start_reports_all_mistakes_and_all_missing_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.yaml");
    let recording = path("recordings/b-fail.jsonl");
    let replay = ["replay", recording.to_str().unwrap(), "--config"];
    std::fs::write(&file, WRONG).unwrap();
    // These commands use no cluster.
    for arguments in [&replay[..], &["run", "--config"]] {
        let told = run(arguments, &file).stderr;
        let told = String::from_utf8(told).unwrap();
        for field in [
            "lookback:",
            "plugins[0].config.values[0]:",
            "sinks[0].to.http.batch:",
        ] {
            assert!(told.contains(field), "{arguments:?}: {told}");
        }
        assert!(told.contains("error: 35 mistakes"), "{told}");
    }
    let text = "\
dropIn: {folders: [/nowhere/plugins]}
traces: {otlp: 'https://x', tls: {keyFile: /nowhere/key}}
cluster: {shards: 2, shard: 2}
plugins:
- {name: x, from: {bundled: nothing}}
sinks:
- name: a
  to:
    http:
      url: https://x
      headers:
      - {name: A, fromEnv: STEP_OBSERVER_IS_NOT_SET}
      - {name: B, fromFile: /nowhere/b}
      tls: {caFile: /nowhere/ca}
  deadLetterSink:
    to: {nats: {servers: ['nats://x'], subject: a, auth: {token: {file: /nowhere/token}}}}
";
    std::fs::write(&file, text).unwrap();
    let told = String::from_utf8(run(&replay, &file).stderr).unwrap();
    for (line, field) in [
        (1, "dropIn.folders[0]"),
        (2, "traces.tls"),
        (2, "traces.tls.keyFile"),
        (3, "cluster.shard"),
        (5, "plugins[0].from.bundled"),
        (12, "sinks[0].to.http.headers[0].fromEnv"),
        (13, "sinks[0].to.http.headers[1].fromFile"),
        (14, "sinks[0].to.http.tls.caFile"),
        (16, "sinks[0].deadLetterSink.to.nats.auth.token.file"),
    ] {
        let is_told = told.lines().any(|told| {
            told.contains(&format!("c.yaml:{line}:")) && told.contains(&format!(": {field}: "))
        });
        assert!(is_told, "{line} {field}: {told}");
    }
    assert!(told.contains("error: 9 mistakes"), "{told}");
    // The configuration may be for another machine, so `config check` loads plugins but does not
    // read the other files.
    let told = String::from_utf8(run(&["config", "check"], &file).stderr).unwrap();
    assert!(told.contains("error: 3 mistakes in"), "{told}");
}

/// Configurations in the documentation and in `deploy/`.
fn examples() -> Vec<String> {
    let document = std::fs::read_to_string(path("../docs/configuration.md")).unwrap();
    let blocks = document.split("```yaml\n").skip(1);
    let mut examples: Vec<String> = blocks
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect();
    let rendered = manifests::rendered().unwrap_or_else(|missing| {
        missing.skip();
        Vec::new()
    });
    examples.extend(
        rendered
            .iter()
            .map(|(_, objects)| manifests::config(objects).to_owned()),
    );
    examples
}

fn mistakes(text: &str) -> Vec<(u64, String)> {
    match Config::parse("c.yaml", text) {
        Ok(_) => Vec::new(),
        Err(ConfigError::Invalid(mistakes)) => {
            let place =
                |mistake: &step_observer::config::Mistake| (mistake.line, mistake.to_string());
            mistakes.list().iter().map(place).collect()
        }
        Err(error) => panic!("{error}"),
    }
}

/// Splits a line that begins a field: indentation, name, and value.
fn field(line: &str) -> Option<(&str, &str, &str)> {
    let begin = line.find(|c: char| !" -".contains(c))?;
    let (name, value) = line[begin..].split_once(':')?;
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric()) && !name.is_empty();
    let value = value.split(" #").next().unwrap().trim();
    is_name.then_some((&line[..begin], name, value))
}

#[test]
fn a_mistake_in_any_line_of_the_examples_is_reported_with_that_line() {
    let mut tried = 0;
    for example in examples() {
        assert_eq!(mistakes(&example), []);
        let lines: Vec<&str> = example.lines().collect();
        let with = |index: usize, line: &str| {
            let mut lines = lines.clone();
            lines[index] = line;
            lines.join("\n")
        };
        for (index, line) in lines.iter().enumerate() {
            let Some((before, name, value)) = field(line) else {
                continue;
            };
            let mut changed = vec![format!("{before}{name}x: {value}")];
            // A text is replaced by a list, because another text would be as valid; a list or
            // mapping is replaced by a text.
            changed.push(match value.starts_with(['[', '{']) || value.is_empty() {
                true => format!("{before}{name}: hunter2\u{20}"),
                false => format!("{before}{name}: [[hunter2]]"),
            });
            for changed in changed {
                // After the change, the lines below the field are no valid YAML.
                let is_below = value.is_empty() && changed.ends_with(' ');
                // The configuration of a plugin is checked only after it is loaded.
                if is_below || (name == "config" && changed.contains("config:")) {
                    continue;
                }
                let told = mistakes(&with(index, &changed));
                let number = index as u64 + 1;
                let right = told.iter().any(|(line, _)| *line == number);
                assert!(right, "line {number}: {changed}\n{told:#?}");
                let mut all = String::new();
                told.iter()
                    .for_each(|(_, told)| write!(all, "{told}").unwrap());
                assert!(!all.contains("hunter2"), "{all}");
                // The wrong field, and the missing one.
                assert!(told.len() <= 2, "{changed}\n{told:#?}");
                tried += 1;
            }
        }
    }
    assert!(tried > 150, "{tried}");
}

#[test]
fn several_mistakes_at_random_places_are_all_reported() {
    let example = examples().remove(0);
    let lines: Vec<&str> = example.lines().collect();
    // On separate lines, so that no mistake hides another.
    let leaves = [
        "lookBack",
        "maxBytes",
        "onError",
        "listen",
        "otlp",
        "mode",
        "namespace",
        "giveUp",
    ];
    let mut changed = Vec::new();
    let text: Vec<String> = lines
        .iter()
        .enumerate()
        .map(|(index, line)| match field(line) {
            Some((before, name, value)) if leaves.contains(&name) && !value.is_empty() => {
                changed.push(index as u64 + 1);
                format!("{before}{name}: [{value}]")
            }
            _ => (*line).to_owned(),
        })
        .collect();
    assert!(changed.len() >= 8, "{changed:?}");
    let told = mistakes(&text.join("\n"));
    let lines: Vec<u64> = told.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, changed, "{told:#?}");
}

#[test]
fn a_hostile_file_gets_a_clear_answer_at_once() {
    let begin = Instant::now();
    let bomb: String = (b'b'..=b'i')
        .map(|c| {
            let (name, before) = (char::from(c), char::from(c - 1));
            let many = vec![format!("*{before}"); 9].join(",");
            format!("    {name}: &{name} [{many}]\n")
        })
        .collect();
    let config = "plugins:\n- name: a\n  from: {bundled: passthrough}\n  config:\n";
    let many: String = (0..50_000).fold(String::new(), |mut text, number| {
        writeln!(text, "x{number}: 1").unwrap();
        text
    });
    for (text, line, expected) in [
        (
            format!("{config}    a: &a [x,x,x,x,x,x,x,x,x]\n{bomb}"),
            10,
            "more than 100000 values",
        ),
        (
            format!("{config}    a: {}{}\n", "[".repeat(200), "]".repeat(200)),
            5,
            "nested deeper than 64",
        ),
        (
            format!("plugins: {}", "[".repeat(100_000)),
            1,
            "nested deeper than 64",
        ),
        (
            format!("{}a\n", "- ".repeat(300_000)),
            1,
            "nested deeper than 64",
        ),
        ("log:\n\tmaxBytes: 300\n".to_owned(), 2, "tab"),
        (
            "\u{feff}lookBack: 1h\nlog: {maxBytes: 7}\n".to_owned(),
            2,
            "log.maxBytes: 7 is not between",
        ),
        (
            "lookBack: 1h\n---\nlookBack: 2h\n".to_owned(),
            3,
            "another document begins here",
        ),
        (
            "log: {maxBytes: 300}\nlog: {maxBytes: 300}\n".to_owned(),
            2,
            "it stands in line 1 already",
        ),
        ("lookBack: *nothing\n".to_owned(), 1, "unknown anchor"),
        ("- a\n".to_owned(), 1, "fields are expected here"),
        ("hunter2\n".to_owned(), 1, "fields are expected here"),
        (
            "lookBack: \u{1b}[31m\n".to_owned(),
            1,
            "unexpected character",
        ),
        // A field that is not YAML hides no mistakes of other fields.
        (
            "log: {maxBytes: 300\nlookBack: 1h\ncluster: {shards: 0}\n".to_owned(),
            3,
            "cluster.shards: 0 is not between",
        ),
        (
            "lookBack: \"1h\ncluster: {shards: 0}\n".to_owned(),
            2,
            "cluster.shards: 0 is not between",
        ),
        ("lookBack:\n".to_owned(), 1, "it is empty"),
        (many, 40, "x39: unknown field"),
    ] {
        let told = check(text.as_bytes());
        let is_told = told
            .iter()
            .any(|told| told.starts_with(&format!("c.yaml:{line}:")) && told.contains(expected));
        assert!(is_told, "{line} {expected}: {told:#?}");
        assert!(told.len() <= 101, "{}", told.len());
        assert!(!told.concat().contains("hunter2"), "{told:#?}");
    }
    for (bytes, expected) in [
        (vec![b'#'; 10_000_000], "larger than 1048576 bytes"),
        (b"lookBack: \xff\xfe\n".to_vec(), "not text in UTF-8"),
    ] {
        let told = check(&bytes);
        assert!(told.concat().contains(expected), "{told:?}");
    }
    assert!(begin.elapsed() < Duration::from_secs(30));
}

#[test]
fn mistakes_beyond_a_hundred_are_only_counted_as_more() {
    let sink = |number: usize| {
        format!("- {{name: s{number}, to: {{http: {{url: 'ftp://x', timeoutMs: 0}}}}}}\n")
    };
    let text = format!("sinks:\n{}", (0..200).map(sink).collect::<String>());
    let told = check(text.as_bytes());
    assert_eq!(told.len(), 101);
    assert!(
        told[100].starts_with("error: 100 mistakes and more"),
        "{}",
        told[100]
    );
}

#[test]
fn a_mistake_in_the_signing_keys_hides_none_of_the_plugins() {
    let text = "\
trust: {publicKeys: [abc]}
plugins:
- name: a
  from: {bundled: nope}
- name: b
  from: {bundled: enrich-run}
  sha256: zz
  config: {constant: {team: x}, label: {team: app}}
- name: c
  from: {bundled: passthrough, file: x.wasm}
- name: d
  from: {}
";
    let told = check(text.as_bytes());
    let found = places(&told);
    for (line, field) in [
        (1, "trust.publicKeys[0]"),
        (4, "plugins[0].from.bundled"),
        (7, "plugins[1].sha256"),
        (8, "plugins[1].config.constant"),
        (8, "plugins[1].config.label"),
    ] {
        assert!(
            found.contains(&(line, field.to_owned())),
            "{line} {field}: {told:#?}"
        );
    }
    for line in [10, 12] {
        let of_line = told
            .iter()
            .find(|told| told.starts_with(&format!("c.yaml:{line}:")));
        assert!(
            of_line.is_some_and(|told| told.contains("exactly one kind is expected here")),
            "{told:#?}"
        );
    }
}

#[test]
fn a_value_of_a_plugin_that_cannot_be_read_is_reported_at_its_line() {
    let text = "\
plugins:
- name: a
  from: {bundled: redact-secrets}
  configFrom: [{path: /replacement/token, fromFile: /nowhere/key}]
- name: b
  from: {bundled: redact-secrets}
  config: {replacement: rule}
  configFrom:
  - {path: replacement, fromEnv: KEY}
";
    let told = check(text.as_bytes());
    let expected = [
        (4, "plugins[0].configFrom".to_owned()),
        (9, "plugins[1].configFrom[0].path".to_owned()),
    ];
    assert_eq!(places(&told), expected, "{told:#?}");
    assert!(
        told[0].contains("/replacement/token: /nowhere/key: failed to read"),
        "{told:#?}"
    );
    assert!(told[1].contains("JSON pointer"), "{told:#?}");
}

#[test]
fn settings_that_can_never_open_are_refused() {
    let text = "\
admin: {metrics: 127.0.0.1:8080, probes: 127.0.0.1:8080}
journal: {directory: ''}
sinks:
- name: a
  to: {file: {path: ''}}
";
    let told = check(text.as_bytes());
    let expected = [
        (1, "admin.metrics"),
        (2, "journal.directory"),
        (5, "sinks[0].to.file.path"),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(line, field)| (*line, (*field).to_owned()))
        .collect();
    assert_eq!(places(&told), expected, "{told:#?}");
}
