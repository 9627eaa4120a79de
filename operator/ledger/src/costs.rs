//! What requests cost, kept day by day: reports in, writes out, and the word to the pods that they are stored.
//!
//! One task does it, one thing after the other. A report that it does not get to comes again: pods repeat what is not
//! stored yet.

use crate::store::{Retention, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use tokio::time::Instant;
use weir_costs::{Book, HOURS_A_DAY, Report};
use weir_snapshot::ledger::{CostReport, CostsStored, ToPod, to_pod};

/// Reports that wait; beyond it they come again.
const QUEUE: usize = 256;
/// Days before the oldest that are looked at, should no leader have been there in time.
const LOOK_BACK: u64 = 30;
/// Between two looks whether a day has become old.
const SWEEP: Duration = Duration::from_secs(3_600);
const SECONDS_AN_HOUR: u64 = 3_600;

/// What a pod said, and where the answer goes.
pub(crate) struct Said {
    pub(crate) report: CostReport,
    pub(crate) answer: mpsc::Sender<ToPod>,
}

/// The keeper of the costs.
pub(crate) struct Keeper {
    store: Arc<Store>,
    retention: Retention,
    books: BTreeMap<u64, Book>,
    /// Days that are not stored as they are here.
    dirty: BTreeSet<u64>,
    /// Pods that wait for the word that these days are stored.
    owed: Vec<(Said, BTreeSet<u64>)>,
    /// When the next write may be.
    next: Instant,
}

impl Keeper {
    /// Keeps until the sender is gone; the rest is written then.
    pub(crate) fn start(store: Arc<Store>) -> (mpsc::Sender<Said>, impl Future<Output = ()>) {
        let (sender, said) = mpsc::channel(QUEUE);
        let retention = store.retention();
        let keeper = Self {
            store,
            retention,
            books: BTreeMap::new(),
            dirty: BTreeSet::new(),
            owed: Vec::new(),
            next: Instant::now(),
        };
        (sender, keeper.run(said))
    }

    async fn run(mut self, mut said: mpsc::Receiver<Said>) {
        let mut sweeps = tokio::time::interval_at(Instant::now() + SWEEP, SWEEP);
        self.sweep().await;
        loop {
            tokio::select! {
                said = said.recv() => match said {
                    Some(said) => self.take(said).await,
                    None => break,
                },
                () = tokio::time::sleep_until(self.next), if !self.dirty.is_empty() => self.write().await,
                _ = sweeps.tick() => self.sweep().await,
            }
        }
        self.write().await;
    }

    async fn take(&mut self, said: Said) {
        let Some(report) = Report::from_wire(&said.report) else {
            tracing::error!(start = said.report.start, "a report of costs cannot be read");
            return;
        };
        let today = today();
        let kept = (today + 1).saturating_sub(self.retention.days)..=today + 1;
        let days = report.days();
        for day in &days {
            if !kept.contains(day) {
                tracing::warn!(day, "costs of a day that is not kept are left out; does a pod's clock go wrong?");
                continue;
            }
            if let Err(error) = self.open(*day).await {
                tracing::warn!(day, error, "the costs of a day cannot be read; they come again");
                return;
            }
            let Some(book) = self.books.get_mut(day) else { continue };
            if book.take(&said.report.start, &report) {
                self.dirty.insert(*day);
            } else {
                tracing::warn!(day, start = said.report.start, "costs of a day that is closed came too late");
            }
        }
        if said.report.last {
            self.next = Instant::now();
        }
        self.owed.push((said, days));
        self.acknowledge();
    }

    async fn open(&mut self, day: u64) -> Result<(), String> {
        if !self.books.contains_key(&day) {
            let book = self.store.costs(day).await?.unwrap_or_else(|| Book::new(day));
            self.books.insert(day, book);
        }
        Ok(())
    }

    async fn write(&mut self) {
        for day in std::mem::take(&mut self.dirty) {
            let Some(book) = self.books.get_mut(&day) else { continue };
            match self.store.write_costs(book).await {
                Ok(true) => {}
                // An older leader wrote since. What it wrote holds; the rest comes again.
                Ok(false) => {
                    self.books.remove(&day);
                    self.owed.retain(|(_, days)| !days.contains(&day));
                }
                Err(error) => {
                    tracing::warn!(day, error, "the costs of a day cannot be stored");
                    self.dirty.insert(day);
                }
            }
        }
        self.next = Instant::now() + self.retention.spacing;
        self.acknowledge();
    }

    /// Tells pods of what is stored.
    fn acknowledge(&mut self) {
        let dirty = &self.dirty;
        let stored = self.owed.extract_if(.., |(_, days)| days.is_disjoint(dirty));
        for (said, _) in stored {
            let kind = Some(to_pod::Kind::CostsStored(CostsStored { version: said.report.version }));
            // A pod that does not read repeats itself.
            let _ = said.answer.try_send(ToPod { kind });
        }
    }

    /// Closes days that are old and lets go of those that are too old.
    async fn sweep(&mut self) {
        let today = today();
        let fine = (today + 1).saturating_sub(self.retention.fine_days);
        let kept = (today + 1).saturating_sub(self.retention.days);
        self.books.retain(|day, _| *day >= fine || self.dirty.contains(day));
        for day in fine.saturating_sub(LOOK_BACK).max(kept)..fine {
            let folded = match self.store.costs(day).await {
                Ok(Some(mut book)) if !book.is_folded() => {
                    book.fold();
                    self.store.write_costs(&mut book).await.map(|_| ())
                }
                Ok(_) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = folded {
                return tracing::warn!(day, error, "the costs of an old day stay as they are for now");
            }
        }
        for day in kept.saturating_sub(LOOK_BACK)..kept {
            if let Err(error) = self.store.forget_costs(day).await {
                return tracing::warn!(day, error, "the costs of an old day stay for now");
            }
        }
    }
}

/// The day that it is, by UTC, since the Unix epoch.
pub fn today() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / SECONDS_AN_HOUR / HOURS_A_DAY
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Days;
    use weir_costs::{Amounts, Class, Key};
    use weir_snapshot::Name;

    fn key(day: u64, hour: u64) -> Key {
        let text = str::to_owned;
        Key {
            hour: day * HOURS_A_DAY + hour,
            hours: 1,
            currency: text("USD"),
            namespace: text("shop"),
            user: text("ada"),
            team: text("search"),
            project: text(""),
            cost_center: text(""),
            session: text(""),
            agent: text(""),
            route: Name::new("shop", "chat"),
            provider: Name::new("shop", "openai"),
            provider_type: text("OpenAI"),
            model: text("gpt-5"),
        }
    }

    fn cents(cents: u64) -> Amounts {
        let nano = cents * 10_000_000;
        Amounts { nano, ..Amounts::default() }.with(Class::Request, cents, u128::from(nano) * 1_000)
    }

    fn report(version: u64, sums: Vec<(Key, Amounts)>) -> CostReport {
        Report { version, open_from: 0, sums }.to_wire("a pod")
    }

    /// Keys and nano-units of what the files hold of a day.
    fn held(days: &Days, day: u64) -> Vec<(u64, u64, u64)> {
        let mut totals = BTreeMap::new();
        days.costs(day).unwrap().into_iter().for_each(|book| book.add_to(&mut totals));
        totals
            .into_iter()
            .map(|(key, amounts)| (key.hour % HOURS_A_DAY, key.hours, amounts.nano / 10_000_000))
            .collect()
    }

    /// A keeper of a new file, and the files of its days.
    fn kept() -> (tempfile::TempDir, Arc<Store>, Days) {
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("ledger.redb");
        (folder, Arc::new(Store::file(&ledger).unwrap()), Days::beside(&ledger))
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_is_told_that_its_costs_are_stored_once_they_are() {
        let (_folder, store, days) = kept();
        let (costs, keeping) = Keeper::start(store);
        let keeping = tokio::spawn(keeping);
        let (answer, mut answers) = mpsc::channel(8);
        let today = today();
        for (version, spent) in [(3, 2), (5, 7), (4, 5)] {
            let report = report(version, vec![(key(today, 1), cents(spent))]);
            costs.send(Said { report, answer: answer.clone() }).await.unwrap();
            let told = answers.recv().await.unwrap();
            assert_eq!(told, ToPod { kind: Some(to_pod::Kind::CostsStored(CostsStored { version })) });
        }
        assert_eq!(held(&days, today), [(1, 1, 7)], "the most that was said, whatever came late");
        drop(costs);
        keeping.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_said_last_is_stored_at_the_keepers_end_and_old_days_are_folded_and_dropped() {
        let (_folder, store, days) = kept();
        let today = today();
        let (old, gone) = (today - store.retention().fine_days, today - store.retention().days);
        for day in [old, gone] {
            let mut book = Book::new(day);
            let sums = vec![(key(day, 3), cents(1)), (key(day, 4), cents(2))];
            assert!(book.take("a pod", &Report { version: 1, open_from: 0, sums }));
            assert_eq!(store.write_costs(&mut book).await, Ok(true));
        }
        assert_eq!(held(&days, gone).len(), 2);
        let (costs, keeping) = Keeper::start(store);
        let (answer, _answers) = mpsc::channel(8);
        let report = report(1, vec![(key(today, 1), cents(4)), (key(old, 3), cents(9))]);
        costs.try_send(Said { report, answer }).ok().unwrap();
        drop(costs);
        keeping.await;
        assert_eq!(held(&days, today), [(1, 1, 4)]);
        assert_eq!(held(&days, old), [(0, 24, 3)], "one sum of the day, and nothing that comes too late");
        assert_eq!(held(&days, gone), []);
    }
}
