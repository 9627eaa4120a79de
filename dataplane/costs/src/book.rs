//! The sums of all pods.

use crate::amounts::Amounts;
use crate::key::Key;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Hours that become one when sums are old.
const HOURS_A_DAY: u64 = 24;

/// What a pod says: some of its sums, whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Report {
    /// Of the pod's own count; a report that is stored is acknowledged by it.
    pub version: u64,
    /// Sums of hours before it do not change any more.
    pub open_from: u64,
    /// Absolute sums.
    pub sums: Vec<(Key, Amounts)>,
}

/// The sums of all pods, of each the most that it said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Book {
    /// Of processes that ended, and of hours that are closed.
    #[serde(with = "pairs")]
    base: BTreeMap<Key, Amounts>,
    /// By incarnation.
    live: BTreeMap<String, Page>,
    /// Incarnations that ended; what still comes of them was counted already.
    ended: BTreeSet<String>,
}

/// The sums of one process.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Page {
    open_from: u64,
    #[serde(with = "pairs")]
    sums: BTreeMap<Key, Amounts>,
}

impl Book {
    /// Takes a report in. It may be acknowledged once the book is stored: a pod forgets what was acknowledged.
    pub fn take(&mut self, incarnation: &str, report: &Report) {
        if self.ended.contains(incarnation) {
            return;
        }
        let page = self.live.entry(incarnation.to_owned()).or_default();
        for (key, amounts) in report.sums.iter().filter(|(key, _)| key.hour >= page.open_from) {
            page.sums.entry(key.clone()).or_default().grow_to(amounts);
        }
        if report.open_from > page.open_from {
            page.open_from = report.open_from;
            let open = page.sums.split_off(&first_of(report.open_from));
            let closed = std::mem::replace(&mut page.sums, open);
            add_all(&mut self.base, closed);
        }
    }

    /// The process ended and says no more.
    pub fn end(&mut self, incarnation: &str) {
        if let Some(page) = self.live.remove(incarnation) {
            add_all(&mut self.base, page.sums);
        }
        self.ended.insert(incarnation.to_owned());
    }

    /// Nothing can come of that process any more, not even late.
    pub fn forget(&mut self, incarnation: &str) {
        self.ended.remove(incarnation);
    }

    /// Sums of closed hours before `hour` become those of their days.
    pub fn coarsen(&mut self, hour: u64) {
        let recent = self.base.split_off(&first_of(hour - hour % HOURS_A_DAY));
        let old = std::mem::replace(&mut self.base, recent);
        let day = |(key, amounts): (Key, Amounts)| (Key { hour: key.hour - key.hour % HOURS_A_DAY, ..key }, amounts);
        add_all(&mut self.base, old.into_iter().map(day));
    }

    /// Drops closed hours before `hour`.
    pub fn drop_before(&mut self, hour: u64) {
        self.base = self.base.split_off(&first_of(hour));
    }

    /// How many sums it holds.
    pub fn len(&self) -> usize {
        self.base.len() + self.live.values().map(|page| page.sums.len()).sum::<usize>()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sums of these hours over all pods.
    pub fn totals(&self, hours: Range<u64>) -> BTreeMap<Key, Amounts> {
        let mut totals = BTreeMap::new();
        if hours.is_empty() {
            return totals;
        }
        let range = first_of(hours.start)..first_of(hours.end);
        let pages = self.live.values().map(|page| &page.sums).chain([&self.base]);
        for (key, amounts) in pages.flat_map(|sums| sums.range(range.clone())) {
            totals.entry(key.clone()).or_insert_with(Amounts::default).add(amounts);
        }
        totals
    }
}

fn add_all(base: &mut BTreeMap<Key, Amounts>, sums: impl IntoIterator<Item = (Key, Amounts)>) {
    for (key, amounts) in sums {
        base.entry(key).or_default().add(&amounts);
    }
}

/// The least key of an hour.
fn first_of(hour: u64) -> Key {
    let empty = String::new;
    let name = || weir_snapshot::Name::new("", "");
    Key {
        hour,
        currency: empty(),
        namespace: empty(),
        user: empty(),
        team: empty(),
        project: empty(),
        cost_center: empty(),
        route: name(),
        provider: name(),
        provider_type: empty(),
        model: empty(),
    }
}

/// A map whose keys are no texts, as a list.
mod pairs {
    use super::{Amounts, BTreeMap, Key};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(map: &BTreeMap<Key, Amounts>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<Key, Amounts>, D::Error> {
        Ok(Vec::<(Key, Amounts)>::deserialize(deserializer)?.into_iter().collect())
    }
}
