//! `step-observer plugin`: from an empty folder to a plugin in a cluster, with the program itself.
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::events::finished_run;
use step_observer_tests::observer::Observer;
use step_observer_tests::plugins::{RELEASE, wat};
use step_observer_tests::program::{Program, send_signal};
use step_observer_tests::sink::{HttpSink, PATIENCE};
use step_observer_tests::{guest, path};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, BufReader, Lines};
use tokio::time::timeout;

fn run(folder: &Path, args: &[&str]) -> Output {
    Program::new()
        .arg("plugin")
        .args(args)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target_folder())
        .run()
        .unwrap()
}

/// Target folder of all crates that `plugin new` makes, so that their dependencies are compiled
/// once.
fn target_folder() -> PathBuf {
    Program::path().with_file_name("new-plugins")
}

/// Runs the program, which must succeed, and returns its standard output.
fn good(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, args);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs the program, which must fail, and returns its standard error.
fn bad(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, args);
    assert!(!output.status.success(), "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Parses the ConfigMaps that `plugin build --configmap` prints, without a YAML parser: their lines
/// have few forms.
fn config_maps(yaml: &str) -> Vec<Value> {
    let documents = yaml.split("---\n").filter(|text| !text.is_empty());
    documents
        .map(|document| {
            let mut map = serde_json::json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"labels": {}}, "data": {}, "binaryData": {},
            });
            let (mut section, mut text) = (String::new(), String::new());
            for line in document.lines() {
                let indent = line.len() - line.trim_start().len();
                let (key, value) = line.trim().split_once(": ").unwrap_or((line.trim(), ""));
                let (key, value) = (key.trim_end_matches(':'), value.trim_matches('"'));
                match (indent, section.as_str()) {
                    (0, _) => section = key.to_owned(),
                    (2, "metadata") if key != "labels" => map["metadata"][key] = value.into(),
                    (4, "metadata") => map["metadata"]["labels"][key] = value.into(),
                    (2, "data") => {
                        assert_eq!(value, "|2");
                        text = key.to_owned();
                        map["data"][&text] = "".into();
                    }
                    (_, "data") => {
                        let before = map["data"][&text].as_str().unwrap();
                        map["data"][&text] = format!("{before}{}\n", &line[4..]).into();
                    }
                    (2, "binaryData") => map["binaryData"][key] = value.into(),
                    _ => {}
                }
            }
            map["metadata"]["uid"] = "uid".into();
            map
        })
        .collect()
}

#[test]
fn cases_are_updated_with_what_the_plugin_makes_of_them() {
    let place = tempfile::tempdir().unwrap();
    let case = |name: &str, file: &str| place.path().join("cases").join(name).join(file);
    let stored = path("../plugins/filter-events/cases");
    for name in ["kept", "dropped-by-phase"] {
        std::fs::create_dir_all(case(name, "")).unwrap();
        for file in ["in.json", "config.json"] {
            std::fs::copy(stored.join(name).join(file), case(name, file)).unwrap();
        }
    }
    std::fs::write(case("kept", "out.json"), "{\"dropped\": \"old\"}").unwrap();
    let module = guest("filter-events").display().to_string();
    let update = ["test", &module, "--cases", "cases", "--update"];
    let shown = good(place.path(), &update);
    assert!(shown.contains("UPDATED kept: - before, + now\n"), "{shown}");
    assert!(shown.contains("    -   \"dropped\": \"old\""), "{shown}");
    assert!(shown.ends_with("2 of 2 cases updated\n"), "{shown}");
    for name in ["kept", "dropped-by-phase"] {
        let read = |file: &Path| -> Value {
            serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
        };
        let expected = read(&stored.join(name).join("out.json"));
        assert_eq!(read(&case(name, "out.json")), expected);
    }
    assert!(good(place.path(), &update).ends_with("2 cases passed\n"));
    // A plugin that traps on every event leaves the files as they are.
    std::fs::write(place.path().join("trap.wat"), wat("", "(unreachable)")).unwrap();
    let trap = ["test", "trap.wat", "--cases", "cases", "--update"];
    let said = bad(place.path(), &trap);
    assert!(said.contains("it fails its self-test"), "{said}");
    assert!(good(place.path(), &update).ends_with("2 cases passed\n"));
    let alone = bad(place.path(), &["test", &module, "--update"]);
    assert!(alone.contains("--cases"), "{alone}");
}

