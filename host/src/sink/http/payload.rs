//! Encodes one event, or a batch, into headers and content of a request.

use super::config::{Compression, HttpMode};
use crate::event::{Binding, EncodeError, Encoded};
use bytes::Bytes;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write as _;

/// Minimum size of content that is compressed, in bytes. Compressing smaller content saves too
/// little.
const MIN_COMPRESSED_BYTES: usize = 1024;

/// Headers and content of a request.
#[derive(Debug)]
pub(in crate::sink) struct HttpPayload {
    pub(super) headers: HeaderMap,
    pub(super) content: Bytes,
}

impl HttpPayload {
    /// Takes content of this media type.
    #[cfg(feature = "otlp")]
    pub(in crate::sink) fn new(media_type: &'static str, content: Bytes) -> Self {
        let media_type = HeaderValue::from_static(media_type);
        Self {
            headers: HeaderMap::from_iter([(http::header::CONTENT_TYPE, media_type)]),
            content,
        }
    }

    /// Encodes events. Several events are encoded as a batch in every mode.
    ///
    /// # Errors
    ///
    /// An event cannot be encoded.
    pub(super) fn encode(
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

    /// Compresses the content, unless it is too small.
    pub(in crate::sink) fn compress(mut self, compression: Compression) -> std::io::Result<Self> {
        let Compression::Gzip = compression;
        if self.content.len() >= MIN_COMPRESSED_BYTES {
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

/// Returns the headers of a request.
///
/// # Errors
///
/// A name or value is not valid in HTTP.
pub(super) fn headers(
    headers: impl IntoIterator<Item = Header, IntoIter: ExactSizeIterator>,
) -> Result<HeaderMap, EncodeError> {
    let headers = headers.into_iter();
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let parsed = match &name {
            Cow::Borrowed(known) => Some(HeaderName::from_static(known)),
            Cow::Owned(other) => other.parse().ok(),
        };
        let value = HeaderValue::from_maybe_shared(value).ok();
        let Some((name, value)) = parsed.zip(value) else {
            return Err(EncodeError::Header(name.into_owned()));
        };
        map.append(name, value);
    }
    Ok(map)
}

/// Returns the id of a message: the id of its event, or a digest of the ids of a batch.
pub(super) fn message_id(events: &[Encoded]) -> String {
    if let [event] = events {
        return event.id();
    }
    let ids: Vec<String> = events.iter().map(Encoded::id).collect();
    let digest = format!("{:x}", Sha256::digest(ids.join("\n")));
    format!("batch-{}", digest.get(..32).unwrap_or_default())
}
