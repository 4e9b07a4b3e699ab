//! Compiling plugins in a child process gives the same result, and each failure of the child is an
//! error.
use step_observer::bounded::Bounded;
use step_observer::plugin::{
    Chain, Compiler, CompilerProgram, PluginEngine, PluginSource, PluginSpec,
};
use step_observer_tests::plugins::{RELEASE, check_cases, spec, wat};
use step_observer_tests::program::Program;
use step_observer_tests::{guest, path};

fn engine(program: impl Into<std::path::PathBuf>, arguments: &[&str]) -> PluginEngine {
    let arguments = arguments.iter().map(Into::into).collect();
    let compiler = CompilerProgram::new(program.into(), arguments);
    PluginEngine::new()
        .unwrap()
        .with_compiler(Compiler::Process(compiler))
}

#[test]
fn a_plugin_compiled_in_a_child_process_behaves_the_same() {
    let engine = engine(Program::path(), &["compile-plugin"]);
    let name = "redact-secrets";
    let spec = PluginSpec::new(name, PluginSource::File(guest(name)));
    check_cases(&engine, &spec, &path("../plugins/redact-secrets/cases"));
    let chain = Chain::load(&engine, &[spec]).unwrap();
    let [plugin] = chain.plugins() else { panic!() };
    assert!(plugin.is_snapshotted());
    assert_eq!(plugin.identity(), (name, "0.1.0"));
}

#[test]
fn a_refusal_has_the_same_text() {
    let here = PluginEngine::new().unwrap();
    let child = engine(Program::path(), &["compile-plugin"]);
    let endless = wat("", "(unreachable)").replace(
        "(i32.store8 (i32.const 1024) (i32.const 0))",
        "(loop $again (br $again))",
    );
    let mut slow = spec("bad", &endless);
    slow.settings.limits.configure_ms = Bounded::new(50);
    for bad in [spec("bad", "(module)"), spec("bad", "(module"), slow] {
        let [here, child] = [&here, &child].map(|engine| {
            Chain::load(engine, std::slice::from_ref(&bad))
                .unwrap_err()
                .to_string()
        });
        assert_eq!(here, child);
    }
}

#[test]
fn every_failure_of_the_child_process_is_an_error_with_a_remedy_and_the_next_plugin_loads() {
    let good = spec("good", &wat("", &format!("{RELEASE} (call $keep)")));
    for (script, expected) in [
        ("exit 3", "ended without an answer (exit status: 3)"),
        ("kill -KILL $$", "ran out of memory, or was killed"),
        ("kill -XCPU $$", "took more than 300 seconds"),
        ("cat; exec sleep 1000", "is of another version"),
        (
            "printf 'abcdefghijklmnop'; exec sleep 1000",
            "is of another version",
        ),
        (
            "printf '\\2\\0\\0\\0\\0\\0\\0\\0{}\\0\\0\\0\\0\\0\\0\\0\\0'",
            "is of another version",
        ),
    ] {
        let engine = engine("/bin/sh", &["-c", script]);
        let refused = Chain::load(&engine, std::slice::from_ref(&good)).unwrap_err();
        let refused = refused.to_string();
        assert!(refused.contains(expected), "{script}: {refused}");
        // Another compiler program can still load the plugin.
        let compiler = CompilerProgram::new(Program::path(), vec!["compile-plugin".into()]);
        let engine = engine.with_compiler(Compiler::Process(compiler));
        Chain::load(&engine, std::slice::from_ref(&good)).unwrap();
    }
    let missing = engine("/nowhere/step-observer", &[]);
    let refused = Chain::load(&missing, &[good]).unwrap_err().to_string();
    assert!(refused.contains("cannot be started"), "{refused}");
}

#[test]
fn the_child_gets_nothing_of_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("environment");
    // Reads the environment as it was passed, because the shell adds variables.
    let script = format!("cat /proc/$$/environ > {}; exit 3", seen.display());
    let good = spec("good", &wat("", &format!("{RELEASE} (call $keep)")));
    let compiler = CompilerProgram::new("/bin/sh".into(), vec!["-c".into(), script.into()]);
    for (compiler, expected) in [
        (compiler.clone(), ""),
        (compiler.with_variable("NO_COLOR", "1"), "NO_COLOR=1\0"),
    ] {
        let engine = PluginEngine::new().unwrap();
        let engine = engine.with_compiler(Compiler::Process(compiler));
        Chain::load(&engine, std::slice::from_ref(&good)).unwrap_err();
        assert_eq!(std::fs::read_to_string(&seen).unwrap(), expected);
    }
}

#[test]
fn a_child_that_takes_too_much_memory_is_ended() {
    let good = spec("good", &wat("", &format!("{RELEASE} (call $keep)")));
    // The child reads an endless line into memory.
    let hoards = engine("/bin/sh", &["-c", "exec tail -n 1 /dev/zero"]);
    let hoards = hoards.with_compiler_memory(Some(64 * 1024 * 1024));
    let refused = Chain::load(&hoards, std::slice::from_ref(&good)).unwrap_err();
    let refused = refused.to_string();
    assert!(
        refused.contains("compiling it takes more than 67108864 bytes"),
        "{refused}"
    );
    let enough = engine(Program::path(), &["compile-plugin"]).with_compiler_memory(Some(1 << 30));
    Chain::load(&enough, &[good]).unwrap();
}
