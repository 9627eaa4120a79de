//! All objects to one snapshot and their verdicts: Providers and Budgets first, then the routes that use them.
//!
//! What was made of an object is kept as long as all that it was made from is the same; the outcome is always
//! that of compiling the whole. Secrets go into the snapshot only for what a good route uses.

use crate::budget::{Budgets, KeptBudget, may_cover};
use crate::built::Built;
use crate::callers::Callers;
use crate::claimed::{self, Credential};
use crate::conflict;
use crate::index::{self, Index};
use crate::jwt::Keys;
use crate::objects::{Objects, Undecodable};
use crate::provider;
use crate::route::{self, BuiltRoute};
use crate::verdict::{Compiled, Condition, ObjectId, ObjectKind, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_crds::{LLMRoute, Provider};
use weir_snapshot::{Access, Consent, KeySet, Kind, Name, Resource, ResourceId, Sealed, Settings};

/// Compiles the objects. Every object of our kinds has a verdict, and equal objects in any order give equal bytes.
pub fn compile(objects: &Objects) -> Compiled {
    Compiler::default().compile(objects)
}

/// Compiles again and again what changes a little in between.
#[derive(Default)]
pub struct Compiler {
    index: Index,
    providers: BTreeMap<Name, KeptProvider>,
    routes: BTreeMap<Name, KeptRoute>,
    callers: Callers,
    budgets: Budgets,
}

type Resources = Vec<(ResourceId, Arc<Sealed>)>;

/// What was made of a Provider, and from what.
struct KeptProvider {
    /// Absent where it cannot be read.
    object: Option<Arc<Provider>>,
    built: Arc<Built>,
    resources: Resources,
}

/// What was made of a route, and from what.
struct KeptRoute {
    object: Arc<LLMRoute>,
    conflict: Option<Condition>,
    /// Callers' credentials that it names and belong to another namespace.
    elsewhere: BTreeSet<Credential>,
    /// The Providers that it names, as they were.
    named: Vec<(Name, Option<Arc<Built>>)>,
    /// Those of its good targets.
    targeted: Vec<Name>,
    access: Access,
    keys: Keys,
    resources: Resources,
    verdict: Arc<Verdict>,
}

impl Compiler {
    /// The same as [`compile`], in a time that depends on what changed since the last call.
    pub fn compile(&mut self, objects: &Objects) -> Compiled {
        let anew = !self.index.objects.has_surroundings_of(objects);
        if anew {
            self.index = Index::of(objects, &self.index);
        }
        self.build_providers(objects, anew);
        let budgets_changed = self.budgets.build(objects, &self.index, anew);
        self.build_routes(objects, anew || budgets_changed);
        self.callers.admit(self.routes.iter().map(|(name, route)| (name, &route.access)), &self.index, anew);
        let mut targeted: BTreeMap<&Name, usize> = BTreeMap::new();
        for provider in self.routes.values().flat_map(|route| &route.targeted) {
            *targeted.entry(provider).or_default() += 1;
        }
        let (mut resources, mut verdicts) = (cluster(objects), BTreeMap::new());
        resources.extend_from_slice(self.callers.resources());
        for (name, kept) in &self.providers {
            let routes = targeted.get(name).copied().unwrap_or_default();
            let used = kept.resources.iter().filter(|(id, _)| routes > 0 || id.kind != Kind::Credential);
            let prices = kept.built.data.as_ref().filter(|data| data.any_model);
            let prices = prices.and_then(|data| self.index.prices.resource(data.provider_type));
            let used: Resources = used.cloned().chain(prices).collect();
            let ids = used.iter().map(|(id, _)| id.clone()).collect();
            let verdict = Verdict { resources: ids, routes, ..kept.built.verdict.clone() };
            verdicts.insert(ObjectId { kind: ObjectKind::Provider, name: name.clone() }, Arc::new(verdict));
            resources.extend(used);
        }
        for (name, kept) in &self.routes {
            let id = ObjectId { kind: ObjectKind::LLMRoute, name: name.clone() };
            verdicts.insert(id, Arc::clone(&kept.verdict));
            resources.extend_from_slice(&kept.resources);
        }
        let mut alarms = BTreeMap::new();
        for (name, kept) in self.budgets.iter() {
            let id = ObjectId { kind: ObjectKind::Budget, name: name.clone() };
            verdicts.insert(id, Arc::clone(&kept.verdict));
            resources.extend(kept.resource.clone());
            alarms.insert(name.clone(), kept.alarms().to_vec());
        }
        for held in &objects.undecodable {
            verdicts.insert(held.id.clone(), Arc::new(undecodable(held)));
        }
        let mut compiled =
            Compiled { verdicts, alarms, refused_keys: self.index.refused_keys.clone(), ..Compiled::default() };
        for KeptRoute { keys, .. } in self.routes.values() {
            compiled.key_sources.extend(keys.sources.iter().cloned());
            compiled.key_sets_missing.extend(keys.missing.iter().cloned());
        }
        compiled.snapshot.resources = resources.into_iter().collect();
        compiled
    }

    /// Every Provider; one that cannot be read is there too, so that its own routes are told to look at its status.
    fn build_providers(&mut self, objects: &Objects, anew: bool) {
        let unread = objects.undecodable.iter().filter(|held| held.id.kind == ObjectKind::Provider);
        let mut wanted: BTreeMap<Name, Option<&Arc<Provider>>> =
            unread.map(|held| (held.id.name.clone(), None)).collect();
        wanted.extend(objects.providers.iter().map(|object| (index::name(&object.metadata), Some(object))));
        let mut last = std::mem::take(&mut self.providers);
        for (name, object) in wanted {
            let mut kept = last.remove(&name);
            let same = |kept: &KeptProvider| match (&kept.object, object) {
                (Some(before), Some(object)) => !anew && Arc::ptr_eq(before, object),
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            };
            if !kept.as_ref().is_some_and(same) {
                let built = object.map_or_else(|| unreadable(&name), |object| provider::build(object, &self.index));
                let held = kept.filter(|kept| *kept.built == built);
                let (built, resources) = held.map_or_else(
                    || {
                        let resources = provider_resources(&name, &built);
                        (Arc::new(built), resources)
                    },
                    |kept| (kept.built, kept.resources),
                );
                kept = Some(KeptProvider { object: object.cloned(), built, resources });
            }
            self.providers.extend(kept.map(|kept| (name, kept)));
        }
    }

    fn build_routes(&mut self, objects: &Objects, anew: bool) {
        let wanted: BTreeMap<Name, &Arc<LLMRoute>> =
            objects.routes.iter().map(|object| (index::name(&object.metadata), object)).collect();
        let mut conflicts = conflict::conditions(&wanted);
        let mut elsewhere = claimed::elsewhere(&wanted, &objects.settings.platform_namespace);
        let mut last = std::mem::take(&mut self.routes);
        for (name, object) in wanted {
            let conflict = conflicts.remove(&name);
            let elsewhere = elsewhere.remove(&name).unwrap_or_default();
            let same = |kept: &KeptRoute| {
                let provider = |name: &Name| self.providers.get(name).map(|held| Arc::as_ptr(&held.built));
                let as_before =
                    |(name, built): &(Name, Option<Arc<Built>>)| provider(name) == built.as_ref().map(Arc::as_ptr);
                Arc::ptr_eq(&kept.object, object)
                    && kept.conflict == conflict
                    && kept.elsewhere == elsewhere
                    && kept.named.iter().all(as_before)
            };
            let kept = match last.remove(&name).filter(|kept| !anew && same(kept)) {
                Some(kept) => kept,
                None => self.build_route(&name, object, conflict, elsewhere),
            };
            self.routes.insert(name, kept);
        }
    }

    fn build_route(
        &self,
        name: &Name,
        object: &Arc<LLMRoute>,
        conflict: Option<Condition>,
        elsewhere: BTreeSet<Credential>,
    ) -> KeptRoute {
        let named: BTreeMap<Name, Option<Arc<Built>>> = object
            .spec
            .rules
            .iter()
            .flat_map(|rule| &rule.targets)
            .map(|target| {
                let wanted = &target.provider_ref;
                let provider = Name::new(wanted.namespace.as_ref().unwrap_or(&name.namespace), &wanted.name);
                let held = self.providers.get(&provider).map(|held| Arc::clone(&held.built));
                (provider, held)
            })
            .collect();
        let providers = named.iter().filter_map(|(name, built)| Some((name, &**built.as_ref()?))).collect();
        let built = route::build(object, conflict.clone(), &elsewhere, &providers, &self.index);
        let targeted = built.providers().into_iter().cloned().collect();
        let BuiltRoute { data, access, keys, mut verdict } = built;
        let covers =
            |held: &KeptBudget| held.selector().is_some_and(|selector| may_cover(selector, name, &data, &access));
        let budgets = self.budgets.iter().filter(|(_, held)| covers(held)).map(|(name, _)| name.clone()).collect();
        let mut resources = vec![sealed(name.clone(), data), sealed(name.clone(), access.clone())];
        let sets = keys.sets.iter();
        resources
            .extend(sets.map(|(set, jwks)| sealed(Name::new(&name.namespace, set), KeySet { jwks: jwks.clone() })));
        verdict.resources = resources.iter().map(|(id, _)| id.clone()).collect();
        verdict.budgets = budgets;
        KeptRoute {
            object: Arc::clone(object),
            conflict,
            elsewhere,
            named: named.into_iter().collect(),
            targeted,
            access,
            keys,
            resources,
            verdict: Arc::new(verdict),
        }
    }
}

fn unreadable(name: &Name) -> Built {
    Built { consent: Consent { all: false, namespaces: vec![name.namespace.clone()] }, ..Built::default() }
}

/// All that pods may get of a Provider.
fn provider_resources(name: &Name, built: &Built) -> Resources {
    let Built { data, consent, secrets, verdict: _ } = built;
    let mut resources = vec![sealed(name.clone(), consent.clone())];
    let Some(data) = data else { return resources };
    resources.push(sealed(name.clone(), data.clone()));
    resources.extend(secrets.iter().map(|(credential, secret)| {
        let credential = Name::new(&name.namespace, format!("{}/{credential}", name.name));
        sealed(credential, weir_snapshot::Credential { secret: secret.clone() })
    }));
    resources
}

fn sealed(name: Name, resource: impl Into<Resource>) -> (ResourceId, Arc<Sealed>) {
    let sealed = Sealed::new(resource);
    (ResourceId { kind: sealed.resource.kind(), name }, Arc::new(sealed))
}

fn cluster(objects: &Objects) -> Resources {
    let exchange_rates = objects.overlay.as_ref().map(|overlay| overlay.exchange_rates.clone()).unwrap_or_default();
    let settings = Settings { exchange_rates, ..objects.settings.clone() };
    let mut resources = vec![sealed(Name::new("", ""), settings)];
    resources.extend(objects.issuer.as_ref().map(|issuer| sealed(Name::new("", "kubernetes"), issuer.clone())));
    resources
}

fn undecodable(object: &Undecodable) -> Verdict {
    let message = format!("the object cannot be read: {}; correct it", object.error);
    Verdict {
        generation: object.generation,
        conditions: vec![Condition {
            type_: "Accepted",
            status: false,
            reason: "Undecodable",
            message: message.clone(),
        }],
        complaints: vec![(String::new(), message)],
        ..Verdict::default()
    }
}
