//! Plugins share one memory budget. A plugin during whose calls the process died is refused.
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use step_observer::bounded::Bounded;
use step_observer::plugin::dropin::{Catalog, Origin, PluginState, SourceChange};
use step_observer::plugin::{
    CallFailure, Chain, ChainPool, LimitCeiling, Limits, MemoryBudget, OnError, Outcome,
    PluginEngine, PluginSource, PluginSpec, default_plugin_memory,
};
use step_observer_tests::admin::get;
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::events::{example_event, finished_run, plugin_config_map};
use step_observer_tests::guest;
use step_observer_tests::observer::{Observer, UNLIMITED_LOOK_BACK};
use step_observer_tests::plugins::{RELEASE, spec, wat};
use step_observer_tests::sink::{HttpSink, PATIENCE};

const MIB: u64 = 1024 * 1024;
/// `resources.limits.memory` in deploy/base/deployment.yaml.
const MANIFEST: u64 = 256 * MIB;

/// Returns a guest that allocates `pages` pages of 64 KiB, writes to all of them, and continues
/// with `then`.
fn hoarder(pages: u32, then: &str) -> String {
    let end = (pages + 2) * 65536;
    wat(
        "",
        &format!(
            "(local $at i32)
             (if (i32.eq (memory.grow (i32.const {pages})) (i32.const -1)) (then (unreachable)))
             (local.set $at (i32.const 131072))
             (loop $more
               (i32.store (local.get $at) (i32.const 1))
               (local.set $at (i32.add (local.get $at) (i32.const 4096)))
               (br_if $more (i32.lt_u (local.get $at) (i32.const {end}))))
             {then}"
        ),
    )
}

/// Returns a guest that allocates all memory that the default limit of 64 MiB allows.
fn greedy() -> String {
    hoarder(1000, &format!("{RELEASE} (call $keep)"))
}

fn engine(total: u64) -> PluginEngine {
    PluginEngine::new()
        .unwrap()
        .with_memory_budget(MemoryBudget::new(total))
}

fn chain(engine: &PluginEngine, spec: PluginSpec) -> Arc<Chain> {
    Arc::new(Chain::load(engine, &[spec]).unwrap())
}

fn redactor() -> PluginSpec {
    PluginSpec::new("redact", PluginSource::File(guest("redact-secrets")))
}

fn large(name: &str, module: &str) -> PluginSpec {
    spec(name, module).with_settings(|settings| {
        settings.limits = Limits {
            time_ms: Bounded::new(60_000),
            ..Limits::default()
        };
    })
}

#[tokio::test]
async fn a_plugin_that_takes_all_it_may_in_every_thread_fails_no_other_and_waits_for_itself() {
    let engine = engine(default_plugin_memory(Some(MANIFEST)));
    let hostile = chain(&engine, large("greedy", &greedy()));
    let innocent = chain(&engine, redactor());
    // The memory of a call is measured before the first event, as for every loaded plugin.
    hostile.plugins()[0].self_test(&engine).unwrap();
    let pool = ChainPool::new(ChainPool::THREADS).unwrap();
    let attacks =
        (0..2 * ChainPool::THREADS).map(|_| pool.process(hostile.clone(), example_event()));
    let attacks = futures::future::join_all(attacks);
    let over = AtomicBool::new(false);
    let attack = async {
        let outcomes = attacks.await;
        over.store(true, Ordering::Relaxed);
        outcomes
    };
    let neighbours = async {
        let mut passed = 0;
        while !over.load(Ordering::Relaxed) {
            let outcome = pool
                .process(innocent.clone(), example_event())
                .await
                .unwrap();
            let Outcome::Deliver(_, report) = outcome else {
                panic!()
            };
            assert!(report.failures().next().is_none(), "{report:?}");
            passed += 1;
        }
        passed
    };
    let watching = async {
        while !over.load(Ordering::Relaxed) {
            assert!(engine.budget().shared_in_use() <= engine.budget().total());
            tokio::task::yield_now().await;
        }
    };
    let (outcomes, passed, ()) = futures::join!(attack, neighbours, watching);
    // The calls run one after the other, because there is memory for one call at a time: each gets
    // its full limit.
    for outcome in outcomes {
        let Outcome::Deliver(_, report) = outcome.unwrap() else {
            panic!()
        };
        assert!(report.failures().next().is_none(), "{report:?}");
    }
    assert!(passed > ChainPool::THREADS, "{passed}");
    assert_eq!(engine.budget().shared_in_use(), 0);
    assert!(hostile.plugins()[0].counts().peak_memory_bytes > 62 * MIB);
    assert!(innocent.plugins()[0].counts().peak_memory_bytes < 3 * MIB / 2);
}

