//! Dropped-in plugins: parts, order, names, signatures.
use std::collections::BTreeMap;
use std::sync::Arc;
use step_observer::plugin::dropin::{
    Catalog, Origin, PackageFiles, PluginFolder, PluginState, SourceChange,
};
use step_observer::plugin::{FileDigest, Plugin, PluginEngine, PluginSource, PluginSpec};
use step_observer::plugin::{PublicKey, TrustConfig};
use step_observer_tests::path;
use step_observer_tests::plugins::{stamp, wat};

fn catalog(trust: TrustConfig, fixed: &[&str]) -> Catalog {
    let engine = PluginEngine::new().unwrap();
    let fixed = fixed.iter().map(|name| {
        let spec = PluginSpec::new(*name, PluginSource::bytes(stamp("fixed").as_bytes()));
        Arc::new(Plugin::load(&engine, &spec).unwrap())
    });
    Catalog::new(&engine, Arc::new(trust), fixed.collect(), 0)
}

/// Contents of files by name.
type Entries<'a> = &'a [(&'a str, &'a [u8])];

fn map(name: &str) -> Origin {
    Origin::ConfigMap {
        namespace: "observers".to_owned(),
        name: name.to_owned(),
    }
}

fn files(entries: &[(&str, &[u8])]) -> PackageFiles {
    let entries = entries.iter();
    entries
        .map(|(name, content)| ((*name).to_owned(), content.to_vec()))
        .collect()
}

fn offer(catalog: &mut Catalog, name: &str, entries: &[(&str, &[u8])]) {
    catalog.apply(SourceChange::Offered {
        origin: map(name),
        files: files(entries),
    });
    settle(catalog);
}

fn withdraw(catalog: &mut Catalog, name: &str) {
    catalog.apply(SourceChange::Withdrawn { origin: map(name) });
    settle(catalog);
}

fn settle(catalog: &mut Catalog) {
    while let Some(job) = catalog.next_job() {
        catalog.finish(job.run());
    }
}

/// Returns the names of the plugins that events pass, in order.
fn order(catalog: &Catalog) -> Vec<String> {
    let chain = catalog.roster().chain.unwrap();
    let plugins = chain.plugins().iter();
    plugins.map(|plugin| plugin.name().to_owned()).collect()
}

fn states(catalog: &Catalog) -> BTreeMap<String, (PluginState, String)> {
    let entries = catalog.roster().entries;
    let states = entries.iter().map(|entry| {
        let status = entry.status();
        let reason = status.refused.map(|refused| refused.reason);
        (status.name, (status.state, reason.unwrap_or_default()))
    });
    states.collect()
}

#[test]
fn plugins_stand_in_the_order_that_they_ask_for() {
    let mut catalog = catalog(TrustConfig::default(), &["configured"]);
    let stamp = stamp("stamp");
    let module = ("plugin.wat", stamp.as_bytes());
    offer(&mut catalog, "b", &[module]);
    offer(&mut catalog, "z", &[module, ("plugin.yaml", b"order: -1")]);
    offer(
        &mut catalog,
        "a",
        &[module, ("plugin.yaml", b"# nothing\n")],
    );
    assert_eq!(order(&catalog), ["configured", "z", "a", "b"]);
    offer(&mut catalog, "z", &[module, ("plugin.yaml", b"order: 1")]);
    assert_eq!(order(&catalog), ["configured", "a", "b", "z"]);
    withdraw(&mut catalog, "a");
    assert_eq!(order(&catalog), ["configured", "b", "z"]);
    assert_eq!(catalog.roster().chain.unwrap().generation(), 6);
}

#[test]
fn there_may_be_many_plugins_but_not_any_number() {
    let mut catalog = catalog(TrustConfig::default(), &[]);
    for number in 0..=256 {
        catalog.apply(SourceChange::Offered {
            origin: map(&format!("plugin-{number}")),
            files: files(&[("plugin.wasm", b"")]),
        });
    }
    let states = states(&catalog);
    let (state, reason) = &states["plugin-256"];
    assert_eq!(*state, PluginState::Rejected);
    assert!(reason.contains("256 ConfigMaps and files"), "{reason}");
}

