//! The Secrets of one Pod: their names, and their values while the run may have further transitions.

use super::pod_secret_version::SecretVersion;
use crate::locked::Locked;
use crate::redact::KnownValues;
use std::fmt;
use std::sync::Arc;

/// Maximum number of Secrets that are read for one Pod.
pub const MAX_SECRETS: usize = 64;
/// Maximum number of bytes of the values of one Pod, including older versions.
const MAX_POD_BYTES: usize = 256 * 1024;

/// A Secret that a Pod refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRef {
    /// Its name.
    pub name: Arc<str>,
    /// Whether the Pod also runs without it.
    pub is_optional: bool,
}

/// What a Pod tells about its Secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretRefs {
    /// Namespace of the Pod and of the Secrets.
    pub namespace: Arc<str>,
    /// UID of the Pod.
    pub pod_uid: Arc<str>,
    /// The Secrets, each once, at most [`MAX_SECRETS`].
    pub secrets: Vec<SecretRef>,
    /// Number of references that `secrets` does not contain: those beyond the bound, and those with
    /// a name that no Secret can have.
    pub further: usize,
    /// Names that are no secret: of namespace, run, Pod, account, containers and images. A value
    /// that is equal to one of them is not masked.
    pub public_names: Vec<Arc<str>>,
}

/// The Secrets of a Pod. Clones share them; the values are overwritten when the last clone is
/// dropped.
#[derive(Clone)]
pub struct PodSecrets(Arc<Inner>);

pub(super) struct Inner {
    refs: SecretRefs,
    /// Held while Secrets are read.
    pub(super) reading: tokio::sync::Mutex<()>,
    state: Locked<State>,
}

#[derive(Default)]
struct State {
    is_read: bool,
    secrets: Vec<SecretState>,
}

#[derive(Clone, Default)]
struct SecretState {
    /// All versions that were seen, each with the values that are masked.
    versions: Vec<(Arc<SecretVersion>, Arc<KnownValues>)>,
    /// The current version is not known.
    is_unread: bool,
}

impl fmt::Debug for PodSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PodSecrets").field(&self.0.refs).finish()
    }
}

impl PodSecrets {
    /// Creates the Secrets of a Pod. None of them is read yet.
    #[must_use]
    pub fn new(refs: SecretRefs) -> Self {
        let unread = SecretState {
            is_unread: true,
            ..SecretState::default()
        };
        let state = State {
            is_read: false,
            secrets: vec![unread; refs.secrets.len()],
        };
        Self(Arc::new(Inner {
            refs,
            reading: tokio::sync::Mutex::new(()),
            state: Locked::new(state),
        }))
    }

    pub(super) fn inner(&self) -> &Arc<Inner> {
        &self.0
    }

    pub(super) fn from_inner(inner: Arc<Inner>) -> Self {
        Self(inner)
    }

    pub(super) fn refs(&self) -> &SecretRefs {
        &self.0.refs
    }

    /// Returns whether all Secrets were requested at least once.
    pub(super) fn is_read(&self) -> bool {
        self.0.state.lock().is_read
    }

    pub(super) fn mark_read(&self) {
        self.0.state.lock().is_read = true;
    }

    /// Returns the number of Secrets whose current values are not known.
    #[must_use]
    pub fn unread(&self) -> usize {
        let state = self.0.state.lock();
        let unread = state.secrets.iter().filter(|secret| secret.is_unread);
        unread.count() + self.0.refs.further
    }

    /// Returns the values of all versions that were seen.
    pub(super) fn values(&self) -> Vec<Arc<KnownValues>> {
        let state = self.0.state.lock();
        let versions = state.secrets.iter().flat_map(|secret| &secret.versions);
        versions.map(|(_, values)| values.clone()).collect()
    }

    /// Adds the current version of a Secret. Returns false if the Pod has too many bytes of values.
    pub(super) fn add(&self, index: usize, version: Arc<SecretVersion>) -> bool {
        let values = version.values_without(&self.0.refs.public_names);
        let mut state = self.0.state.lock();
        let all = state.secrets.iter().flat_map(|secret| &secret.versions);
        let bytes: usize = all.map(|(version, _)| version.bytes()).sum();
        let Some(secret) = state.secrets.get_mut(index) else {
            return false;
        };
        let mut known = secret.versions.iter();
        if known.any(|(known, _)| known.id() == version.id()) {
            secret.is_unread = false;
            return true;
        }
        secret.is_unread = bytes + version.bytes() > MAX_POD_BYTES;
        if !secret.is_unread {
            secret.versions.push((version, values));
        }
        !secret.is_unread
    }

    /// Notes that a Secret does not exist. Returns whether its values are missing.
    pub(super) fn mark_missing(&self, index: usize) -> bool {
        let is_optional = self.0.refs.secrets.get(index).map(|one| one.is_optional);
        let mut state = self.0.state.lock();
        let Some(secret) = state.secrets.get_mut(index) else {
            return false;
        };
        // All values of a Secret that was read and then deleted are known.
        secret.is_unread = is_optional == Some(false) && secret.versions.is_empty();
        secret.is_unread
    }

    /// Notes that the current version of a Secret is not known.
    pub(super) fn mark_unread(&self, index: usize) {
        if let Some(secret) = self.0.state.lock().secrets.get_mut(index) {
            secret.is_unread = true;
        }
    }
}
