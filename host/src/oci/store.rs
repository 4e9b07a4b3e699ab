//! Plugins of registries, each of which is pulled once.

use super::cache::Cache;
use super::config::Registries;
use super::error::OciError;
use super::registry::{Contents, Pulled, Registry};
use crate::locked::Locked;
use std::collections::HashMap;
use std::path::Path;
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
    /// Opens the plugins in the folder of a journal. Without a folder they are kept in memory. `max_bytes` is the size of the largest
    /// plugin.
    #[must_use]
    pub fn open(journal: Option<&Path>, max_bytes: u64) -> Self {
        Self(Arc::new(Inner {
            cache: Cache::open(journal, max_bytes),
            max_bytes,
            pulling: Locked::default(),
        }))
    }

    /// Returns a plugin. If it has a digest and was pulled before, makes no request.
    ///
    /// # Errors
    ///
    /// The registry cannot be reached or refuses, or what it has is not that plugin.
    pub async fn get(
        &self,
        reference: &Reference,
        registries: &Registries,
    ) -> Result<Pulled, OciError> {
        // References to one digest in one repository differ in their tags.
        let name = match reference.digest() {
            Some(digest) => digest.to_string(),
            None => reference.to_string(),
        };
        let turn = self.turn(name);
        let _turn = turn.lock().await;
        if let Some(digest) = reference.digest()
            && let Some(contents) = self.cached(digest).await
        {
            return self.plugin(contents, reference).await;
        }
        let access = registries.access(reference, self.0.max_bytes);
        let registry = Registry::new(reference.clone(), access)?;
        let pulling = tokio::time::timeout(PULL_TIME, registry.contents());
        let contents = pulling.await.map_err(|_| OciError::Slow {
            reference: reference.to_string(),
            seconds: PULL_TIME.as_secs(),
        })??;
        let (store, kept) = (self.clone(), contents.clone());
        let keeping = tokio::task::spawn_blocking(move || {
            store.0.cache.put(Digest::of(&kept.manifest), &kept);
        });
        keeping.await.ok();
        self.plugin(contents, reference).await
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

    /// Compares the digests, and takes the plugin from its layer.
    async fn plugin(&self, contents: Contents, reference: &Reference) -> Result<Pulled, OciError> {
        let (reference, max_bytes) = (reference.clone(), self.0.max_bytes);
        let name = reference.to_string();
        let unpacking = tokio::task::spawn_blocking(move || contents.plugin(&reference, max_bytes));
        unpacking.await.map_err(|_| OciError::Unreachable {
            what: name,
            reason: "it cannot be unpacked; please report this".to_owned(),
        })?
    }
}
