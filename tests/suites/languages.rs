//! The same small filter in every language, loaded by the host. `cargo xtask languages` builds
//! them, and `plugin new --language` writes them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use step_observer::plugin::{Plugin, PluginEngine, PluginSource, PluginSpec};
use step_observer_tests::available;
use step_observer_tests::languages::{example, new_plugin, step_observer, tools};
use step_observer_tests::path;
use step_observer_tests::peer::Missing;
use step_observer_tests::plugins::{check_cases, refusal};
use step_observer_tests::receivers::LANGUAGES_REQUIRED;

/// Name, and upper bound of the size in bytes.
const LANGUAGES: [(&str, usize); 6] = [
    ("rust-no-std", 8 * 1024),
    ("c", 4 * 1024),
    ("go", 2560 * 1024),
    ("javascript", 1024 * 1024 + 512 * 1024),
    ("typescript", 1024 * 1024 + 512 * 1024),
    ("python", 24 * 1024 * 1024),
];

/// Reads the built module of a language.
fn module(name: &str) -> Result<Vec<u8>, Missing> {
    let folder = match std::env::var_os("STEP_OBSERVER_GUESTS") {
        Some(guests) => std::path::PathBuf::from(guests).join("../languages"),
        None => path("../target/languages"),
    };
    let file = folder.join(format!("{name}.wasm"));
    std::fs::read(&file).map_err(|_| {
        let peer = format!("{} does not exist", file.display());
        Missing::new(peer, "run `cargo xtask languages`").required_by(LANGUAGES_REQUIRED)
    })
}

#[test]
fn the_same_filter_in_every_language_gives_the_same() {
    let engine = PluginEngine::new().unwrap();
    for (name, most) in LANGUAGES {
        let module = match module(name) {
            Ok(module) => module,
            Err(missing) => {
                missing.skip();
                continue;
            }
        };
        assert!(module.len() < most, "{name}: {} bytes", module.len());
        let spec = PluginSpec::new(name, PluginSource::bytes(module));
        let plugin = Plugin::load(&engine, &spec).unwrap();
        assert_eq!(plugin.identity(), ("only-failures", "0.1.0"), "{name}");
        // The nested instances of componentize-qjs cannot be snapshotted.
        let in_quickjs = ["javascript", "typescript"].contains(&name);
        assert_eq!(plugin.is_snapshotted(), !in_quickjs, "{name}");
        plugin.self_test(&engine).unwrap();
        if name == "python" {
            // Loading is slow, so the plugin is not loaded again for the cases and for the refused
            // configuration.
            continue;
        }
        if name != "go" {
            // Each case loads the plugin again. Go's cases are below, where one load serves all.
            check_cases(&engine, &spec, &path("../guest-sdk/languages/cases"));
        }
        let configured =
            spec.with_settings(|settings| settings.config = serde_json::json!({"a": 1}));
        let refused = refusal(&configured);
        let expected = "it refuses its configuration: only-failures takes no configuration";
        assert!(refused.ends_with(expected), "{name}: {refused}");
    }
}

#[test]
fn plugins_in_javascript_and_go_fit_a_config_map() {
    for name in ["javascript", "go"] {
        fits_a_config_map(&available!(module(name)));
    }
}

fn fits_a_config_map(module: &[u8]) {
    use std::io::Write as _;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(module).unwrap();
    let packed = packed.finish().unwrap();
    assert!(packed.len() < 700 * 1024, "{} bytes", packed.len());
    let engine = PluginEngine::new().unwrap();
    let spec = PluginSpec::new("packed", PluginSource::bytes(packed));
    Plugin::load(&engine, &spec).unwrap();
}

/// The languages of `plugin new` that have an example: value of `--language`, folder of the example,
/// and the folder in it that `cargo xtask languages` fills with tools.
const EXAMPLES: [(&str, &str, Option<&str>); 5] = [
    ("c", "c", None),
    ("go", "go", Some(".venv")),
    ("js", "javascript", Some("node_modules")),
    ("python", "python", Some(".venv")),
    ("ts", "typescript", Some("node_modules")),
];

