//! The composition root: the only place that spawns. Stages in a row, each ends when the one before
//! it has ended and it has worked off what it had:
//!
//! observe → track → prepare → one lane set per sink
//!
//! Only `observe` hears the shutdown; everything else flows downhill.

mod stages;

use crate::config::{Config, LogConfig, PluginConfig, PluginFrom, SinkConfig, SinkKind};
use crate::deliver::{self, Account};
use crate::event::EventConfig;
use crate::lanes::{self, LaneLimits};
use crate::logs::Logs;
use crate::observe::{self, ClusterConfig, ObserveError, Speed, Tracker};
use crate::plugin::{Chain, ChainError, ChainPool, PluginEngine, PluginSource, PluginSpec};
use crate::prepare::{Onlooker, Outlet, Preparation, Tally};
use crate::sink::{Sink, SinkError};
use crate::step::StepRecord;
use futures::FutureExt as _;
use jiff::SignedDuration;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{debug, info};

/// Changes between observe and track: enough to smooth bursts, few enough to stay small.
const CHANGES: usize = 64;
/// Step records that are prepared at a time: most wait for a log.
const PREPARING: usize = 32;
/// Step records that are held.
const RECORDS: usize = 64;

/// What is observed.
#[expect(
    missing_debug_implementations,
    reason = "a reader and a client have nothing to show"
)]
pub enum Source {
    /// A cluster.
    Cluster {
        /// Its client.
        client: kube::Client,
        /// A client of its own for logs, so that they cannot starve the watches.
        log_client: kube::Client,
        /// What to watch.
        config: ClusterConfig,
        /// Older runs are history.
        look_back: SignedDuration,
    },
    /// A recording or a piped watch stream.
    Recording {
        /// Its name, for messages.
        name: String,
        /// The stream.
        reader: Box<dyn Read + Send>,
        /// Its logs.
        logs: observe::RecordedLogs,
        /// How fast it is played.
        speed: Speed,
        /// It is happening now: where its events have no time, it is this machine's.
        live: bool,
        /// How long a plugin may hold an event.
        hold_for: Duration,
    },
}

/// Everything that a run needs.
#[expect(
    missing_debug_implementations,
    reason = "an onlooker has nothing to show"
)]
pub struct App {
    source: Source,
    chain: Arc<Chain>,
    sinks: Vec<ReadySink>,
    event: EventConfig,
    log: LogConfig,
    grace: Duration,
    onlooker: Option<Onlooker>,
}

struct ReadySink {
    config: SinkConfig,
    sink: Sink,
    chain: Arc<Chain>,
}

/// Why a run cannot start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Nothing can be observed.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// A plugin is not loaded.
    #[error(transparent)]
    Plugin(#[from] ChainError),
    /// WebAssembly does not run here.
    #[error("failed to start the plugin engine: {0}")]
    Engine(String),
    /// A sink is not usable.
    #[error("sink `{name}`: {source}")]
    Sink {
        /// Its name.
        name: String,
        /// Why.
        source: SinkError,
    },
    /// There is no sink.
    #[error(
        "there is no sink: give --to (stdout, file:PATH or a URL), or `sinks` in the configuration"
    )]
    NoSink,
    /// A thread cannot be started.
    #[error("failed to start a thread: {0}")]
    Thread(#[from] std::io::Error),
    /// A stage panicked.
    #[error("stage `{0}` ended unexpectedly; please report this")]
    Stage(String),
}

/// What a run has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Transitions of steps.
    pub steps: u64,
    /// Events that plugins dropped.
    pub dropped: u64,
    /// Events that could not be made, or did not get through the plugins before the end.
    pub unprepared: u64,
    /// Per sink: name, delivered, undelivered.
    pub sinks: Vec<(String, u64, u64)>,
}

impl Summary {
    /// Events that some sink should have and has not.
    #[must_use]
    pub fn undelivered(&self) -> u64 {
        self.unprepared
            + self
                .sinks
                .iter()
                .map(|(_, _, undelivered)| undelivered)
                .sum::<u64>()
    }
}

impl App {
    /// Loads plugins and opens sinks.
    ///
    /// # Errors
    ///
    /// The first of them that cannot be used.
    pub async fn build(source: Source, config: Config) -> Result<Self, AppError> {
        let Config {
            cluster: _,
            look_back: _,
            log,
            event,
            plugins,
            sinks,
            shutdown_grace,
        } = config;
        if sinks.is_empty() {
            return Err(AppError::NoSink);
        }
        let engine = PluginEngine::new().map_err(|error| AppError::Engine(format!("{error:#}")))?;
        let mut ready = Vec::new();
        let chain = Arc::new(load(&engine, &plugins)?);
        for config in sinks {
            let opened = match &config.to {
                SinkKind::Stdout(stdout) => Ok(Sink::stdout(stdout)),
                SinkKind::File(file) => Sink::file(file).await,
                SinkKind::Http(http) => Sink::http(http),
            };
            let sink = opened.map_err(|source| AppError::Sink {
                name: config.name.clone(),
                source,
            })?;
            let chain = Arc::new(load(&engine, &config.plugins)?);
            ready.push(ReadySink {
                config,
                sink,
                chain,
            });
        }
        Ok(Self {
            source,
            chain,
            sinks: ready,
            event,
            log,
            grace: Duration::try_from(shutdown_grace.0).unwrap_or_default(),
            onlooker: None,
        })
    }

