//! A value that must not be shown.

use crate::redact::KnownValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use std::hash::{Hash, Hasher};
use zeroize::Zeroizing;

/// A value that must not be shown. Its memory is overwritten when it is dropped. Cheap to compare,
/// never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SecretValue(Zeroizing<String>);

impl SecretValue {
    /// Takes the bytes of a value. A value that is not text is converted to base64, because texts
    /// show such a value in base64.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => STANDARD.encode(bytes),
        };
        Self(Zeroizing::new(text))
    }

    /// Returns a copy for a set of known values, with the name of its source. The caller must
    /// overwrite it.
    pub(super) fn named(&self, source: &str) -> KnownValue {
        KnownValue {
            source: source.into(),
            value: self.0.to_string(),
        }
    }

    /// Returns whether the value, without white space around it, is this text.
    pub(super) fn is(&self, text: &str) -> bool {
        self.0.trim() == text
    }

    /// Returns the bytes that it takes.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue")
    }
}

impl Hash for SecretValue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
