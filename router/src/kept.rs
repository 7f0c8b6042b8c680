//! What is counted of rules, by their names, for as long as somebody holds it: a new table of the same rule goes on with what the
//! old one had. That routes change often must not be a way around a limit.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;

#[derive(Debug)]
pub(crate) struct Kept<K, T>(Mutex<BTreeMap<K, Weak<T>>>);

impl<K: Ord, T> Kept<K, T> {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// What has this name: the one that somebody still holds if it fits, or a new one.
    pub(crate) fn of(&self, name: K, fits: impl FnOnce(&T) -> bool, make: impl FnOnce() -> T) -> Arc<T> {
        let mut all = self.0.lock();
        if let Some(held) = all.get(&name).and_then(Weak::upgrade).filter(|it| fits(it)) {
            return held;
        }
        // New ones are rare: the time to throw away what nobody holds.
        all.retain(|_, it| it.strong_count() > 0);
        let new = Arc::new(make());
        all.insert(name, Arc::downgrade(&new));
        new
    }

    /// All that somebody holds.
    pub(crate) fn map<R>(&self, each: impl Fn(&K, &T) -> R) -> Vec<R> {
        self.0.lock().iter().filter_map(|(name, it)| Some(each(name, &*it.upgrade()?))).collect()
    }

    /// How many names are remembered, held or not.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.lock().len()
    }
}

impl<K: Ord, T> Default for Kept<K, T> {
    fn default() -> Self {
        Self::new()
    }
}
