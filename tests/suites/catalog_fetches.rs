//! Dropped-in plugins whose modules are in registries: what is fetched when, and what events pass meanwhile.

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use step_observer::plugin::dropin::{
    Catalog, FetchJob, FetchedModule, MAX_ARTIFACT_BYTES, Origin, PackageFiles, PluginState,
    SourceChange,
};
use step_observer::plugin::{PluginEngine, TrustConfig};
use step_observer_tests::plugins::stamp;

const ONE: &str = "@sha256:1111111111111111111111111111111111111111111111111111111111111111";
const TWO: &str = "@sha256:2222222222222222222222222222222222222222222222222222222222222222";

/// Returns a catalog for plugins from these registries.
fn catalog(registries: &[&str], sources: usize) -> Catalog {
    let engine = PluginEngine::new().unwrap();
    let trust = Arc::new(TrustConfig::default());
    let registries = registries.iter().map(|text| text.parse().unwrap());
    Catalog::new(&engine, trust, Vec::new(), sources).with_registries(registries.collect())
}

fn map(name: &str) -> Origin {
    Origin::ConfigMap {
        namespace: "observers".to_owned(),
        name: name.to_owned(),
    }
}

fn offer_files(catalog: &mut Catalog, name: &str, files: &[(&str, &str)]) {
    let files = files.iter();
    let files: PackageFiles = files
        .map(|(file, text)| ((*file).to_owned(), text.as_bytes().to_vec()))
        .collect();
    let origin = map(name);
    catalog.apply(SourceChange::Offered { origin, files });
}

fn offer(catalog: &mut Catalog, name: &str, artifact: &str) {
    let settings = format!("from: {{oci: '{artifact}'}}\nconfig: {name}\n");
    offer_files(catalog, name, &[("plugin.yaml", &settings)]);
}

fn fetched(module: &[u8]) -> Result<FetchedModule, String> {
    Ok(FetchedModule {
        module: module.into(),
        signature: None,
    })
}

fn good() -> Result<FetchedModule, String> {
    fetched(stamp("team").as_bytes())
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn load(catalog: &mut Catalog) {
    while let Some(job) = catalog.next_job() {
        catalog.finish(job.run());
    }
}

/// Returns state and reason of each plugin.
fn states(catalog: &Catalog) -> BTreeMap<String, (PluginState, String)> {
    let entries = catalog.roster().entries;
    let states = entries.iter().map(|entry| {
        let status = entry.status();
        let reason = status.refused.map(|refusal| refusal.reason);
        (status.name, (status.state, reason.unwrap_or_default()))
    });
    states.collect()
}

fn chain(catalog: &Catalog) -> Option<Vec<String>> {
    let chain = catalog.roster().chain?;
    let names = chain
        .plugins()
        .iter()
        .map(|plugin| plugin.name().to_owned());
    Some(names.collect())
}

#[test]
fn a_module_of_a_registry_takes_its_place_once_it_is_fetched() {
    let mut catalog = catalog(&["registry.example/team"], 0);
    let artifact = format!("registry.example/team/filter:1.0{ONE}");
    offer(&mut catalog, "filter", &artifact);
    assert!(catalog.next_job().is_none());
    assert_eq!(states(&catalog)["filter"].0, PluginState::Fetching);
    assert_eq!(chain(&catalog).unwrap(), [""; 0]);
    let job = catalog.next_fetch(seconds(0)).unwrap();
    assert_eq!(job.artifact().to_string(), artifact);
    assert!(catalog.next_fetch(seconds(0)).is_none());
    catalog.fetched(job.done(good()), seconds(1), 0.5);
    assert_eq!(states(&catalog)["filter"].0, PluginState::Loading);
    load(&mut catalog);
    assert_eq!(chain(&catalog).unwrap(), ["filter"]);
    let entries = catalog.roster().entries;
    let loaded = entries[0].status().loaded.unwrap();
    assert_eq!(loaded.artifact.as_deref(), Some(&*artifact));
    assert!(catalog.next_fetch(seconds(999)).is_none());
}

#[test]
fn a_failed_fetch_is_repeated_with_growing_pauses_and_the_version_before_stays() {
    let mut catalog = catalog(&["registry.example"], 0);
    offer(&mut catalog, "filter", &format!("registry.example/a{ONE}"));
    let job = catalog.next_fetch(seconds(0)).unwrap();
    catalog.fetched(job.done(good()), seconds(0), 1.0);
    load(&mut catalog);
    catalog.notices();
    offer(&mut catalog, "filter", &format!("registry.example/a{TWO}"));
    let mut now = seconds(10);
    for pause in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
        let job = catalog.next_fetch(now).unwrap();
        catalog.fetched(job.done(Err("it is down".to_owned())), now, 1.0);
        assert_eq!(catalog.next_fetch_time(now), Some(now + seconds(pause)));
        now += seconds(pause);
        assert!(
            catalog
                .next_fetch(now.checked_sub(Duration::from_nanos(1)).unwrap())
                .is_none()
        );
    }
    let (state, reason) = states(&catalog)["filter"].clone();
    assert_eq!(state, PluginState::LastGood);
    assert_eq!(reason, "it cannot be pulled: it is down; it is tried again");
    assert_eq!(chain(&catalog).unwrap(), ["filter"]);
    // One for all attempts.
    let notices = catalog.notices();
    assert_eq!(notices.len(), 1, "{notices:?}");
    let outcome = notices[0].outcome.clone().unwrap_err();
    assert!(outcome.ends_with(" stays"), "{outcome}");
    let job = catalog.next_fetch(now).unwrap();
    catalog.fetched(job.done(good()), now, 0.0);
    load(&mut catalog);
    assert_eq!(
        states(&catalog)["filter"],
        (PluginState::Loaded, String::new())
    );
}