#[test]
fn two_plugins_do_not_share_a_name() {
    let mut catalog = catalog(TrustConfig::default(), &["taken"]);
    let stamp = stamp("stamp");
    offer(&mut catalog, "taken", &[("plugin.wat", stamp.as_bytes())]);
    assert_eq!(order(&catalog), ["taken"]);
    let notices = catalog.notices();
    let reason = notices[0].outcome.clone().unwrap_err();
    assert_eq!(
        reason,
        "another plugin has this name already: the configuration"
    );
}

#[test]
fn a_module_in_pieces_waits_for_all_of_them() {
    let mut catalog = catalog(TrustConfig::default(), &[]);
    let pieces = |module: &[u8]| -> Vec<(String, Vec<u8>)> {
        let digest = FileDigest::compute(module);
        let third = module.len() / 3 + 1;
        let settings = |number: usize| {
            let own = if number == 1 { "\nconfig: x" } else { "" };
            format!(
                "plugin: large\npart: {number}/3\nsha256: {}{own}\n",
                digest.as_str()
            )
        };
        let pieces = module.chunks(third).enumerate();
        pieces
            .map(|(index, bytes)| (settings(index + 1), bytes.to_vec()))
            .collect()
    };
    let (old, new) = (stamp("old"), stamp("new"));
    for (index, (settings, bytes)) in pieces(old.as_bytes()).iter().enumerate() {
        let entries: [(&str, &[u8]); 2] =
            [("plugin.wat", bytes), ("plugin.yaml", settings.as_bytes())];
        offer(&mut catalog, &format!("large-{index}"), &entries);
        let (state, reason) = &states(&catalog)["large"];
        if index < 2 {
            let expected = format!("it is not complete: {} of 3 parts", index + 1);
            assert!(reason.starts_with(&expected), "{reason}");
            assert_eq!(*state, PluginState::Rejected);
            assert_eq!(order(&catalog), [""; 0]);
        } else {
            assert_eq!((*state, reason.as_str()), (PluginState::Loaded, ""));
        }
    }
    assert_eq!(order(&catalog), ["large"]);
    // An update may also arrive in parts. The previous version stays in use until the update is
    // complete.
    for (index, (settings, bytes)) in pieces(new.as_bytes()).iter().enumerate() {
        let entries: [(&str, &[u8]); 2] =
            [("plugin.wat", bytes), ("plugin.yaml", settings.as_bytes())];
        offer(&mut catalog, &format!("large-{index}"), &entries);
        let (state, reason) = &states(&catalog)["large"];
        if index < 2 {
            assert!(reason.contains("different modules (sha256)"), "{reason}");
            assert_eq!(*state, PluginState::LastGood);
        } else {
            assert_eq!(*state, PluginState::Loaded);
        }
        assert_eq!(order(&catalog), ["large"]);
    }
    withdraw(&mut catalog, "large-1");
    assert_eq!(states(&catalog)["large"].0, PluginState::LastGood);
    withdraw(&mut catalog, "large-0");
    withdraw(&mut catalog, "large-2");
    assert_eq!(order(&catalog), [""; 0]);
}

#[test]
fn a_mistake_in_a_piece_keeps_the_last_good_version() {
    let mut catalog = catalog(TrustConfig::default(), &[]);
    let module = stamp("large");
    let digest = FileDigest::compute(module.as_bytes());
    let (first, second) = module.as_bytes().split_at(300);
    for (key, bytes) in [
        ("plugin", first),
        ("plugin", second),
        ("plugn", first),
        ("plugn", second),
    ]
    .iter()
    .zip([1, 2, 1, 2])
    .map(|((key, bytes), number)| ((*key, number), *bytes))
    {
        let (key, number) = key;
        let settings = format!(
            "{key}: large\npart: {number}/2\nsha256: {}\n",
            digest.as_str()
        );
        let entries: [(&str, &[u8]); 2] =
            [("plugin.wat", bytes), ("plugin.yaml", settings.as_bytes())];
        offer(&mut catalog, &format!("large-{number}"), &entries);
    }
    let (state, reason) = &states(&catalog)["large"];
    assert_eq!(*state, PluginState::LastGood, "{reason}");
    assert!(reason.contains("one of them is refused"), "{reason}");
    assert_eq!(order(&catalog), ["large"]);
}

