//! One version of a Secret, shared by all Pods that refer to it.

use super::secret_object::{SecretId, SecretObject, secret_values};
use super::secret_value::SecretValue;
use crate::redact::{KnownValue, KnownValues, Policy, Refusal};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use zeroize::Zeroize as _;

/// Maximum number of bytes of the values of all versions in memory.
pub(super) const MAX_TOTAL_BYTES: usize = 16 * 1024 * 1024;

/// One version of a Secret. Its memory is overwritten when the last Pod that refers to it is dropped.
pub(super) struct SecretVersion {
    id: SecretId,
    /// Names of the keys, and their values.
    values: Vec<(String, SecretValue)>,
    known: Arc<KnownValues>,
    bytes: usize,
    /// Bytes of the values of all versions.
    total: Arc<AtomicUsize>,
}

impl fmt::Debug for SecretVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretVersion").finish_non_exhaustive()
    }
}

impl SecretVersion {
    /// Takes the values of a Secret. Returns `None` if all versions together would have too many
    /// bytes. Otherwise also returns the values that are not masked.
    pub(super) fn new(
        object: SecretObject,
        with_tokens: bool,
        total: &Arc<AtomicUsize>,
    ) -> Option<(Self, Vec<Refusal>)> {
        let id = object.id.clone();
        let values = secret_values(object, with_tokens);
        let bytes = values.iter().map(|(_, value)| value.len()).sum();
        let before = total.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > MAX_TOTAL_BYTES {
            total.fetch_sub(bytes, Ordering::Relaxed);
            return None;
        }
        let (known, refusals) = known_values(values.iter());
        let version = Self {
            id,
            values,
            known,
            bytes,
            total: total.clone(),
        };
        Some((version, refusals))
    }

    pub(super) fn id(&self) -> &SecretId {
        &self.id
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the values, without those that are equal to one of these names.
    pub(super) fn values_without(&self, names: &[Arc<str>]) -> Arc<KnownValues> {
        let is_name = |value: &SecretValue| names.iter().any(|name| value.is(name));
        if !self.values.iter().any(|(_, value)| is_name(value)) {
            return self.known.clone();
        }
        let others = self.values.iter().filter(|(_, value)| !is_name(value));
        known_values(others).0
    }
}

impl Drop for SecretVersion {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

fn known_values<'v>(
    values: impl Iterator<Item = &'v (String, SecretValue)>,
) -> (Arc<KnownValues>, Vec<Refusal>) {
    let mut all: Vec<KnownValue> = values.map(|(name, value)| value.named(name)).collect();
    let (known, refusals) = KnownValues::new(&all, Policy::READ);
    all.iter_mut().for_each(|known| known.value.zeroize());
    (Arc::new(known), refusals)
}
