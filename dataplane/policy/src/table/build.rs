//! From resources to the table. What was made of resources that are still the same is taken over.
//!
//! The outcome is that of building the whole; health and load are always kept, by identity.

use super::{Credential, Key, Keys, Provider, Route, Table, Target, TargetId};
use crate::Caller;
use crate::budgets::Budgets;
use std::collections::{BTreeMap, HashSet};
use std::iter::Peekable;
use std::sync::Arc;
use weir_lease::{Nature, Terms, limits_of_provider, limits_of_route};
use weir_snapshot::{Access, AdmittedCertificate, Kind, Name, Resource, ResourceId, Resources, TokenIssuer, Unit};

impl Table {
    /// Builds the table that follows on `previous`.
    pub fn build(resources: &Resources, previous: &Self) -> Self {
        let mut table = Self { keys: keys(resources, &previous.keys), ..Self::default() };
        for (id, resource) in resources {
            match resource {
                Resource::Settings(settings) => table.settings = Arc::clone(settings),
                Resource::Issuer(issuer) => table.issuer = Some(Arc::clone(issuer)),
                Resource::Namespace(namespace) => {
                    table.namespaces.insert(id.name.name.clone(), Arc::clone(namespace));
                }
                Resource::ServiceAccount(account) => {
                    table.accounts.insert(id.name.clone(), Arc::clone(account));
                }
                Resource::Provider(data) => {
                    let provider = provider(&id.name, data, resources, previous);
                    table.providers.insert(id.name.clone(), provider);
                }
                Resource::Consent(consent) => {
                    table.consents.insert(id.name.clone(), Arc::clone(consent));
                }
                Resource::ApiKey(_)
                | Resource::Prices(_)
                | Resource::KeySet(_)
                | Resource::Credential(_)
                | Resource::Route(_)
                | Resource::Access(_)
                | Resource::Budget(_) => {}
            }
        }
        table.add_routes(resources, previous);
        table.budgets = budgets(&table, resources, previous);
        table.index();
        table
    }

    fn add_routes(&mut self, resources: &Resources, previous: &Self) {
        // A route's targets follow from these, its own definition and its access; nothing else.
        let same_providers = same(&self.providers, &previous.providers) && same(&self.consents, &previous.consents);
        let mut accesses = of_kind(resources, Kind::Access).peekable();
        let mut held = previous.routes.iter().map(|route| (&route.id, route)).peekable();
        for (id, resource) in of_kind(resources, Kind::Route) {
            let Resource::Route(data) = resource else { continue };
            let held = of_name(&mut held, id);
            let access = match of_name(&mut accesses, id) {
                Some(Resource::Access(access)) => Some(access),
                _ => None,
            };
            let unchanged = |held: &&Arc<Route>| {
                let nobody = || *held.access == Access::default();
                let same_access = access.map_or_else(nobody, |access| Arc::ptr_eq(&held.access, access));
                same_providers && same_access && Arc::ptr_eq(&held.data, data)
            };
            if let Some(held) = held.filter(unchanged) {
                let kept = held.targets.iter().map(|target| (Arc::clone(&target.id), Arc::clone(&target.health)));
                self.health.extend(kept);
                self.routes.push(Arc::clone(held));
            } else {
                let targets = data.rules.iter().flat_map(|rule| &rule.targets);
                let targets = targets.filter_map(|target| self.target(id, target, previous)).collect();
                self.routes.push(Arc::new(Route {
                    id: id.clone(),
                    rates: limits_of_route(id, data).into_iter().map(|(limit, _)| limit).collect(),
                    data: Arc::clone(data),
                    access: access.cloned().unwrap_or_default(),
                    targets,
                    load: held.map_or_else(Arc::default, |held| Arc::clone(&held.load)),
                }));
            }
        }
    }