#[test]
fn a_call_that_gets_no_memory_in_its_time_fails_by_name_and_on_error_decides() {
    let engine = engine(32 * MIB);
    let forever = "(loop $again (br $again)) (unreachable)";
    let mut holds = large("holds", &hoarder(320, forever));
    holds.settings.limits.time_ms = Bounded::new(2000);
    let holds = chain(&engine, holds);
    let mut wants = large("wants", &hoarder(320, &format!("{RELEASE} (call $keep)")));
    wants.settings.limits.time_ms = Bounded::new(200);
    wants.settings.on_error = Some(OnError::Drop);
    let wants = chain(&engine, wants);
    std::thread::scope(|scope| {
        let holding = scope.spawn(|| holds.process(example_event()));
        let began = std::time::Instant::now();
        while engine.budget().shared_in_use() < 19 * MIB {
            let waited = began.elapsed();
            assert!(
                waited < step_observer_tests::sink::PATIENCE,
                "the calls do not take their memory"
            );
            std::thread::yield_now();
        }
        let began = Instant::now();
        let Outcome::Dropped(report) = wants.process(example_event()) else {
            panic!()
        };
        assert!(began.elapsed() >= Duration::from_millis(200));
        let expected = CallFailure::SharedMemory {
            waited_ms: 200,
            total: 32 * MIB,
        };
        assert_eq!(report.failures().next().unwrap().1, &expected);
        let (_, reason) = report.dropped().unwrap();
        assert!(reason.contains("pluginMemory.totalBytes"), "{reason}");
        assert_eq!(
            wants.plugins()[0].counts().failed.get("sharedMemory"),
            Some(&1)
        );
        drop(holding.join().unwrap());
    });
    // The memory is returned after every outcome.
    assert_eq!(engine.budget().shared_in_use(), 0);
    drop((holds, wants));
    let outcome = chain(&engine, {
        let module = hoarder(320, &format!("{RELEASE} (call $keep)"));
        large("again", &module)
    });
    assert!(
        matches!(outcome.process(example_event()), Outcome::Deliver(_, report) if report.failures().next().is_none())
    );
}

#[test]
fn data_passed_between_host_and_plugin_counts_as_memory() {
    // A list of zeros, whose parsed form is many times larger than its text.
    let items = "(data (i32.const 64) \"/aaaaa\")
        (import \"step-observer:plugin/events@0.1.0\" \"[method]event.set\"
          (func $set (param i32 i32 i32 i32 i32 i32 i32)))";
    let module = wat(
        "(data (i32.const 64) \"/aaaaa\")",
        &format!(
            "(local $at i32)
             (drop (memory.grow (i32.const 14)))
             (local.set $at (i32.const 131072))
             (i32.store8 (local.get $at) (i32.const 91))
             (loop $more
               (i32.store8 (i32.add (local.get $at) (i32.const 1)) (i32.const 48))
               (i32.store8 (i32.add (local.get $at) (i32.const 2)) (i32.const 44))
               (local.set $at (i32.add (local.get $at) (i32.const 2)))
               (br_if $more (i32.lt_u (local.get $at) (i32.const 1031072))))
             (i32.store8 (local.get $at) (i32.const 93))
             (call $set (local.get $event) (i32.const 64) (i32.const 6) (i32.const 1) (i32.const 131072)
               (i32.const 900001) (i32.const 4096))
             {RELEASE} (call $keep)"
        ),
    );
    // Imports stand first in a module.
    let import = items.split_once('\n').unwrap().1;
    let module = module.replacen("(module", &format!("(module {import}"), 1);
    let engine = engine(16 * MIB);
    let mut list = large("list", &module);
    list.settings.limits.time_ms = Bounded::new(100);
    let Outcome::Deliver(_, report) = chain(&engine, list).process(example_event()) else {
        panic!()
    };
    assert_eq!(report.failures().next().unwrap().1.label(), "sharedMemory");
    let engine = self::engine(1024 * MIB);
    let list = chain(&engine, large("list", &module));
    let Outcome::Deliver(after, report) = list.process(example_event()) else {
        panic!()
    };
    assert!(report.failures().next().is_none(), "{report:?}");
    let data = after.event.data().unwrap().to_string();
    assert!(data.contains("[0,0,0,"));
}

