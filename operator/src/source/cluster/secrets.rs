//! The Secrets of one namespace each, and whether they may be read.
//!
//! A namespace counts as forbidden only after the API server said so twice, ten seconds apart: one that
//! starts answers 403 before it knows its roles. Until then what is known, or what pods have, stays.

use super::cache::{Cache, Seen};
use super::follow::events;
use super::wanted::Task;
use crate::telemetry::Metrics;
use futures_util::StreamExt as _;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, PostParams};
use kube_runtime::watcher;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between the two denials that make a namespace forbidden.
const CONFIRM: Duration = Duration::from_secs(10);
/// How often a forbidden namespace is tried again.
const RETRY: Duration = Duration::from_secs(30);
/// Releases of helm are large, many and of no use here.
const SELECTOR: &str = "type!=helm.sh/release.v1";

/// What is known of a namespace's right to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Right {
    /// The first list is under way.
    Listing,
    /// A list or watch failed; whether by right is not known.
    Doubtful,
    /// The API server denied it once, at that moment.
    Denied(Instant),
    /// It denied it again.
    Forbidden,
    /// It was listed.
    Granted,
}

impl Right {
    /// What follows from an answer on whether reading is allowed; `None` = there was no answer.
    fn after(self, allowed: Option<bool>, now: Instant) -> Self {
        match (self, allowed) {
            (Self::Forbidden, Some(false) | None) => Self::Forbidden,
            (Self::Denied(first), Some(false)) if now >= first + CONFIRM => Self::Forbidden,
            (Self::Denied(first), Some(false) | None) => Self::Denied(first),
            (Self::Listing | Self::Doubtful | Self::Granted, Some(false)) => Self::Denied(now),
            (_, Some(true)) | (Self::Listing | Self::Doubtful | Self::Granted, None) => Self::Doubtful,
        }
    }
}

/// What all namespaces together give.
#[derive(Default)]
pub(crate) struct Reading {
    /// The Secrets that may be read.
    pub(crate) secrets: Vec<Arc<Secret>>,
    /// Namespaces that may not be read.
    pub(crate) forbidden: BTreeSet<String>,
    /// Namespaces of which nothing is known yet.
    pub(crate) unknown: BTreeSet<String>,
    /// Whether the first list of one of those is still under way.
    pub(crate) is_listing: bool,
}

/// One watch a namespace.
pub(crate) struct Secrets {
    client: Client,
    tell: Arc<dyn Fn(Seen) + Send + Sync>,
    metrics: Arc<Metrics>,
    namespaces: BTreeMap<String, (Arc<Namespace>, Task)>,
}

struct Namespace {
    name: String,
    cache: Cache<Secret>,
    right: Mutex<Right>,
}

impl Secrets {
    /// No namespace yet.
    pub(crate) fn new(client: Client, tell: Arc<dyn Fn(Seen) + Send + Sync>, metrics: Arc<Metrics>) -> Self {
        Self { client, tell, metrics, namespaces: BTreeMap::new() }
    }

    /// Watches these namespaces and no others, and says of which nothing is known yet.
    pub(crate) fn read(&mut self, names: &BTreeSet<String>) -> Reading {
        self.namespaces.retain(|name, _| names.contains(name));
        for name in names {
            if !self.namespaces.contains_key(name) {
                let namespace = Arc::new(Namespace {
                    name: name.clone(),
                    cache: Cache::default(),
                    right: Mutex::new(Right::Listing),
                });
                let watch = follow(
                    Arc::clone(&namespace),
                    self.client.clone(),
                    Arc::clone(&self.tell),
                    Arc::clone(&self.metrics),
                );
                self.namespaces.insert(name.clone(), (namespace, Task::spawn(watch)));
            }
        }
        let mut reading = Reading::default();
        for (name, (namespace, _)) in &self.namespaces {
            match (namespace.right(), namespace.cache.all()) {
                (Right::Forbidden, _) => drop(reading.forbidden.insert(name.clone())),
                (_, Some(secrets)) => reading.secrets.extend(secrets),
                (right, None) => {
                    reading.is_listing |= right == Right::Listing;
                    reading.unknown.insert(name.clone());
                }
            }
        }
        reading
    }
}

impl Namespace {
    fn right(&self) -> Right {
        *self.right.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is known; true if that changes what is read.
    fn turn(&self, next: Right) -> bool {
        let mut right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *right, next);
        drop(right);
        if next == Right::Forbidden {
            self.cache.clear();
        }
        before != next && (next == Right::Forbidden || before == Right::Listing)
    }
}

async fn follow(
    namespace: Arc<Namespace>,
    client: Client,
    tell: Arc<dyn Fn(Seen) + Send + Sync>,
    metrics: Arc<Metrics>,
) {
    loop {
        let api = Api::namespaced(client.clone(), &namespace.name);
        let mut events = std::pin::pin!(events(api, watcher::Config::default().fields(SELECTOR)));
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => match namespace.cache.apply(event) {
                    Seen::Nothing => {}
                    seen @ (Seen::Change | Seen::Delete(_)) => {
                        namespace.turn(Right::Granted);
                        tell(seen);
                    }
                },
                Err(error) if is_forbidden(&error) => break,
                Err(error) => {
                    metrics.failed("watch");
                    tracing::warn!(namespace = namespace.name, %error, "the Secrets cannot be watched");
                    if namespace.right() == Right::Listing && namespace.turn(Right::Doubtful) {
                        tell(Seen::Change);
                    }
                }
            }
        }
        let pause = doubt(&namespace, &client, &*tell).await;
        tokio::time::sleep(pause).await;
    }
}

/// After a 403: asks whether it was meant, and says when to try again.
async fn doubt(namespace: &Namespace, client: &Client, tell: &(dyn Fn(Seen) + Send + Sync)) -> Duration {
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let attributes = ResourceAttributes {
        namespace: Some(namespace.name.clone()),
        verb: Some("list".to_owned()),
        resource: Some("secrets".to_owned()),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let answer = reviews.create(&PostParams::default(), &review).await;
    let allowed = answer.ok().and_then(|answer| answer.status).map(|status| status.allowed);
    let next = namespace.right().after(allowed, Instant::now());
    if namespace.turn(next) {
        if next == Right::Forbidden {
            tracing::warn!(
                namespace = namespace.name,
                "the operator has no right to read the Secrets of this namespace"
            );
        }
        tell(Seen::Change);
    }
    match next {
        Right::Forbidden => RETRY,
        Right::Denied(_) => CONFIRM,
        Right::Listing | Right::Doubtful | Right::Granted => Duration::from_secs(1),
    }
}

fn is_forbidden(error: &watcher::Error) -> bool {
    use watcher::Error::{InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed};
    match error {
        InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error) => {
            matches!(error, kube::Error::Api(status) if status.is_forbidden())
        }
        WatchError(status) => status.is_forbidden(),
        NoResourceVersion => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_two_denials_ten_seconds_apart_forbid() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let once = Right::Listing.after(Some(false), at(0));
        assert_eq!(once, Right::Denied(at(0)));
        assert_eq!(once.after(Some(false), at(9)), once);
        assert_eq!(once.after(None, at(20)), once);
        assert_eq!(once.after(Some(true), at(20)), Right::Doubtful);
        let twice = once.after(Some(false), at(10));
        assert_eq!(twice, Right::Forbidden);
        assert_eq!(twice.after(None, at(20)), Right::Forbidden);
        assert_eq!(twice.after(Some(true), at(20)), Right::Doubtful);
        assert_eq!(Right::Granted.after(Some(false), at(0)), Right::Denied(at(0)));
    }
}
