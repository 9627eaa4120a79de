//! Objects to what pods are to have: compile the whole when something changed, and publish the outcome.
//!
//! Level-triggered: it never asks what changed, only what is.

mod prices;

pub(crate) use prices::Prices;

use crate::election::Leadership;
use crate::key_sets::KeySets;
use crate::publish::{Desired, Kept};
use crate::source::cluster::{Cluster, Names, View, api_server};
use crate::telemetry::Metrics;
use kube::ResourceExt as _;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use weir_compile::{Compiled, Compiler, ObjectId, ObjectKind, Objects, mapped_key_sets};
use weir_snapshot::{Kind, Name, ProviderType, ResourceId, Settings};

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
    pub(crate) key_sets: KeySets,
    pub(crate) compiler: Compiler,
    pub(crate) prices: Prices,
}

impl Reconcile {
    /// Reconciles until `stop` turns true.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let (mut changes, mut issuer) = (self.cluster.changes(), self.cluster.issuer());
        let mut keys = self.key_sets.changes();
        let mut leads = false;
        loop {
            changes.mark_unchanged();
            issuer.mark_unchanged();
            keys.mark_unchanged();
            let started = Instant::now();
            let led = std::mem::replace(&mut leads, self.leadership.borrow_and_update().leads());
            if leads && !led {
                self.cluster.lead(started);
            }
            let complete = if leads { self.once(started).await } else { self.cluster.view(started).is_some() };
            if led && !leads {
                self.desired.send_replace(None);
                self.compiler = Compiler::default();
                self.key_sets.follow(&BTreeSet::new(), &Settings::default());
            }
            let gather = if leads { GATHER.max(started.elapsed()) } else { STAND_BY };
            let _ = tokio::time::timeout(gather, self.leadership.wait_for(|now| now.leads() != leads)).await;
            let later = if complete { Duration::MAX } else { INCOMPLETE };
            let role = self.leadership.wait_for(|now| now.leads() != leads);
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                changed = issuer.changed() => if changed.is_err() { return },
                changed = keys.changed() => if changed.is_err() { return },
                changed = role => if changed.is_err() { return },
                () = tokio::time::sleep(later) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// Compiles and publishes; false while something is not listed yet.
    async fn once(&mut self, now: Instant) -> bool {
        let Some(View { mut objects, unknown }) = self.cluster.view(now) else { return false };
        objects.key_sets = self.key_sets.known();
        let (overlay, priced) = self.prices.overlay(&objects, &unknown);
        objects.overlay = overlay;
        let rules = objects.settings.clone();
        let timer = self.metrics.compile_seconds.start_timer();
        let mut compiler = std::mem::take(&mut self.compiler);
        let accounts = objects.service_accounts.clone();
        let next = tokio::task::spawn_blocking(move || {
            let (mut kept, mut undecided) = undecided(&objects, unknown, priced);
            let compiled = compiler.compile(&objects);
            let Compiled { snapshot, verdicts, alarms, refused_keys, key_sources, key_sets_missing } = compiled;
            kept.resources.extend(key_sets_missing);
            undecided.extend(verdicts.iter().filter(|(_, verdict)| verdict.pending).map(|(id, _)| id.clone()));
            (
                compiler,
                Desired { revision: 0, snapshot, verdicts, alarms, refused_keys, accounts, kept, undecided },
                key_sources,
            )
        });
        let next = next.await;
        timer.observe_duration();
        match next {
            Ok((compiler, next, key_sources)) => {
                self.compiler = compiler;
                self.key_sets.follow(&key_sources, &rules);
                self.publish(next);
            }
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
                Some(before) if before.snapshot == next.snapshot && before.kept == next.kept => before.revision,
                Some(before) => before.revision + 1,
                None => 1,
            };
            let same = before.as_ref().is_some_and(|before| {
                before.revision == next.revision
                    && before.verdicts == next.verdicts
                    && before.alarms == next.alarms
                    && before.undecided == next.undecided
                    && before.refused_keys == next.refused_keys
            });
            if !same {
                self.metrics.revision.set(i64::try_from(next.revision).unwrap_or(i64::MAX));
                self.metrics.resources.set(i64::try_from(next.snapshot.resources.len()).unwrap_or(i64::MAX));
                *before = Some(Arc::new(std::mem::take(&mut next)));
            }
            !same
        });
    }
}

