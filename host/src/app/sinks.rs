//! The sinks of a configuration: opened, each with a dead-letter sink where it has one.

use super::stages::Stages;
use super::{AppError, CarriedOver, MAX_SYNC_WAIT, Source, plugins, tekton};
use crate::clock;
use crate::config::{DeadLetterConfig, SinkConfig, SinkKind};
use crate::deliver::{Closing, DeadLetterSink, Delivery, SinkMetrics};
use crate::event::Encoded;
use crate::history::{EventStage, History};
use crate::journal::{DeadLetter, Journal, JournalError, WaitingEvent};
use crate::plugin::dropin::Catalog;
use crate::plugin::{Chain, PluginEngine, TrustConfig};
use crate::prepare::SinkRoute;
use crate::sink::{Sink, SinkError};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// A sink that can be delivered to.
pub(super) struct ReadySink {
    pub(super) config: SinkConfig,
    sink: Sink,
    /// Its own plugins; nothing where only dead letters go there.
    chain: Option<Arc<Chain>>,
    dead_letters: Option<DeadLetterSink>,
    /// Of a dead-letter sink: when there will be no more dead letters.
    until: Option<oneshot::Receiver<()>>,
    /// Of a sink with a dead-letter sink: dropped when its delivery has ended.
    ends: Option<oneshot::Sender<()>>,
}

impl ReadySink {
    /// Where events go to it; nothing where only dead letters do.
    fn route(&self) -> Option<SinkRoute> {
        Some(SinkRoute {
            name: self.config.name.clone(),
            select: self.config.select.clone(),
            chain: self.chain.clone()?,
            added: self.config.to.added_bytes(),
        })
    }
}

/// Deliveries to all sinks.
pub(super) struct Deliveries {
    /// What became of the events for each.
    pub(super) sink_metrics: Vec<(String, Arc<SinkMetrics>)>,
    /// Where events go that are prepared.
    pub(super) routes: Vec<SinkRoute>,
    /// Ends when the last of them has ended.
    pub(super) over: Closing,
}

impl Deliveries {
    /// Starts one to each sink. It ends when nothing more is accepted and nothing waits.
    pub(super) fn start(
        sinks: Vec<ReadySink>,
        prepared: &Closing,
        carried: &CarriedOver,
        running: &mut Stages,
    ) -> Self {
        let (delivering, mut over) = mpsc::channel::<()>(1);
        let (mut sink_metrics, mut routes) = (Vec::new(), Vec::new());
        let configs: Vec<&SinkConfig> = sinks.iter().map(|ready| &ready.config).collect();
        let pauses = carried.pauses(&configs);
        for (ready, pause) in sinks.into_iter().zip(pauses) {
            let metrics = Arc::new(SinkMetrics::new(pause));
            routes.extend(ready.route());
            let closing = match ready.until {
                Some(until) => until.map(drop).boxed().shared(),
                None => prepared.clone(),
            };
            let SinkConfig { name, retry, .. } = ready.config;
            sink_metrics.push((name.clone(), metrics.clone()));
            let delivery = Delivery::new(name, ready.sink, retry, carried.journal.clone(), metrics)
                .with_dead_letters(ready.dead_letters)
                .with_history(carried.history.clone());
            let (ends, one_of_them) = (ready.ends, delivering.clone());
            running.spawn(delivery.run(closing).map(|()| {
                drop((ends, one_of_them));
                ("deliver", Ok(()))
            }));
        }
        let over = async move {
            over.recv().await;
        };
        Self {
            sink_metrics,
            routes,
            over: over.boxed().shared(),
        }
    }
}

/// Opens sinks.
pub(super) struct SinkOpener<'a> {
    pub(super) source: &'a Source,
    pub(super) engine: &'a PluginEngine,
    pub(super) trust: &'a Arc<TrustConfig>,
    pub(super) catalog: &'a mut Catalog,
    /// What finds out where events go, while there are any.
    pub(super) url_watchers: &'a mut Vec<BoxFuture<'static, ()>>,
}

