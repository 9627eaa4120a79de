//! The key sets of token issuers, read from their URLs again and again, each in a task of its own.
//!
//! The last good one stays for as long as a newer one cannot be read; that it is old is told.

use crate::source::cluster::Task;
use crate::telemetry::Metrics;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use weir_compile::{KeySource, ReadKeys, read_key_set};
use weir_crds::GoDuration;
use weir_dataplane::Fetcher;
use weir_snapshot::Settings;

/// One read, from the name's resolution to the last byte.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The largest issuers' sets have some 30 KB.
const MOST_BYTES: usize = 256 * 1024;
/// The first pause after a failure; it doubles up to the usual pause.
const RETRY: Duration = Duration::from_secs(30);
/// From then on a set that cannot be read anew is told to be old.
const OLD: Duration = Duration::from_secs(3600);
/// Reads at once, whatever number of issuers the routes name.
const READS: usize = 8;

/// The key sets that are followed.
pub(crate) struct KeySets {
    reader: Arc<Reader>,
    followed: Mutex<BTreeMap<KeySource, Followed>>,
}

struct Followed {
    /// Nothing until it was asked for once.
    known: Arc<Mutex<Option<ReadKeys>>>,
    _task: Task,
}

/// What all tasks share.
struct Reader {
    refresh: Duration,
    fetcher: Fetcher,
    rules: Mutex<Settings>,
    room: Semaphore,
    changed: watch::Sender<u64>,
    metrics: Option<Arc<Metrics>>,
}

impl KeySets {
    /// None yet; each is read about once in `refresh`.
    pub(crate) fn new(refresh: Duration, metrics: Option<Arc<Metrics>>) -> Self {
        let reader = Reader {
            refresh,
            fetcher: Fetcher::default(),
            rules: Mutex::default(),
            room: Semaphore::new(READS),
            changed: watch::Sender::new(0),
            metrics,
        };
        Self { reader: Arc::new(reader), followed: Mutex::default() }
    }

    /// Tells of every change of what is known.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.reader.changed.subscribe()
    }

    /// Follows these and no others, where upstreams may be by those rules.
    pub(crate) fn follow(&self, wanted: &BTreeSet<KeySource>, rules: &Settings) {
        lock(&self.reader.rules).clone_from(rules);
        let mut followed = lock(&self.followed);
        followed.retain(|source, _| wanted.contains(source));
        for source in wanted {
            followed.entry(source.clone()).or_insert_with(|| {
                let known = Arc::default();
                let task = Arc::clone(&self.reader).follow(source.clone(), Arc::clone(&known));
                Followed { known, _task: Task::spawn(task) }
            });
        }
    }

    /// What is known of those that were asked for.
    pub(crate) fn known(&self) -> BTreeMap<KeySource, ReadKeys> {
        let followed = lock(&self.followed);
        followed.iter().filter_map(|(source, held)| Some((source.clone(), lock(&held.known).clone()?))).collect()
    }
}

impl Reader {
    async fn follow(self: Arc<Self>, source: KeySource, known: Arc<Mutex<Option<ReadKeys>>>) {
        let mut standing = Standing::new(Instant::now());
        loop {
            let outcome = self.read(&source).await;
            if let Err(why) = &outcome {
                self.metrics.iter().for_each(|metrics| metrics.failed("key-set"));
                tracing::warn!(url = source.url, why, "a key set cannot be read");
            }
            let now = Some(standing.after(outcome, Instant::now()));
            let changed = *lock(&known) != now;
            if changed {
                *lock(&known) = now;
                self.changed.send_modify(|version| *version += 1);
            }
            // Not all at once, however many were begun together.
            tokio::time::sleep(standing.pause(self.refresh).mul_f64(0.75 + fastrand::f64() / 4.0)).await;
        }
    }

    async fn read(&self, source: &KeySource) -> Result<String, String> {
        let _place = self.room.acquire().await;
        let rules = lock(&self.rules).clone();
        let document = self.fetcher.fetch(&source.url, source.ca_pem.as_deref(), &rules, MOST_BYTES, TIMEOUT).await?;
        let text = std::str::from_utf8(&document).map_err(|_| "the answer is no text")?;
        read_key_set(text).map_err(|why| format!("the answer {why}"))
    }
}

/// Reads how often sets are read, such as `5m`.
pub(crate) fn refresh(text: &str) -> Result<Duration, String> {
    let millis = GoDuration(text.to_owned()).millis().filter(|millis| (1_000..=86_400_000).contains(millis));
    millis.map(Duration::from_millis).ok_or_else(|| "write it like 5m, from 1s to 24h".to_owned())
}

/// How one set stands.
struct Standing {
    jwks: Option<String>,
    read_at: Instant,
    failures: u32,
}

impl Standing {
    fn new(now: Instant) -> Self {
        Self { jwks: None, read_at: now, failures: 0 }
    }

    /// What is known after a read.
    fn after(&mut self, outcome: Result<String, String>, now: Instant) -> ReadKeys {
        let trouble = match outcome {
            Ok(jwks) => {
                *self = Self { jwks: Some(jwks), ..Self::new(now) };
                None
            }
            Err(why) => {
                self.failures = self.failures.saturating_add(1);
                (self.jwks.is_none() || now - self.read_at >= OLD).then_some(why)
            }
        };
        ReadKeys { jwks: self.jwks.clone(), trouble }
    }

    /// How long until the next read.
    fn pause(&self, refresh: Duration) -> Duration {
        match self.failures {
            0 => refresh,
            failures => RETRY.saturating_mul(1 << (failures - 1).min(16)).min(refresh),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_good_set_stays_and_its_age_is_told_after_an_hour_f89() {
        let begin = Instant::now();
        let mut standing = Standing::new(begin);
        let failed = |standing: &mut Standing, after| standing.after(Err("down".into()), begin + after);
        let never = failed(&mut standing, Duration::ZERO);
        assert_eq!(never, ReadKeys { jwks: None, trouble: Some("down".into()) });
        let good = standing.after(Ok("keys".into()), begin);
        assert_eq!(good, ReadKeys { jwks: Some("keys".into()), trouble: None });
        let young = failed(&mut standing, OLD - Duration::from_secs(1));
        assert_eq!(young, good, "nobody needs to know yet");
        let old = failed(&mut standing, OLD);
        assert_eq!(old, ReadKeys { jwks: Some("keys".into()), trouble: Some("down".into()) });
    }

    #[test]
    fn a_set_that_cannot_be_read_is_asked_for_ever_less_often_f89() {
        let refresh = Duration::from_secs(300);
        let mut standing = Standing::new(Instant::now());
        assert_eq!(standing.pause(refresh), refresh);
        let pauses = std::iter::repeat_with(|| {
            standing.after(Err("down".into()), Instant::now());
            standing.pause(refresh).as_secs()
        });
        assert_eq!(pauses.take(8).collect::<Vec<_>>(), [30, 60, 120, 240, 300, 300, 300, 300]);
        standing.failures = u32::MAX;
        assert_eq!(standing.pause(refresh), refresh);
    }
}
