//! The arguments of `plugin`.

use super::registry::RegistryArgs;
use super::values::{Inspected, parse_inspected, parse_plugin};
use clap::{Subcommand, ValueEnum};
use std::path::PathBuf;
use step_observer::oci::Reference;
use step_observer::plugin::PluginConfig;

/// Write, build, try and measure plugins
#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Create a plugin: a folder that builds, with passing cases
    #[command(
        after_help = "In Rust, it is a crate with its SDK, which `plugin build` builds. In other languages, build.sh builds it,\n\
        README.md says which tools that needs, and plugin.wit is the contract.\n\
        Examples:\n  step-observer plugin new only-failures && cd only-failures && cargo test\n  \
        step-observer plugin new only-failures --language ts && cd only-failures && npm ci && ./build.sh"
    )]
    New(NewArgs),
    /// List the plugins of step-observer: those in this program, and the catalogue
    #[command(
        after_help = "A bundled plugin is in the program: write `--plugin bundled:NAME`, or `from: {bundled: NAME}` in the configuration.\n\
        A plugin of the catalogue is a file of the release. Load the file, compare its digest with SHA256SUMS, and use it like one of yours.\n\
        docs/plugins.md describes the settings of each; `plugin inspect` prints them.\n\
        Examples:\n  step-observer plugin list\n  step-observer plugin list --json\n  \
        step-observer plugin inspect bundled:redact-secrets"
    )]
    List(ListArgs),
    /// Build a plugin in Rust, or pack a module into a ConfigMap
    #[command(after_help = "Examples:\n  step-observer plugin build\n  \
        step-observer plugin build --configmap | kubectl apply --server-side -f -\n  \
        step-observer plugin build filter.wasm --configmap --namespace ci")]
    Build(BuildArgs),
    /// Describe a plugin: world, imports, size, rules, configuration, digest
    #[command(
        after_help = "Examples:\n  step-observer plugin inspect filter.wasm\n  \
        step-observer plugin inspect bundled:redact-secrets --json\n  \
        step-observer plugin inspect oci://registry.example/plugins/filter:1.0"
    )]
    Inspect(InspectArgs),
    /// Push a plugin to a registry, as an OCI artifact
    #[command(
        after_help = "It prints the name with the digest, which stays the same for the same file.\n\
        Examples:\n  step-observer plugin push filter.wasm oci://registry.example/plugins/filter:1.0\n  \
        step-observer plugin push filter.wasm oci://localhost:5000/filter:1.0 --plain-http"
    )]
    Push(PushArgs),
    /// Pull a plugin from a registry: a WebAssembly artifact, or an image with one layer and one module in it
    #[command(
        after_help = "Example:\n  step-observer plugin pull oci://registry.example/plugins/filter:1.0 --out filter.wasm"
    )]
    Pull(PullArgs),
    /// Run a plugin on cases, or on one event
    #[command(
        after_help = "A case is a folder with in.json, out.json and optionally config.json, as in the native test.\n\
        Without config.json the plugin has no configuration: that of plugin.yaml is not used.\n\
        Examples:\n  step-observer plugin test filter.wasm --cases cases\n  \
        step-observer plugin test filter.wasm --cases cases --update && git diff cases\n  \
        step-observer plugin test bundled:redact-secrets --event event.json"
    )]
    Test(TestArgs),
    /// Show the changes that a plugin makes to a recorded or live stream. Sends nothing
    #[command(
        after_help = "It prints the changes, including the secrets that the plugin masks.\n\
        Examples:\n  step-observer plugin run filter.wasm\n  step-observer plugin run filter.wasm --recording run.jsonl\n  \
        step-observer plugin run filter.wasm --recording <(kubectl get pods -w -o json --output-watch-events) \\\n    \
        --recording <(kubectl get taskruns -w -o json --output-watch-events)"
    )]
    Run(RunArgs),
    /// Build a plugin after every change of its source, run its cases, and show what it does to a recorded stream
    #[command(
        after_help = "A folder is built with cargo, or with its own `build.sh OUTPUT.wasm`; a file is loaded as it is.\n\
        Examples:\n  step-observer plugin new only-failures && step-observer plugin dev only-failures\n  \
        step-observer plugin dev --recording run.jsonl\n  step-observer plugin dev filter.wat"
    )]
    Dev(DevArgs),
    /// Measure a plugin: memory, and time per event by size of the log, compared with passthrough
    Bench(BenchArgs),
}

