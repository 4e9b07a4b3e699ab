//! What is posted: content and headers of one event, or of many.

use super::config::{Compression, HttpMode};
use crate::event::{Binding, EncodeError, Encoded};
use bytes::Bytes;
use flate2::write::GzEncoder;
use reqwest::header::{CONTENT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write as _;

/// What is smaller is not compressed.
const WORTH_COMPRESSING: usize = 1024;

/// What is posted.
#[derive(Debug)]
pub(super) struct HttpPayload {
    pub(super) headers: HeaderMap,
    pub(super) content: Bytes,
}

impl HttpPayload {
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
        match (mode, events.as_slice()) {
            (HttpMode::Binary, [event]) => {
                let binary = event.binary(Binding::HTTP)?;
                Ok(Self {
                    headers: headers(binary.headers)?,
                    content: binary.body,
                })
            }
            (HttpMode::Structured, [event]) => Ok(Self {
                headers: headers([content_type(Encoded::content_type())])?,
                content: event.structured(),
            }),
            (HttpMode::Binary | HttpMode::Structured | HttpMode::Batch, events) => {
                let (content, media_type) = Encoded::batch(events);
                Ok(Self {
                    headers: headers([content_type(media_type)])?,
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
            let gzip = HeaderValue::from_static("gzip");
            self.headers.insert(CONTENT_ENCODING, gzip);
        }
        Ok(self)
    }
}

type Header = (Cow<'static, str>, Bytes);

fn content_type(media_type: String) -> Header {
    ("content-type".into(), media_type.into())
}

/// Headers of a request.
///
/// # Errors
///
/// One is none.
pub(super) fn headers(
    headers: impl IntoIterator<Item = Header, IntoIter: ExactSizeIterator>,
) -> Result<HeaderMap, EncodeError> {
    let headers = headers.into_iter();
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let known = match &name {
            Cow::Borrowed(known) => Some(HeaderName::from_static(known)),
            Cow::Owned(other) => other.parse().ok(),
        };
        let value = HeaderValue::from_maybe_shared(value).ok();
        let Some((name, value)) = known.zip(value) else {
            return Err(EncodeError::Header(name.into_owned()));
        };
        map.append(name, value);
    }
    Ok(map)
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
