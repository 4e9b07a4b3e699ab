//! The command line as types.

use super::plugin::PluginCommand;
use super::record::RecordArgs;
use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::net::SocketAddr;
use std::path::PathBuf;
use step_observer::bounded::Bounded;
use step_observer::config::{PluginConfig, PluginFrom, SinkConfig, SinkKind, TektonConfig};
use step_observer::control::{LetterId, Selection};
use step_observer::deliver::RetryConfig;
use step_observer::observe::Speed;
use step_observer::sink::{FileConfig, HttpConfig, HttpUrl, StdoutConfig};

/// Tells what every step of every Tekton run does: one CloudEvent for each transition, through
/// sandboxed WebAssembly plugins, to your sinks. It reads the cluster; all
/// that it writes are Events on the ConfigMaps of plugins.
#[derive(Debug, Parser)]
#[command(
    version,
    long_version = super::version::long(),
    max_term_width = 100,
    after_help = "Begin with `step-observer demo`: it needs no cluster."
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct LogArgs {
    /// What to log: a level, or targets with levels such as step_observer=debug
    #[arg(long, global = true, env = "STEP_OBSERVER_LOG", value_name = "FILTER")]
    pub(crate) log: Option<String>,
    /// How log lines look
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Play a recorded pipeline that prints secrets through the redaction plugin. No cluster needed
    #[command(
        after_help = "Examples:\n  step-observer demo\n  step-observer demo --speed 1     # as it happened\n  \
        step-observer demo --speed max   # at once"
    )]
    Demo(DemoArgs),
    /// Watch a cluster and send its step events
    #[command(
        after_help = "Example:\n  step-observer run --plugin bundled:redact-secrets --to http://broker.example/ci"
    )]
    Run(RunArgs),
    /// Play recordings, or watch streams of kubectl, instead of watching a cluster
    #[command(
        after_help = "kubectl watches one kind at a time. Files are merged by the times in them, pipes as they come; \
        what either shows may come before the other.\n\n\
        Examples:\n  step-observer replay run.jsonl --plugin bundled:redact-secrets\n  \
        step-observer replay <(kubectl get pods -w -o json --output-watch-events) \\\n    \
        <(kubectl get taskruns -w -o json --output-watch-events)"
    )]
    Replay(ReplayArgs),
    /// Record what a cluster shows, with logs and without secrets, for `replay`
    #[command(
        after_help = "It writes DIR/recording.jsonl and DIR/recording.logs.json, which nobody else may read, as things \
        happen, until Ctrl-C; logs are read when steps end. Everything that somebody wrote freely (logs, scripts, arguments, environment, labels, \
        annotations, results) is masked with the rules of redact-secrets first; what cannot be masked is left out. Names, \
        times, reasons and exit codes stay, so that `replay` gives the same events.\n\n\
        It connects as KUBECONFIG says, and needs to list and watch pods and taskruns.tekton.dev, and to get pods/log.\n\n\
        Examples:\n  step-observer record --namespace ci --out recording\n  \
        step-observer record --until-idle 30s --out recording && step-observer replay recording"
    )]
    Record(RecordArgs),
    /// Write, build, try and measure plugins
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Look at events that could not be delivered, send them again or drop them
    #[command(
        subcommand,
        after_help = "It asks the observer that uses the journal, or the journal itself where nobody does.\n\n\
        Examples:\n  step-observer dead-letters list --journal /var/lib/step-observer\n  \
        step-observer dead-letters replay --sink broker --journal /var/lib/step-observer"
    )]
    DeadLetters(DeadLettersCommand),
    /// Tell what happened to an event: plugins, journal, every attempt of every sink
    #[command(
        after_help = "It reads the history beside the journal, also while an observer uses it. The id of an event is \
        its attribute `id` (header `ce-id`).\n\n\
        Example:\n  step-observer explain 6f8e3f0a-4c0d-5d7e-9d5b-0a1f6c9a2b11 --journal /var/lib/step-observer"
    )]
    Explain(ExplainArgs),
    /// Check, show and describe configuration files
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print what makes a shell complete commands and options
    #[command(after_help = "To install it:\n  \
        bash: step-observer completions bash > ~/.local/share/bash-completion/completions/step-observer\n  \
        zsh:  step-observer completions zsh > DIR/_step-observer, DIR being one of $fpath\n  \
        fish: step-observer completions fish > ~/.config/fish/completions/step-observer.fish\n\
        bash needs the package bash-completion for that; without it, for this shell:\n  \
        source <(step-observer completions bash)")]
    Completions(CompletionsArgs),
    /// Print the manual page, or write one for each command
    #[command(after_help = "Examples:\n  step-observer man | man -l -\n  \
        step-observer man --dir ~/.local/share/man/man1")]
    Man(ManArgs),
    /// Compile a plugin for the parent process, from standard input to standard output
    #[command(hide = true)]
    CompilePlugin,
}

