//! The brake on mass deletes: most of a pod's routes or Budgets do not vanish because a list came back empty.
//!
//! It holds a large drop unless every delete was seen as such and the kind itself is not being deleted,
//! or a person allows that very drop. It never touches what is added or changed.

use crate::events::{Events, News};
use crate::telemetry::Metrics;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::Api;
use kube::{Client, Resource as _, ResourceExt as _};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};
use weir_snapshot::{Digest, Kind, ResourceId};

/// Annotation of the operator's Deployment that lets one drop through, by its digest.
const ALLOW: &str = "weir.dev/allow-deletes";
/// The kinds whose deletion would delete every route or Budget.
const CRDS: [(Kind, &str); 2] = [(Kind::Route, "llmroutes.weir.dev"), (Kind::Budget, "budgets.weir.dev")];
/// Drops of up to that many of a kind are let through.
const SMALL: usize = 10;
/// How often cluster and annotation are looked at while something is held.
const LOOK: Duration = Duration::from_secs(2);
/// Deletes remembered; beyond, the oldest are forgotten, which only makes the brake stricter.
const MAX_DELETES: usize = 100_000;

/// Routes and Budgets that a pod would lose; a Budget that vanishes lifts a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Loss {
    missing: BTreeSet<ResourceId>,
    had: BTreeMap<Kind, usize>,
}

impl Loss {
    /// Of what a pod has, that which goes.
    pub(crate) fn new<'a>(
        removes: impl Iterator<Item = &'a ResourceId>,
        held: impl Iterator<Item = &'a ResourceId>,
    ) -> Self {
        let braked = |id: &&ResourceId| CRDS.iter().any(|(kind, _)| *kind == id.kind);
        let mut had = BTreeMap::new();
        held.filter(braked).for_each(|id| *had.entry(id.kind).or_default() += 1);
        Self { missing: removes.filter(braked).cloned().collect(), had }
    }

    fn is_large(&self) -> bool {
        self.had.iter().any(|(kind, had)| {
            let missing = self.missing.iter().filter(|id| id.kind == *kind).count();
            missing > SMALL && missing * 2 > *had
        })
    }

    /// What a person writes into the annotation.
    fn digest(&self) -> String {
        let names: String = self.missing.iter().map(|id| format!("{id}\n")).collect();
        Digest::of(names.as_bytes()).to_string().chars().take(16).collect()
    }
}

/// One look at the CustomResourceDefinition.
#[derive(Debug, Clone, PartialEq, Eq)]
struct CrdLook {
    at: Instant,
    uid: String,
    deleting: bool,
}

/// What speaks for a loss.
#[derive(Debug, Default)]
struct Evidence {
    deletes: BTreeMap<ResourceId, Instant>,
    first_crds: BTreeMap<Kind, String>,
    crds: BTreeMap<Kind, CrdLook>,
    allowed: Option<String>,
}

impl Evidence {
    fn permits(&self, loss: &Loss) -> bool {
        if !loss.is_large() || self.allowed.as_ref().is_some_and(|allowed| *allowed == loss.digest()) {
            return true;
        }
        loss.missing.iter().all(|id| match (self.deletes.get(id), self.crds.get(&id.kind)) {
            (Some(seen), Some(crd)) => {
                crd.at > *seen && !crd.deleting && self.first_crds.get(&id.kind) == Some(&crd.uid)
            }
            _ => false,
        })
    }
}

impl Evidence {
    /// Notes one look at the definition of a kind.
    fn looked(&mut self, kind: Kind, at: Instant, crd: Option<&CustomResourceDefinition>) {
        let Some(crd) = crd else { return drop(self.crds.remove(&kind)) };
        let uid = crd.uid().unwrap_or_default();
        self.first_crds.entry(kind).or_insert_with(|| uid.clone());
        self.crds.insert(kind, CrdLook { at, uid, deleting: crd.metadata.deletion_timestamp.is_some() });
    }
}

#[derive(Default)]
struct State {
    evidence: Evidence,
    /// Losses that are held back, by pod.
    held: BTreeMap<String, Loss>,
    /// Digests that were told of.
    told: BTreeSet<String>,
}

