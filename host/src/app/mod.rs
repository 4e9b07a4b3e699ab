//! The composition root: it builds a pipeline from a configuration and runs it. The supervisor in
//! it is the only place that spawns tasks.

mod check;
mod condition_metrics;
mod deliveries;
mod drop_in_fetcher;
mod drop_ins;
mod error;
mod gaps;
mod instance;
mod known_secrets;
mod memory_limit;
mod pipeline;
mod plugins;
mod registry_plugins;
mod reload;
mod removed_sinks;
mod reviewer;
mod sinks;
mod source;
mod standby;
mod status;
mod supervisor;
mod tekton;
mod track;

pub use check::{CheckScope, check};
pub use error::AppError;
pub use plugins::{load_module, load_plugin, read_plugin};
pub use reload::CarriedOver;
pub use source::Source;

use crate::clock;
use crate::config::Config;
use crate::event::{EventConfig, TraceContext};
use crate::journal::JournalConfig;
use crate::known_secrets::KnownSecrets;
use crate::logs::LogConfig;
use crate::plugin::Compiler;
use crate::plugin::dropin::Catalog;
use crate::prepare::EventHook;
use crate::step_metrics::StepMetricsConfig;
use drop_in_fetcher::DropInFetcher;
use drop_ins::DropInSource;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use pipeline::{CHANGES_CAPACITY, Pipeline};
use registry_plugins::{PluginLoader, Unpulled};
use sinks::ReadySink;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for the journal when a pipeline starts and when it ends.
const MAX_SYNC_WAIT: Duration = Duration::from_secs(5);

/// A pipeline that is ready to run.
#[expect(
    missing_debug_implementations,
    reason = "an event hook has nothing to show"
)]
pub struct App {
    source: Source,
    catalog: Catalog,
    drop_ins: Vec<DropInSource>,
    drop_in_fetcher: DropInFetcher,
    sinks: Vec<ReadySink>,
    /// Futures that follow the URLs of sinks that the cluster can change.
    url_watchers: Vec<BoxFuture<'static, ()>>,
    carried: CarriedOver,
    /// Folder of the journal.
    folder: Option<PathBuf>,
    event: EventConfig,
    known_secrets: KnownSecrets,
    log: LogConfig,
    step_metrics: Option<StepMetricsConfig>,
    grace: Duration,
    event_hook: Option<EventHook>,
    /// When it was built, by the clock of the machine.
    built_at: Duration,
}

/// The result of a pipeline that has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Transitions of steps.
    pub steps: u64,
    /// Events that plugins dropped.
    pub dropped: u64,
    /// Events that could not be made, or were not accepted before the end.
    pub unprepared: u64,
    /// Per sink: its name, delivered events, undelivered events.
    pub sinks: Vec<(String, u64, u64)>,
}

impl Summary {
    /// Returns the number of deliveries that are missing: one for each unprepared event, and one
    /// for each sink that did not receive an event.
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
    /// Loads plugins, which `compiler` compiles, and opens sinks.
    ///
    /// # Errors
    ///
    /// The first plugin or sink that cannot be used.
    pub async fn build(
        source: Source,
        config: Config,
        compiler: Compiler,
    ) -> Result<Self, AppError> {
        if config.sinks.is_empty() {
            return Err(AppError::NoSink);
        }
        let carried = CarriedOver::open(&source, &config).await?;
        let unpulled = match source.is_recording() {
            true => Unpulled::Refuse,
            false => Unpulled::StandIn,
        };
        Self::assemble(source, config, compiler, carried, unpulled).await
    }

    /// Builds the successor of a pipeline, with another configuration. The successor takes over
    /// what the old pipeline has accepted, but uses none of it before it runs. So if the build
    /// fails, the old pipeline continues.
    ///
    /// # Errors
    ///
    /// As for [`App::build`], or a part of the configuration changed that needs a restart.
    pub async fn rebuild(
        source: Source,
        config: Config,
        compiler: Compiler,
        carried: CarriedOver,
    ) -> Result<Self, AppError> {
        let carried = carried.for_config(&config)?;
        Self::assemble(source, config, compiler, carried, Unpulled::KeepRunning).await
    }

    /// Returns the state that the next pipeline takes over.
    #[must_use]
    pub fn carried_over(&self) -> CarriedOver {
        self.carried.clone()
    }

