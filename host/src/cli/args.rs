//! The command line as types. The texts of `--help` are their doc comments.

pub(super) mod plugin;
pub(super) mod record;
pub(super) mod redact;
pub(super) mod registry;
pub(super) mod tap;
pub(super) mod values;

use self::plugin::PluginCommand;
use self::record::RecordArgs;
use self::redact::RedactArgs;
use self::tap::{TapArgs, TopArgs};
use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::net::SocketAddr;
use std::path::PathBuf;
use step_observer::bounded::{Bounded, namespace_name};
use step_observer::control::{DeadLetterId, Selection};
use step_observer::observe::Speed;
use step_observer::plugin::PluginConfig;
use step_observer::sink::SinkKind;
use values::{parse_plugin, parse_shard, parse_sink, parse_speed};

/// Reports the steps of Tekton runs: makes one CloudEvent of each transition of a step, passes it through sandboxed
/// WebAssembly plugins, and sends it to your sinks. It reads the cluster, and writes nothing but Events on the ConfigMaps
/// of plugins.
#[derive(Debug, Parser)]
#[command(
    version,
    long_version = super::version::long(),
    max_term_width = 100,
    after_help = "Start with `step-observer demo`: it needs no cluster."
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
    /// Format of the log lines
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
    /// Play a recorded pipeline that prints secrets, with the redaction plugin. Needs no cluster
    #[command(
        after_help = "Examples:\n  step-observer demo\n  step-observer demo --speed 1     # at the original speed\n  \
        step-observer demo --speed max   # without pauses"
    )]
    Demo(DemoArgs),
    /// Watch a cluster and send its step events
    #[command(
        after_help = "Example:\n  step-observer run --plugin bundled:redact-secrets --to http://broker.example/ci"
    )]
    Run(RunArgs),
    /// Show the steps of a cluster, or of a running observer, while they happen
    #[command(after_help = tap::AFTER_HELP)]
    Tap(TapArgs),
    /// Show runs, plugins and sinks of a running observer, on the whole terminal
    #[command(
        after_help = "Keys: q quits, Tab changes the pane, / filters, f shows failed steps only, ? lists all keys. `tap` prints lines \
        instead.\n\n\
        Example:\n  kubectl -n step-observer port-forward deployment/step-observer 8082 &\n  step-observer top"
    )]
    Top(TopArgs),
    /// Play recordings, or watch streams of kubectl, instead of watching a cluster
    #[command(
        after_help = "kubectl watches one kind at a time. Files are merged by their times, pipes in the order of arrival; \
        either kind may come first.\n\n\
        Examples:\n  step-observer replay run.jsonl --plugin bundled:redact-secrets\n  \
        step-observer replay <(kubectl get pods -w -o json --output-watch-events) \\\n    \
        <(kubectl get taskruns -w -o json --output-watch-events)"
    )]
    Replay(ReplayArgs),
    /// Record the runs of a cluster, with logs and without secrets, for `replay`
    #[command(
        after_help = "It writes DIR/recording.jsonl and DIR/recording.logs.json, readable only by their owner, until Ctrl-C; it reads \
        logs when steps end. All free text (logs, scripts, arguments, environment, labels, annotations, results) is \
        masked first with the rules of redact-secrets; text that cannot be masked is omitted. Names, times, reasons and \
        exit codes stay, so that `replay` gives the same events.\n\n\
        It connects to the cluster of KUBECONFIG. It needs the rights to list and watch pods and taskruns.tekton.dev, \
        and to get pods/log.\n\n\
        Examples:\n  step-observer record --namespace ci --out recording\n  \
        step-observer record --until-idle 30s --out recording && step-observer replay recording"
    )]
    Record(RecordArgs),
    /// Mask the secrets in a text: a filter for logs, and a check for CI
    #[command(after_help = redact::AFTER_HELP)]
    Redact(RedactArgs),
    /// Write, build, try and measure plugins
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Show events that could not be delivered, send them again or drop them
    #[command(
        subcommand,
        after_help = "It asks the observer that uses the journal. Without one it reads the journal itself.\n\n\
        Examples:\n  step-observer dead-letters list --journal /var/lib/step-observer\n  \
        step-observer dead-letters replay --sink broker --journal /var/lib/step-observer"
    )]
    DeadLetters(DeadLettersCommand),
    /// Show the history of an event: plugins, journal, every attempt of every sink
    #[command(
        after_help = "It reads the history beside the journal, also while an observer uses it. EVENT-ID is the \
        attribute `id` of the event (header `ce-id`).\n\n\
        Example:\n  step-observer explain 8d36cea8-4c0d-4d7e-9d5b-0a1f6c9a2b11-build-dev.tekton.event.plugin.step.failed.v1 --journal /var/lib/step-observer"
    )]
    Explain(ExplainArgs),
    /// Check, show and describe configuration files
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the script that completes commands and options in a shell
    #[command(after_help = "To install it:\n  \
        bash: step-observer completions bash > ~/.local/share/bash-completion/completions/step-observer\n  \
        zsh:  step-observer completions zsh > DIR/_step-observer, with a DIR of $fpath\n  \
        fish: step-observer completions fish > ~/.config/fish/completions/step-observer.fish\n\
        This needs the package bash-completion in bash. Without it, for the current shell:\n  \
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
    /// Returns whether the command logs only warnings by default. All commands except `run` do,
    /// because a person or another program reads their output.
    pub(crate) fn is_quiet(&self) -> bool {
        !matches!(self, Self::Run(_))
    }

    /// Returns whether the command owns the whole terminal, so that a log line would spoil it.
    pub(crate) fn owns_terminal(&self) -> bool {
        matches!(self, Self::Top(_))
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Folder for the events; created if it does not exist
    #[arg(long, default_value = "step-observer-demo", value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Speed: 1 is the original speed, 10 ten times as fast, 0 or max without pauses. The default takes
    /// about 4 seconds on a terminal, and has no pauses elsewhere
    #[arg(long, value_parser = parse_speed, value_name = "SPEED")]
    pub(crate) speed: Option<Speed>,
    /// Show the steps on the live page, too, in a browser: at the printed address, until Ctrl-C. The
    /// recording then takes about 20 seconds
    #[arg(long)]
    pub(crate) page: bool,
}

