//! Reads the bodies of events.

use super::Journal;
use super::entry::Seq;
use super::shared::Shared;
use bytes::Bytes;

impl Journal {
    /// Returns the bytes of an event; `None` if all sinks have acknowledged it.
    ///
    /// # Errors
    ///
    /// Fails if the segment cannot be read.
    pub(crate) async fn body(&self, seq: Seq) -> std::io::Result<Option<Bytes>> {
        match self.shared.cached(seq) {
            Some(cached) => Ok(Some(cached)),
            None => self.blocking_read(move |shared| shared.read(seq)).await,
        }
    }

    /// Returns the bytes of an event for a sink that reads its events in order. Reads the following
    /// events ahead.
    ///
    /// # Errors
    ///
    /// Fails if the segment cannot be read.
    pub(crate) async fn next_body(&self, seq: Seq, sink: &str) -> std::io::Result<Option<Bytes>> {
        if let Some(cached) = self.shared.cached(seq) {
            if let Some(from) = self.shared.next_read_ahead(seq, sink) {
                let (shared, sink) = (self.shared.clone(), sink.to_owned());
                // Not awaited. A caller that needs a body before it was read ahead reads it itself.
                drop(tokio::task::spawn_blocking(move || {
                    shared.prefetch(from, &sink, 0);
                }));
            }
            return Ok(Some(cached));
        }
        let _turn = self.shared.reading.lock().await;
        if let Some(cached) = self.shared.cached(seq) {
            return Ok(Some(cached));
        }
        let sink = sink.to_owned();
        self.blocking_read(move |shared| shared.read_and_prefetch(seq, &sink))
            .await
    }

    async fn blocking_read(
        &self,
        read: impl FnOnce(&Shared) -> std::io::Result<Option<Bytes>> + Send + 'static,
    ) -> std::io::Result<Option<Bytes>> {
        let shared = self.shared.clone();
        let reading = tokio::task::spawn_blocking(move || read(&shared));
        reading
            .await
            .unwrap_or_else(|error| Err(std::io::Error::other(error)))
    }
}