#[test]
fn machine_code_that_has_no_room_is_refused() {
    let engine = engine(16 * MIB);
    let held = "(data (i32.const 131072) \"x\")";
    let module = wat(held, &format!("{RELEASE} (call $keep)"))
        .replace("(export \"memory\") 2)", "(export \"memory\") 500)");
    // Memory that `configure` fills is stored with the compiled code.
    let fills = module.replace(
        "(i32.store8 (i32.const 1024) (i32.const 0))",
        "(i32.store8 (i32.const 1024) (i32.const 0))
         (memory.fill (i32.const 131072) (i32.const 7) (i32.const 30000000))",
    );
    let mut large = large("large", &fills);
    large.settings.limits.configure_ms = Bounded::new(60_000);
    let refused = Chain::load(&engine, &[large]).unwrap_err().to_string();
    assert!(
        refused.contains("its machine code and configured memory"),
        "{refused}"
    );
    assert!(Chain::load(&engine, &[spec("small", &wat("", "(unreachable)"))]).is_ok());
}

/// Returns the peak memory of a process in bytes.
fn peak_of(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn a_greedy_plugin_that_is_dropped_in_leaves_the_observer_below_the_limit_of_its_manifest() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let greedy = greedy();
    server.put(plugin_config_map(
        "greedy",
        &[("plugin.wat", greedy.as_bytes())],
    ));
    let config = format!(
        "{UNLIMITED_LOOK_BACK}pluginMemory: {{totalBytes: {}}}\n",
        96 * MIB
    );
    let args = [
        "--plugin-namespace",
        "observers",
        "--plugin",
        "bundled:redact-secrets",
        "--to",
        &sink.url,
    ];
    let observer = Observer::with_config(&server, &config, &args);
    server.wait_for_watches(3).await;
    server.wait_for_note("PluginLoaded").await;
    const RUNS: usize = 40;
    for number in 0..RUNS {
        let token = "ghp_0123456789abcdefABCDEF0123456789abcd";
        let run = serde_json::to_string(&finished_run(number)).unwrap();
        let run: Vec<Value> = serde_json::from_str(&run.replace("echo hello1", token)).unwrap();
        run.iter().for_each(|event| server.play(event));
    }
    sink.wait_for(2 * RUNS).await;
    let peak = peak_of(observer.child.id().unwrap());
    assert!(peak < MANIFEST, "{} MiB", peak / MIB);
    for request in sink.requests() {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        assert!(!body.contains("ghp_0123"), "{body}");
        assert!(!request.header("ce-pluginerror").contains("redact"));
    }
    observer.stop().await;
}

fn map(name: &str) -> Origin {
    Origin::ConfigMap {
        namespace: "observers".to_owned(),
        name: name.to_owned(),
    }
}

fn offer(catalog: &mut Catalog, settings: &str) {
    let keep = wat("", &format!("{RELEASE} (call $keep)"));
    let files = [("plugin.wat", keep.as_str()), ("plugin.yaml", settings)];
    let files = files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
    catalog.apply(SourceChange::Offered {
        origin: map("asks"),
        files: files.into(),
    });
    while let Some(job) = catalog.next_job() {
        catalog.finish(job.run());
    }
}

#[test]
fn a_plugin_that_asks_for_more_than_the_operator_allows_is_refused_with_the_reason() {
    let engine = PluginEngine::new().unwrap();
    let ceiling = LimitCeiling {
        memory_bytes: Bounded::new(16 * MIB),
        ..LimitCeiling::default()
    };
    let catalog = || {
        let catalog = Catalog::new(&engine, Arc::default(), Vec::new(), 0);
        catalog.with_ceiling(ceiling.clone())
    };
    for (settings, expected) in [
        (
            "limits: {timeMs: 2001}",
            "limits.timeMs is 2001, and the operator allows",
        ),
        (
            "limits: {memoryBytes: 16777217}",
            "(dropIn.limits.memoryBytes)",
        ),
        // The default limit exceeds the operator's limit.
        ("", "limits.memoryBytes is 67108864"),
        (
            "limits: {memoryBytes: 65536, outputBytes: 4194305}",
            "at most 4194304",
        ),
    ] {
        let mut catalog = catalog();
        offer(&mut catalog, settings);
        let reason = catalog.notices().remove(0).outcome.unwrap_err();
        assert!(reason.contains(expected), "{reason}");
    }
    let mut catalog = catalog();
    offer(
        &mut catalog,
        "limits: {memoryBytes: 16777216, timeMs: 2000}",
    );
    let loaded = |catalog: &Catalog| catalog.roster().entries[0].status().state;
    assert_eq!(loaded(&catalog), PluginState::Loaded);
    // A later version that requests more changes nothing.
    offer(
        &mut catalog,
        "limits: {memoryBytes: 16777216, timeMs: 2001}",
    );
    assert_eq!(loaded(&catalog), PluginState::LastGood);
}