#[tokio::test]
async fn a_new_plugin_is_built_tested_and_live_without_a_registry() {
    let place = tempfile::tempdir().unwrap();
    let shown = good(place.path(), &["new", "team-filter"]);
    assert!(shown.contains("cd team-filter"), "{shown}");
    let folder = place.path().join("team-filter");
    let refused = bad(place.path(), &["new", "team-filter"]);
    assert!(refused.contains("exists already"), "{refused}");

    // The crate's own test, natively and offline; all crates share one target folder.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let tested = Command::new(cargo)
        .args(["test", "--offline", "--quiet"])
        .current_dir(&folder)
        .env("CARGO_TARGET_DIR", target_folder())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&tested.stdout).into_owned();
    let errors = String::from_utf8_lossy(&tested.stderr);
    assert!(tested.status.success(), "{said}{errors}");
    assert!(said.contains("1 passed"), "{said}");

    let yaml = good(
        &folder,
        &[
            "build",
            "--offline",
            "--configmap",
            "--namespace",
            "observers",
        ],
    );
    let module = folder.join("team-filter.wasm");
    let size = std::fs::metadata(&module).unwrap().len();
    assert!(size < 200 * 1024, "{size} bytes");
    let shown = good(&folder, &["test", "team-filter.wasm", "--cases", "cases"]);
    assert_eq!(shown, "ok      failed\nok      succeeded\n2 cases passed\n");

    // A crash names the functions of the plugin.
    let source = folder.join("src/lib.rs");
    let code = std::fs::read_to_string(&source).unwrap();
    let crashing = code.replacen(
        "-> Result<Verdict, String> {",
        "-> Result<Verdict, String> {\nlook_up_team();",
        1,
    ) + "\n#[inline(never)]\nfn look_up_team() { None::<u8>.unwrap(); }\n";
    assert_ne!(crashing.find("look_up_team();"), None, "{code}");
    std::fs::write(&source, crashing).unwrap();
    let crashed = bad(&folder, &["build", "--offline", "--configmap"]);
    let expected = "it crashed: wasm trap: wasm `unreachable` instruction executed, in team_filter::look_up_team";
    assert!(crashed.contains(expected), "{crashed}");

    let maps = config_maps(&yaml);
    assert_eq!(maps.len(), 1, "{yaml}");
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    server.put(maps[0].clone());
    let args = ["--plugin-namespace", "observers"];
    let observer = Observer::start(&server, &sink, &args);
    let note = server.wait_for_note("PluginLoaded").await;
    assert_eq!(note["regarding"]["name"], "team-filter");
    assert!(
        note["note"]
            .as_str()
            .unwrap()
            .starts_with("team-filter 0.1.0 ")
    );
    for event in finished_run(1) {
        server.play(&event);
    }
    for event in failed_run() {
        server.play(&event);
    }
    sink.wait_for(1).await;
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(0), "{log}");
    let kinds: Vec<_> = sink
        .requests()
        .iter()
        .map(|request| {
            (
                request.header("ce-type").to_owned(),
                request.header("ce-team").to_owned(),
            )
        })
        .collect();
    let failed = "dev.tekton.event.plugin.step.failed.v1".to_owned();
    assert_eq!(kinds, [(failed, "shop".to_owned())]);
}

/// Returns the lines up to the first one that contains a text.
async fn lines_until(lines: &mut Lines<impl AsyncBufRead + Unpin>, text: &str) -> String {
    let mut seen = String::new();
    loop {
        let line = timeout(PATIENCE, lines.next_line()).await;
        let line = line.unwrap_or_else(|_| panic!("no {text:?} in time: {seen}"));
        let line = line
            .unwrap()
            .unwrap_or_else(|| panic!("no {text:?}: {seen}"));
        seen.push_str(&line);
        if line.contains(text) {
            return seen;
        }
        seen.push('\n');
    }
}

