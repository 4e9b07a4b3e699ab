//! The loads of one engine that are still in use.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// SHA-256 of everything that the result of a load depends on.
pub(crate) type LoadKey = [u8; 32];

/// The results of loads, for as long as a plugin uses them. A file is so compiled once for each of its
/// settings, however many plugins name it, and a change of the configuration compiles only what changed.
#[derive(Default)]
pub(crate) struct SharedLoads(HashMap<LoadKey, Weak<dyn Any + Send + Sync>>);

impl SharedLoads {
    /// Returns the result of an earlier load that is still in use.
    pub(crate) fn get<T: Any + Send + Sync>(&self, key: &LoadKey) -> Option<Arc<T>> {
        self.0.get(key)?.upgrade()?.downcast().ok()
    }

    /// Remembers the result of a load until its last user drops it.
    pub(crate) fn insert<T: Any + Send + Sync>(&mut self, key: LoadKey, load: &Arc<T>) {
        self.0.retain(|_, known| known.strong_count() > 0);
        let load: Arc<dyn Any + Send + Sync> = load.clone();
        self.0.insert(key, Arc::downgrade(&load));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_shared_while_it_is_in_use() {
        let mut loads = SharedLoads::default();
        let first = Arc::new("first".to_owned());
        loads.insert([1; 32], &first);
        let again: Arc<String> = loads.get(&[1; 32]).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        assert!(loads.get::<String>(&[2; 32]).is_none());
        drop((first, again));
        assert!(loads.get::<String>(&[1; 32]).is_none());
    }

    #[test]
    fn loads_that_nothing_uses_are_forgotten() {
        let mut loads = SharedLoads::default();
        for number in 0..100 {
            loads.insert([number; 32], &Arc::new(number));
        }
        assert_eq!(loads.0.len(), 1);
    }
}