/// Returns the paths of all files below a folder, without what the builds make.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let made = ["node_modules", ".venv", "__pycache__"];
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = PathBuf::from(path.file_name().unwrap());
        if made.iter().any(|made| name == Path::new(made))
            || path.extension().is_some_and(|end| end == "wasm")
        {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|file| name.join(file)));
        } else {
            found.insert(name);
        }
    }
    found
}

#[test]
fn a_new_plugin_holds_every_file_of_the_example_under_its_own_name() {
    use std::os::unix::fs::PermissionsExt as _;
    for (language, folder, _) in EXAMPLES {
        let place = tempfile::tempdir().unwrap();
        let plugin = new_plugin(place.path(), language);
        let mut expected = files(&example(folder));
        let cases = files(&example("cases"));
        expected.extend(cases.into_iter().map(|file| Path::new("cases").join(file)));
        expected.extend([".gitignore", "plugin.wit", "plugin.yaml"].map(PathBuf::from));
        if language == "ts" {
            expected.insert("give-back.js".into());
        }
        let written = files(&plugin);
        assert_eq!(written, expected, "{language}");
        let read = |file: &str| std::fs::read_to_string(plugin.join(file)).unwrap();
        for file in &written {
            let text = read(file.to_str().unwrap());
            assert!(
                !text.contains("only-failures"),
                "{language}: {}",
                file.display()
            );
        }
        assert_eq!(
            read("plugin.wit"),
            include_str!("../../guest-sdk/wit/v0.1/plugin.wit")
        );
        let script = std::fs::metadata(plugin.join("build.sh")).unwrap();
        assert_eq!(
            script.permissions().mode() & 0o111,
            (script.permissions().mode() & 0o444) >> 2
        );
        let readme = read("README.md");
        assert!(readme.contains("--cases cases"), "{readme}");
        for link in readme
            .split("](")
            .skip(1)
            .map(|rest| rest.split(')').next().unwrap())
        {
            let is_there = link.starts_with("https://") || plugin.join(link).exists();
            assert!(is_there, "{language}: {link}");
        }

        let again = step_observer(
            place.path(),
            &["plugin", "new", "team-filter", "--language", language],
        );
        assert!(!again.status.success());
        let errors = String::from_utf8_lossy(&again.stderr);
        assert!(errors.contains("exists already"), "{errors}");
    }
    let place = tempfile::tempdir().unwrap();
    let refused = step_observer(place.path(), &["plugin", "new", "Team", "-l", "c"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("not a valid name"));
    assert!(files(place.path()).is_empty());
}

#[test]
fn a_new_plugin_in_every_language_is_built_and_passes_its_cases() {
    for (language, folder, tools_folder) in EXAMPLES {
        let tools = match tools(language, folder, tools_folder) {
            Ok(tools) => tools,
            Err(missing) => {
                missing.skip();
                continue;
            }
        };
        let place = tempfile::tempdir().unwrap();
        let plugin = new_plugin(place.path(), language);
        if let Some((tools, name)) = tools.zip(tools_folder) {
            std::os::unix::fs::symlink(tools, plugin.join(name)).unwrap();
        }
        let built = Command::new("./build.sh")
            .current_dir(&plugin)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "{language}: {errors}");
        assert!(plugin.join("team-filter.wasm").exists(), "{language}");
        if language == "python" {
            // Loading takes half a minute, and the test above loads the same source.
            continue;
        }
        let tested = step_observer(
            &plugin,
            &["plugin", "test", "team-filter.wasm", "--cases", "cases"],
        );
        let shown = String::from_utf8_lossy(&tested.stdout);
        let errors = String::from_utf8_lossy(&tested.stderr);
        assert!(tested.status.success(), "{language}: {shown}{errors}");
        assert!(shown.ends_with("5 cases passed\n"), "{language}: {shown}");
        let shown = step_observer(&plugin, &["plugin", "inspect", "team-filter.wasm"]);
        let shown = String::from_utf8_lossy(&shown.stdout);
        assert!(shown.contains("team-filter 0.1.0"), "{language}: {shown}");
    }
}