/// What depends on objects of which nothing is known yet: the resources that pods keep, and the objects whose
/// verdicts say nothing. Without knowledge of the prices that is every Provider.
fn undecided(objects: &Objects, unknown: Names, priced: bool) -> (Kept, BTreeSet<ObjectId>) {
    let (mut resources, mut undecided) = (BTreeSet::new(), BTreeSet::new());
    if !priced {
        resources.extend(ProviderType::ALL.map(|of| ResourceId::new(Kind::Prices, "", of.as_str())));
    }
    if !priced || unknown.services.contains(&api_server()) {
        resources.insert(ResourceId::new(Kind::Settings, "", ""));
    }
    let providers: BTreeSet<Name> = objects
        .providers
        .iter()
        .filter(|provider| !priced || unknown.touch(provider))
        .map(|provider| Name::new(provider.namespace().unwrap_or_default(), provider.name_any()))
        .collect();
    for route in objects.routes.iter().filter(|_| !unknown.is_empty()) {
        let own = Name::new(route.namespace().unwrap_or_default(), route.name_any());
        let key_sets = mapped_key_sets(route).into_iter().filter(|(_, map)| unknown.config_maps.contains(map));
        let key_sets: Vec<_> = key_sets.map(|(id, _)| id).collect();
        if !key_sets.is_empty() {
            resources.extend(key_sets);
            undecided.insert(ObjectId { kind: ObjectKind::LLMRoute, name: own.clone() });
        }
        let named = |target: &weir_crds::Target| {
            let namespace = target.provider_ref.namespace.as_ref().unwrap_or(&own.namespace);
            providers.contains(&Name::new(namespace, &target.provider_ref.name))
        };
        if route.spec.rules.iter().flat_map(|rule| &rule.targets).any(named) {
            resources.insert(ResourceId { kind: Kind::Route, name: own.clone() });
            undecided.insert(ObjectId { kind: ObjectKind::LLMRoute, name: own });
        }
    }
    for name in providers {
        resources.extend([Kind::Provider, Kind::Consent].map(|kind| ResourceId { kind, name: name.clone() }));
        undecided.insert(ObjectId { kind: ObjectKind::Provider, name });
    }
    budgets(objects, &unknown, &mut resources, &mut undecided);
    (Kept { namespaces: unknown.secrets, resources, issuer: objects.issuer.is_none() }, undecided)
}

