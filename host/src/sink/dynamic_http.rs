//! An HTTP receiver whose URL is told while the observer runs.

use super::http::Http;
use super::{Attempt, HttpConfig, HttpUrl, PauseGate, defaults};
use crate::event::Encoded;
use std::sync::Arc;
use tokio::sync::{Mutex, watch};

/// Where the events go at the moment; nothing where that is not known, and they wait.
pub type DynamicUrl = watch::Receiver<Option<HttpUrl>>;

/// A receiver with the client of the moment.
#[derive(Debug)]
pub struct DynamicHttp {
    url: DynamicUrl,
    pause: PauseGate,
    current: Mutex<Option<(HttpUrl, Arc<Http>)>>,
}

impl DynamicHttp {
    pub(super) fn new(url: DynamicUrl) -> Self {
        Self {
            url,
            pause: PauseGate::new(defaults::LONGEST_PAUSE),
            current: Mutex::default(),
        }
    }

    pub(super) fn pausing(self, pause: PauseGate) -> Self {
        Self { pause, ..self }
    }

    /// Ends when the events go elsewhere than at the last try, which ends a pause.
    pub(super) async fn moved(&self) {
        let tried = {
            let current = self.current.lock().await;
            current.as_ref().map(|(url, _)| url.clone())
        };
        let mut url = self.url.clone();
        let elsewhere = url.wait_for(|now| now.is_some() && *now != tried);
        let elsewhere = elsewhere.await.ok().and_then(|url| url.clone());
        let client = match elsewhere {
            Some(url) => self.client(url).await.ok(),
            None => None,
        };
        if client.is_none() {
            // The observer stops, or there is no client to that URL, which the next attempt reports.
            std::future::pending().await
        }
    }

    /// Waits until there is a receiver, and tries once.
    pub(super) async fn send(&self, event: &Encoded) -> Attempt {
        let mut url = self.url.clone();
        let known = url.wait_for(Option::is_some).await;
        let Some(url) = known.ok().and_then(|url| url.clone()) else {
            // Nobody tells any more: the observer stops, and the event stays where it is.
            return std::future::pending().await;
        };
        match self.client(url).await {
            Ok(http) => http.send(event).await,
            Err(error) => Attempt::retry(error.to_string()),
        }
    }

    async fn client(&self, url: HttpUrl) -> Result<Arc<Http>, super::SinkError> {
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
        let http = Arc::new(http.pausing(self.pause.clone()));
        *current = Some((url, http.clone()));
        Ok(http)
    }
}
