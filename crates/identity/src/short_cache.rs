//! What was found to be right a moment ago, so that a client that shows its password with every request is not
//! checked anew each time.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use pintail_types::{Clock, Micros, Result};

use crate::Secret;

/// Answers by secret keys. The keys are kept only as HMACs with a secret of this process.
pub(crate) struct ShortCache<V> {
    secret: Secret,
    clock: Arc<dyn Clock>,
    capacity: usize,
    lifetime: Micros,
    entries: Mutex<HashMap<[u8; 32], Entry<V>>>,
}

struct Entry<V> {
    value: V,
    expires: Micros,
}

impl<V: Clone> ShortCache<V> {
    /// A cache of at most `capacity` answers, each good for `lifetime` microseconds.
    ///
    /// # Errors
    /// `Internal` if the system gives no random numbers.
    pub(crate) fn new(clock: Arc<dyn Clock>, capacity: usize, lifetime: Micros) -> Result<Self> {
        Ok(Self { secret: Secret::random()?, clock, capacity, lifetime, entries: Mutex::default() })
    }

    /// The answer that was kept for this key.
    pub(crate) fn get(&self, key: &[&str]) -> Option<V> {
        let digest = self.secret.digest(key);
        let now = self.clock.now();
        let entries = self.entries.lock();
        entries.get(&digest).filter(|entry| entry.expires > now).map(|entry| entry.value.clone())
    }

    /// Keeps an answer for the cache's lifetime, or until `not_after` if that is sooner. What expires first makes
    /// room.
    pub(crate) fn put(&self, key: &[&str], value: V, not_after: Micros) {
        let digest = self.secret.digest(key);
        let now = self.clock.now();
        let expires = now.saturating_add(self.lifetime).min(not_after);
        let mut entries = self.entries.lock();
        if entries.len() >= self.capacity {
            entries.retain(|_, entry| entry.expires > now);
        }
        if entries.len() >= self.capacity {
            let first = entries.iter().min_by_key(|(_, entry)| entry.expires).map(|(digest, _)| *digest);
            first.map(|first| entries.remove(&first));
        }
        entries.insert(digest, Entry { value, expires });
    }
}

impl<V> fmt::Debug for ShortCache<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShortCache").field("entries", &self.entries.lock().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use pintail_types::ManualClock;

    use super::*;

    #[test]
    fn answers_are_kept_for_a_while_and_in_bounds() {
        let clock = Arc::new(ManualClock::at(0));
        let cache = ShortCache::new(Arc::clone(&clock) as Arc<dyn Clock>, 2, 100).unwrap();
        cache.put(&["a", "secret"], 1, Micros::MAX);
        assert_eq!(cache.get(&["a", "secret"]), Some(1));
        assert_eq!(cache.get(&["as", "ecret"]), None);
        clock.advance(99);
        cache.put(&["b"], 2, 150);
        assert_eq!((cache.get(&["a", "secret"]), cache.get(&["b"])), (Some(1), Some(2)));
        clock.advance(1);
        assert_eq!((cache.get(&["a", "secret"]), cache.get(&["b"])), (None, Some(2)));
        clock.advance(50);
        assert_eq!(cache.get(&["b"]), None);
        for (key, not_after) in [("c", 200), ("d", 190), ("e", 220)] {
            cache.put(&[key], 3, not_after);
        }
        let kept = ["c", "d", "e"].map(|key| cache.get(&[key]).is_some());
        assert_eq!(kept, [true, false, true]);
        assert!(cache.entries.lock().len() <= 2);
        assert!(!format!("{cache:?}").contains("secret"));
    }
}