impl Command {
    /// Its output is for a person or a pipe: only warnings are logged.
    pub(crate) fn is_quiet(&self) -> bool {
        !matches!(self, Self::Run(_))
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Folder for the events; made where it does not exist
    #[arg(long, default_value = "step-observer-demo", value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// How fast to play: 1 as it happened, 10 ten times as fast, 0 or max without pauses. The default
    /// takes some 4 seconds on a terminal, and none elsewhere
    #[arg(long, value_parser = parse_speed, value_name = "SPEED")]
    pub(crate) speed: Option<Speed>,
}

/// What `run` and `replay` share.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Road {
    /// Configuration file (YAML). `run` takes it anew when it changes
    #[arg(long, env = "STEP_OBSERVER_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Add a plugin: a file or bundled:NAME, and its configuration as a JSON file. Repeatable, in order
    #[arg(long = "plugin", value_name = "FILE[=CONFIG.json]", value_parser = parse_plugin)]
    pub(crate) plugins: Vec<PluginConfig>,
    /// Take plugins from a folder while running: NAME.wasm with NAME.yaml, or NAME/plugin.wasm.
    /// Repeatable
    #[arg(long = "plugin-dir", value_name = "DIR")]
    pub(crate) plugin_folders: Vec<PathBuf>,
    /// Keep accepted events in this folder until every sink has them, so that a crash loses none. The
    /// default is in memory
    #[arg(long, value_name = "DIR")]
    pub(crate) journal: Option<PathBuf>,
    /// Tell about plugins, sinks and events over HTTP on this address (/status, /plugins, /sinks, /events/ID,
    /// /metrics, /healthz, /readyz). Other machines see the first four only where admin.auth lets them
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin: Option<SocketAddr>,
    /// Add a sink: stdout, file:PATH, tekton (the one that Tekton uses), or an http:// or https://
    /// URL. Repeatable. The default of `run` is that of a Knative SinkBinding, else tekton
    #[arg(long = "to", value_name = "SINK", value_parser = parse_sink)]
    pub(crate) sinks: Vec<SinkKind>,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) road: Road,
    /// Watch only this namespace. Repeatable; the default is all
    #[arg(long = "namespace", short = 'n', value_name = "NAME")]
    pub(crate) namespaces: Vec<String>,
    /// Take plugins from the labelled ConfigMaps of this namespace. The default is the own one where
    /// it runs in a cluster
    #[arg(long, value_name = "NAME")]
    pub(crate) plugin_namespace: Option<String>,
    /// Watch only what has these labels
    #[arg(long, short = 'l', value_name = "SELECTOR")]
    pub(crate) selector: Option<String>,
    /// Share the work with others: how many observers there are
    #[arg(long, env = "STEP_OBSERVER_SHARDS", value_name = "COUNT")]
    pub(crate) shards: Option<Bounded<1, 1024, u32>>,
    /// Which of them this one is, from 0; or the name of a StatefulSet's pod, which ends in its ordinal
    #[arg(long, env = "STEP_OBSERVER_SHARD", value_parser = parse_shard, value_name = "NUMBER|POD")]
    pub(crate) shard: Option<Bounded<0, 1023, u32>>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ReplayArgs {
    /// Recordings that are played together: files, folders with files *.jsonl, pipes, or `-` for standard input. Watch
    /// events, objects and lists as kubectl prints them with `-o json` are understood
    #[arg(value_name = "FILE", required = true)]
    pub(crate) recordings: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) road: Road,
    /// Logs of the recordings. Repeatable; the default is CASE.logs.json beside each CASE.jsonl
    #[arg(long, value_name = "FILE")]
    pub(crate) logs: Vec<PathBuf>,
    /// How fast to play: 1 as it happened, 10 ten times as fast, 0 or max at once
    #[arg(long, default_value = "max", value_parser = parse_speed, value_name = "SPEED")]
    pub(crate) speed: Speed,
    /// Give an event up after so many seconds without delivery
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    pub(crate) give_up: u64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// List them
    List {
        #[command(flatten)]
        journal: JournalArgs,
        /// Print JSON, one letter a line
        #[arg(long)]
        json: bool,
    },
    /// Print one with its event, as JSON
    Show {
        #[command(flatten)]
        journal: JournalArgs,
        /// Which, such as 12:http-1
        #[arg(value_name = "LETTER")]
        letter: LetterId,
    },
    /// Send them again; they keep id, times and content
    Replay {
        #[command(flatten)]
        journal: JournalArgs,
        #[command(flatten)]
        which: Which,
        /// Send them to this sink instead
        #[arg(long, value_name = "SINK")]
        to: Option<String>,
    },
    /// Forget them
    Drop {
        #[command(flatten)]
        journal: JournalArgs,
        #[command(flatten)]
        which: Which,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// `id` of the event
    #[arg(value_name = "EVENT-ID")]
    pub(crate) event: String,
    #[command(flatten)]
    pub(crate) journal: JournalArgs,
    /// Print JSON, one fact a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct JournalArgs {
    /// Folder of the journal
    #[arg(long = "journal", value_name = "DIR")]
    pub(crate) folder: PathBuf,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// These, such as 12:http-1
    #[arg(value_name = "LETTER")]
    pub(crate) letters: Vec<LetterId>,
    /// All of one sink
    #[arg(long, value_name = "SINK")]
    pub(crate) sink: Option<String>,
    /// All
    #[arg(long)]
    pub(crate) all: bool,
}