#[tokio::test]
async fn a_plugin_is_built_and_shown_again_after_every_change() {
    let place = tempfile::tempdir().unwrap();
    let write = |process: &str| {
        // Editors replace a file by a new one. A hidden file is no source.
        let new = place.path().join(".new");
        std::fs::write(&new, wat("", process)).unwrap();
        std::fs::rename(&new, place.path().join("plugin.wat")).unwrap();
    };
    std::fs::write(place.path().join("build.sh"), "cp plugin.wat \"$1\"\n").unwrap();
    write(&format!("{RELEASE} (call $keep)"));
    let mut dev = Program::new()
        .args(["plugin", "dev", "."])
        .current_dir(place.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut shown = BufReader::new(dev.stdout.take().unwrap()).lines();
    let mut progress = BufReader::new(dev.stderr.take().unwrap()).lines();
    let first = lines_until(&mut shown, " events: ").await;
    let kept = "13 events: 13 kept unchanged, 0 changed, 0 dropped, 0 failed on";
    assert!(first.ends_with(kept), "{first}");
    write(&format!(
        "{RELEASE} (call $text (i32.const 48) (i32.const 5))"
    ));
    let second = lines_until(&mut shown, " events: ").await;
    let dropped = "13 events: 0 kept unchanged, 0 changed, 13 dropped, 0 failed on";
    assert!(second.ends_with(dropped), "{second}");
    assert!(second.contains(": aaaaa"), "{second}");
    write("(");
    lines_until(&mut progress, "expected").await;
    write(&format!("{RELEASE} (call $keep)"));
    let again = lines_until(&mut shown, " events: ").await;
    assert!(again.ends_with(kept), "{again}");
    send_signal("INT", dev.id().unwrap());
    let (ended, _) = tokio::join!(dev.wait(), lines_until(&mut progress, "Ctrl-C ends"));
    assert!(ended.unwrap().success());
    let pipe = bad(place.path(), &["dev", ".", "--recording", "-"]);
    assert!(pipe.contains("it must be a file or a folder"), "{pipe}");
}

#[test]
fn the_guide_works_as_written() {
    let guide = std::fs::read_to_string(path("../guest-sdk/README.md")).unwrap();
    let commands: Vec<&str> = guide
        .split("```sh\n")
        .skip(1)
        .flat_map(|block| block.split("```").next().unwrap().lines())
        // Commands that need a cluster are tested in
        // `a_new_plugin_is_built_tested_and_live_without_a_registry`.
        .filter(|line| !line.contains("kubectl"))
        .collect();
    assert!(commands.len() >= 8, "{commands:#?}");
    let place = tempfile::tempdir().unwrap();
    let programs = Program::path().parent().unwrap().display().to_string();
    let commands = format!("PATH={programs}:$PATH\n{}", commands.join("\n"));
    let run = Command::new("sh")
        .args(["-exc", &commands])
        .current_dir(place.path())
        .env("CARGO_TARGET_DIR", target_folder())
        .env("CARGO_NET_OFFLINE", "true")
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&run.stdout).into_owned();
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{shown}{errors}");
    for expected in [
        "test result: ok. 1 passed",
        "2 cases passed",
        "13 events: 0 kept unchanged, 2 changed, 11 dropped, 0 failed on",
        "only-failures 0.1.0",
    ] {
        assert!(shown.contains(expected), "{expected}: {shown}{errors}");
    }
    // The code in the guide is the code that `plugin new` writes.
    let written = std::fs::read_to_string(place.path().join("only-failures/src/lib.rs")).unwrap();
    let code = guide.split("```rust\n").nth(1).unwrap();
    let code = code.split("# fn main").next().unwrap().trim();
    assert!(written.contains(code), "{written}");
}