#[test]
fn a_plugin_that_goes_before_it_is_loaded_holds_nothing_back() {
    let engine = PluginEngine::new().unwrap();
    let mut catalog = Catalog::new(&engine, Arc::default(), Vec::new(), 1);
    let module = stamp("stamp");
    catalog.apply(SourceChange::Offered {
        origin: map("early"),
        files: files(&[("plugin.wat", module.as_bytes())]),
    });
    catalog.apply(SourceChange::Listed);
    catalog.apply(SourceChange::Withdrawn {
        origin: map("early"),
    });
    assert!(catalog.next_job().is_none());
    assert!(
        catalog.roster().chain.is_some(),
        "events would wait for ever"
    );
}

#[test]
fn a_stand_in_keeps_its_name_too() {
    let engine = PluginEngine::new().unwrap();
    let mut catalog = Catalog::new(&engine, Arc::default(), Vec::new(), 1);
    catalog.apply(SourceChange::Offered {
        origin: Origin::Folder("/z/same".to_owned()),
        files: files(&[("plugin.wat", b"(module)")]),
    });
    catalog.apply(SourceChange::Listed);
    settle(&mut catalog);
    assert_eq!(order(&catalog), ["same"]);
    offer(
        &mut catalog,
        "same",
        &[("plugin.wat", stamp("stamp").as_bytes())],
    );
    assert_eq!(order(&catalog), ["same"]);
    let chain = catalog.roster().chain.unwrap();
    assert!(chain.plugins()[0].not_loaded().is_some());
}

#[test]
fn a_live_plugin_keeps_its_name() {
    let mut catalog = catalog(TrustConfig::default(), &[]);
    let module = stamp("stamp");
    let folder = |path: &str| SourceChange::Offered {
        origin: Origin::Folder(path.to_owned()),
        files: files(&[("plugin.wat", module.as_bytes())]),
    };
    catalog.apply(folder("/z/same"));
    settle(&mut catalog);
    // Sorts before the other one.
    catalog.apply(folder("/a/same"));
    let late = catalog.next_job();
    assert!(late.is_none());
    assert_eq!(order(&catalog), ["same"]);
    let notices = catalog.notices();
    let refused = notices.last().unwrap();
    assert_eq!(refused.origin, Origin::Folder("/a/same".to_owned()));
    assert!(refused.outcome.is_err());
    // Once the name is free, the plugin that was refused takes it.
    catalog.apply(SourceChange::Withdrawn {
        origin: Origin::Folder("/z/same".to_owned()),
    });
    settle(&mut catalog);
    assert_eq!(order(&catalog), ["same"]);
}

#[test]
fn a_plugin_that_cannot_be_read_at_the_start_lets_nothing_through_and_keeps_no_other_from_being_read()
 {
    let place = tempfile::tempdir().unwrap();
    let link = place.path().join("redact.wasm");
    std::os::unix::fs::symlink("nowhere", &link).unwrap();
    std::fs::write(place.path().join("stamp.wat"), stamp("stamp")).unwrap();
    let mut folder = PluginFolder::new(place.path().to_owned());
    let engine = PluginEngine::new().unwrap();
    let mut catalog = Catalog::new(&engine, Arc::default(), Vec::new(), 1);
    let scan = folder.scan().unwrap();
    assert!(scan.complete);
    scan.changes
        .into_iter()
        .for_each(|change| catalog.apply(change));
    catalog.apply(SourceChange::Listed);
    settle(&mut catalog);
    let states_now = states(&catalog);
    assert_eq!(states_now["redact"].0, PluginState::StandIn);
    assert_eq!(states_now["stamp"].0, PluginState::Loaded);
    // A module in another file replaces the broken link. It counts as the same plugin.
    std::fs::remove_file(&link).unwrap();
    std::fs::write(place.path().join("redact.wat"), stamp("redact")).unwrap();
    folder
        .scan()
        .unwrap()
        .changes
        .into_iter()
        .for_each(|change| catalog.apply(change));
    settle(&mut catalog);
    assert_eq!(states(&catalog)["redact"].0, PluginState::Loaded);
    std::fs::rename(
        place.path().join("redact.wat"),
        place.path().join("redact.wasm"),
    )
    .unwrap();
    std::fs::write(place.path().join("redact.wasm"), "broken").unwrap();
    folder
        .scan()
        .unwrap()
        .changes
        .into_iter()
        .for_each(|change| catalog.apply(change));
    settle(&mut catalog);
    assert_eq!(states(&catalog)["redact"].0, PluginState::LastGood);
}