impl From<Which> for Selection {
    fn from(which: Which) -> Self {
        match which.sink {
            Some(sink) => Self::Sink(sink),
            None if which.all => Self::All,
            None => Self::These(which.letters),
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check a configuration file and load its plugins. Reports all mistakes at once
    #[command(
        after_help = "One line for each mistake: FILE:LINE:COLUMN: field: what is wrong and what to do. The exit code is 1 if \
        there are any.\nFiles that sinks name are not looked for: this machine may not be the one that needs them."
    )]
    Check {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print a JSON Schema
    Schema {
        /// Of what
        #[arg(value_enum, default_value_t = SchemaOf::Config)]
        of: SchemaOf,
    },
    /// Print a configuration file with every default written out
    Show {
        /// The file; without it, the default configuration
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SchemaOf {
    /// The configuration file
    Config,
    /// The data of events
    Event,
    /// Settings of a plugin that is dropped in (plugin.yaml)
    Plugin,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: Shell,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// Write the pages of all commands to this folder, which is made where it does not exist
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

fn parse_speed(text: &str) -> Result<Speed, String> {
    match text.parse::<f64>() {
        _ if text == "max" => Ok(Speed::Max),
        Ok(0.0) => Ok(Speed::Max),
        Ok(factor) if factor.is_finite() && factor > 0.0 => Ok(Speed::Times(factor)),
        Ok(_) | Err(_) => Err(
            "write how many times as fast, such as 1 or 10, or max (or 0) for without pauses"
                .to_owned(),
        ),
    }
}

fn parse_sink(text: &str) -> Result<SinkKind, String> {
    if text == "stdout" {
        return Ok(SinkKind::Stdout(StdoutConfig::default()));
    }
    if text == "tekton" {
        return Ok(SinkKind::Tekton(TektonConfig::default()));
    }
    if let Some(path) = text.strip_prefix("file:").filter(|path| !path.is_empty()) {
        return Ok(SinkKind::File(FileConfig::new(path)));
    }
    if text.contains("://") {
        return HttpUrl::try_from(text.to_owned())
            .map(|url| SinkKind::Http(HttpConfig::new(url).into()));
    }
    Err("write stdout, file:PATH, tekton, or an http:// or https:// URL".to_owned())
}

pub(crate) fn parse_plugin(text: &str) -> Result<PluginConfig, String> {
    let (place, config) = match text.split_once('=') {
        Some((place, path)) => (place, read_json(path)?),
        None => (text, serde_json::Value::Null),
    };
    let (name, from) = match place.strip_prefix("bundled:") {
        Some(name) => (name.to_owned(), PluginFrom::Bundled(name.to_owned())),
        None => {
            let path = PathBuf::from(place);
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            let name = file.split('.').next().unwrap_or_default().to_owned();
            (name, PluginFrom::File(path))
        }
    };
    if name.is_empty() {
        return Err("write a file, or bundled:NAME".to_owned());
    }
    Ok(PluginConfig {
        config,
        ..PluginConfig::new(name, from)
    })
}

fn read_json(path: &str) -> Result<serde_json::Value, String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("failed to read {path}: {error}"))?;
    serde_json::from_str(&text).map_err(|error| format!("{path} is not JSON: {error}"))
}

impl Road {
    /// The sinks of the command line, named after what they are.
    pub(crate) fn sinks(kinds: Vec<SinkKind>, retry: &RetryConfig) -> Vec<SinkConfig> {
        let named = |(index, to): (usize, SinkKind)| {
            let kind = match &to {
                SinkKind::Stdout(_) => "stdout",
                SinkKind::File(_) => "file",
                SinkKind::Http(_) => "http",
                SinkKind::Tekton(_) => "tekton",
                SinkKind::Nats(_) => "nats",
                SinkKind::Kafka(_) => "kafka",
            };
            SinkConfig {
                retry: retry.clone(),
                ..SinkConfig::new(format!("{kind}-{}", index + 1), to)
            }
        };
        kinds.into_iter().enumerate().map(named).collect()
    }
}

/// `2`, or `step-observer-2`.
fn parse_shard(text: &str) -> Result<Bounded<0, 1023, u32>, String> {
    let ordinal = text.rsplit('-').next().unwrap_or(text);
    let is_number = ordinal.bytes().all(|byte| byte.is_ascii_digit()) && !ordinal.is_empty();
    if !is_number {
        return Err(
            "give a number, or a pod's name that ends in its ordinal, such as step-observer-2"
                .to_owned(),
        );
    }
    ordinal.parse()
}
