//! An event as it was accepted: its JSON format, and other encodings made from that. So whatever is
//! sent again later has the same bytes.

use super::encode::{Binary, EncodeError, binary, structured};
use bytes::Bytes;
use cloudevents::Event;
use std::collections::BTreeMap;

/// An event in JSON format.
#[derive(Clone, Debug)]
pub struct Encoded {
    structured: Bytes,
}

impl Encoded {
    /// From its JSON format, as [`super::structured`] made it.
    #[must_use]
    pub fn stored(structured: Bytes) -> Self {
        Self { structured }
    }

    /// JSON format.
    #[must_use]
    pub fn structured(&self) -> Bytes {
        self.structured.clone()
    }

    /// Its id, for messages.
    #[must_use]
    pub fn id(&self) -> String {
        #[derive(serde::Deserialize)]
        struct Id {
            id: String,
        }
        let id = serde_json::from_slice(&self.structured);
        id.map_or_else(|_| "?".to_owned(), |Id { id }| id)
    }

    /// With further extension attributes, which are valid.
    ///
    /// # Errors
    ///
    /// It is no event.
    pub fn extended(&self, extensions: &BTreeMap<String, String>) -> Result<Self, EncodeError> {
        if extensions.is_empty() {
            return Ok(self.clone());
        }
        let mut event: Event = serde_json::from_slice(&self.structured)?;
        for (name, value) in extensions {
            event.set_extension(name, value.clone());
        }
        Ok(Self::stored(structured(&event)?))
    }

    /// Binary mode.
    ///
    /// # Errors
    ///
    /// The event lacks a required attribute, or is none.
    pub fn binary(&self) -> Result<Binary, EncodeError> {
        let event: Event = serde_json::from_slice(&self.structured)?;
        binary(&event)
    }
}
