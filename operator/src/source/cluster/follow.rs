//! One watch, kept going for ever.

use super::cache::{Cache, Seen};
use super::kept::Kept;
use crate::telemetry::Metrics;
use futures_util::{Stream, StreamExt as _};
use kube::Resource;
use kube::api::Api;
use kube::core::PartialObjectMeta;
use kube_runtime::WatchStreamExt as _;
use kube_runtime::utils::Backoff;
use kube_runtime::watcher::{self, Event, watcher};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

/// Pauses after failures in a row; the last bounds how long after its return the API server is noticed (F40).
const PAUSES: (Duration, Duration) = (Duration::from_millis(400), Duration::from_secs(10));

/// After that the API server ends a watch, and it is begun anew; a connection that died without a word is
/// noticed soon after.
pub(crate) const WATCH_SECONDS: u32 = 25;

/// Objects of a page of metadata: with 256 KiB of annotations each, a page is 25 MiB.
const METADATA_PAGE: u32 = 100;

/// What can be watched.
pub(crate) trait Watched: Resource + Clone + DeserializeOwned + Debug + Kept + Send + Sync + 'static {}
impl<K: Resource + Clone + DeserializeOwned + Debug + Kept + Send + Sync + 'static> Watched for K {}

/// Keeps a cache up to date; `tell` is called with every change that somebody can notice. `what` is for messages.
pub(crate) async fn follow<K: Watched>(
    what: String,
    events: impl Stream<Item = Result<Event<K>, watcher::Error>> + Send,
    cache: Arc<Cache<K>>,
    metrics: Arc<Metrics>,
    tell: impl Fn(Seen) + Send,
) {
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => match cache.apply(event) {
                Seen::Nothing => {}
                seen @ (Seen::Change | Seen::Delete(_)) => tell(seen),
            },
            Err(error) => {
                metrics.failed("watch");
                tracing::warn!(what, %error, "a watch failed and is tried again");
            }
        }
    }
}

/// The events of a watch that asks for metadata alone, of which nothing but that is read.
pub(crate) fn metadata_events<K: Watched + Default>(
    api: Api<PartialObjectMeta<K>>,
) -> impl Stream<Item = Result<Event<K>, watcher::Error>> + Send {
    let whole = |partial: PartialObjectMeta<K>| {
        let mut object = K::default();
        *object.meta_mut() = partial.metadata;
        object.keep();
        object
    };
    let config = watcher::Config::default().timeout(WATCH_SECONDS).page_size(METADATA_PAGE);
    watcher(api, config).backoff(Pauses::default()).map(move |event| {
        Ok(match event? {
            Event::Init => Event::Init,
            Event::InitApply(partial) => Event::InitApply(whole(partial)),
            Event::InitDone => Event::InitDone,
            Event::Apply(partial) => Event::Apply(whole(partial)),
            Event::Delete(partial) => Event::Delete(whole(partial)),
        })
    })
}

/// The events of a watch, without what nobody reads, and with pauses after failures.
pub(crate) fn events<K: Watched>(
    api: Api<K>,
    config: watcher::Config,
) -> impl Stream<Item = Result<Event<K>, watcher::Error>> + Send {
    watcher(api, config.timeout(WATCH_SECONDS)).backoff(Pauses::default()).modify(Kept::keep)
}

/// Doubling pauses with jitter.
struct Pauses {
    next: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self { next: PAUSES.0 }
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.next;
        self.next = (pause * 2).min(PAUSES.1);
        Some(pause.mul_f64(0.5 + fastrand::f64() / 2.0))
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        *self = Self::default();
    }
}
