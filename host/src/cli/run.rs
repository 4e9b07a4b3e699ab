//! `run`: watches a cluster, and takes its configuration file anew whenever it changes.

use super::End;
use super::args::{Road, RunArgs};
use super::commands::{ABORTED, Problem, all_mistakes, ended, merge, signals};
use futures::FutureExt as _;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;
use step_observer::app::{App, CarriedOver, Source};
use step_observer::config::{Config, SinkKind, TektonConfig};
use step_observer::deliver::RetryConfig;
use step_observer::observe;
use step_observer::plugin::Compiler;
use step_observer::sink::{ExtraRoots, HttpConfig, HttpUrl};
use tokio::sync::oneshot;
use tracing::{info, warn};

/// How often the configuration file is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long a run may take to deliver what it has before the next one takes it over, with another configuration.
const HAND_OVER: Duration = Duration::from_secs(5);

pub(super) async fn run(args: RunArgs, compiler: Compiler) -> Result<End, Problem> {
    let mut file = ConfigFile::of(args.road.config.clone()).await;
    let mut config = configure(&args, &compiler).await?;
    let source = source(&config).await?;
    let mut app = match App::build(source, config.clone(), compiler.clone()).await {
        Ok(app) => app,
        Err(error) => {
            let file = args.road.config.as_deref();
            return Err(all_mistakes(file, error.into(), &compiler).await);
        }
    };
    let (stopped, aborted) = (signals(1).shared(), signals(2));
    let mut aborted = std::pin::pin!(aborted);
    loop {
        let kept = app.carried_over();
        let (changes, changed) = oneshot::channel::<()>();
        let stopped = stopped.clone();
        let until = async move {
            tokio::select! {
                () = stopped => None,
                _ = changed => Some(HAND_OVER),
            }
        };
        let mut running = std::pin::pin!(app.run_until(until));
        let next = tokio::select! {
            summary = &mut running => return Ok(ended(&summary?)),
            () = &mut aborted => return Err(ABORTED.into()),
            next = changed_app(&args, &compiler, &mut file, &config, &kept) => next,
        };
        info!("the configuration has changed: what is left goes on under the new one");
        changes.send(()).ok();
        let unprepared = tokio::select! {
            summary = running => summary?.unprepared,
            () = &mut aborted => return Err(ABORTED.into()),
        };
        if unprepared > 0 {
            warn!(
                unprepared,
                "so many events were held before the journal: they are made anew where the cluster still shows their runs"
            );
        }
        kept.note_reload(Ok(()));
        (config, app) = next;
    }
}

/// Command line over file, and where events go by default.
async fn configure(args: &RunArgs, compiler: &Compiler) -> Result<Config, Problem> {
    let RunArgs {
        road,
        namespaces,
        plugin_namespace,
        selector,
        shards,
        shard,
    } = args.clone();
    let mut config = merge(road, &RetryConfig::default(), compiler).await?;
    if !namespaces.is_empty() {
        config.cluster.namespaces = namespaces;
    }
    config.drop_in.namespace = plugin_namespace.or(config.drop_in.namespace);
    config.cluster.label_selector = selector.or(config.cluster.label_selector);
    config.cluster.shards = shards.unwrap_or(config.cluster.shards);
    config.cluster.shard = shard.unwrap_or(config.cluster.shard);
    config.cluster.own_shard()?;
    if config.sinks.is_empty() {
        config.sinks = Road::sinks(vec![default_sink()?], &RetryConfig::default());
    }
    Ok(config)
}

pub(super) async fn source(config: &Config) -> Result<Source, Problem> {
    let (client, watches) = observe::connect().await?;
    let (log_client, _) = observe::connect().await?;
    Ok(Source::Cluster {
        started: observe::cluster_time(&client).await,
        client,
        log_client,
        watches,
        config: config.cluster.clone(),
        look_back: config.look_back.0,
        tap: None,
    })
}

