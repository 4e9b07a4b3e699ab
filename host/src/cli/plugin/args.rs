//! The command line of `plugin` as types.

use crate::cli::args::parse_plugin;
use clap::Subcommand;
use std::path::PathBuf;
use step_observer::config::PluginConfig;

/// Write, build, try and measure plugins
#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Begin a plugin: a crate that builds, with its SDK and a passing test
    #[command(
        after_help = "Example:\n  step-observer plugin new only-failures && cd only-failures && cargo test"
    )]
    New(NewArgs),
    /// Build a plugin in Rust, or pack a module into a ConfigMap
    #[command(after_help = "Examples:\n  step-observer plugin build\n  \
        step-observer plugin build --configmap | kubectl apply --server-side -f -\n  \
        step-observer plugin build filter.wasm --configmap --namespace ci")]
    Build(BuildArgs),
    /// Say what a plugin is: world, imports, size, rules, configuration, digest
    Inspect(InspectArgs),
    /// Run a plugin on cases, or on one event
    #[command(
        after_help = "A case is a folder with in.json, out.json and maybe config.json, as the native test reads them;\n\
        without config.json there is no configuration, whatever plugin.yaml says.\n\
        Examples:\n  step-observer plugin test filter.wasm --cases cases\n  \
        step-observer plugin test bundled:redact-secrets --event event.json"
    )]
    Test(TestArgs),
    /// Say what a plugin would do to a recorded or live stream. Nothing is sent anywhere
    #[command(
        after_help = "It prints what the plugin changes, secrets that it would mask included.\n\
        Examples:\n  step-observer plugin run filter.wasm\n  step-observer plugin run filter.wasm --recording run.jsonl\n  \
        step-observer plugin run filter.wasm --recording <(kubectl get pods -w -o json --output-watch-events) \\\n    \
        --recording <(kubectl get taskruns -w -o json --output-watch-events)"
    )]
    Run(RunArgs),
    /// Measure a plugin: time per event by size of its log, against passthrough, and memory
    Bench(BenchArgs),
}

/// A plugin and its settings.
#[derive(Debug, clap::Args)]
pub(super) struct Target {
    /// The plugin: a file or bundled:NAME, and maybe its configuration as a JSON file
    #[arg(value_name = "FILE[=CONFIG.json]", value_parser = parse_plugin)]
    pub(super) plugin: PluginConfig,
    /// Its plugin.yaml: limits, match, wasi, configuration. The default is the one beside the file
    #[arg(long, value_name = "plugin.yaml")]
    pub(super) settings: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct NewArgs {
    /// Name of the plugin, and of the folder that is made for it
    #[arg(value_name = "NAME")]
    pub(super) name: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct BuildArgs {
    /// Folder of the crate, or a module that is built already
    #[arg(default_value = ".", value_name = "DIR|FILE")]
    pub(super) source: PathBuf,
    /// Write the module here. The default is NAME.wasm in the folder of the crate
    #[arg(long, short, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// Print the finished ConfigMap as YAML; a large module becomes several
    #[arg(long)]
    pub(super) configmap: bool,
    /// Namespace of the ConfigMap: the observer's
    #[arg(long, short, value_name = "NAME", requires = "configmap")]
    pub(super) namespace: Option<String>,
    /// Name of the ConfigMap and of the plugin. The default is that of the crate or file
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Ask no registry: use what cargo has already
    #[arg(long)]
    pub(super) offline: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    pub(super) target: Target,
    /// As JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct TestArgs {
    #[command(flatten)]
    pub(super) target: Target,
    /// Folder of cases: NAME/in.json, NAME/out.json, NAME/config.json
    #[arg(long, value_name = "DIR", required_unless_present = "event")]
    pub(super) cases: Option<PathBuf>,
    /// One CloudEvent in JSON format: print what becomes of it
    #[arg(long, value_name = "E.json", conflicts_with = "cases")]
    pub(super) event: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(super) target: Target,
    /// Recording: a file, a folder with files *.jsonl, a pipe with a watch stream of kubectl, or `-` for standard input.
    /// Repeatable; the default is the recorded pipeline of the demo
    #[arg(long = "recording", value_name = "FILE")]
    pub(super) recordings: Vec<PathBuf>,
    /// Logs of the recordings. Repeatable; the default is CASE.logs.json beside each CASE.jsonl
    #[arg(long, value_name = "FILE")]
    pub(super) logs: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    pub(super) target: Target,
    /// Measure on this CloudEvent instead of a sample
    #[arg(long, value_name = "E.json")]
    pub(super) event: Option<PathBuf>,
    /// Calls for each size of the log
    #[arg(long, default_value_t = 200, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) calls: u32,
}
