//! The sums of all pods, day by day.

use crate::amounts::Amounts;
use crate::key::Key;
use std::collections::{BTreeMap, BTreeSet};

/// What a pod says: some of its sums, whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Of the pod's own count; a report that is stored is acknowledged by it.
    pub version: u64,
    /// Sums of hours before it do not change any more.
    pub open_from: u64,
    /// Absolute sums.
    pub sums: Vec<(Key, Amounts)>,
}

impl Report {
    /// The days that it says something of, since the Unix epoch.
    pub fn days(&self) -> BTreeSet<u64> {
        self.sums.iter().map(|(key, _)| key.day()).collect()
    }
}

/// The sums of one day over all pods, of each process the most that it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Book {
    pub(crate) day: u64,
    /// Of hours that are closed.
    pub(crate) base: BTreeMap<Key, Amounts>,
    /// By start of a process; none once it is folded.
    pub(crate) live: BTreeMap<String, Page>,
    /// Whether it takes nothing in any more.
    pub(crate) folded: bool,
}

/// The sums of one process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Page {
    pub(crate) open_from: u64,
    pub(crate) sums: BTreeMap<Key, Amounts>,
}

impl Book {
    /// An empty one of that day, since the Unix epoch.
    pub const fn new(day: u64) -> Self {
        Self { day, base: BTreeMap::new(), live: BTreeMap::new(), folded: false }
    }

    /// Its day.
    pub const fn day(&self) -> u64 {
        self.day
    }

    /// Takes in what a report says of the day; false if it is too late. The report may be acknowledged once the books
    /// of its days are stored: a pod forgets what was acknowledged.
    pub fn take(&mut self, start: &str, report: &Report) -> bool {
        if self.folded {
            return false;
        }
        let page = self.live.entry(start.to_owned()).or_default();
        let of_day = report.sums.iter().filter(|(key, _)| key.day() == self.day);
        for (key, amounts) in of_day.filter(|(key, _)| key.hour >= page.open_from) {
            page.sums.entry(key.clone()).or_default().grow_to(amounts);
        }
        if report.open_from > page.open_from {
            page.open_from = report.open_from;
            let (open, closed) =
                std::mem::take(&mut page.sums).into_iter().partition(|(key, _)| key.hour >= report.open_from);
            page.sums = open;
            add_all(&mut self.base, closed);
        }
        true
    }

    /// Closes the day for good, with one sum in the place of those of its hours.
    pub fn fold(&mut self) {
        for page in std::mem::take(&mut self.live).into_values() {
            add_all(&mut self.base, page.sums);
        }
        self.coarsen(Key::of_its_day);
        self.folded = true;
    }

    /// Whether it is closed for good.
    pub const fn is_folded(&self) -> bool {
        self.folded
    }

    /// Sums of closed hours become fewer.
    pub(crate) fn coarsen(&mut self, coarser: impl Fn(&Key) -> Key) {
        let fine = std::mem::take(&mut self.base);
        add_all(&mut self.base, fine.into_iter().map(|(key, amounts)| (coarser(&key), amounts)));
    }

    /// Adds its sums over all pods.
    pub fn add_to(&self, totals: &mut BTreeMap<Key, Amounts>) {
        let pages = self.live.values().map(|page| &page.sums).chain([&self.base]);
        for (key, amounts) in pages.flatten() {
            totals.entry(key.clone()).or_default().add(amounts);
        }
    }
}

fn add_all(base: &mut BTreeMap<Key, Amounts>, sums: impl IntoIterator<Item = (Key, Amounts)>) {
    for (key, amounts) in sums {
        base.entry(key).or_default().add(&amounts);
    }
}