const REGISTRIES: [&str; 5] = [
    "a.example",
    "b.example",
    "c.example",
    "d.example",
    "e.example",
];

#[test]
fn a_slow_registry_delays_no_other() {
    let mut catalog = catalog(&REGISTRIES, 0);
    for number in 0..200 {
        let artifact = format!("a.example/{number}{ONE}");
        offer(&mut catalog, &format!("a{number:03}"), &artifact);
    }
    let slow = catalog.next_fetch(seconds(0)).unwrap();
    assert!(catalog.next_fetch(seconds(0)).is_none());
    offer(&mut catalog, "z", &format!("b.example/z{ONE}"));
    let quick = catalog.next_fetch(seconds(0)).unwrap();
    assert_eq!(quick.name(), "z");
    catalog.fetched(quick.done(good()), seconds(0), 0.5);
    load(&mut catalog);
    assert_eq!(chain(&catalog).unwrap(), ["z"]);
    catalog.fetched(slow.done(Err("slow".to_owned())), seconds(60), 0.5);
    // A plugin that was not tried yet comes before one that failed, even if the pause of that one is over.
    let next = catalog.next_fetch(seconds(90)).unwrap();
    assert_eq!(next.name(), "a001");
    drop(next);
    for registry in &REGISTRIES[1..] {
        let artifact = format!("{registry}/more{ONE}");
        offer(&mut catalog, &format!("more-{registry}"), &artifact);
    }
    let running = std::iter::from_fn(|| catalog.next_fetch(seconds(90)));
    assert_eq!(
        running.count(),
        3,
        "four at a time, with the one of a.example"
    );
}

#[test]
fn modules_that_wait_for_their_load_bound_what_is_fetched() {
    let mut catalog = catalog(&REGISTRIES, 0);
    for registry in REGISTRIES {
        offer(&mut catalog, &registry[..1], &format!("{registry}/x{ONE}"));
    }
    let large: Arc<[u8]> = vec![0; usize::try_from(MAX_ARTIFACT_BYTES).unwrap()].into();
    let mut jobs: Vec<FetchJob> = std::iter::from_fn(|| catalog.next_fetch(seconds(0))).collect();
    assert_eq!(jobs.len(), 4);
    for job in jobs.drain(..) {
        let module = large.clone();
        let signature = None;
        let done = job.done(Ok(FetchedModule { module, signature }));
        catalog.fetched(done, seconds(0), 0.5);
        assert!(catalog.next_fetch(seconds(0)).is_none());
    }
    // Refused, and no longer in memory.
    let load = catalog.next_job().unwrap();
    catalog.finish(load.run());
    assert_eq!(catalog.next_fetch(seconds(0)).unwrap().name(), "e");
}