/// A Budget that selects by API keys waits for the Secrets, and one with a webhook for those of its namespace. Of
/// one that cannot be read pods keep what they have: nobody knows what it would cover.
fn budgets(
    objects: &Objects,
    unknown: &Names,
    resources: &mut BTreeSet<ResourceId>,
    undecided: &mut BTreeSet<ObjectId>,
) {
    for budget in &objects.budgets {
        let name = Name::new(budget.namespace().unwrap_or_default(), budget.name_any());
        let by_key = budget.spec.selector.as_ref().is_some_and(|selector| selector.api_keys.is_some());
        let told = budget.spec.thresholds.iter().any(|threshold| threshold.webhook_ref.is_some());
        if (by_key && !unknown.secrets.is_empty()) || (told && unknown.secrets.contains(&name.namespace)) {
            resources.insert(ResourceId { kind: Kind::Budget, name: name.clone() });
            undecided.insert(ObjectId { kind: ObjectKind::Budget, name });
        }
    }
    let unread = objects.undecodable.iter().filter(|held| held.id.kind == ObjectKind::Budget);
    resources.extend(unread.map(|held| ResourceId { kind: Kind::Budget, name: held.id.name.clone() }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn objects() -> Objects {
        let provider = |name: &str, spec: serde_json::Value| {
            serde_json::from_value::<weir_crds::Provider>(json!({"apiVersion": "weir.dev/v1alpha1", "kind": "Provider",
                "metadata": {"name": name, "namespace": "a"}, "spec": spec}))
            .map(Arc::new)
            .unwrap()
        };
        let route = |name: &str, provider: &str| {
            serde_json::from_value::<weir_crds::LLMRoute>(json!({"apiVersion": "weir.dev/v1alpha1", "kind": "LLMRoute",
                "metadata": {"name": name, "namespace": "b"},
                "spec": {"models": [{"name": "m"}], "rules": [
                    {"targets": [{"name": "t", "providerRef": {"name": provider, "namespace": "a"}}]}]}}))
            .map(Arc::new)
            .unwrap()
        };
        Objects {
            providers: vec![
                provider(
                    "keyed",
                    json!({"type": "OpenAI", "credentials": [{"name": "c", "secretRef": {"name": "s"}}]}),
                ),
                provider("free", json!({"type": "OpenAI"})),
                provider("signed", json!({"type": "OpenAI", "tls": {"caConfigMapRef": {"name": "ca"}}})),
                provider("near", json!({"type": "OpenAI", "endpoint": {"service": {"name": "svc", "port": 80}}})),
            ],
            routes: vec![route("one", "keyed"), route("two", "free"), route("three", "signed"), route("four", "near")],
            ..Objects::default()
        }
    }

    fn told(unknown: Names) -> (Vec<String>, Vec<String>) {
        let (kept, undecided) = undecided(&objects(), unknown, true);
        (undecided.iter().map(ToString::to_string).collect(), kept.resources.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_hangs_on_unknown_secrets_is_undecided_and_nothing_else_is() {
        let secrets = || Names { secrets: BTreeSet::from(["a".to_owned()]), ..Names::default() };
        let (undecided, resources) = told(secrets());
        assert_eq!(undecided, ["Provider a/keyed", "LLMRoute b/one"]);
        assert_eq!(resources, ["Provider a/keyed", "Consent a/keyed", "Route b/one"]);
        assert_eq!(super::undecided(&objects(), secrets(), true).0.namespaces, secrets().secrets);
    }

    #[test]
    fn a_bundle_or_endpoints_that_were_never_listed_are_not_taken_for_missing_f41() {
        let named = |namespace: &str, name: &str| BTreeSet::from([Name::new(namespace, name)]);
        let (undecided, resources) = told(Names { config_maps: named("a", "ca"), ..Names::default() });
        assert_eq!(undecided, ["Provider a/signed", "LLMRoute b/three"]);
        assert_eq!(resources, ["Provider a/signed", "Consent a/signed", "Route b/three"]);
        let (undecided, _) = told(Names { services: named("a", "svc"), ..Names::default() });
        assert_eq!(undecided, ["Provider a/near", "LLMRoute b/four"]);
        let (undecided, resources) = told(Names { services: named("default", "kubernetes"), ..Names::default() });
        assert!(undecided.is_empty());
        assert_eq!(resources, ["Settings /"], "the API server's addresses stay forbidden");
    }

    #[test]
    fn a_budget_waits_for_the_keys_that_it_selects_and_one_that_cannot_be_read_stays_on_pods() {
        let budget = |name: &str, spec: serde_json::Value| {
            let budget = json!({"apiVersion": "weir.dev/v1alpha1", "kind": "Budget",
                "metadata": {"name": name, "namespace": "c"}, "spec": spec});
            serde_json::from_value(budget).map(Arc::new).unwrap()
        };
        let id = ObjectId { kind: ObjectKind::Budget, name: Name::new("c", "unread") };
        let objects = Objects {
            budgets: vec![
                budget("all", json!({"limits": [], "window": {"total": {}}})),
                budget(
                    "keyed",
                    json!({"limits": [], "window": {"total": {}}, "selector": {"apiKeys": {"selector": {}}}}),
                ),
            ],
            undecodable: vec![weir_compile::Undecodable { id, generation: 1, error: String::new() }],
            ..Objects::default()
        };
        let unknown = Names { secrets: BTreeSet::from(["a".to_owned()]), ..Names::default() };
        let (kept, undecided) = undecided(&objects, unknown, true);
        assert_eq!(undecided.iter().map(ToString::to_string).collect::<Vec<_>>(), ["Budget c/keyed"]);
        let kept: Vec<_> = kept.resources.iter().map(ToString::to_string).collect();
        assert_eq!(kept, ["Budget c/keyed", "Budget c/unread"]);
    }

    #[test]
    fn prices_that_were_never_listed_are_not_taken_for_none_f41() {
        let (kept, undecided) = undecided(&objects(), Names::default(), false);
        assert_eq!(undecided.len(), 4, "no Provider is priced anew: {undecided:?}");
        let kept: Vec<_> = kept.resources.iter().map(ToString::to_string).collect();
        for held in ["Settings /", "Prices /OpenAI", "Prices /Anthropic", "Provider a/free"] {
            assert!(kept.iter().any(|kept| kept == held), "{held}: {kept:?}");
        }
    }

    #[test]
    fn keys_in_a_config_map_that_was_never_listed_are_kept_f41() {
        let mut objects = objects();
        let mut route = weir_crds::LLMRoute::clone(&objects.routes[1]);
        let issuer = json!({"issuer": "i", "audiences": ["a"], "jwksConfigMapRef": {"name": "keys"}});
        route.spec.access = serde_json::from_value(json!({"jwt": [issuer]})).unwrap();
        objects.routes = vec![Arc::new(route)];
        let unknown = || Names { config_maps: BTreeSet::from([Name::new("b", "keys")]), ..Names::default() };
        let (kept, undecided) = super::undecided(&objects, unknown(), true);
        assert_eq!(kept.resources, BTreeSet::from([ResourceId::new(Kind::KeySet, "b", "keys/jwks.json")]));
        assert_eq!(undecided.iter().map(ToString::to_string).collect::<Vec<_>>(), ["LLMRoute b/two"]);
    }

    #[test]
    fn with_everything_known_nothing_is_undecided() {
        let (kept, undecided) = undecided(&objects(), Names::default(), true);
        assert!(undecided.is_empty() && kept.resources.is_empty());
    }
}
