//! What was looked at lately, within a number of bytes.
//!
//! There are two halves. What is put or found is in the fresh one; when that is full, it becomes the stale one, and what
//! nobody had looked at since the last time is gone.

#![expect(clippy::disallowed_types, reason = "nobody sees the order: nothing is iterated over")]

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};

type Half<K, V, S> = HashMap<K, (usize, V), S>;

/// Values by key, each with its size in bytes.
#[derive(Debug)]
pub struct Recent<K, V, S = RandomState> {
    fresh: Half<K, V, S>,
    stale: Half<K, V, S>,
    fresh_bytes: usize,
    half_bytes: usize,
}

impl<K: Hash + Eq, V, S: BuildHasher + Default> Recent<K, V, S> {
    /// Keeps at most twice `half_bytes`, and any single value.
    #[must_use]
    pub fn new(half_bytes: usize) -> Self {
        Self { fresh: Half::default(), stale: Half::default(), fresh_bytes: 0, half_bytes }
    }

    /// Keeps a value of `bytes` in the place of what was there.
    pub fn put(&mut self, key: K, bytes: usize, value: V) {
        self.remove(&key);
        if self.fresh_bytes.saturating_add(bytes) > self.half_bytes {
            self.fresh_bytes = 0;
            self.stale = std::mem::take(&mut self.fresh);
        }
        self.fresh_bytes = self.fresh_bytes.saturating_add(bytes);
        self.fresh.insert(key, (bytes, value));
    }

    /// What `look` sees of the value, if it is kept.
    pub fn look<R>(&mut self, key: &K, look: impl FnOnce(&V) -> R) -> Option<R> {
        if let Some((_, value)) = self.fresh.get(key) {
            return Some(look(value));
        }
        let (key, (bytes, value)) = self.stale.remove_entry(key)?;
        let seen = look(&value);
        self.put(key, bytes, value);
        Some(seen)
    }

    /// Keeps it no longer.
    pub fn remove(&mut self, key: &K) {
        self.stale.remove(key);
        if let Some((bytes, _)) = self.fresh.remove(key) {
            self.fresh_bytes = self.fresh_bytes.saturating_sub(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kept_bytes(recent: &Recent<u8, usize>) -> usize {
        recent.fresh.values().chain(recent.stale.values()).map(|(bytes, _)| *bytes).sum()
    }

    proptest! {
        #[test]
        fn it_is_a_map_that_forgets_and_its_bytes_are_bounded(
            steps in prop::collection::vec((0u8..3, 0u8..20, 1usize..40), 1..200)
        ) {
            let (mut recent, mut all) = (Recent::<_, _>::new(100), HashMap::new());
            for (number, (what, key, bytes)) in steps.into_iter().enumerate() {
                match what {
                    0 => {
                        recent.put(key, bytes, number);
                        all.insert(key, number);
                        prop_assert_eq!(recent.look(&key, |kept| *kept), Some(number));
                    }
                    1 => {
                        recent.remove(&key);
                        all.remove(&key);
                        prop_assert_eq!(recent.look(&key, |_| ()), None);
                    }
                    _ => {
                        if let Some(found) = recent.look(&key, |kept| *kept) {
                            prop_assert_eq!(all.get(&key), Some(&found));
                        }
                    }
                }
                prop_assert!(kept_bytes(&recent) <= 200);
                prop_assert_eq!(recent.fresh.values().map(|(bytes, _)| *bytes).sum::<usize>(), recent.fresh_bytes);
            }
        }
    }

    #[test]
    fn what_is_looked_at_stays() {
        let mut recent = Recent::<_, _>::new(10);
        for number in 0..100 {
            recent.put(number, 1, ());
            assert!(recent.look(&0, |()| ()).is_some(), "{number}");
        }
        assert!(recent.look(&50, |()| ()).is_none() && recent.look(&99, |()| ()).is_some());
    }
}
