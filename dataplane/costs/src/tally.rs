//! A pod's own sums: bounded in number, absolute, and kept until their hour is over and they were taken.

use crate::amounts::Amounts;
use crate::book::Report;
use crate::key::{Key, KeyRef};
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher as _;

/// What a sum needs in a message besides its texts, at most: 40 numbers of ten bytes.
const ROW_BYTES: usize = 400;

/// What one process summed since it began.
pub struct Tally {
    most: usize,
    sums: HashTable<Held>,
    hasher: DefaultHashBuilder,
    /// Counts up with every change.
    version: u64,
    /// Sums of hours before it were taken and are closed.
    open_from: u64,
}

struct Held {
    key: Key,
    amounts: Amounts,
    version: u64,
}

impl Tally {
    /// An empty one that tells up to so many keys apart: above half of them new sessions become one, above three quarters new
    /// users do, and in the end all that is new does, by hour and currency.
    pub fn new(most: usize) -> Self {
        Self { most, sums: HashTable::new(), hasher: DefaultHashBuilder::default(), version: 0, open_from: 0 }
    }

    /// Adds one request; false if it is summed under fewer names than it has. One of a closed hour, where the clock went
    /// back, counts in the first open one.
    pub fn add(&mut self, key: KeyRef<'_>, amounts: &Amounts) -> bool {
        let key = KeyRef { hour: key.hour.max(self.open_from), ..key };
        let has_session = !(key.session.is_empty() && key.agent.is_empty());
        let room = if has_session { self.most / 2 } else { self.most - self.most / 4 };
        let whole = self.sums.len() < room || self.find(key).is_some();
        if whole {
            self.sum(key, amounts);
            return true;
        }
        let mut key = key.to_key().of_other_session();
        let fits =
            |tally: &Self, key: &Key, most: usize| tally.sums.len() < most || tally.find(key.borrowed()).is_some();
        if !fits(self, &key, self.most - self.most / 4) {
            key = key.of_other_user();
        }
        if !fits(self, &key, self.most) {
            key = key.of_others();
        }
        self.sum(key.borrowed(), amounts);
        false
    }

    fn find(&self, key: KeyRef<'_>) -> Option<&Held> {
        self.sums.find(self.hasher.hash_one(key), |held| key.is(&held.key))
    }

    fn sum(&mut self, key: KeyRef<'_>, amounts: &Amounts) {
        self.version += 1;
        let hasher = &self.hasher;
        let is = |held: &Held| key.is(&held.key);
        let place = self.sums.entry(hasher.hash_one(key), is, |held| hasher.hash_one(held.key.borrowed()));
        let new = || Held { key: key.to_key(), amounts: Amounts::default(), version: 0 };
        let held = place.or_insert_with(new).into_mut();
        held.amounts.add(amounts);
        held.version = self.version;
    }

    /// Sums that changed after the report of that version, the longest unchanged first: up to `most`, and no more than
    /// fit into that many bytes of a message, but for the first.
    pub fn report(&self, after: u64, most: usize, bytes: usize) -> Report {
        let mut changed: Vec<_> = self.sums.iter().filter(|held| held.version > after).collect();
        changed.sort_by_key(|held| held.version);
        changed.truncate(most);
        let mut sum = 0;
        let fit = changed.iter().take_while(|held| {
            let is_first = sum == 0;
            sum += held.key.text_bytes() + ROW_BYTES;
            is_first || sum <= bytes
        });
        let fit = fit.count();
        changed.truncate(fit);
        let version = changed.last().map_or(after, |held| held.version);
        let sums = changed.into_iter().map(|held| (held.key.clone(), held.amounts)).collect();
        Report { version, open_from: self.open_from, sums }
    }

    /// The report of that version was stored: what it covered of hours before `hour` is closed. Nothing is, while
    /// a sum of them was not in it.
    pub fn taken(&mut self, version: u64, hour: u64) {
        let unsaid = self.sums.iter().any(|held| held.key.hour < hour && held.version > version);
        if !unsaid && hour > self.open_from {
            self.open_from = hour;
            self.sums.retain(|held| held.key.hour >= hour);
        }
    }
}