#[test]
fn the_first_events_wait_for_fetches_for_a_bounded_time_only() {
    let mut catalog = catalog(&["registry.example", "other.example"], 1);
    offer(&mut catalog, "quick", &format!("registry.example/a{ONE}"));
    offer(&mut catalog, "slow", &format!("other.example/b{ONE}"));
    assert!(!catalog.waits_for_fetches(), "not everything is listed");
    catalog.apply(SourceChange::Listed);
    assert!(catalog.waits_for_fetches());
    let jobs: Vec<_> = std::iter::from_fn(|| catalog.next_fetch(seconds(0))).collect();
    let [quick, slow] = jobs.try_into().unwrap();
    assert_eq!((quick.name(), slow.name()), ("quick", "slow"));
    catalog.fetched(quick.done(good()), seconds(1), 0.5);
    load(&mut catalog);
    assert_eq!(chain(&catalog), None);
    catalog.stop_waiting_for_fetches();
    // The one that is missing may be one that redacts.
    assert_eq!(chain(&catalog).unwrap(), ["quick", "slow"]);
    let (state, reason) = states(&catalog)["slow"].clone();
    assert_eq!(state, PluginState::StandIn);
    assert_eq!(reason, "it is not fetched from its registry yet");
    catalog.fetched(slow.done(good()), seconds(30), 0.5);
    load(&mut catalog);
    assert_eq!(states(&catalog)["slow"].0, PluginState::Loaded);
}

#[test]
fn the_first_events_do_not_wait_for_a_second_attempt() {
    let mut catalog = catalog(&["registry.example"], 1);
    catalog.apply(SourceChange::Listed);
    assert_eq!(chain(&catalog).unwrap(), [""; 0]);
    let mut catalog = self::catalog(&["registry.example"], 1);
    offer(&mut catalog, "filter", &format!("registry.example/a{ONE}"));
    catalog.apply(SourceChange::Listed);
    let job = catalog.next_fetch(seconds(0)).unwrap();
    assert_eq!(chain(&catalog), None);
    catalog.fetched(job.done(Err("it is down".to_owned())), seconds(1), 0.5);
    assert_eq!(chain(&catalog).unwrap(), ["filter"]);
    assert_eq!(states(&catalog)["filter"].0, PluginState::StandIn);
}

#[test]
fn what_was_changed_or_removed_while_it_was_fetched_is_discarded() {
    let mut catalog = catalog(&["registry.example"], 0);
    offer(&mut catalog, "filter", &format!("registry.example/a{ONE}"));
    let old = catalog.next_fetch(seconds(0)).unwrap();
    offer(&mut catalog, "filter", &format!("registry.example/a{TWO}"));
    assert!(catalog.next_fetch(seconds(0)).is_none(), "one at a time");
    catalog.fetched(old.done(good()), seconds(0), 0.5);
    assert!(catalog.next_job().is_none());
    let new = catalog.next_fetch(seconds(0)).unwrap();
    assert!(new.artifact().to_string().ends_with(TWO));
    let origin = map("filter");
    catalog.apply(SourceChange::Withdrawn { origin });
    catalog.fetched(new.done(good()), seconds(0), 0.5);
    assert!(catalog.next_job().is_none() && states(&catalog).is_empty());
    // A module in the ConfigMap itself replaces one that is being fetched.
    offer(&mut catalog, "filter", &format!("registry.example/a{ONE}"));
    let job = catalog.next_fetch(seconds(0)).unwrap();
    offer_files(&mut catalog, "filter", &[("plugin.wat", &stamp("team"))]);
    catalog.fetched(job.done(Err("it is down".to_owned())), seconds(0), 0.5);
    load(&mut catalog);
    assert_eq!(states(&catalog)["filter"].0, PluginState::Loaded);
}

