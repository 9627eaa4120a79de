//! From resources to the table. What was made of resources that are still the same is taken over.
//!
//! A resource that cannot be used is named with its reason and the rest is built. The outcome is that of
//! building the whole; health and load are always kept, by identity.

use super::{Credential, Key, Keys, Provider, Rejected, Route, Table, Target, TargetId};
use crate::budgets::Budgets;
use std::collections::BTreeMap;
use std::iter::Peekable;
use std::sync::Arc;
use weir_lease::{Nature, Terms, limits_of_provider, limits_of_route};
use weir_snapshot::{Access, AdmittedCertificate, ApiKey, Kind, Name, Resource, ResourceId, TokenIssuer, Unit};

type Resources = BTreeMap<ResourceId, Arc<Resource>>;

impl Table {
    /// Builds the table that follows on `previous`.
    pub fn build(resources: &Resources, previous: &Self) -> (Self, Vec<Rejected>) {
        let mut table = Self::default();
        let (keys, rejected) = keys(resources, &previous.keys);
        table.keys = keys;
        for (id, resource) in resources {
            match &**resource {
                Resource::Settings(settings) => table.settings = settings.clone(),
                Resource::Issuer(issuer) => table.issuer = Some(issuer.clone()),
                Resource::Namespace(namespace) => {
                    table.namespaces.insert(id.name.name.clone(), namespace.clone());
                }
                Resource::ServiceAccount(account) => {
                    table.accounts.insert(id.name.clone(), account.clone());
                }
                Resource::Provider(data) => {
                    let provider = provider((&id.name, resource, data), resources, previous);
                    table.providers.insert(id.name.clone(), provider);
                }
                Resource::Consent(_) => {
                    table.consents.insert(id.name.clone(), Arc::clone(resource));
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
        (table, rejected)
    }

    fn add_routes(&mut self, resources: &Resources, previous: &Self) {
        // A route's targets follow from these, its own definition and its access; nothing else.
        let same_providers = same(&self.providers, &previous.providers) && same(&self.consents, &previous.consents);
        let mut accesses = of_kind(resources, Kind::Access).peekable();
        let mut held = previous.routes.iter().map(|route| (&route.id, route)).peekable();
        for (id, resource) in of_kind(resources, Kind::Route) {
            let (access, held) = (of_name(&mut accesses, id), of_name(&mut held, id));
            let unchanged = |held: &&Arc<Route>| {
                let (route, before) = &held.made_of;
                let same_access = before.as_ref().map(Arc::as_ptr) == access.map(Arc::as_ptr);
                same_providers && same_access && Arc::ptr_eq(route, resource)
            };
            if let Some(held) = held.filter(unchanged) {
                let kept = held.targets.iter().map(|target| (Arc::clone(&target.id), Arc::clone(&target.health)));
                self.health.extend(kept);
                self.routes.push(Arc::clone(held));
            } else if let Resource::Route(data) = &**resource {
                let targets = data.rules.iter().flat_map(|rule| &rule.targets);
                let targets = targets.filter_map(|target| self.target(id, target, previous)).collect();
                self.routes.push(Arc::new(Route {
                    id: id.clone(),
                    rates: limits_of_route(id, data).into_iter().map(|(limit, _)| limit).collect(),
                    data: data.clone(),
                    access: match access.map(|access| &**access) {
                        Some(Resource::Access(access)) => access.clone(),
                        _ => Access::default(),
                    },
                    targets,
                    load: held.map_or_else(Arc::default, |held| Arc::clone(&held.load)),
                    made_of: (Arc::clone(resource), access.cloned()),
                }));
            }
        }
    }

    /// A target of that route; nothing without its Provider or the consent of its owner.
    fn target(&mut self, route: &Name, data: &weir_snapshot::Target, previous: &Self) -> Option<Target> {
        let provider = self.providers.get(&data.provider)?;
        let Resource::Consent(consent) = &**self.consents.get(&data.provider)? else { return None };
        if !consent.all && !consent.namespaces.contains(&route.namespace) {
            return None;
        }
        let id = Arc::new(TargetId { provider: data.provider.clone(), model: data.model.clone().unwrap_or_default() });
        let kept = || previous.health.get(&id).cloned().unwrap_or_default();
        let health = Arc::clone(self.health.entry(Arc::clone(&id)).or_insert_with(kept));
        Some(Target { data: data.clone(), provider: Arc::clone(provider), health, id })
    }

    fn index(&mut self) {
        let mut wildcards: BTreeMap<String, Vec<Arc<Route>>> = BTreeMap::new();
        for route in &self.routes {
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
        let oldest_first = |routes: &mut Vec<Arc<Route>>| {
            routes.sort_by(|a, b| (a.data.created_at, &a.id).cmp(&(b.data.created_at, &b.id)));
        };
        self.exact.values_mut().for_each(oldest_first);
        self.wildcards.iter_mut().map(|(_, routes)| routes).for_each(oldest_first);
    }
}

fn budgets(table: &Table, resources: &Resources, previous: &Table) -> Budgets {
    let listed = table.providers.values().flat_map(|provider| provider.data.models.values());
    let prices = listed.filter_map(|model| model.pricing.as_ref());
    Budgets::build(of_kind(resources, Kind::Budget), prices, &previous.budgets)
}

fn keys(resources: &Resources, held: &Arc<Keys>) -> (Arc<Keys>, Vec<Rejected>) {
    let mut of_now = of_kind(resources, Kind::ApiKey).map(|(_, resource)| Arc::as_ptr(resource));
    if held.made_of.iter().all(|resource| of_now.next() == Some(Arc::as_ptr(resource))) && of_now.next().is_none() {
        return (Arc::clone(held), Vec::new());
    }
    let (mut keys, mut rejected) = (Keys::default(), Vec::new());
    for (name, resource) in of_kind(resources, Kind::ApiKey) {
        let Resource::ApiKey(data) = &**resource else { continue };
        if let Some(hashes) = hashes(data) {
            let key = Key { secret: name.clone(), hashes, made_of: Arc::clone(resource) };
            keys.by_id.insert(data.id.clone(), key);
            keys.made_of.push(Arc::clone(resource));
        } else {
            let id = ResourceId { kind: Kind::ApiKey, name: name.clone() };
            rejected.push(Rejected { id, reason: "a hash is not 32 bytes of hex".into() });
        }
    }
    (Arc::new(keys), rejected)
}

fn hashes(key: &ApiKey) -> Option<Vec<[u8; 32]>> {
    key.hashes.iter().map(|text| hex::decode(text).ok()?.try_into().ok()).collect()
}

fn provider(
    (name, resource, data): (&Name, &Arc<Resource>, &weir_snapshot::Provider),
    resources: &Resources,
    previous: &Table,
) -> Arc<Provider> {
    let held = previous.providers.get(name);
    let credentials = credentials(name, data, resources, held);
    let prices = || resources.get(&ResourceId::new(Kind::Prices, "", data.provider_type.as_str())).cloned();
    let prices = data.any_model.then(prices).flatten();
    let unchanged = |held: &&Arc<Provider>| {
        let pairs = || held.credentials.iter().zip(&credentials);
        Arc::ptr_eq(&held.made_of, resource)
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
        data: data.clone(),
        credentials,
        prices,
        pots,
        line: held.map_or_else(Arc::default, |held| Arc::clone(&held.line)),
        made_of: Arc::clone(resource),
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
        let Some(Resource::Credential(body)) = resources.get(&id).map(|resource| &**resource) else { return None };
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
fn of_kind(resources: &Resources, kind: Kind) -> impl Iterator<Item = (&Name, &Arc<Resource>)> {
    let first = ResourceId::new(kind, "", "");
    resources.range(first..).take_while(move |(id, _)| id.kind == kind).map(|(id, resource)| (&id.name, resource))
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