/// Waits for a change of the configuration that can be used. One that cannot changes nothing.
async fn changed_app(
    args: &RunArgs,
    compiler: &Compiler,
    file: &mut ConfigFile,
    current: &Config,
    kept: &CarriedOver,
) -> (Config, App) {
    loop {
        file.changed().await;
        let built = async {
            let config = configure(args, compiler).await?;
            // A file that somebody is writing may look whole before it is.
            if file.has_changed().await {
                return Ok(None);
            }
            if config == *current {
                return Ok(None);
            }
            let source = source(&config).await?;
            let built = App::rebuild(source, config.clone(), compiler.clone(), kept.clone()).await;
            match built {
                Ok(app) => Ok(Some((config, app))),
                Err(error) => {
                    let file = args.road.config.as_deref();
                    Err(all_mistakes(file, error.into(), compiler).await)
                }
            }
        };
        match built.await {
            Ok(Some(next)) => return next,
            // A comment, what it was before a change that was refused, or a file that is still being written.
            Ok(None) => kept.clear_last_refusal(),
            Err(problem) => {
                warn!(%problem, "the changed configuration is refused, the one before stays");
                kept.note_reload(Err(problem.to_string()));
            }
        }
    }
}

/// A configuration file, looked at from time to time: a ConfigMap that is mounted changes by a link.
struct ConfigFile {
    path: Option<PathBuf>,
    seen: Option<Fingerprint>,
}

/// What changes when a file is written or exchanged: device, inode, time in seconds and nanoseconds, size.
type Fingerprint = (u64, u64, i64, i64, u64);

impl ConfigFile {
    async fn of(path: Option<PathBuf>) -> Self {
        let mut file = Self { path, seen: None };
        file.seen = file.look().await;
        file
    }

    async fn look(&self) -> Option<Fingerprint> {
        let metadata = tokio::fs::metadata(self.path.as_ref()?).await.ok()?;
        let (at, part) = (metadata.mtime(), metadata.mtime_nsec());
        Some((metadata.dev(), metadata.ino(), at, part, metadata.len()))
    }

    /// Is it another than it was when it was last looked at?
    async fn has_changed(&self) -> bool {
        self.look().await != self.seen
    }

    /// Waits until it is another than it was, and stays so from one look to the next: whoever writes it is done.
    /// While it is away or empty it has not changed.
    async fn changed(&mut self) {
        if self.path.is_none() {
            return std::future::pending().await;
        }
        let mut last = self.seen;
        loop {
            tokio::time::sleep(LOOK).await;
            let seen = self.look().await.filter(|(.., size)| *size > 0);
            if seen.is_some() && seen == last && seen != self.seen {
                self.seen = seen;
                return;
            }
            last = seen;
        }
    }
}

/// What a Knative SinkBinding says, else what Tekton says.
fn default_sink() -> Result<SinkKind, Problem> {
    #[derive(Default, serde::Deserialize)]
    struct Overrides {
        #[serde(default)]
        extensions: BTreeMap<String, String>,
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "the edge where the environment is read"
    )]
    let variable = |name| {
        std::env::var(name)
            .ok()
            .filter(|text| !text.trim().is_empty())
    };
    let Some(url) = variable("K_SINK") else {
        return Ok(SinkKind::Tekton(TektonConfig::default()));
    };
    let url = HttpUrl::try_from(url).map_err(|problem| format!("K_SINK: {problem}"))?;
    let overrides = match variable("K_CE_OVERRIDES") {
        None => Overrides::default(),
        // Not the cause's text: it quotes the value.
        Some(text) => serde_json::from_str::<serde_json::Map<_, _>>(&text)
            .and_then(|overrides| serde_json::from_value(overrides.into()))
            .map_err(
                |_| "K_CE_OVERRIDES is not of the form {\"extensions\": {\"name\": \"value\"}}",
            )?,
    };
    let roots = match variable("K_CA_CERTS") {
        None => ExtraRoots::default(),
        Some(pem) => {
            let (roots, left_out) = ExtraRoots::from_pem(&pem).map_err(|problem| {
                format!(
                    "K_CA_CERTS: {problem}; it must hold certificates of the authorities of K_SINK"
                )
            })?;
            if left_out > 0 {
                warn!(
                    left_out,
                    "K_CA_CERTS has certificates that no authority can have"
                );
            }
            roots
        }
    };
    let http = HttpConfig {
        roots,
        extensions: overrides.extensions,
        ..HttpConfig::new(url)
    };
    Ok(SinkKind::Http(http.into()))
}
