//! Plugins that were built for an earlier contract run on every later host of 0.1.
use std::collections::BTreeMap;
use step_observer::plugin::{FileDigest, PluginEngine, PluginSource, PluginSpec};
use step_observer_event_model::contract::VERSIONS;
use step_observer_tests::path;
use step_observer_tests::plugins::check_cases;

/// Released versions with the digests of their texts, which never change: additions go into the
/// next version (guest-sdk/wit/README.md).
const RELEASED: [(&str, &str); 1] = [(
    "0.1.0",
    "61f96d21156150c8d0a35d8f9caaf821c86d86e025c52f6cb9f7291bd407c4d5",
)];

#[test]
fn a_released_contract_does_not_change() {
    for (released, digest) in RELEASED {
        let (_, wit) = VERSIONS
            .into_iter()
            .find(|(version, _)| *version == released)
            .unwrap();
        assert_eq!(FileDigest::compute(wit.as_bytes()).as_str(), digest);
    }
}

#[test]
fn a_later_contract_only_adds_to_an_earlier_one() {
    for (before, after) in VERSIONS.iter().zip(VERSIONS.iter().skip(1)) {
        assert_eq!(additions(before.1, after.1).err(), None, "{}", after.0);
    }
    // Tests the rule with invented versions, because `VERSIONS` contains only released ones.
    let (_, now) = VERSIONS[0];
    let with = |old: &str, new: &str| {
        assert_eq!(now.matches(old).count(), 1, "{old}");
        additions(now, &now.replace(old, new))
    };
    let log = "    log: func(level: level, message: string);\n";
    let allowed = with(
        log,
        &format!("{log}    enabled: func(level: level) -> bool;\n"),
    );
    assert_eq!(
        allowed,
        Ok(vec![
            "interface logging: enabled: func(level: level) -> bool;".to_owned()
        ])
    );
    let imports = "    import logging;\n";
    assert!(with(imports, &format!("{imports}    import clock;\n")).is_ok());
    for (old, new) in [
        // An added field, an added case, a changed signature, a removed function, and one more
        // export of `transform`.
        (
            "        exit-code: option<s32>,\n",
            "        exit-code: option<s32>,\n        signal: option<s32>,\n",
        ),
        ("        skipped,\n", "        skipped,\n        waiting,\n"),
        (log, "    log: func(level: level, message: list<u8>);\n"),
        (log, ""),
        (
            "    configure: func(config: string) -> result<setup, string>;\n",
            "    configure: func(config: string) -> result<setup, string>;\n    finish: func();\n",
        ),
    ] {
        assert!(with(old, new).is_err(), "{new}");
    }
}

/// Lists the additions of one text of the contract to another.
///
/// # Errors
///
/// The first change that is not an addition allowed in 0.1.z.
fn additions(before: &str, after: &str) -> Result<Vec<String>, String> {
    let (before, after) = (blocks(before), blocks(after));
    let mut added = Vec::new();
    for (block, lines) in &before {
        let Some(now) = after.get(block) else {
            return Err(format!("{block} is missing"));
        };
        if let Some(missing) = lines.iter().find(|line| !now.contains(line)) {
            return Err(format!("{block}: `{missing}` is missing"));
        }
        let functions_may_come = block.starts_with("interface ")
            && !block.starts_with("interface transform")
            && (!block.contains(" / ") || block.contains(" / resource "));
        for line in now.iter().filter(|line| !lines.contains(line)) {
            let is_allowed = match block.starts_with("world ") {
                true => line.starts_with("import ") || line.starts_with("export "),
                false => functions_may_come && line.contains(": func("),
            };
            if !is_allowed {
                return Err(format!("{block}: `{line}` may not come"));
            }
            added.push(format!("{block}: {line}"));
        }
    }
    let in_old_interface = |block: &&String| {
        let interface = block.split(" / ").next().unwrap();
        before.contains_key(interface)
    };
    let mut new = after.keys().filter(|block| !before.contains_key(*block));
    match new.find(in_old_interface) {
        Some(block) => Err(format!("{block} may not come")),
        None => Ok(added),
    }
}

/// Returns the lines of each block of a text, without comments and the version. The key of a block
/// consists of its header and the headers of the blocks around it.
fn blocks(wit: &str) -> BTreeMap<String, Vec<&str>> {
    let (mut blocks, mut open) = (BTreeMap::new(), Vec::new());
    let lines = wit.lines().map(str::trim);
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with("//")) {
        if let Some(header) = line.strip_suffix(" {") {
            open.push(header);
            blocks.insert(open.join(" / "), Vec::new());
        } else if line == "}" {
            open.pop();
        } else if !open.is_empty() {
            blocks.get_mut(&open.join(" / ")).unwrap().push(line);
        }
    }
    blocks
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