#[test]
fn a_change_during_a_load_discards_the_loaded_plugin() {
    let mut catalog = catalog(TrustConfig::default(), &[]);
    let (old, new) = (stamp("old"), stamp("new"));
    let change = |module: &String| SourceChange::Offered {
        origin: map("plugin"),
        files: files(&[("plugin.wat", module.as_bytes())]),
    };
    catalog.apply(change(&old));
    let obsolete = catalog.next_job().unwrap();
    catalog.apply(change(&new));
    catalog.finish(obsolete.run());
    assert_eq!(order(&catalog), [""; 0]);
    settle(&mut catalog);
    let entries = catalog.roster().entries;
    let loaded = entries[0].status().loaded.unwrap();
    let digest = FileDigest::compute(new.as_bytes());
    assert_eq!(loaded.sha256.unwrap(), digest.as_str());

    catalog.apply(change(&old));
    let obsolete = catalog.next_job().unwrap();
    catalog.apply(SourceChange::Withdrawn {
        origin: map("plugin"),
    });
    catalog.finish(obsolete.run());
    assert_eq!(order(&catalog), [""; 0]);
}

#[test]
fn a_file_that_is_no_plugin_is_refused_with_a_reason() {
    let mut catalog = catalog(TrustConfig::default(), &[]);
    let good = stamp("good");
    let crash = wat("", "(unreachable)");
    let cases: [(Entries<'_>, &str); 10] = [
        (&[], "there is no module: add it as plugin.wasm"),
        (
            &[("a.wasm", b""), ("b.wasm", b"")],
            "there are several modules (a.wasm, b.wasm)",
        ),
        (&[("plugin.wasm", b"no")], "does not begin with \\0asm"),
        (&[("plugin.wasm", b"")], "it is empty"),
        (
            &[("plugin.wat", good.as_bytes()), ("plugin.yaml", &[0xff])],
            "plugin.yaml is no text",
        ),
        (
            &[
                ("plugin.wat", good.as_bytes()),
                ("plugin.yaml", b"limits: {timeMs: 1}"),
            ],
            "plugin.yaml:1:18: limits.timeMs: 1 is not between 10 and 60000",
        ),
        (
            &[
                ("plugin.wat", good.as_bytes()),
                ("plugin.yaml", b"part: 4/3"),
            ],
            "part: not a part: write it like 1/3",
        ),
        (
            &[
                ("plugin.wat", good.as_bytes()),
                ("plugin.yaml", b"part: 1/3"),
            ],
            "part 1/3: `plugin` (its name) and `sha256`",
        ),
        (
            &[("plugin.wat", good.as_bytes()), ("plugin.yml", b"order: 1")],
            "`plugin.yml` is no file of a plugin",
        ),
        (
            &[("plugin.wat", crash.as_bytes())],
            "it fails its self-test: called on a sample event, it crashed",
        ),
    ];
    for (entries, expected) in cases {
        offer(&mut catalog, "bad", entries);
        let (state, reason) = &states(&catalog)["bad"];
        assert_eq!(*state, PluginState::Rejected);
        assert!(
            reason.contains(expected),
            "{reason}\n  expected: {expected}"
        );
    }
}

#[test]
fn signatures_and_pins_are_checked() {
    let read = |name: &str| std::fs::read(path(&format!("corpus/signed/{name}"))).unwrap();
    let key = |name: &str| PublicKey::try_from(String::from_utf8(read(name)).unwrap()).unwrap();
    let (module, signature) = (read("keep.wat"), read("keep.wat.minisig"));
    let trust = |keys: &[&str], require_signature| TrustConfig {
        require_signature,
        public_keys: keys.iter().map(|name| key(name)).collect(),
    };
    let altered = [&module[..], b";; and more\n"].concat();
    let signed: [(&str, &[u8]); 2] = [("keep.wat", &module), ("keep.wat.minisig", &signature)];
    let unsigned = &signed[..1];
    let forged: [(&str, &[u8]); 2] = [("keep.wat", &altered), signed[1]];
    let garbage: [(&str, &[u8]); 2] = [signed[0], ("keep.wat.minisig", b"garbage")];
    for (trust, entries, expected) in [
        (trust(&["author.pub"], true), &signed[..], ""),
        (trust(&["other.pub", "author.pub"], true), &signed[..], ""),
        (trust(&["author.pub"], false), unsigned, ""),
        (trust(&[], false), &forged[..], ""),
        (trust(&["author.pub"], true), unsigned, "it is not signed"),
        (
            trust(&["other.pub"], true),
            &signed[..],
            "none of trust.publicKeys made it",
        ),
        (trust(&[], true), &signed[..], "none of trust.publicKeys"),
        // A digest is optional, but must match if it is given.
        (
            trust(&["author.pub"], false),
            &forged[..],
            "its signature does not hold",
        ),
        (
            trust(&["author.pub"], true),
            &garbage[..],
            "it is no minisign signature",
        ),
    ] {
        let mut catalog = catalog(trust.clone(), &[]);
        offer(&mut catalog, "keep", entries);
        let (_, reason) = &states(&catalog)["keep"];
        let right = match expected {
            "" => reason.is_empty(),
            _ => reason.contains(expected),
        };
        assert!(right, "{trust:?}: {reason}\n  expected: {expected}");
    }

    let mut catalog = catalog(TrustConfig::default(), &[]);
    let pin = format!("sha256: {}\n", FileDigest::compute(&module).as_str());
    let settings = ("plugin.yaml", pin.as_bytes());
    offer(&mut catalog, "pinned", &[("keep.wat", &altered), settings]);
    let reason = &states(&catalog)["pinned"].1;
    assert!(reason.contains("its SHA-256 is"), "{reason}");
    offer(&mut catalog, "pinned", &[("keep.wat", &module), settings]);
    assert_eq!(states(&catalog)["pinned"].0, PluginState::Loaded);
}

#[test]
fn a_file_is_pinned_and_signed_by_the_file_beside_it() {
    let place = tempfile::tempdir().unwrap();
    for file in ["keep.wat", "keep.wat.minisig"] {
        let from = path(&format!("corpus/signed/{file}"));
        std::fs::copy(from, place.path().join(file)).unwrap();
    }
    let key = std::fs::read_to_string(path("corpus/signed/author.pub")).unwrap();
    let mut spec = PluginSpec::new("keep", PluginSource::File(place.path().join("keep.wat")));
    spec.trust = Arc::new(TrustConfig {
        require_signature: true,
        public_keys: vec![PublicKey::try_from(key).unwrap()],
    });
    let engine = PluginEngine::new().unwrap();
    Plugin::load(&engine, &spec).unwrap();
    std::fs::remove_file(place.path().join("keep.wat.minisig")).unwrap();
    let refused = Plugin::load(&engine, &spec).unwrap_err();
    assert!(
        refused.to_string().contains("deliver FILE.minisig"),
        "{refused}"
    );
    // A bundled plugin needs no signature.
    let bundled = PluginSource::Bundled("passthrough".to_owned());
    let spec = PluginSpec {
        trust: spec.trust,
        ..PluginSpec::new("bundled", bundled)
    };
    Plugin::load(&engine, &spec).unwrap();
}