#[test]
fn only_pinned_modules_of_listed_registries_are_fetched() {
    let mut catalog = catalog(&["registry.example/team", "127.0.0.1:5000"], 0);
    let from = |artifact: &str| format!("from: {{oci: '{artifact}'}}\n");
    let pinned = from(&format!("registry.example/team/a{ONE}"));
    let digest = "1".repeat(64);
    for (files, expected) in [
        (
            vec![(
                "plugin.yaml",
                from(&format!("registry.example/other/a{ONE}")),
            )],
            "plugins must not come from registry.example/other/a: the operator lists registries in dropIn.registries",
        ),
        (
            vec![(
                "plugin.yaml",
                from(&format!("registry.example/team-b{ONE}")),
            )],
            "plugins must not come from registry.example/team-b",
        ),
        (
            vec![("plugin.yaml", from(&format!("localhost:5000/a{ONE}")))],
            "plugins must not come from localhost:5000/a",
        ),
        (
            vec![("plugin.yaml", from("registry.example/team/a:1.0"))],
            "the digest is missing: write registry.example/name@sha256:…",
        ),
        (
            vec![("plugin.yaml", from("/etc/passwd"))],
            "is no host of a registry",
        ),
        (
            vec![("plugin.yaml", "from: {file: /a.wasm}\n".to_owned())],
            "from",
        ),
        (
            vec![
                ("plugin.yaml", pinned.clone()),
                ("plugin.wasm", String::new()),
            ],
            "`from` names a module in a registry, and plugin.wasm is another: keep one",
        ),
        (
            vec![
                ("plugin.yaml", pinned.clone()),
                ("plugin.wasm.minisig", String::new()),
            ],
            "`plugin.wasm.minisig` is no file of a plugin",
        ),
        (
            vec![(
                "plugin.yaml",
                format!("{pinned}plugin: x\npart: 1/1\nsha256: '{digest}'\n"),
            )],
            "`from` names a whole module, so it cannot be in a part",
        ),
        (
            vec![("plugin.yaml", "order: 1\n".to_owned())],
            "there is no module: add it as plugin.wasm",
        ),
    ] {
        let files: Vec<_> = files.iter().map(|(name, text)| (*name, &**text)).collect();
        offer_files(&mut catalog, "filter", &files);
        let (state, reason) = states(&catalog)["filter"].clone();
        assert_eq!(state, PluginState::Rejected, "{files:?}");
        assert!(reason.contains(expected), "{reason} for {files:?}");
        assert!(catalog.next_fetch(seconds(999)).is_none(), "{files:?}");
    }
    offer(&mut catalog, "filter", &format!("127.0.0.1:5000/a{ONE}"));
    assert!(catalog.next_fetch(seconds(0)).is_some());
}

#[derive(Clone, Debug)]
enum Step {
    Offer {
        plugin: usize,
        registry: usize,
        two: bool,
    },
    Withdraw {
        plugin: usize,
    },
    End {
        fetch: usize,
        good: bool,
    },
    Wait {
        seconds: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..8_usize, 0..6_usize, any::<bool>())
            .prop_map(|(plugin, registry, two)| Step::Offer { plugin, registry, two }),
        1 => (0..8_usize).prop_map(|plugin| Step::Withdraw { plugin }),
        3 => (0..4_usize, any::<bool>()).prop_map(|(fetch, good)| Step::End { fetch, good }),
        1 => (0..400_u64).prop_map(|seconds| Step::Wait { seconds }),
    ];
    proptest::collection::vec(step, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn in_any_order_the_bounds_hold_and_every_module_is_fetched_in_the_end(steps in steps()) {
        let registries: Vec<String> = (0..6).map(|number| format!("r{number}.example")).collect();
        let scopes: Vec<&str> = registries.iter().map(String::as_str).collect();
        let mut catalog = catalog(&scopes, 0);
        let (mut now, mut running) = (seconds(0), Vec::<FetchJob>::new());
        let mut wanted = BTreeSet::new();
        for step in steps {
            match step {
                Step::Offer { plugin, registry, two } => {
                    let artifact = format!("{}/a{}", registries[registry], if two { TWO } else { ONE });
                    offer(&mut catalog, &format!("p{plugin}"), &artifact);
                    wanted.insert(plugin);
                }
                Step::Withdraw { plugin } => {
                    catalog.apply(SourceChange::Withdrawn { origin: map(&format!("p{plugin}")) });
                    wanted.remove(&plugin);
                }
                Step::End { fetch, good } if fetch < running.len() => {
                    let result = if good { fetched(b"x") } else { Err("it is down".to_owned()) };
                    catalog.fetched(running.swap_remove(fetch).done(result), now, 0.5);
                }
                Step::End { .. } => {}
                Step::Wait { seconds: waited } => now += seconds(waited),
            }
            running.extend(std::iter::from_fn(|| catalog.next_fetch(now)));
            let distinct: BTreeSet<_> = running.iter().map(|job| job.artifact().registry()).collect();
            prop_assert!(running.len() <= 4 && distinct.len() == running.len());
        }
        // Everything is answered now, and nothing waits for longer than the longest pause.
        for _ in 0..100 {
            now += seconds(300);
            running.extend(std::iter::from_fn(|| catalog.next_fetch(now)));
            for job in running.drain(..) {
                catalog.fetched(job.done(fetched(b"x")), now, 0.5);
            }
        }
        prop_assert_eq!(catalog.next_fetch_time(now), None);
        let found = states(&catalog);
        prop_assert_eq!(found.len(), wanted.len());
        prop_assert!(found.values().all(|(state, _)| *state != PluginState::Fetching));
        let jobs = std::iter::from_fn(|| catalog.next_job());
        prop_assert_eq!(jobs.count(), wanted.len());
    }
}