/// A plugin and its settings.
#[derive(Debug, clap::Args)]
pub(crate) struct PluginTarget {
    /// The plugin: a file or bundled:NAME, optionally with its configuration as a JSON file
    #[arg(value_name = "FILE[=CONFIG.json]", value_parser = parse_plugin)]
    pub(crate) plugin: PluginConfig,
    /// plugin.yaml with limits, match, wasi and configuration. The default is the one beside the module
    #[arg(long, value_name = "plugin.yaml")]
    pub(crate) settings: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct NewArgs {
    /// Name of the plugin and of its new folder
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Language of the plugin
    #[arg(long, short, value_enum, default_value_t = Language::Rust, value_name = "LANGUAGE")]
    pub(crate) language: Language,
}

/// A language for which `plugin new` has a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// Rust, with the SDK
    Rust,
    /// C without a library
    C,
    /// JavaScript, in QuickJS
    #[value(alias = "javascript")]
    Js,
    /// TypeScript, in QuickJS
    #[value(alias = "typescript")]
    Ts,
    /// Python, in CPython
    Python,
    /// Go, with its runtime
    Go,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct BuildArgs {
    /// Folder of the crate, or a built module
    #[arg(default_value = ".", value_name = "DIR|FILE")]
    pub(crate) source: PathBuf,
    /// Write the module here. The default is NAME.wasm in the folder of the crate
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Print the finished ConfigMap as YAML, or several ConfigMaps for a large module
    #[arg(long)]
    pub(crate) configmap: bool,
    /// Namespace of the ConfigMap, usually the namespace of the observer
    #[arg(long, short, value_name = "NAME", requires = "configmap")]
    pub(crate) namespace: Option<String>,
    /// Name of the ConfigMap and of the plugin. The default is the name of the crate or file
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Ask no registry: use the crates that cargo has downloaded
    #[arg(long)]
    pub(crate) offline: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct InspectArgs {
    /// The plugin: a file or bundled:NAME, optionally with its configuration as a JSON file, or oci://REGISTRY/NAME:TAG
    #[arg(value_name = "FILE[=CONFIG.json]|oci://…", value_parser = parse_inspected)]
    pub(crate) plugin: Inspected,
    /// plugin.yaml with limits, match, wasi and configuration. The default is the one beside the module
    #[arg(long, value_name = "plugin.yaml")]
    pub(crate) settings: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PushArgs {
    /// The plugin: a file or bundled:NAME
    #[arg(value_name = "FILE", value_parser = parse_plugin)]
    pub(crate) plugin: PluginConfig,
    /// Where to push it: oci://REGISTRY/NAME:TAG
    #[arg(value_name = "REFERENCE")]
    pub(crate) reference: Reference,
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PullArgs {
    /// The plugin: oci://REGISTRY/NAME:TAG, or with a digest: oci://REGISTRY/NAME@sha256:…
    #[arg(value_name = "REFERENCE")]
    pub(crate) reference: Reference,
    /// Write the module here. The default is NAME.wasm; an existing file is kept
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct TestArgs {
    #[command(flatten)]
    pub(crate) target: PluginTarget,
    /// Folder of cases: NAME/in.json, NAME/out.json, NAME/config.json
    #[arg(long, value_name = "DIR", required_unless_present = "event")]
    pub(crate) cases: Option<PathBuf>,
    /// Write what the plugin makes of each case to its out.json, and show what changes there. Only in.json is needed
    #[arg(long, requires = "cases")]
    pub(crate) update: bool,
    /// Run the plugin on this CloudEvent in JSON format, and print the result
    #[arg(long, value_name = "E.json", conflicts_with = "cases")]
    pub(crate) event: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) target: PluginTarget,
    /// Recording: a file, a folder with files *.jsonl, a pipe with a watch stream of kubectl, or `-` for standard input.
    /// Repeatable; the default is the recorded pipeline of the demo
    #[arg(long = "recording", value_name = "FILE")]
    pub(crate) recordings: Vec<PathBuf>,
    /// Logs of the recordings. Repeatable; the default is CASE.logs.json beside each CASE.jsonl
    #[arg(long, value_name = "FILE")]
    pub(crate) logs: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DevArgs {
    /// Folder of the plugin, or a module
    #[arg(default_value = ".", value_name = "DIR|FILE")]
    pub(crate) source: PathBuf,
    /// Recording: a file, or a folder with files *.jsonl. Repeatable; the default is the recorded pipeline of the demo
    #[arg(long = "recording", value_name = "FILE")]
    pub(crate) recordings: Vec<PathBuf>,
    /// Logs of the recordings. Repeatable; the default is CASE.logs.json beside each CASE.jsonl
    #[arg(long, value_name = "FILE")]
    pub(crate) logs: Vec<PathBuf>,
    /// Ask no registry: use the crates that cargo has downloaded
    #[arg(long)]
    pub(crate) offline: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    pub(crate) target: PluginTarget,
    /// Use this CloudEvent instead of the sample
    #[arg(long, value_name = "E.json")]
    pub(crate) event: Option<PathBuf>,
    /// Number of calls for each size of the log
    #[arg(long, default_value_t = 200, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) calls: u32,
}