fn failed_run() -> Vec<Value> {
    let text = serde_json::to_string(&finished_run(2)).unwrap();
    let text = text
        .replace("\"exitCode\":0", "\"exitCode\":1")
        .replace("\"reason\":\"Completed\"", "\"reason\":\"Error\"")
        .replace("\"phase\":\"Succeeded\"", "\"phase\":\"Failed\"");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_large_module_becomes_several_config_maps() {
    use std::fmt::Write as _;
    let place = tempfile::tempdir().unwrap();
    // Incompressible: a plugin with 2 MiB of random data.
    let mut state = 88_172_645_463_325_252_u64;
    let mut data = String::new();
    for _ in 0..1_500_000 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        write!(data, "\\{:02x}", state % 256).unwrap();
    }
    let items = format!("(data (i32.const 200000) \"{data}\")");
    let module = wat(&items, "(call $release (local.get $event)) (call $keep)")
        .replace("(export \"memory\") 2)", "(export \"memory\") 40)");
    let module = wat::parse_str(&module).unwrap();
    std::fs::write(place.path().join("large.wasm"), module).unwrap();
    std::fs::write(place.path().join("plugin.yaml"), "order: 7\n").unwrap();
    let yaml = good(place.path(), &["build", "large.wasm", "--configmap"]);
    let maps = config_maps(&yaml);
    assert_eq!(maps.len(), 2);
    for (index, map) in maps.iter().enumerate() {
        assert_eq!(map["metadata"]["name"], format!("large-{}", index + 1));
        let bytes = map.to_string().len();
        assert!(bytes < 1_500_000, "{bytes} bytes");
    }
    let settings = |index: usize| maps[index]["data"]["plugin.yaml"].as_str().unwrap();
    assert!(settings(0).starts_with("order: 7\nplugin: large\npart: 1/2\nsha256: "));
    assert!(settings(1).starts_with("plugin: large\npart: 2/2\nsha256: "));
}

#[test]
fn pinned_files_are_packed_unchanged_and_refused_ones_are_not_packed() {
    let place = tempfile::tempdir().unwrap();
    let module = std::fs::read(guest("filter-events")).unwrap();
    std::fs::write(place.path().join("filter.wasm"), &module).unwrap();
    let pin = step_observer::plugin::FileDigest::compute(&module);
    let settings = |pin: &str| {
        std::fs::write(place.path().join("plugin.yaml"), format!("sha256: {pin}\n")).unwrap();
    };
    settings(pin.as_str());
    let args = ["build", "filter.wasm", "--configmap"];
    let map = &config_maps(&good(place.path(), &args))[0];
    assert!(map["binaryData"].get("plugin.wasm").is_some(), "{map}");
    settings(&"0".repeat(64));
    let refused = bad(place.path(), &args);
    assert!(
        refused.contains("a host would refuse it, so no ConfigMap is made"),
        "{refused}"
    );
}

