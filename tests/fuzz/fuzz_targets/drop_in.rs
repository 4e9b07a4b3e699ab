//! Adds, changes and removes dropped-in plugins in any order and with any content.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};
use step_observer::plugin::dropin::{
    Catalog, SourceChange, LoadResult, PackageFiles, Origin, PluginManifest, PluginState,
};
use step_observer::plugin::{Plugin, TrustConfig};
use step_observer_fuzz::{ENGINE, guard, init, process, show, spec};

#[derive(Arbitrary, Debug)]
struct Input {
    /// True if the configuration has a plugin, in addition to the dropped-in ones.
    fixed: bool,
    sources: u8,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
enum Step {
    Offer(Place, Content),
    Withdraw(Place),
    Listed,
    /// Takes the next job and leaves it unfinished.
    Begin,
    /// Ends the unfinished job.
    End,
    Settle,
    Parse(String),
    ParseSettings(Settings),
    Unreadable(Place, String),
}

#[derive(Arbitrary, Debug)]
enum Place {
    Map(bool, Name),
    Folder(bool, Name),
}

/// Few names, so that they often collide.
#[derive(Arbitrary, Clone, Debug)]
enum Name {
    Configured,
    A,
    B,
    Empty,
    Other(String),
}

#[derive(Arbitrary, Debug)]
enum Content {
    Plugin(Module, Settings),
    /// One of up to three parts of a module.
    Piece {
        name: Name,
        number: u8,
        total: u8,
        of: Module,
    },
    Files(Vec<(FileName, Vec<u8>)>),
    Text(Module, String),
}

#[derive(Arbitrary, Debug)]
enum FileName {
    Module,
    Compressed,
    Settings,
    Signature,
    Other(String),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Module {
    Good,
    Other,
    Crashes,
    Garbage,
}

#[derive(Arbitrary, Debug, Default)]
struct Settings {
    order: Option<i32>,
    on_error: Option<u8>,
    time_ms: Option<u16>,
    memory_bytes: Option<u32>,
    plugin: Option<Name>,
    part: Option<(u8, u8)>,
    sha256: Option<Module>,
    config: Option<String>,
    select: Option<String>,
    denied: bool,
}

/// A plugin that keeps every event unchanged.
static GOOD: LazyLock<String> = LazyLock::new(|| {
    let setup = r"\00\00\00\00\20\20\00\00\01\00\00\00\20\20\00\00\01\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00a";
    step_observer_fuzz::plan::SHAPE
        .replace(
            "(; data ;)",
            &format!("(data (i32.const 8192) \"{setup}\")"),
        )
        .replace("(unreachable) ;; configure", "(i32.const 8192)")
        .replace(
            "(unreachable) ;; process",
            "(call $release (local.get $event)) (i32.const 16384)",
        )
});

/// The plugin of the configuration.
static CONFIGURED: LazyLock<Arc<Plugin>> = LazyLock::new(|| {
    let plugin = Plugin::load(&ENGINE, &spec("configured", GOOD.as_bytes()));
    Arc::new(plugin.expect("the good plugin"))
});

impl Module {
    fn bytes(self) -> Vec<u8> {
        let good = GOOD.as_bytes();
        match self {
            Self::Good => good.to_vec(),
            Self::Other => [good, b";; another"].concat(),
            Self::Crashes => GOOD
                .replace("(i32.const 16384)", "(unreachable)")
                .into_bytes(),
            Self::Garbage => b"\0asm\x01\0\0\0\x01".to_vec(),
        }
    }

    fn digest(self) -> String {
        let digest = Sha256::digest(self.bytes());
        digest.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").ok();
            text
        })
    }
}

impl Name {
    fn text(&self) -> &str {
        match self {
            Self::Configured => "configured",
            Self::A => "a",
            Self::B => "b",
            Self::Empty => "",
            Self::Other(name) => name,
        }
    }
}

impl Place {
    fn origin(&self) -> Origin {
        let side = |second: bool| if second { "second" } else { "first" };
        match self {
            Self::Map(second, name) => Origin::ConfigMap {
                namespace: side(*second).to_owned(),
                name: name.text().to_owned(),
            },
            Self::Folder(second, name) => {
                Origin::Folder(format!("/{}/{}", side(*second), name.text()))
            }
        }
    }
}

impl Settings {
    fn text(&self) -> String {
        let mut text = String::new();
        // JSON strings are valid YAML.
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let mut line = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                writeln!(text, "{name}: {value}").ok();
            }
        };
        let on_error =
            |number: u8| ["block", "drop", "strip", "pass", "none"][usize::from(number) % 5];
        line("order", self.order.map(|order| order.to_string()));
        line(
            "onError",
            self.on_error.map(|number| on_error(number).to_owned()),
        );
        line(
            "limits",
            (self.time_ms.is_some() || self.memory_bytes.is_some()).then(|| {
                let time = self.time_ms.unwrap_or(50);
                let memory = self.memory_bytes.unwrap_or(8 << 20);
                format!("{{timeMs: {time}, memoryBytes: {memory}, configureMs: 50}}")
            }),
        );
        line(
            "plugin",
            self.plugin.as_ref().map(|name| quoted(name.text())),
        );
        line(
            "part",
            self.part.map(|(number, total)| format!("{number}/{total}")),
        );
        line("sha256", self.sha256.map(Module::digest));
        line("config", self.config.clone());
        line("match", self.select.clone());
        line("wasi", self.denied.then(|| "denied".to_owned()));
        text
    }
}

