//! Caches the cluster's decisions about tokens for a short time, so that a client is refused within
//! seconds after its right is removed.

use super::auth::Access;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// How long an answer is valid.
const ACCESS_TTL: Duration = Duration::from_secs(10);
/// Answers that the cache holds at most.
const MAX_ENTRIES: usize = 256;

/// SHA-256 of a path and a token.
pub(super) type AccessKey = [u8; 32];

/// Answers, by path and token.
#[derive(Debug, Default)]
pub(super) struct AccessCache(HashMap<AccessKey, (Instant, Access)>);

impl AccessCache {
    /// Returns the answer, if the cache has a valid one.
    pub(super) fn get(&self, key: &AccessKey, now: Instant) -> Option<Access> {
        let (at, access) = self.0.get(key)?;
        (now.duration_since(*at) < ACCESS_TTL).then_some(*access)
    }

    /// Adds an answer. A full cache drops the oldest one.
    pub(super) fn insert(&mut self, key: AccessKey, access: Access, now: Instant) {
        if self.0.len() >= MAX_ENTRIES {
            self.0
                .retain(|_, (at, _)| now.duration_since(*at) < ACCESS_TTL);
        }
        if self.0.len() >= MAX_ENTRIES {
            let oldest = self.0.iter().min_by_key(|(_, (at, _))| *at);
            let oldest = oldest.map(|(key, _)| *key);
            oldest.and_then(|oldest| self.0.remove(&oldest));
        }
        self.0.insert(key, (now, access));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u16) -> AccessKey {
        let mut key = [0; 32];
        key[..2].copy_from_slice(&number.to_be_bytes());
        key
    }

    #[test]
    fn an_answer_is_valid_for_a_while() {
        let (mut cache, now) = (AccessCache::default(), Instant::now());
        cache.insert(key(1), Access::Allowed, now);
        let nearly = now + ACCESS_TTL - Duration::from_millis(1);
        assert_eq!(cache.get(&key(1), nearly), Some(Access::Allowed));
        assert_eq!(cache.get(&key(1), now + ACCESS_TTL), None);
        assert_eq!(cache.get(&key(2), now), None);
    }

    #[test]
    fn the_oldest_gives_way() {
        let (mut cache, start) = (AccessCache::default(), Instant::now());
        for number in 0..300_u16 {
            let now = start + Duration::from_millis(number.into());
            cache.insert(key(number), Access::Unknown, now);
            assert!(cache.0.len() <= MAX_ENTRIES);
        }
        let now = start + Duration::from_secs(1);
        assert_eq!(cache.get(&key(0), now), None);
        assert_eq!(cache.get(&key(299), now), Some(Access::Unknown));
        // At this time all earlier entries have expired, so the insertion removes them.
        cache.insert(key(300), Access::Allowed, start + 2 * ACCESS_TTL);
        assert_eq!(cache.0.len(), 1);
    }
}