    /// Lets somebody look on.
    #[must_use]
    pub fn with_onlooker(mut self, onlooker: Onlooker) -> Self {
        self.onlooker = Some(onlooker);
        self
    }

    /// Runs until the source ends, or `shutdown` does; then delivers what is left within the grace
    /// period.
    ///
    /// # Errors
    ///
    /// The source fails, or a stage panics.
    pub async fn run(
        self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Summary, AppError> {
        let Self {
            source,
            chain,
            sinks,
            event,
            log,
            grace,
            onlooker,
        } = self;
        let mut running: JoinSet<(&'static str, Result<(), ObserveError>)> = JoinSet::new();
        let tally = Arc::new(Tally::default());
        let (changes, seen) = mpsc::channel(CHANGES);
        let (records, to_prepare) = mpsc::channel(RECORDS);
        let (ledger, log_source) = stages::beginnings(&source, &log);
        let logs = Arc::new(Logs::new(log_source, &log));

        let hold_for = match &source {
            Source::Cluster { .. } => None,
            Source::Recording { hold_for, .. } => Some(*hold_for),
        };
        let mut accounts = Vec::new();
        let mut outlets = Vec::new();
        for ReadySink {
            config,
            sink,
            chain,
        } in sinks
        {
            let account = Arc::new(Account::default());
            let (lane, events) = mpsc::channel(deliver::QUEUE);
            accounts.push((config.name.clone(), account.clone()));
            outlets.push(Outlet {
                name: config.name.clone(),
                select: config.select,
                chain,
                account: account.clone(),
                lane,
            });
            running.spawn(async move {
                deliver::deliver(&config.name, &sink, &config.retry, &account, events).await;
                ("deliver", Ok(()))
            });
        }
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let pool = ChainPool::new(threads)?;
        let preparation = Preparation {
            logs: logs.clone(),
            event,
            pool,
            chain,
            outlets,
            tally: tally.clone(),
            onlooker,
            hold_for,
        };
        running.spawn(async move {
            let limits = LaneLimits {
                concurrency: PREPARING,
                capacity: RECORDS,
            };
            lanes::run(to_prepare, limits, |record: StepRecord| {
                preparation.prepare(record)
            })
            .await;
            ("prepare", Ok(()))
        });
        running.spawn(stages::track(
            Tracker::new(ledger),
            seen,
            records,
            logs,
            tally.clone(),
        ));
        let shutdown = shutdown.boxed().shared();
        let stop = shutdown.clone();
        running.spawn(async move { ("observe", stages::observe(source, changes, shutdown).await) });

        let failure = stages::supervise(&mut running, stop, grace).await?;
        let summary = Summary {
            steps: tally.steps.load(Ordering::Relaxed),
            dropped: tally.dropped.load(Ordering::Relaxed),
            unprepared: tally.failed.load(Ordering::Relaxed)
                + tally.pending.load(Ordering::Relaxed),
            sinks: accounts
                .into_iter()
                .map(|(name, account)| (name, account.delivered(), account.undelivered()))
                .collect(),
        };
        match failure {
            Some(error) => Err(error.into()),
            None => Ok(summary),
        }
    }
}

fn load(engine: &PluginEngine, configs: &[PluginConfig]) -> Result<Chain, ChainError> {
    let specs: Vec<PluginSpec> = configs.iter().map(spec).collect();
    for spec in &specs {
        info!(plugin = spec.name, "loading plugin");
    }
    let chain = Chain::load(engine, &specs)?;
    for plugin in chain.plugins() {
        let (name, version) = plugin.identity();
        debug!(
            plugin = plugin.name(), name, version, digest = plugin.digest(), on_error = ?plugin.on_error(),
            snapshotted = plugin.is_snapshotted(), "plugin is loaded"
        );
    }
    Ok(chain)
}

/// Loads the plugins of a configuration, to see whether they can be.
///
/// # Errors
///
/// The first that cannot.
pub fn check_plugins(config: &Config) -> Result<(), AppError> {
    let engine = PluginEngine::new().map_err(|error| AppError::Engine(format!("{error:#}")))?;
    load(&engine, &config.plugins)?;
    for sink in &config.sinks {
        load(&engine, &sink.plugins)?;
    }
    Ok(())
}

fn spec(config: &PluginConfig) -> PluginSpec {
    let PluginConfig {
        name,
        from,
        config,
        on_error,
        limits,
    } = config.clone();
    let source = match from {
        PluginFrom::File(path) => PluginSource::File(path),
        PluginFrom::Bundled(name) => PluginSource::Bundled(name),
    };
    PluginSpec {
        config,
        on_error,
        limits,
        ..PluginSpec::new(name, source)
    }
}
