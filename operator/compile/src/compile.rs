//! All objects to one snapshot and their verdicts: Providers first, then the routes that target them.
//!
//! Secrets go into the snapshot only for what a good route uses.

use crate::built::Built;
use crate::index::{self, Index};
use crate::objects::{Objects, Undecodable};
use crate::provider;
use crate::route::{self, BuiltRoute};
use crate::verdict::{Compiled, Condition, ObjectId, ObjectKind, Verdict};
use crate::{callers, conflict};
use std::collections::BTreeMap;
use weir_crds::LLMRoute;
use weir_snapshot::{Consent, Credential, Kind, Name, Resource, ResourceId, Snapshot};

/// Compiles the objects. Every object of our kinds has a verdict, and equal objects in any order give equal bytes.
pub fn compile(objects: &Objects) -> Compiled {
    let (index, refused_keys) = Index::of(objects);
    let mut providers = providers(&index);
    let routes: BTreeMap<Name, &LLMRoute> = objects.routes.iter().map(|r| (index::name(&r.metadata), r)).collect();
    let mut conflicts = conflict::conditions(&routes);
    let mut built: BTreeMap<Name, BuiltRoute> = routes
        .iter()
        .map(|(name, object)| (name.clone(), route::build(object, conflicts.remove(name), &providers, &index)))
        .collect();
    for provider in built.values().flat_map(BuiltRoute::providers) {
        if let Some(provider) = providers.get_mut(provider) {
            provider.verdict.routes += 1;
        }
    }
    let mut compiled = Compiled { refused_keys, ..Compiled::default() };
    let resources = &mut compiled.snapshot.resources;
    callers::emit(built.values().map(|route| &route.access), &index, resources);
    for (name, provider) in &mut providers {
        emit_provider(name, provider, resources);
    }
    for (name, route) in &mut built {
        let BuiltRoute { data, access, verdict } = route;
        verdict.resources = vec![
            ResourceId { kind: Kind::Route, name: name.clone() },
            ResourceId { kind: Kind::Access, name: name.clone() },
        ];
        resources.extend(
            verdict.resources.iter().cloned().zip([Resource::Route(data.clone()), Resource::Access(access.clone())]),
        );
    }
    emit_cluster(objects, &mut compiled.snapshot);
    let providers =
        providers.into_iter().map(|(name, held)| (ObjectId { kind: ObjectKind::Provider, name }, held.verdict));
    let routes = built.into_iter().map(|(name, held)| (ObjectId { kind: ObjectKind::LLMRoute, name }, held.verdict));
    compiled.verdicts = providers.chain(routes).collect();
    let undecodable = objects.undecodable.iter().map(|held| (held.id.clone(), undecodable(held)));
    compiled.verdicts.extend(undecodable);
    compiled
}

/// Every Provider; one that cannot be read is there too, so that its own routes are told to look at its status.
fn providers(index: &Index<'_>) -> BTreeMap<Name, Built> {
    let unread = index.objects.undecodable.iter().filter(|held| held.id.kind == ObjectKind::Provider);
    let unread = unread.map(|held| {
        let name = held.id.name.clone();
        let consent = Consent { all: false, namespaces: vec![name.namespace.clone()] };
        (name, Built { consent, ..Built::default() })
    });
    let read = index.objects.providers.iter().map(|p| (index::name(&p.metadata), provider::build(p, index)));
    unread.chain(read).collect()
}

fn emit_provider(name: &Name, built: &mut Built, resources: &mut BTreeMap<ResourceId, Resource>) {
    let Built { data, consent, secrets, verdict } = built;
    let targeted = verdict.routes > 0;
    let mut put = |kind, part: &str, resource| {
        let id = ResourceId::new(kind, &name.namespace, format!("{}{part}", name.name));
        verdict.resources.push(id.clone());
        resources.insert(id, resource);
    };
    put(Kind::Consent, "", Resource::Consent(consent.clone()));
    let Some(data) = data else { return };
    put(Kind::Provider, "", Resource::Provider(data.clone()));
    for (credential, secret) in secrets.iter().filter(|_| targeted) {
        put(Kind::Credential, &format!("/{credential}"), Resource::Credential(Credential { secret: secret.clone() }));
    }
}

fn emit_cluster(objects: &Objects, snapshot: &mut Snapshot) {
    let settings = Resource::Settings(objects.settings.clone());
    snapshot.resources.insert(ResourceId::new(Kind::Settings, "", ""), settings);
    if let Some(issuer) = &objects.issuer {
        snapshot.resources.insert(ResourceId::new(Kind::Issuer, "", "kubernetes"), Resource::Issuer(issuer.clone()));
    }
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
