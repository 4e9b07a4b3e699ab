//! Plugins of registries, each of which is pulled once.

use super::cache::Cache;
use super::error::OciError;
use super::registry::{Contents, Pulled, Registry, RegistryAccess};
use crate::locked::Locked;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;
use step_observer_oci::{Digest, Reference};
use tokio::sync::Mutex;

/// Longest time to pull one plugin, with all requests. At the start, events wait for it.
const PULL_TIME: Duration = Duration::from_secs(60);

/// The plugins that were pulled, and those that are being pulled. Clones share them.
#[derive(Clone, Debug)]
pub struct PluginStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    cache: Cache,
    max_bytes: u64,
    /// One lock for each reference that is being pulled, so that it is pulled once.
    pulling: Locked<HashMap<String, Weak<Mutex<()>>>>,
}

impl PluginStore {
    /// Opens the plugins in a folder. Without a folder they are kept in memory. `max_bytes` is the size of the largest plugin.
    #[must_use]
    pub fn open(folder: Option<PathBuf>, max_bytes: u64) -> Self {
        Self(Arc::new(Inner {
            cache: Cache::open(folder, max_bytes),
            max_bytes,
            pulling: Locked::default(),
        }))
    }

    /// Returns a plugin. If it has a digest and was pulled before, makes no request. Of `access`, the bound of the size is that of all
    /// plugins here.
    ///
    /// # Errors
    ///
    /// The registry cannot be reached or refuses, or what it has is not that plugin.
    pub async fn get(
        &self,
        reference: &Reference,
        access: RegistryAccess,
    ) -> Result<Pulled, OciError> {
        // References to one digest in one repository differ in their tags. Another registry may be faster, and does not wait.
        let name = match reference.digest() {
            Some(digest) => {
                let (registry, repository) = (reference.registry(), reference.repository());
                format!("{registry}/{repository}@{digest}")
            }
            None => reference.to_string(),
        };
        let turn = self.turn(name);
        let _turn = turn.lock().await;
        if let Some(digest) = reference.digest()
            && let Some(contents) = self.cached(digest).await
        {
            return self.plugin(|| contents, reference).await;
        }
        let access = RegistryAccess {
            max_bytes: self.0.max_bytes,
            ..access
        };
        let registry = Registry::new(reference.clone(), access)?;
        let pulling = tokio::time::timeout(PULL_TIME, registry.contents());
        let contents = pulling.await.map_err(|_| OciError::Slow {
            reference: reference.to_string(),
            seconds: PULL_TIME.as_secs(),
        })??;
        let store = self.clone();
        let keep = move || {
            let digest = Digest::of(&contents.manifest);
            store.0.cache.put(digest, &contents);
            contents
        };
        self.plugin(keep, reference).await
    }

    /// Returns the lock of what is pulled under a name.
    fn turn(&self, name: String) -> Arc<Mutex<()>> {
        let mut pulling = self.0.pulling.lock();
        pulling.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = pulling.get(&name).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::default();
        pulling.insert(name, Arc::downgrade(&turn));
        turn
    }

    async fn cached(&self, digest: Digest) -> Option<Contents> {
        let store = self.clone();
        let reading = tokio::task::spawn_blocking(move || store.0.cache.get(digest));
        reading.await.ok()?
    }

    /// Compares the digests, and takes the plugin from its layer. `contents` may block its thread.
    async fn plugin(
        &self,
        contents: impl FnOnce() -> Contents + Send + 'static,
        reference: &Reference,
    ) -> Result<Pulled, OciError> {
        let (reference, max_bytes) = (reference.clone(), self.0.max_bytes);
        let name = reference.to_string();
        let unpacking =
            tokio::task::spawn_blocking(move || contents().plugin(&reference, max_bytes));
        unpacking.await.map_err(|_| OciError::Unreachable {
            what: name,
            reason: "it cannot be unpacked; please report this".to_owned(),
        })?
    }
}