    /// A target of that route; nothing without its Provider or the consent of its owner.
    fn target(&mut self, route: &Name, data: &Arc<weir_snapshot::Target>, previous: &Self) -> Option<Target> {
        let provider = self.providers.get(&data.provider)?;
        let consent = self.consents.get(&data.provider)?;
        if !consent.all && !consent.namespaces.contains(&route.namespace) {
            return None;
        }
        let id = Arc::new(TargetId { provider: data.provider.clone(), model: data.model.clone().unwrap_or_default() });
        let kept = || previous.health.get(&id).cloned().unwrap_or_default();
        let health = Arc::clone(self.health.entry(Arc::clone(&id)).or_insert_with(kept));
        Some(Target { data: Arc::clone(data), provider: Arc::clone(provider), health, id })
    }

    fn index(&mut self) {
        let mut wildcards: BTreeMap<String, Vec<Arc<Route>>> = BTreeMap::new();
        let nobody = Caller::anonymous();
        for route in &self.routes {
            if route.admits(&nobody) {
                self.anonymous.push(Arc::clone(route));
            }
            for AdmittedCertificate { subject, .. } in &route.access.certificates {
                self.subjects.entry(subject.clone()).or_default().insert(route.id.namespace.clone());
            }
            for TokenIssuer { issuer, audiences, keys, .. } in &route.access.jwt {
                let of_issuer = self.key_sets.entry(issuer.clone()).or_default();
                for audience in audiences {
                    let keys = Name::new(&route.id.namespace, keys);
                    of_issuer.entry(audience.clone()).or_default().insert(keys);
                }
            }
            for model in &route.data.models {
                match model.pattern.strip_suffix('*') {
                    Some(prefix) => wildcards.entry(prefix.to_owned()).or_default().push(Arc::clone(route)),
                    None => self.exact.entry(model.pattern.clone()).or_default().push(Arc::clone(route)),
                }
            }
        }
        self.wildcards = wildcards.into_iter().collect();
        self.wildcards.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        let oldest_first = |routes: &mut Vec<Arc<Route>>| routes.sort_by(|a, b| a.age().cmp(&b.age()));
        self.exact.values_mut().for_each(oldest_first);
        self.wildcards.iter_mut().map(|(_, routes)| routes).for_each(oldest_first);
    }
}

fn budgets<'t>(table: &'t Table, resources: &Resources, previous: &Table) -> Budgets {
    let of = |provider: &'t Arc<Provider>| {
        provider.data.models.values().filter_map(|model| Some((&provider.id, model.pricing.as_ref()?)))
    };
    let prices = table.providers.values().flat_map(of);
    let platform = &table.settings.platform_namespace;
    Budgets::build(of_kind(resources, Kind::Budget), prices, platform, &previous.budgets)
}

fn keys(resources: &Resources, held: &Arc<Keys>) -> Arc<Keys> {
    let of_now = || {
        let pushed = resources.range(first_of(Kind::ApiKey)..);
        pushed.map_while(|(id, resource)| if let Resource::ApiKey(data) = resource { Some((id, data)) } else { None })
    };
    if of_now().map(|(_, data)| Arc::as_ptr(data)).eq(held.pushed.iter().map(Arc::as_ptr)) {
        return Arc::clone(held);
    }
    let mut by_id: HashSet<Key> = HashSet::with_capacity(held.pushed.len());
    for (id, data) in of_now() {
        let key = Key { pushed: Arc::clone(id), data: Arc::clone(data), namesakes: Vec::new() };
        match by_id.take(data.id.as_str()) {
            Some(mut first) => {
                first.namesakes.push(key);
                by_id.insert(first);
            }
            None => drop(by_id.insert(key)),
        }
    }
    Arc::new(Keys { by_id, pushed: of_now().map(|(_, data)| Arc::clone(data)).collect() })
}

