//! An HTTP receiver whose URL is told while the observer runs.

use super::http::Http;
use super::{Attempt, HttpConfig, SinkUrl};
use crate::event::Encoded;
use std::sync::Arc;
use tokio::sync::{Mutex, watch};

/// Where the events go at the moment; nothing where that is not known, and they wait.
pub type Followed = watch::Receiver<Option<SinkUrl>>;

/// A receiver with the client of the moment.
#[derive(Debug)]
pub struct FollowedHttp {
    url: Followed,
    current: Mutex<Option<(SinkUrl, Arc<Http>)>>,
}

impl FollowedHttp {
    pub(super) fn new(url: Followed) -> Self {
        Self {
            url,
            current: Mutex::default(),
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

    async fn client(&self, url: SinkUrl) -> Result<Arc<Http>, super::SinkError> {
        let mut current = self.current.lock().await;
        if let Some((known, http)) = &*current
            && *known == url
        {
            return Ok(http.clone());
        }
        let http = Arc::new(Http::new(&HttpConfig::new(url.clone()))?);
        *current = Some((url, http.clone()));
        Ok(http)
    }
}