/// The arguments of the pipeline, which `run` and `replay` share.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct PipelineArgs {
    /// Configuration file (YAML). `run` applies it again when it changes
    #[arg(long, env = "STEP_OBSERVER_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Add a plugin: a file or bundled:NAME, with its configuration as a JSON file. Repeatable, in order
    #[arg(long = "plugin", value_name = "FILE[=CONFIG.json]", value_parser = parse_plugin)]
    pub(crate) plugins: Vec<PluginConfig>,
    /// Load plugins from a folder, also while running: NAME.wasm with NAME.yaml, or NAME/plugin.wasm.
    /// Repeatable
    #[arg(long = "plugin-dir", value_name = "DIR")]
    pub(crate) plugin_folders: Vec<PathBuf>,
    /// Keep accepted events in this folder until every sink has them, so that a crash loses none.
    /// Without this option they are only in memory
    #[arg(long, value_name = "DIR")]
    pub(crate) journal: Option<PathBuf>,
    /// Serve HTTP on this address: /status, /plugins, /sinks, /events/ID, /metrics, /healthz and /readyz. Other
    /// machines see the first four only if admin.auth allows it
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin: Option<SocketAddr>,
    /// Add a sink: stdout, file:PATH, tekton (the one that Tekton uses), or an http:// or https://
    /// URL. Repeatable. The default of `run` is the sink of a Knative SinkBinding, else tekton
    #[arg(long = "to", value_name = "SINK", value_parser = parse_sink)]
    pub(crate) sinks: Vec<SinkKind>,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) pipeline: PipelineArgs,
    /// Watch only this namespace. Repeatable; the default is all
    #[arg(long = "namespace", short = 'n', value_name = "NAME", value_parser = namespace_name)]
    pub(crate) namespaces: Vec<String>,
    /// Load plugins from the labelled ConfigMaps of this namespace. The default in a cluster is the
    /// namespace of the pod
    #[arg(long, value_name = "NAME")]
    pub(crate) plugin_namespace: Option<String>,
    /// Watch only objects with these labels
    #[arg(long, short = 'l', value_name = "SELECTOR")]
    pub(crate) selector: Option<String>,
    /// Number of observers that share the work
    #[arg(long, env = "STEP_OBSERVER_SHARDS", value_name = "COUNT")]
    pub(crate) shards: Option<Bounded<1, 1024, u32>>,
    /// Number of this observer, from 0; or the name of a pod of a StatefulSet, which ends in its ordinal
    #[arg(long, env = "STEP_OBSERVER_SHARD", value_parser = parse_shard, value_name = "NUMBER|POD")]
    pub(crate) shard: Option<Bounded<0, 1023, u32>>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ReplayArgs {
    /// Recordings to play together: files, folders with files *.jsonl, pipes, or `-` for standard input. They may hold
    /// watch events, objects and lists, as kubectl prints them with `-o json`
    #[arg(value_name = "FILE", required = true)]
    pub(crate) recordings: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) pipeline: PipelineArgs,
    /// Logs of the recordings. Repeatable; the default is CASE.logs.json beside each CASE.jsonl
    #[arg(long, value_name = "FILE")]
    pub(crate) logs: Vec<PathBuf>,
    /// Speed: 1 is the original speed, 10 ten times as fast, 0 or max without pauses
    #[arg(long, default_value = "max", value_parser = parse_speed, value_name = "SPEED")]
    pub(crate) speed: Speed,
    /// Give up an event after this number of seconds without delivery
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    pub(crate) give_up: u64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// List them
    List {
        #[command(flatten)]
        journal: JournalArgs,
        /// Print JSON, one line for each dead letter
        #[arg(long)]
        json: bool,
    },
    /// Print one dead letter with its event, as JSON
    Show {
        #[command(flatten)]
        journal: JournalArgs,
        /// The dead letter, such as 12:http-1
        #[arg(value_name = "LETTER")]
        letter: DeadLetterId,
    },
    /// Send dead letters again, with the same id, times and content
    Replay {
        #[command(flatten)]
        journal: JournalArgs,
        #[command(flatten)]
        selection: LetterSelection,
        /// Send them to this sink instead
        #[arg(long, value_name = "SINK")]
        to: Option<String>,
    },
    /// Forget them
    Drop {
        #[command(flatten)]
        journal: JournalArgs,
        #[command(flatten)]
        selection: LetterSelection,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// Attribute `id` of the event
    #[arg(value_name = "EVENT-ID")]
    pub(crate) event: String,
    #[command(flatten)]
    pub(crate) journal: JournalArgs,
    /// Print JSON, one line for each entry
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
pub(crate) struct LetterSelection {
    /// The dead letters, such as 12:http-1
    #[arg(value_name = "LETTER")]
    pub(crate) letters: Vec<DeadLetterId>,
    /// All dead letters of one sink
    #[arg(long, value_name = "SINK")]
    pub(crate) sink: Option<String>,
    /// All dead letters
    #[arg(long)]
    pub(crate) all: bool,
}

impl From<LetterSelection> for Selection {
    fn from(selection: LetterSelection) -> Self {
        match selection.sink {
            Some(sink) => Self::Sink(sink),
            None if selection.all => Self::All,
            None => Self::These(selection.letters),
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check a configuration file and load its plugins. Reports all mistakes at once
    #[command(
        after_help = "One line for each mistake: FILE:LINE:COLUMN: field: the mistake and its remedy. The exit code is 1 if \
        there is a mistake.\nFiles that sinks need are not read: the observer may run on another machine."
    )]
    Check {
        /// The configuration file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print a JSON Schema
    Schema {
        /// The described type
        #[arg(value_enum, default_value_t = SchemaOf::Config)]
        of: SchemaOf,
    },
    /// Print a configuration file with every default written out
    Show {
        /// The configuration file; without it, the default configuration
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
    /// The data of events that report a gap
    Gap,
    /// The settings of a drop-in plugin (plugin.yaml)
    Plugin,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: Shell,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// Write the pages of all commands to this folder, which is created if it does not exist
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}
