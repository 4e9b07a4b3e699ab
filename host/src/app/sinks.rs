//! Opens the sinks of a configuration, each with its plugins and its dead-letter sink.

use super::registry_plugins::PluginLoader;
use super::{AppError, Source, tekton};
use crate::config::{DeadLetterConfig, SinkConfig};
use crate::deliver::DeadLetterSink;
use crate::plugin::Chain;
use crate::plugin::dropin::Catalog;
use crate::sink::{FollowTekton, Sink, SinkContext, TektonConfig};
use futures::future::BoxFuture;
use std::sync::Arc;
use tokio::sync::oneshot;

/// A sink that is open.
pub(super) struct ReadySink {
    pub(super) config: SinkConfig,
    pub(super) sink: Sink,
    pub(super) lifetime: SinkLifetime,
}

/// The input of a sink and its end.
pub(super) enum SinkLifetime {
    /// The sink receives events that have passed its own plugins (`chain`). Its input ends when no
    /// event is left to prepare.
    Events {
        chain: Arc<Chain>,
        /// The sink that receives the dead letters of this sink, and a sender. The sender is
        /// dropped when the delivery to this sink has ended.
        dead_letters: Option<(DeadLetterSink, oneshot::Sender<()>)>,
    },
    /// The sink receives the dead letters of another sink, until the delivery to that sink has
    /// ended.
    DeadLetters { closed: oneshot::Receiver<()> },
}

/// Opens sinks.
pub(super) struct SinkOpener<'a> {
    pub(super) source: &'a Source,
    pub(super) loader: &'a PluginLoader<'a>,
    pub(super) catalog: &'a mut Catalog,
    /// Futures that follow the URLs that the cluster can change: one for each such sink.
    pub(super) url_watchers: &'a mut Vec<BoxFuture<'static, ()>>,
    /// Whether each TaskRun has a trace of its own.
    pub(super) own_traces: bool,
}

impl SinkOpener<'_> {
    /// Opens a sink and its dead-letter sink.
    pub(super) async fn open(&mut self, config: SinkConfig) -> Result<Vec<ReadySink>, AppError> {
        let mut opened = Vec::new();
        let mut dead_letters = None;
        if let Some(DeadLetterConfig { to, retry }) = config.dead_letter_sink.as_deref().cloned() {
            let mut dead_letter_sink = SinkConfig::new(config.dead_letter_name(), to);
            dead_letter_sink.retry = retry;
            // Omits the path of the URL, because some receivers use it as a password.
            let destination = config.to.origin().unwrap_or(config.name.clone());
            let (closes, closed) = oneshot::channel();
            let name = dead_letter_sink.name.clone();
            dead_letters = Some((DeadLetterSink::new(name, destination), closes));
            opened.push(ReadySink {
                sink: self.sink(&dead_letter_sink).await?,
                config: dead_letter_sink,
                lifetime: SinkLifetime::DeadLetters { closed },
            });
        }
        let sink = self.sink(&config).await?;
        let own = self.loader.load(&config.plugins).await?;
        let chain = Arc::new(Chain::new(self.loader.engine, own, 0));
        self.catalog.add_sink(&config.name, &chain);
        opened.push(ReadySink {
            config,
            sink,
            lifetime: SinkLifetime::Events {
                chain,
                dead_letters,
            },
        });
        Ok(opened)
    }

    async fn sink(&mut self, config: &SinkConfig) -> Result<Sink, AppError> {
        let url_watchers = &mut *self.url_watchers;
        let mut follow = match self.source {
            Source::Cluster { client, .. } => Some(|tekton: &TektonConfig| {
                let (watcher, url) = tekton::watch_url(client.clone(), tekton);
                url_watchers.push(watcher);
                url
            }),
            Source::Recording { .. } => None,
        };
        let mut context = SinkContext {
            follow_tekton: follow
                .as_mut()
                .map(|follow| follow as &mut FollowTekton<'_>),
            own_traces: self.own_traces,
        };
        let opened = config.to.open(&mut context).await;
        opened.map_err(|source| AppError::Sink {
            name: config.name.clone(),
            source,
        })
    }
}