/// Waits until the file `plugin-calls` in the journal's folder contains a running call.
async fn call_runs(observer: &mut Observer, journal: &Path) {
    // When this line is logged, the file `plugin-calls` of the previous process has been evaluated.
    observer.wait_for_log("admin server listening").await;
    let file = journal.join("plugin-calls");
    let running = async {
        loop {
            let bytes = std::fs::read(&file).unwrap_or_default();
            let mut slots = bytes.get(128..128 + 32 * 64).unwrap_or_default().chunks(64);
            if slots.any(|slot| slot[40] == 1) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, running).await.unwrap();
}

/// Returns a plugin whose calls never end by themselves. The process can be killed during such a
/// call, until the call's time is over.
fn endless() -> Value {
    let module = wat("", "(loop $again (br $again)) (unreachable)");
    let settings = b"limits: {timeMs: 2000}\n";
    plugin_config_map(
        "endless",
        &[("plugin.wat", module.as_bytes()), ("plugin.yaml", settings)],
    )
}

fn observer(server: &ApiServer, sink: &HttpSink, journal: &Path) -> Observer {
    let journal = journal.to_str().unwrap();
    let args = [
        "--plugin-namespace",
        "observers",
        "--plugin",
        "bundled:passthrough",
        "--admin",
        "127.0.0.1:0",
        "--journal",
        journal,
    ];
    Observer::start(server, sink, &args)
}

/// Returns the reason why the plugin is refused.
async fn refusal(observer: &mut Observer) -> String {
    let line = observer.wait_for_log("admin server listening").await;
    let address = line.split("address=").nth(1).unwrap().trim().to_owned();
    loop {
        let (_, body) = get(&address, "/plugins").await;
        let told: Value = serde_json::from_str(&body).unwrap();
        let plugins = told["plugins"].as_array().unwrap();
        let endless = plugins.iter().find(|plugin| plugin["name"] == "endless");
        let reason = endless.and_then(|plugin| plugin["refused"]["reason"].as_str());
        if let Some(reason) = reason {
            return reason.to_owned();
        }
    }
}

#[tokio::test]
async fn a_plugin_that_killed_the_process_twice_is_refused_at_the_next_start() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let journal = tempfile::tempdir().unwrap();
    server.put(endless());
    for _ in 0..2 {
        let mut killed = observer(&server, &sink, journal.path());
        call_runs(&mut killed, journal.path()).await;
        killed.child.kill().await.unwrap();
    }
    let mut third = observer(&server, &sink, journal.path());
    let reason = refusal(&mut third).await;
    assert!(
        reason.starts_with("the observer died 2 times while it ran"),
        "{reason}"
    );
    assert!(reason.contains("plugin-calls"), "{reason}");
    let note = server.wait_for_note("PluginRejected").await;
    assert_eq!(note["regarding"]["name"], "endless");
    // Checks that events still arrive after the plugin is refused, but without text: the plugin
    // might have masked it.
    finished_run(1).iter().for_each(|event| server.play(event));
    sink.wait_for(2).await;
    for request in sink.requests() {
        assert_eq!(request.header("ce-pluginerror"), "endless");
        assert!(!String::from_utf8_lossy(&request.body).contains("echo hello1"));
    }
    third.child.kill().await.unwrap();

    // A changed plugin counts as a new plugin: no earlier call counts against it.
    let mut mended = endless();
    mended["data"]["plugin.yaml"] = "limits: {timeMs: 50}\n".into();
    server.put(mended);
    let mut fourth = observer(&server, &sink, journal.path());
    let reason = refusal(&mut fourth).await;
    assert!(reason.contains("it fails its self-test"), "{reason}");
    fourth.stop().await;
}

#[tokio::test]
async fn an_observer_that_is_stopped_or_killed_while_nothing_runs_suspects_no_plugin() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let journal = tempfile::tempdir().unwrap();
    server.put(endless());
    for _ in 0..2 {
        let mut stopped = observer(&server, &sink, journal.path());
        call_runs(&mut stopped, journal.path()).await;
        stopped.stop().await;
    }
    for _ in 0..2 {
        let mut killed = observer(&server, &sink, journal.path());
        // The reason is the content of the plugin, not a call that was interrupted.
        let reason = refusal(&mut killed).await;
        assert!(reason.contains("it fails its self-test"), "{reason}");
        killed.child.kill().await.unwrap();
    }
    let mut last = observer(&server, &sink, journal.path());
    let reason = refusal(&mut last).await;
    assert!(reason.contains("it fails its self-test"), "{reason}");
    last.stop().await;
}
