//! The sink that Tekton sends its own events to: an HTTP receiver whose URL may change while the observer runs.

mod config;

pub use config::TektonConfig;

use super::http::Http;
use super::wire::{SinkContext, Wire};
use super::{Attempt, HttpConfig, PauseGate, SinkError, defaults};
use crate::event::Encoded;
use crate::http::HttpUrl;
use std::sync::Arc;
use tokio::sync::{Mutex, watch};

/// The current URL. `None` while the URL is unknown; events wait until it is known.
pub type DynamicUrl = watch::Receiver<Option<HttpUrl>>;

/// An HTTP receiver whose URL may change.
#[derive(Debug)]
pub(super) struct DynamicHttp {
    url: DynamicUrl,
    pause: PauseGate,
    /// The receiver of the last attempt.
    current: Mutex<Option<(HttpUrl, Arc<Http>)>>,
}

impl DynamicHttp {
    /// Returns the receiver at a URL. A new URL ends the pause, because the new receiver has not
    /// asked for it.
    async fn receiver(&self, url: HttpUrl) -> Result<Arc<Http>, SinkError> {
        let mut current = self.current.lock().await;
        if let Some((known, http)) = &*current
            && *known == url
        {
            return Ok(http.clone());
        }
        let http = Http::new(&HttpConfig::new(url.clone()))?;
        if current.is_some() {
            self.pause.lift();
        }
        let http = Arc::new(http.with_pause_gate(self.pause.clone()));
        *current = Some((url, http.clone()));
        Ok(http)
    }
}

impl Wire for DynamicHttp {
    type Config = TektonConfig;

    const NAME: &'static str = "tekton";

    async fn open(config: &TektonConfig, context: &mut SinkContext<'_>) -> Result<Self, SinkError> {
        let follow = context.follow_tekton.as_mut().ok_or(SinkError::NoCluster)?;
        Ok(Self {
            url: follow(config),
            pause: PauseGate::new(defaults::MAX_PAUSE),
            current: Mutex::default(),
        })
    }

    /// Waits until the URL is known, and sends once.
    async fn send(&self, event: &Encoded) -> Attempt {
        let mut url = self.url.clone();
        let known = url.wait_for(Option::is_some).await;
        let Some(url) = known.ok().and_then(|url| url.clone()) else {
            // The URL will never be known, because the task that follows Tekton's configuration has
            // ended. The observer is stopping, and the journal keeps the event.
            return std::future::pending().await;
        };
        match self.receiver(url).await {
            Ok(http) => http.send(event).await,
            Err(error) => Attempt::retry(error.to_string()),
        }
    }

    fn with_pause_gate(self, pause: PauseGate) -> Self {
        Self { pause, ..self }
    }

    async fn receiver_changed(&self) {
        let last = {
            let current = self.current.lock().await;
            current.as_ref().map(|(url, _)| url.clone())
        };
        let mut url = self.url.clone();
        let changed = url.wait_for(|now| now.is_some() && *now != last);
        let changed = changed.await.ok().and_then(|url| url.clone());
        let receiver = match changed {
            Some(url) => self.receiver(url).await.ok(),
            None => None,
        };
        if receiver.is_none() {
            // Waits forever: the observer is stopping, or no client can be built for the URL. In
            // the second case, the next attempt reports the failure.
            std::future::pending().await
        }
    }
}