/// Where the brake looks, and whom it tells.
pub(crate) struct Scene {
    crds: Api<CustomResourceDefinition>,
    deployments: Api<Deployment>,
    namespace: String,
    deployment: Option<String>,
    events: Events,
}

impl Scene {
    /// `deployment` is the operator's own, in `namespace`; without one only deletes that are seen let a loss through.
    pub(crate) fn new(client: &Client, namespace: &str, deployment: Option<String>, events: Events) -> Self {
        Self {
            crds: Api::all(client.clone()),
            deployments: Api::namespaced(client.clone(), namespace),
            namespace: namespace.to_owned(),
            deployment,
            events,
        }
    }

    fn text(&self, digest: &str, count: usize) -> String {
        let what = format!(
            "{count} routes or Budgets would vanish from the pods at once, but were not seen to be deleted; they stay"
        );
        let Some(name) = &self.deployment else {
            return format!("{what}. A person could let them go, had the operator been given --deployment");
        };
        let namespace = &self.namespace;
        format!(
            "{what}. To let them go: kubectl annotate -n {namespace} deployment {name} {ALLOW}={digest} --overwrite"
        )
    }
}

/// The brake, shared by all streams.
pub(crate) struct Brake {
    state: Mutex<State>,
    asked: Notify,
    changed: watch::Sender<u64>,
    metrics: Arc<Metrics>,
}

