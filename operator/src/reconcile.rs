//! Objects to what pods are to have: compile the whole when something changed, and publish the outcome.
//!
//! Level-triggered: it never asks what changed, only what is.

use crate::election::Leadership;
use crate::publish::{Desired, Kept};
use crate::source::cluster::{Cluster, View};
use crate::telemetry::Metrics;
use kube::ResourceExt as _;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use weir_compile::{Compiled, ObjectId, ObjectKind, Objects};
use weir_snapshot::{Digest, Kind, Name, ResourceId};

/// The first change is compiled at once; further ones come together for that long, or for as long as it took.
const GATHER: Duration = Duration::from_millis(5);
/// A standby follows at leisure what the objects name, so that it has listed all of it when it is to lead.
const STAND_BY: Duration = Duration::from_secs(1);
/// While something is not listed yet.
const INCOMPLETE: Duration = Duration::from_millis(250);

/// Compiles while this process leads.
pub(crate) struct Reconcile {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) leadership: watch::Receiver<Leadership>,
    pub(crate) desired: watch::Sender<Option<Arc<Desired>>>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Reconcile {
    /// Reconciles until `stop` turns true.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let (mut changes, mut issuer) = (self.cluster.changes(), self.cluster.issuer());
        let mut leads = false;
        loop {
            changes.mark_unchanged();
            issuer.mark_unchanged();
            let started = Instant::now();
            let led = std::mem::replace(&mut leads, self.leadership.borrow_and_update().leads());
            let complete = if leads { self.once(started).await } else { self.cluster.view(started).is_some() };
            if led && !leads {
                self.desired.send_replace(None);
            }
            let gather = if leads { GATHER.max(started.elapsed()) } else { STAND_BY };
            let _ = tokio::time::timeout(gather, self.leadership.wait_for(|now| now.leads() != leads)).await;
            let later = if complete { Duration::MAX } else { INCOMPLETE };
            let role = self.leadership.wait_for(|now| now.leads() != leads);
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                changed = issuer.changed() => if changed.is_err() { return },
                changed = role => if changed.is_err() { return },
                () = tokio::time::sleep(later) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// Compiles and publishes; false while something is not listed yet.
    async fn once(&self, now: Instant) -> bool {
        let Some(View { objects, secrets_unknown }) = self.cluster.view(now) else { return false };
        let timer = self.metrics.compile_seconds.start_timer();
        let next = tokio::task::spawn_blocking(move || {
            let (kept, undecided) = undecided(&objects, secrets_unknown);
            desired(weir_compile::compile(&objects), kept, undecided)
        });
        let next = next.await;
        timer.observe_duration();
        match next {
            Ok(next) => self.publish(next),
            Err(error) => {
                self.metrics.failed("compile");
                tracing::error!(%error, "the objects cannot be compiled; pods keep what they have");
            }
        }
        true
    }

    fn publish(&self, mut next: Desired) {
        self.desired.send_if_modified(|before| {
            next.revision = match before {
                Some(before) if before.digests == next.digests && before.kept == next.kept => before.revision,
                Some(before) => before.revision + 1,
                None => 1,
            };
            let same = before.as_ref().is_some_and(|before| {
                before.revision == next.revision
                    && before.verdicts == next.verdicts
                    && before.undecided == next.undecided
                    && before.refused_keys == next.refused_keys
            });
            if !same {
                self.metrics.revision.set(i64::try_from(next.revision).unwrap_or(i64::MAX));
                self.metrics.resources.set(i64::try_from(next.digests.len()).unwrap_or(i64::MAX));
                *before = Some(Arc::new(std::mem::take(&mut next)));
            }
            !same
        });
    }
}

/// Adds the digests.
fn desired(compiled: Compiled, kept: Kept, undecided: BTreeSet<ObjectId>) -> Desired {
    let Compiled { mut snapshot, verdicts, refused_keys } = compiled;
    let mut digests = BTreeMap::new();
    snapshot.resources.retain(|id, resource| match resource.body() {
        Ok(body) => {
            digests.insert(id.clone(), Digest::of(&body));
            true
        }
        Err(error) => {
            tracing::error!(resource = %id, %error, "a resource cannot be written as JSON and is left out");
            false
        }
    });
    Desired { revision: 0, snapshot, digests, verdicts, refused_keys, kept, undecided }
}

/// What depends on Secrets of which nothing is known yet: the resources that pods keep, and the objects whose
/// verdicts say nothing.
fn undecided(objects: &Objects, secrets_unknown: BTreeSet<String>) -> (Kept, BTreeSet<ObjectId>) {
    let (mut resources, mut undecided) = (BTreeSet::new(), BTreeSet::new());
    let unknown: BTreeSet<Name> = objects
        .providers
        .iter()
        .filter(|provider| !provider.spec.credentials.is_empty())
        .map(|provider| Name::new(provider.namespace().unwrap_or_default(), provider.name_any()))
        .filter(|name| secrets_unknown.contains(&name.namespace))
        .collect();
    for route in &objects.routes {
        let own = Name::new(route.namespace().unwrap_or_default(), route.name_any());
        let named = |target: &weir_crds::Target| {
            let namespace = target.provider_ref.namespace.as_ref().unwrap_or(&own.namespace);
            unknown.contains(&Name::new(namespace, &target.provider_ref.name))
        };
        if route.spec.rules.iter().flat_map(|rule| &rule.targets).any(named) {
            resources.insert(ResourceId { kind: Kind::Route, name: own.clone() });
            undecided.insert(ObjectId { kind: ObjectKind::LLMRoute, name: own });
        }
    }
    for name in unknown {
        resources.extend([Kind::Provider, Kind::Consent].map(|kind| ResourceId { kind, name: name.clone() }));
        undecided.insert(ObjectId { kind: ObjectKind::Provider, name });
    }
    (Kept { namespaces: secrets_unknown, resources, issuer: objects.issuer.is_none() }, undecided)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn objects() -> Objects {
        let provider = |name: &str, credentials: serde_json::Value| {
            serde_json::from_value(json!({"apiVersion": "weir.dev/v1alpha1", "kind": "Provider",
                "metadata": {"name": name, "namespace": "a"},
                "spec": {"type": "OpenAI", "credentials": credentials}}))
            .unwrap()
        };
        let route = |name: &str, provider: &str| {
            serde_json::from_value(json!({"apiVersion": "weir.dev/v1alpha1", "kind": "LLMRoute",
                "metadata": {"name": name, "namespace": "b"},
                "spec": {"models": [{"name": "m"}], "rules": [
                    {"targets": [{"name": "t", "providerRef": {"name": provider, "namespace": "a"}}]}]}}))
            .unwrap()
        };
        Objects {
            providers: vec![
                provider("keyed", json!([{"name": "c", "secretRef": {"name": "s"}}])),
                provider("free", json!([])),
            ],
            routes: vec![route("one", "keyed"), route("two", "free")],
            ..Objects::default()
        }
    }

    #[test]
    fn what_hangs_on_unknown_secrets_is_undecided_and_nothing_else_is() {
        let (kept, undecided) = undecided(&objects(), BTreeSet::from(["a".to_owned()]));
        let names: Vec<_> = undecided.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["Provider a/keyed", "LLMRoute b/one"]);
        let resources: Vec<_> = kept.resources.iter().map(ToString::to_string).collect();
        assert_eq!(resources, ["Provider a/keyed", "Consent a/keyed", "Route b/one"]);
        assert_eq!(kept.namespaces, BTreeSet::from(["a".to_owned()]));
    }

    #[test]
    fn with_all_secrets_known_nothing_is_undecided() {
        let (kept, undecided) = undecided(&objects(), BTreeSet::new());
        assert!(undecided.is_empty() && kept.resources.is_empty());
    }
}
