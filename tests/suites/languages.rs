//! The same small filter in every language, loaded by the host. `cargo xtask languages` builds
//! them.
use step_observer::plugin::{Plugin, PluginEngine, PluginSource, PluginSpec};
use step_observer_tests::available;
use step_observer_tests::path;
use step_observer_tests::peer::Missing;
use step_observer_tests::plugins::{check_cases, refusal};
use step_observer_tests::receivers::LANGUAGES_REQUIRED;

/// Name, and upper bound of the size in bytes.
const LANGUAGES: [(&str, usize); 4] = [
    ("rust-no-std", 8 * 1024),
    ("c", 4 * 1024),
    ("javascript", 1024 * 1024 + 512 * 1024),
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
        assert_eq!(plugin.is_snapshotted(), name != "javascript", "{name}");
        plugin.self_test(&engine).unwrap();
        if name == "python" {
            // Loading is slow, so the plugin is not loaded again for the cases and for the refused
            // configuration.
            continue;
        }
        check_cases(&engine, &spec, &path("../guest-sdk/languages/cases"));
        let configured =
            spec.with_settings(|settings| settings.config = serde_json::json!({"a": 1}));
        let refused = refusal(&configured);
        let expected = "it refuses its configuration: only-failures takes no configuration";
        assert!(refused.ends_with(expected), "{name}: {refused}");
    }
}

#[test]
fn a_javascript_plugin_fits_a_config_map() {
    use std::io::Write as _;
    let module = available!(module("javascript"));
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&module).unwrap();
    let packed = packed.finish().unwrap();
    assert!(packed.len() < 700 * 1024, "{} bytes", packed.len());
    let engine = PluginEngine::new().unwrap();
    let spec = PluginSpec::new("javascript", PluginSource::bytes(packed));
    Plugin::load(&engine, &spec).unwrap();
}