impl SinkOpener<'_> {
    /// Opens a sink and its dead-letter sink.
    pub(super) async fn open(&mut self, config: SinkConfig) -> Result<Vec<ReadySink>, AppError> {
        let mut opened = Vec::new();
        let (mut dead_letters, mut ends) = (None, None);
        if let Some(DeadLetterConfig { to, retry }) = config.dead_letter_sink.as_deref().cloned() {
            let mut dead_letter_sink = SinkConfig::new(config.dead_letter_name(), to);
            dead_letter_sink.retry = retry;
            let destination = match &config.to {
                // Not its path: there are receivers for whom it is a password.
                SinkKind::Http(http) => http.url.origin(),
                _ => config.name.clone(),
            };
            dead_letters = Some(DeadLetterSink::new(
                dead_letter_sink.name.clone(),
                destination,
            ));
            let (end, until) = oneshot::channel();
            ends = Some(end);
            opened.push(ReadySink {
                sink: self.sink(&dead_letter_sink).await?,
                config: dead_letter_sink,
                chain: None,
                dead_letters: None,
                until: Some(until),
                ends: None,
            });
        }
        let sink = self.sink(&config).await?;
        let own = plugins::load(self.engine, &config.plugins, self.trust).await?;
        let chain = Arc::new(Chain::new(self.engine, own, 0));
        self.catalog.add_sink(&config.name, &chain);
        opened.push(ReadySink {
            config,
            sink,
            chain: Some(chain),
            dead_letters,
            until: None,
            ends,
        });
        Ok(opened)
    }

    async fn sink(&mut self, config: &SinkConfig) -> Result<Sink, AppError> {
        let opened = match &config.to {
            SinkKind::Stdout(stdout) => Ok(Sink::stdout(stdout)),
            SinkKind::File(file) => Sink::file(file).await,
            SinkKind::Http(http) => Sink::http(http),
            SinkKind::Nats(nats) => Sink::nats(nats),
            SinkKind::Kafka(kafka) => Sink::kafka(kafka),
            SinkKind::Tekton(tekton) => {
                let Source::Cluster { client, .. } = self.source else {
                    return Err(AppError::NoTekton(config.name.clone()));
                };
                let (watcher, url) = tekton::watch_url(client.clone(), tekton);
                self.url_watchers.push(watcher);
                Ok(Sink::dynamic_http(url))
            }
        };
        opened.map_err(|source| AppError::Sink {
            name: config.name.clone(),
            source,
        })
    }
}

/// Opens a sink as far as no server and no file of its own is needed for it: reads the secrets and certificates.
pub(super) fn open_offline(to: &SinkKind) -> Result<(), SinkError> {
    match to {
        SinkKind::Http(http) => Sink::http(http).map(drop),
        SinkKind::Nats(nats) => Sink::nats(nats).map(drop),
        SinkKind::Kafka(kafka) => Sink::kafka(kafka).map(drop),
        SinkKind::Stdout(_) | SinkKind::File(_) | SinkKind::Tekton(_) => Ok(()),
    }
}

/// What waits for sinks that are not configured any more: it becomes dead letters, seen and not lost.
pub(super) struct RemovedSinkBacklog(std::vec::IntoIter<(String, WaitingEvent)>);

impl RemovedSinkBacklog {
    pub(super) fn find(journal: &Journal, sinks: &[ReadySink]) -> Self {
        let mut backlog = Vec::new();
        for name in journal.sinks() {
            if sinks.iter().any(|sink| sink.config.name == name) {
                continue;
            }
            let waiting = journal.waiting(&name, 0, usize::MAX);
            let events = waiting.len();
            tracing::warn!(
                sink = name,
                events,
                "this sink is not configured any more: what waits for it becomes dead letters"
            );
            backlog.extend(waiting.into_iter().map(|event| (name.clone(), event)));
        }
        Self(backlog.into_iter())
    }

    /// As many as there is room for at once. They are counted before there are more, but a full disk is not
    /// waited for: what is there is delivered all the same.
    pub(super) async fn dead_letter_first(
        &mut self,
        journal: &Journal,
        history: &History,
    ) -> Result<(), JournalError> {
        let room = journal.room_for_dead_letters().min(self.0.len());
        for event in self.0.by_ref().take(room) {
            dead_letter(journal, history, event).await?;
        }
        if room == 0 {
            return Ok(());
        }
        let counted = tokio::time::timeout(MAX_SYNC_WAIT, journal.sync()).await;
        counted.unwrap_or(Ok(()))
    }

    /// The others, which wait until somebody looks after the dead letters.
    pub(super) async fn dead_letter_rest(self, journal: Journal, history: History) {
        for event in self.0 {
            // Where the journal cannot be written, the observer stops anyway.
            if dead_letter(&journal, &history, event).await.is_err() {
                return;
            }
        }
    }
}

async fn dead_letter(
    journal: &Journal,
    history: &History,
    (sink, event): (String, WaitingEvent),
) -> Result<(), JournalError> {
    let letter = DeadLetter {
        reason: "the sink is not configured any more".to_owned(),
        attempts: 0,
        first: event.at,
        last: event.at,
        refused: false,
    };
    let body = journal.body(event.seq).await.ok().flatten();
    history.record(clock::now(), || {
        let dead = EventStage::Dead {
            sink: sink.clone(),
            attempts: letter.attempts,
            reason: letter.reason.clone(),
            to: None,
        };
        (Encoded::stored(body.unwrap_or_default()).id(), dead)
    });
    journal.dead_letter(event.seq, &sink, letter).await
}
