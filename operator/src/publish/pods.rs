//! The pods that have a proven stream, and what is known of each.
//!
//! One stream a pod: a newer one takes the place of the older, which then ends.

use super::delta::Holdings;
use crate::telemetry::Metrics;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};
use weir_snapshot::envelope::ProviderState;

/// Pods at most; a cluster of ours has tens.
const MAX_PODS: usize = 4096;

/// What is known of one pod.
pub(crate) struct PodState {
    stream: u64,
    superseded: Arc<Notify>,
    /// What it has.
    pub(crate) holdings: Holdings,
    /// What it saw of upstreams, once it told.
    pub(crate) observed: Option<Vec<ProviderState>>,
}

#[cfg(test)]
impl PodState {
    /// A pod that has these.
    pub(crate) fn of(holdings: Holdings) -> Self {
        Self { stream: 0, superseded: Arc::default(), holdings, observed: None }
    }
}

/// All pods with a stream, by UID.
pub(crate) struct Pods {
    pods: Mutex<BTreeMap<String, PodState>>,
    streams: AtomicU64,
    changed: watch::Sender<u64>,
    metrics: Arc<Metrics>,
}

impl Pods {
    /// None yet.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self { pods: Mutex::default(), streams: AtomicU64::new(0), changed: watch::Sender::new(0), metrics }
    }

    /// Tells of every change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Reads all of them; what is called must be short.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&BTreeMap<String, PodState>) -> T) -> T {
        read(&self.lock())
    }

    /// Enters the stream of a pod; `None` when there are too many.
    pub(super) fn enter(self: &Arc<Self>, uid: &str, holdings: Holdings) -> Option<Membership> {
        let stream = self.streams.fetch_add(1, Ordering::Relaxed);
        let superseded = Arc::new(Notify::new());
        {
            let mut pods = self.lock();
            if pods.len() >= MAX_PODS && !pods.contains_key(uid) {
                return None;
            }
            let state = PodState { stream, superseded: Arc::clone(&superseded), holdings, observed: None };
            if let Some(older) = pods.insert(uid.to_owned(), state) {
                older.superseded.notify_one();
            }
        }
        self.tell();
        Some(Membership { pods: Arc::clone(self), uid: uid.to_owned(), stream, superseded })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, PodState>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        self.metrics.pods_connected.set(i64::try_from(self.lock().len()).unwrap_or(i64::MAX));
        self.changed.send_modify(|version| *version += 1);
    }
}

/// A stream's entry among the pods; leaves with the stream.
pub(super) struct Membership {
    pods: Arc<Pods>,
    uid: String,
    stream: u64,
    superseded: Arc<Notify>,
}

impl Membership {
    /// Returns once a newer stream of the same pod took its place.
    pub(super) async fn superseded(&self) {
        self.superseded.notified().await;
    }

    /// Looks at the pod's state; `None` once a newer stream took its place.
    pub(super) fn look<T>(&self, look: impl FnOnce(&PodState) -> T) -> Option<T> {
        self.pods.lock().get(&self.uid).filter(|pod| pod.stream == self.stream).map(look)
    }

    /// Changes the pod's state and tells of it; `None` once a newer stream took its place.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut PodState) -> T) -> Option<T> {
        let changed = self.pods.lock().get_mut(&self.uid).filter(|pod| pod.stream == self.stream).map(change)?;
        self.pods.tell();
        Some(changed)
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut pods = self.pods.lock();
        if pods.get(&self.uid).is_some_and(|pod| pod.stream == self.stream) {
            pods.remove(&self.uid);
        }
        drop(pods);
        self.pods.tell();
    }
}