fn provider(
    name: &Name,
    data: &Arc<weir_snapshot::Provider>,
    resources: &Resources,
    previous: &Table,
) -> Arc<Provider> {
    let held = previous.providers.get(name);
    let credentials = credentials(name, data, resources, held);
    let prices = match resources.get(&ResourceId::new(Kind::Prices, "", data.provider_type.as_str())) {
        Some(Resource::Prices(prices)) if data.any_model => Some(Arc::clone(prices)),
        _ => None,
    };
    let unchanged = |held: &&Arc<Provider>| {
        let pairs = || held.credentials.iter().zip(&credentials);
        Arc::ptr_eq(&held.data, data)
            && held.prices.as_ref().map(Arc::as_ptr) == prices.as_ref().map(Arc::as_ptr)
            && held.credentials.len() == credentials.len()
            && pairs().all(|(before, now)| Arc::ptr_eq(&before.health, &now.health))
    };
    if let Some(held) = held.filter(unchanged) {
        return Arc::clone(held);
    }
    let pots = pots(name, data);
    Arc::new(Provider {
        id: name.clone(),
        data: Arc::clone(data),
        credentials,
        prices,
        pots,
        line: held.map_or_else(Arc::default, |held| Arc::clone(&held.line)),
    })
}

/// A credential without its secret is left out; the operator's status says which. Health is kept with the secret.
fn credentials(
    provider: &Name,
    data: &weir_snapshot::Provider,
    resources: &Resources,
    held: Option<&Arc<Provider>>,
) -> Vec<Credential> {
    let of = |wanted: &weir_snapshot::CredentialRef| {
        let id = ResourceId::new(Kind::Credential, &provider.namespace, format!("{}/{}", provider.name, wanted.name));
        let Some(Resource::Credential(body)) = resources.get(&id) else { return None };
        let same =
            held.and_then(|held| held.credentials.iter().find(|c| c.name == wanted.name && c.secret == body.secret));
        Some(Credential {
            name: wanted.name.clone(),
            weight: wanted.weight,
            secret: body.secret.clone(),
            health: same.map_or_else(Arc::default, |same| Arc::clone(&same.health)),
        })
    };
    data.credentials.iter().filter_map(of).collect()
}

/// A provider's limits, with what holds of them while no leader answers.
fn pots(name: &Name, data: &weir_snapshot::Provider) -> Vec<(Option<Unit>, Arc<str>, Terms)> {
    let terms = |limit: &weir_lease::Limit| match limit.nature {
        Nature::Rate { amount, per_ms } => Terms::Rate { amount, per_ms, burst: limit.amount },
        Nature::Gauge | Nature::Window | Nature::Rolling { .. } => Terms::Gauge { most: limit.amount },
    };
    let limits = limits_of_provider(name, data).into_iter();
    limits.map(|(unit, pot, limit)| (unit, pot, terms(&limit))).collect()
}

/// The resources of a kind, in the order of their names.
fn of_kind(resources: &Resources, kind: Kind) -> impl Iterator<Item = (&Name, &Resource)> {
    let list = resources.range(first_of(kind)..).take_while(move |(id, _)| id.kind == kind);
    list.map(|(id, resource)| (&id.name, resource))
}

/// What comes before every resource of a kind.
fn first_of(kind: Kind) -> ResourceId {
    ResourceId::new(kind, "", "")
}

/// The entry of that name of a list in the order of names, which is asked in that order too.
fn of_name<'a, T>(list: &mut Peekable<impl Iterator<Item = (&'a Name, T)>>, name: &Name) -> Option<T> {
    while list.next_if(|(held, _)| *held < name).is_some() {}
    list.next_if(|(held, _)| *held == name).map(|(_, found)| found)
}

fn same<T>(some: &BTreeMap<Name, Arc<T>>, others: &BTreeMap<Name, Arc<T>>) -> bool {
    let pairs = || some.iter().zip(others);
    some.len() == others.len() && pairs().all(|((a, one), (b, other))| a == b && Arc::ptr_eq(one, other))
}
