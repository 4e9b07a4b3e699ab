//! Plugins that were built for an earlier contract run on this host, for ever.

use crate::support::check_cases;
use step_observer::plugin::{FileDigest, PluginEngine, PluginSource, PluginSpec};
use step_observer_tests::path;

/// Of `wit/v0.1/plugin.wit` as it was released. It does not change any more: what is added goes into
/// a new version (guest-sdk/wit/README.md).
const V0_1: &str = "61f96d21156150c8d0a35d8f9caaf821c86d86e025c52f6cb9f7291bd407c4d5";

#[test]
fn a_released_contract_does_not_change() {
    let contract = std::fs::read(path("../guest-sdk/wit/v0.1/plugin.wit")).unwrap();
    assert_eq!(FileDigest::compute(&contract).as_str(), V0_1);
}

#[test]
fn stored_plugins_of_every_version_give_their_stored_results() {
    let engine = PluginEngine::new().unwrap();
    let mut count = 0;
    for version in ["v0.1"] {
        for entry in std::fs::read_dir(path(&format!("corpus/{version}"))).unwrap() {
            let folder = entry.unwrap().path();
            let files = [folder.join("plugin.wasm"), folder.join("plugin.wasm.gz")];
            let Some(file) = files.into_iter().find(|file| file.exists()) else {
                continue;
            };
            let spec = PluginSpec::new("stored", PluginSource::File(file));
            check_cases(&engine, &spec, &folder.join("cases"));
            count += 1;
        }
    }
    assert_eq!(count, 6);
}
