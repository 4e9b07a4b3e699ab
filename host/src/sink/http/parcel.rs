//! What is posted: content and headers of one event, or of many.

use super::config::{Compression, HttpMode};
use crate::event::{Binding, EncodeError, Encoded};
use bytes::Bytes;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io::Write as _;

/// What is smaller is not compressed.
const WORTH_COMPRESSING: usize = 1024;

/// What is posted.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) headers: Vec<(String, String)>,
    pub(super) content: Bytes,
}

impl Parcel {
    /// Packs events, in modes other than batched one.
    ///
    /// # Errors
    ///
    /// One of them is none.
    pub(super) fn pack(
        mode: HttpMode,
        events: &[Encoded],
        extensions: &BTreeMap<String, String>,
    ) -> Result<Self, EncodeError> {
        let events: Vec<Encoded> = events
            .iter()
            .map(|event| event.extended(extensions))
            .collect::<Result<_, _>>()?;
        let content_type = |value: String| vec![("content-type".to_owned(), value)];
        match (mode, events.as_slice()) {
            (HttpMode::Binary, [event]) => {
                let binary = event.binary(Binding::HTTP)?;
                Ok(Self {
                    headers: binary.headers,
                    content: binary.body,
                })
            }
            (HttpMode::Structured, [event]) => Ok(Self {
                headers: content_type(Encoded::content_type()),
                content: event.structured(),
            }),
            (HttpMode::Binary | HttpMode::Structured | HttpMode::Batch, events) => {
                let (content, media_type) = Encoded::batch(events);
                Ok(Self {
                    headers: content_type(media_type),
                    content,
                })
            }
        }
    }

    /// Compresses the content, where that is worth it.
    pub(super) fn compress(mut self, how: Compression) -> std::io::Result<Self> {
        let Compression::Gzip = how;
        if self.content.len() >= WORTH_COMPRESSING {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(&self.content)?;
            self.content = encoder.finish()?.into();
            let header = ("content-encoding".to_owned(), "gzip".to_owned());
            self.headers.push(header);
        }
        Ok(self)
    }
}

/// The id of a message: the event's; for many, one made of theirs.
pub(super) fn message_id(events: &[Encoded]) -> String {
    if let [event] = events {
        return event.id();
    }
    let ids: Vec<String> = events.iter().map(Encoded::id).collect();
    let digest = format!("{:x}", Sha256::digest(ids.join("\n")));
    format!("batch-{}", digest.get(..32).unwrap_or_default())
}