impl Brake {
    /// A brake that holds nothing.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self { state: Mutex::default(), asked: Notify::new(), changed: watch::Sender::new(0), metrics }
    }

    /// Tells when what was held may have become free.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Notes that the API server told of the deletion of a route or Budget.
    pub(crate) fn saw_delete(&self, id: ResourceId, at: Instant) {
        let deletes = &mut self.lock().evidence.deletes;
        deletes.insert(id, at);
        if deletes.len() > MAX_DELETES {
            let oldest = deletes.iter().min_by_key(|(_, at)| **at).map(|(id, _)| id.clone());
            oldest.map(|id| deletes.remove(&id));
        }
    }

    /// Whether the pod may lose these now. If not, it is looked into, and [`Self::changes`] tells.
    pub(crate) fn permits(&self, pod: &str, loss: Loss) -> bool {
        let mut state = self.lock();
        if state.evidence.permits(&loss) {
            state.held.remove(pod);
            return true;
        }
        if state.held.insert(pod.to_owned(), loss.clone()) != Some(loss) {
            self.asked.notify_one();
        }
        false
    }

    /// Forgets a pod whose stream ended.
    pub(crate) fn forget(&self, pod: &str) {
        self.lock().held.remove(pod);
    }

    /// Looks into what is held, until `stop` turns true.
    pub(crate) async fn run(&self, scene: Scene, mut stop: watch::Receiver<bool>) {
        loop {
            let known = self.lock().evidence.first_crds.len() == CRDS.len();
            let busy = !self.lock().held.is_empty();
            if busy || !known {
                self.look(&scene).await;
            }
            self.metrics.brake_held.set(i64::from(!self.lock().held.is_empty()));
            tokio::select! {
                () = self.asked.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    async fn look(&self, scene: &Scene) {
        let at = Instant::now();
        let mut crds = Vec::new();
        for (kind, name) in CRDS {
            crds.push((kind, scene.crds.get_opt(name).await));
        }
        let own = match &scene.deployment {
            Some(name) => scene.deployments.get_opt(name).await.ok().flatten(),
            None => None,
        };
        let news = {
            let mut state = self.lock();
            for (kind, crd) in crds.into_iter().filter_map(|(kind, crd)| Some((kind, crd.ok()?))) {
                state.evidence.looked(kind, at, crd.as_ref());
            }
            state.evidence.allowed = own.as_ref().and_then(|own| own.annotations().get(ALLOW).cloned());
            state.news()
        };
        for (digest, count) in news {
            let text = scene.text(&digest, count);
            tracing::warn!(digest, count, "{text}");
            if let Some(own) = &own {
                scene.events.tell(News::warning(own.object_ref(&()), "DeletesHeld", text));
            }
        }
        self.changed.send_modify(|version| *version += 1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What is still held after a look and was not told of yet.
    fn news(&mut self) -> Vec<(String, usize)> {
        let Self { evidence, held, told } = self;
        let still: BTreeMap<String, usize> = held
            .values()
            .filter(|loss| !evidence.permits(loss))
            .map(|loss| (loss.digest(), loss.missing.len()))
            .collect();
        told.retain(|digest| still.contains_key(digest));
        still.into_iter().filter(|(digest, _)| told.insert(digest.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(kind: Kind, count: usize) -> Vec<ResourceId> {
        (0..count).map(|n| ResourceId::new(kind, "ns", format!("r{n}"))).collect()
    }

    fn loss_of(kind: Kind, missing: usize, had: usize) -> Loss {
        Loss::new(ids(kind, missing).iter(), ids(kind, had).iter())
    }

    fn loss(missing: usize, had: usize) -> Loss {
        loss_of(Kind::Route, missing, had)
    }

    fn look(at: Instant, uid: &str, deleting: bool) -> Option<CrdLook> {
        Some(CrdLook { at, uid: uid.to_owned(), deleting })
    }

    fn seen(loss: &Loss, at: Instant) -> Evidence {
        Evidence {
            deletes: loss.missing.iter().map(|id| (id.clone(), at)).collect(),
            first_crds: BTreeMap::from([(Kind::Route, "crd-1".to_owned())]),
            ..Evidence::default()
        }
    }

    #[test]
    fn small_drops_pass_and_large_ones_that_nobody_saw_are_held_f47() {
        let evidence = Evidence::default();
        assert!(evidence.permits(&loss(10, 10)));
        assert!(evidence.permits(&loss(50, 100)));
        assert!(!evidence.permits(&loss(51, 100)));
        assert!(!evidence.permits(&loss(11, 11)));
    }

    #[test]
    fn budgets_are_held_as_routes_are_and_neither_makes_the_other_seem_small() {
        let evidence = Evidence::default();
        assert!(!evidence.permits(&loss_of(Kind::Budget, 11, 11)));
        assert!(evidence.permits(&loss_of(Kind::Credential, 11, 11)));
        let held: Vec<_> = ids(Kind::Budget, 11).into_iter().chain(ids(Kind::Route, 100)).collect();
        assert!(!evidence.permits(&Loss::new(ids(Kind::Budget, 11).iter(), held.iter())));
        assert_ne!(loss_of(Kind::Budget, 11, 11).digest(), loss(11, 11).digest());
    }

    #[test]
    fn deletes_that_were_seen_pass_once_the_kind_is_found_whole_after_the_last_of_them() {
        let (before, last) = (Instant::now(), Instant::now() + Duration::from_secs(1));
        let after = last + Duration::from_secs(1);
        let all = loss(20, 20);
        let mut evidence = seen(&all, last);
        assert!(!evidence.permits(&all), "not looked yet");
        for (crd, passes) in [
            (look(before, "crd-1", false), false),
            (look(after, "crd-1", true), false),
            (look(after, "crd-2", false), false),
            (None, false),
            (look(after, "crd-1", false), true),
        ] {
            evidence.crds = crd.clone().map(|crd| (Kind::Route, crd)).into_iter().collect();
            assert_eq!(evidence.permits(&all), passes, "{crd:?}");
        }
        evidence.deletes.remove(&ResourceId::new(Kind::Route, "ns", "r7"));
        assert!(!evidence.permits(&all), "one delete was not seen");
    }

    #[test]
    fn the_annotation_lets_through_the_drop_that_it_names_and_no_other() {
        let mut evidence = Evidence { allowed: Some(loss(20, 20).digest()), ..Evidence::default() };
        assert!(evidence.permits(&loss(20, 20)));
        assert!(!evidence.permits(&loss(21, 21)));
        evidence.allowed = None;
        assert!(!evidence.permits(&loss(20, 20)));
    }

    #[test]
    fn what_is_held_is_told_once_until_it_is_free() {
        let mut state = State::default();
        state.held.insert("pod".to_owned(), loss(20, 20));
        assert_eq!(state.news().len(), 1);
        assert_eq!(state.news().len(), 0);
        state.held.clear();
        assert_eq!(state.news().len(), 0);
        state.held.insert("pod".to_owned(), loss(20, 20));
        assert_eq!(state.news().len(), 1);
    }
}