    /// Builds a pipeline that shows what the plugins would do. It sends nothing anywhere.
    ///
    /// # Errors
    ///
    /// The first plugin that cannot be used.
    pub async fn dry_run(source: Source, config: Config) -> Result<Self, AppError> {
        let without_sinks = Config {
            sinks: Vec::new(),
            journal: JournalConfig::default(),
            ..config
        };
        let carried = CarriedOver::open(&source, &without_sinks).await?;
        let unpulled = Unpulled::Refuse;
        Self::assemble(source, without_sinks, Compiler::Thread, carried, unpulled).await
    }

    async fn assemble(
        source: Source,
        config: Config,
        compiler: Compiler,
        carried: CarriedOver,
        unpulled: Unpulled,
    ) -> Result<Self, AppError> {
        let Config {
            cluster: _,
            look_back: _,
            log,
            event,
            known_secrets,
            plugins,
            drop_in,
            registries,
            plugin_memory,
            trust,
            journal,
            admin: _,
            step_metrics,
            traces: _,
            standby: _,
            sinks,
            shutdown_grace,
        } = config;
        let known_secrets = carried.open_known_secrets(&known_secrets, source.secrets())?;
        let engine = plugins::engine_with_memory(carried.engine.clone(), &plugin_memory, compiler);
        let mut ready = Vec::new();
        let trust = Arc::new(trust);
        carried.registry_plugins.begin_build();
        let loader = PluginLoader {
            engine: &engine,
            trust: &trust,
            registry_plugins: &carried.registry_plugins,
            registries: Arc::new(registries.into()),
            unpulled,
        };
        let fixed = loader.load(&plugins).await?;
        for folder in &drop_in.folders {
            // A folder may vanish and return later, but its absence at the start is a mistake.
            std::fs::read_dir(folder).map_err(|source| AppError::PluginFolder {
                folder: folder.clone(),
                source,
            })?;
        }
        let ceiling = drop_in.limits.clone();
        let scopes = drop_in.registries.clone();
        let fetcher = DropInFetcher::new(
            &drop_in,
            loader.registries.clone(),
            carried.registry_plugins.dropped_in().clone(),
            source.secrets(),
        );
        let drop_ins = plugins::sources(&source, drop_in);
        let catalog = Catalog::new(&engine, trust.clone(), fixed, drop_ins.len());
        let mut catalog = catalog
            .with_ceiling(ceiling)
            .with_registries(scopes)
            .with_crashes(carried.crashes.clone());
        let mut url_watchers = Vec::new();
        let mut opener = sinks::SinkOpener {
            source: &source,
            loader: &loader,
            catalog: &mut catalog,
            url_watchers: &mut url_watchers,
            own_traces: event.trace_context == TraceContext::Own,
        };
        for config in sinks {
            ready.extend(opener.open(config).await?);
        }
        carried.registry_plugins.finish_build();
        Ok(Self {
            source,
            catalog,
            drop_ins,
            drop_in_fetcher: fetcher,
            sinks: ready,
            url_watchers,
            carried,
            folder: journal.directory,
            event,
            known_secrets,
            log,
            step_metrics,
            grace: Duration::try_from(shutdown_grace.0).unwrap_or_default(),
            event_hook: None,
            built_at: clock::since_boot(),
        })
    }

    /// Sets a hook that is called for each prepared event.
    #[must_use]
    pub fn with_event_hook(mut self, event_hook: EventHook) -> Self {
        self.event_hook = Some(event_hook);
        self
    }

    /// Returns the address of the live page, if `admin.listen` is configured.
    #[must_use]
    pub fn page_address(&self) -> Option<SocketAddr> {
        self.carried.listeners.runs_address()
    }

    /// Runs until the source ends or `shutdown` resolves, then delivers what is left within the
    /// configured grace period.
    ///
    /// # Errors
    ///
    /// The source or the journal fails, or a stage panics.
    pub async fn run(
        self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Summary, AppError> {
        self.run_until(shutdown.map(|()| None)).await
    }

    /// Does the same as [`App::run`], but `shutdown` may return another grace period.
    ///
    /// # Errors
    ///
    /// As for [`App::run`].
    pub async fn run_until(
        self,
        shutdown: impl Future<Output = Option<Duration>> + Send + 'static,
    ) -> Result<Summary, AppError> {
        let (grace, shutdown) = (self.grace, shutdown.boxed().shared());
        let pipeline = Pipeline::start(self, shutdown.clone().map(drop)).await?;
        pipeline.finish(shutdown, grace).await
    }
}