#[test]
fn cases_and_events_are_tried_in_any_form() {
    let place = tempfile::tempdir().unwrap();
    let cases = path("../plugins/filter-events/cases");
    let (module, cases) = (guest("filter-events"), cases.to_str().unwrap().to_owned());
    let module = module.to_str().unwrap();
    let passed = good(place.path(), &["test", module, "--cases", &cases]);
    assert!(passed.ends_with("8 cases passed\n"), "{passed}");
    let passed = good(
        place.path(),
        &["test", "bundled:filter-events", "--cases", &cases],
    );
    assert!(passed.ends_with("8 cases passed\n"), "{passed}");

    // A failing case shows the differing member.
    let case = place.path().join("cases/kept");
    std::fs::create_dir_all(&case).unwrap();
    for file in ["in.json", "config.json"] {
        std::fs::copy(
            PathBuf::from(&cases).join("kept").join(file),
            case.join(file),
        )
        .unwrap();
    }
    let text = std::fs::read_to_string(PathBuf::from(&cases).join("kept/out.json")).unwrap();
    std::fs::write(case.join("out.json"), text.replace("\"push\"", "\"pull\"")).unwrap();
    let output = run(place.path(), &["test", module, "--cases", "cases"]);
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success());
    assert!(shown.contains("FAILED  kept"), "{shown}");
    let differs: Vec<_> = shown
        .lines()
        .filter(|line| line.starts_with("    - "))
        .collect();
    assert_eq!(differs.len(), 2, "{shown}");
    assert!(differs[0].contains("\"name\": \"pull\""), "{shown}");

    let event = PathBuf::from(&cases).join("kept/in.json");
    let config = place.path().join("config.json");
    std::fs::write(&config, r#"{"types": ["started"]}"#).unwrap();
    let with_config = format!("{module}={}", config.display());
    let dropped = good(
        place.path(),
        &["test", &with_config, "--event", event.to_str().unwrap()],
    );
    assert_eq!(dropped, "{\n  \"dropped\": \"filtered\"\n}\n");
    std::fs::write(place.path().join("no.json"), "{}").unwrap();
    let refused = bad(place.path(), &["test", module, "--event", "no.json"]);
    assert!(
        refused.contains("no.json: not a CloudEvent in JSON format"),
        "{refused}"
    );
}

#[test]
fn a_plugin_is_inspected_without_a_cluster() {
    let place = tempfile::tempdir().unwrap();
    let shown = good(
        place.path(),
        &["inspect", "bundled:redact-secrets", "--json"],
    );
    let told: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(told["form"], "core module");
    assert_eq!(told["world"], "step-observer:plugin/transform@0.1.1");
    assert_eq!(told["loaded"]["name"], "redact-secrets");
    assert_eq!(told["loaded"]["onError"], "strip");
    assert_eq!(told["loaded"]["maskSets"][0]["name"], "secrets");
    assert!(told["configSchema"]["properties"]["logOnly"].is_object());
    let imports = told["imports"].as_array().unwrap();
    assert!(
        imports
            .iter()
            .all(|name| name.as_str().unwrap().starts_with("step-observer:plugin/"))
    );
    let shown = good(place.path(), &["inspect", "bundled:redact-secrets"]);
    assert!(
        shown.contains("rules of the catalogue, 0 own rules"),
        "{shown}"
    );
    std::fs::write(place.path().join("no.wasm"), "no").unwrap();
    let refused = bad(place.path(), &["inspect", "no.wasm"]);
    assert!(refused.contains("it is not WebAssembly"), "{refused}");
}

#[test]
fn a_dry_run_shows_the_results_and_sends_nothing() {
    let place = tempfile::tempdir().unwrap();
    let recording = path("recordings/leaky.jsonl");
    let recording = recording.to_str().unwrap();
    let shown = good(
        place.path(),
        &["run", "bundled:redact-secrets", "--recording", recording],
    );
    assert!(
        shown.contains("Cloning https://ci-bot:[redacted:github-personal-access-token]@git"),
        "{shown}"
    );
    assert!(shown.ends_with("13 events: 1 kept unchanged, 12 changed, 0 dropped, 0 failed on\n"));
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);

    let crash = wat("", "(unreachable)");
    std::fs::write(place.path().join("crash.wat"), crash).unwrap();
    let refused = bad(
        place.path(),
        &["run", "crash.wat", "--recording", recording],
    );
    assert!(refused.contains("it fails its self-test"), "{refused}");
}

#[test]
fn a_plugin_is_measured() {
    let place = tempfile::tempdir().unwrap();
    let shown = good(
        place.path(),
        &["bench", "bundled:filter-events", "--calls", "3"],
    );
    assert!(
        shown.starts_with("filter-events 0.1.0: loaded in "),
        "{shown}"
    );
    let sizes: Vec<_> = shown
        .lines()
        .filter_map(|line| line.split_whitespace().next()?.parse::<u32>().ok())
        .collect();
    assert_eq!(sizes, [0, 4096, 49152, 1_048_576], "{shown}");
}