impl Content {
    fn files(&self) -> PackageFiles {
        let module = |bytes: Vec<u8>| ("plugin.wasm".to_owned(), bytes);
        let settings = |text: String| ("plugin.yaml".to_owned(), text.into_bytes());
        match self {
            Self::Plugin(of, own) => PackageFiles::from([module(of.bytes()), settings(own.text())]),
            Self::Text(of, text) => PackageFiles::from([module(of.bytes()), settings(text.clone())]),
            Self::Piece {
                name,
                number,
                total,
                of,
            } => {
                let total = usize::from(total % 3) + 1;
                let number = usize::from(*number) % total;
                let bytes = of.bytes();
                let piece = bytes.chunks(bytes.len().div_ceil(total)).nth(number);
                let own = Settings {
                    plugin: Some(name.clone()),
                    part: Some((number as u8 + 1, total as u8)),
                    sha256: Some(*of),
                    ..Settings::default()
                };
                PackageFiles::from([
                    module(piece.unwrap_or_default().to_vec()),
                    settings(own.text()),
                ])
            }
            Self::Files(files) => {
                let files = files.iter().take(4).map(|(name, content)| {
                    let name = match name {
                        FileName::Module => "plugin.wasm",
                        FileName::Compressed => "plugin.wasm.gz",
                        FileName::Settings => "plugin.yaml",
                        FileName::Signature => "plugin.wasm.minisig",
                        FileName::Other(name) => name,
                    };
                    (name.to_owned(), content.clone())
                });
                files.collect()
            }
        }
    }
}

fuzz_target!(init: init(), |input: Input| {
    guard(|| run(&input));
});

fn run(input: &Input) {
    let fixed = input.fixed.then(|| CONFIGURED.clone());
    let sources = usize::from(input.sources % 3);
    let trust = Arc::new(TrustConfig::default());
    let mut catalog = Catalog::new(&ENGINE, trust, fixed.into_iter().collect(), sources);
    let mut unlisted = sources;
    let mut begun: Option<LoadResult> = None;
    for step in input.steps.iter().take(16) {
        match step {
            Step::Offer(place, content) => catalog.apply(SourceChange::Offered {
                origin: place.origin(),
                files: content.files(),
            }),
            Step::Withdraw(place) => catalog.apply(SourceChange::Withdrawn {
                origin: place.origin(),
            }),
            Step::Unreadable(place, reason) => catalog.apply(SourceChange::Unreadable {
                origin: place.origin(),
                reason: reason.clone(),
            }),
            Step::Listed => {
                unlisted = unlisted.saturating_sub(1);
                catalog.apply(SourceChange::Listed);
            }
            // One job at a time, as in the host.
            Step::Begin if begun.is_none() => {
                begun = catalog.next_job().map(|job| job.run());
            }
            Step::Begin | Step::End => end(&mut catalog, &mut begun),
            Step::Settle => {
                settle(&mut catalog, &mut begun);
                check(&mut catalog);
            }
            Step::Parse(text) => drop(PluginManifest::parse("plugin.yaml", text)),
            Step::ParseSettings(settings) => {
                drop(PluginManifest::parse("plugin.yaml", &settings.text()));
            }
        }
    }
    for _ in 0..unlisted {
        catalog.apply(SourceChange::Listed);
    }
    settle(&mut catalog, &mut begun);
    check(&mut catalog);
    let chain = catalog.roster().chain;
    process(&chain.expect("a chain, once all sources have told what they have"));
}

fn end(catalog: &mut Catalog, begun: &mut Option<LoadResult>) {
    if let Some(done) = begun.take() {
        catalog.finish(done);
    }
}

fn settle(catalog: &mut Catalog, begun: &mut Option<LoadResult>) {
    end(catalog, begun);
    while let Some(job) = catalog.next_job() {
        catalog.finish(job.run());
    }
}

/// Checks the state of the catalog after all load jobs have ended.
fn check(catalog: &mut Catalog) {
    for notice in catalog.notices() {
        // The host survives panics of its libraries and reports them with this text. The fuzzer
        // treats such a panic as a failure.
        let broken = matches!(&notice.outcome, Err(text) if text.contains("please report this"));
        assert!(!broken, "{notice:?}");
    }
    let roster = catalog.roster();
    let mut in_chain = BTreeSet::new();
    for plugin in roster.chain.iter().flat_map(|chain| chain.plugins()) {
        let name = plugin.name();
        assert!(
            in_chain.insert(name.to_owned()),
            "`{name}` is in the chain twice"
        );
    }
    for entry in roster.entries.iter() {
        let status = entry.status();
        let text = serde_json::to_string(&status).expect("a status can be written");
        show(|| text.clone());
        assert_ne!(status.state, PluginState::Loading, "{text}");
        if status.loaded.is_some() && roster.chain.is_some() {
            assert!(in_chain.contains(&status.name), "{text}");
        }
    }
}
