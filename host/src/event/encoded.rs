//! An event encoded once, however many sinks want it.

use super::encode::{Binary, EncodeError, binary, structured};
use crate::step::Envelope;
use bytes::Bytes;
use std::sync::OnceLock;

/// An event with its encodings, made when first asked for.
#[derive(Debug)]
pub struct Encoded {
    envelope: Envelope,
    structured: OnceLock<Bytes>,
    binary: OnceLock<Binary>,
}

impl Encoded {
    /// Nothing is encoded yet.
    #[must_use]
    pub fn new(envelope: Envelope) -> Self {
        Self {
            envelope,
            structured: OnceLock::new(),
            binary: OnceLock::new(),
        }
    }

    /// The event.
    #[must_use]
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// JSON format.
    ///
    /// # Errors
    ///
    /// The event lacks a required attribute.
    pub fn structured(&self) -> Result<Bytes, EncodeError> {
        match self.structured.get() {
            Some(encoded) => Ok(encoded.clone()),
            None => {
                let encoded = structured(&self.envelope.event)?;
                Ok(self.structured.get_or_init(|| encoded).clone())
            }
        }
    }

    /// Binary mode.
    ///
    /// # Errors
    ///
    /// The event lacks a required attribute.
    pub fn binary(&self) -> Result<Binary, EncodeError> {
        match self.binary.get() {
            Some(encoded) => Ok(encoded.clone()),
            None => {
                let encoded = binary(&self.envelope.event)?;
                Ok(self.binary.get_or_init(|| encoded).clone())
            }
        }
    }
}
