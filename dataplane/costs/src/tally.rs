//! A pod's own sums: bounded in number, absolute, and kept until their hour is over and they were taken.

use crate::amounts::Amounts;
use crate::book::Report;
use crate::key::Key;
use std::collections::BTreeMap;

/// What one process summed since it began.
pub struct Tally {
    most: usize,
    sums: BTreeMap<Key, Held>,
    /// Counts up with every change.
    version: u64,
    /// Sums of hours before it were taken and are closed.
    open_from: u64,
}

struct Held {
    amounts: Amounts,
    version: u64,
}

impl Tally {
    /// An empty one that tells up to so many keys apart: above three quarters of them new users become one, and in
    /// the end all that is new does, by hour and currency.
    pub const fn new(most: usize) -> Self {
        Self { most, sums: BTreeMap::new(), version: 0, open_from: 0 }
    }

    /// Adds one request; false if it is summed under fewer names than it has. One of a closed hour, where the clock went
    /// back, counts in the first open one.
    pub fn add(&mut self, mut key: Key, amounts: &Amounts) -> bool {
        key.hour = key.hour.max(self.open_from);
        let (held, room) = (self.sums.len(), self.most - self.most / 4);
        let whole = held < room || self.sums.contains_key(&key);
        if !whole {
            key = key.of_other_user();
            if held >= self.most && !self.sums.contains_key(&key) {
                key = key.of_others();
            }
        }
        self.version += 1;
        let held = self.sums.entry(key).or_insert(Held { amounts: Amounts::default(), version: 0 });
        held.amounts.add(amounts);
        held.version = self.version;
        whole
    }

    /// Up to `most` sums that changed after the report of that version, the longest unchanged first.
    pub fn report(&self, after: u64, most: usize) -> Report {
        let mut changed: Vec<_> = self.sums.iter().filter(|(_, held)| held.version > after).collect();
        changed.sort_by_key(|(_, held)| held.version);
        changed.truncate(most);
        let version = changed.last().map_or(after, |(_, held)| held.version);
        let sums = changed.into_iter().map(|(key, held)| (key.clone(), held.amounts)).collect();
        Report { version, open_from: self.open_from, sums }
    }

    /// The report of that version was stored: what it covered of hours before `hour` is closed. Nothing is, while
    /// a sum of them was not in it.
    pub fn taken(&mut self, version: u64, hour: u64) {
        let unsaid = self.sums.iter().any(|(key, held)| key.hour < hour && held.version > version);
        if !unsaid && hour > self.open_from {
            self.open_from = hour;
            self.sums.retain(|key, _| key.hour >= hour);
        }
    }
}
