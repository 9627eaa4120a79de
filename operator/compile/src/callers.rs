//! The ServiceAccounts, API keys and namespaces that some route admits; pods learn of no others.
//!
//! What is left out here is refused there.

use crate::index::Index;
use std::collections::{BTreeMap, BTreeSet};
use weir_snapshot::{Access, Kind, Name, Namespace, Resource, ResourceId, ServiceAccount};

/// Adds what the accesses admit to the resources.
pub(crate) fn emit<'a>(
    accesses: impl Iterator<Item = &'a Access>,
    index: &Index<'_>,
    resources: &mut BTreeMap<ResourceId, Resource>,
) {
    let (mut accounts, mut keys) = (BTreeSet::new(), BTreeMap::new());
    for Access { anonymous: _, service_accounts, api_key_namespaces, api_keys } in accesses {
        for account in service_accounts {
            accounts.extend(index.accounts.keys().filter(|name| {
                name.namespace == account.namespace && (account.name == "*" || account.name == name.name)
            }));
        }
        keys.extend(index.keys.iter().filter(|(name, key)| {
            api_key_namespaces.contains(&name.namespace)
                || api_keys.get(&name.namespace).is_some_and(|ids| ids.contains(&key.data.id))
        }));
    }
    let mut namespaces = BTreeSet::new();
    for name in accounts {
        if let Some(uid) = index.accounts.get(name).and_then(|account| account.metadata.uid.clone()) {
            put(resources, Kind::ServiceAccount, name, Resource::ServiceAccount(ServiceAccount { uid }));
            namespaces.insert(name.namespace.as_str());
        }
    }
    for (name, key) in keys {
        put(resources, Kind::ApiKey, name, Resource::ApiKey(key.data.clone()));
        namespaces.insert(name.namespace.as_str());
    }
    for namespace in namespaces {
        let labels = index.namespaces.get(namespace).and_then(|held| held.metadata.labels.as_ref());
        let team = labels.and_then(|labels| labels.get("weir.dev/team")).cloned();
        let data = Namespace { accept_routes_from: index.accepted_by(namespace), team };
        put(resources, Kind::Namespace, &Name::new("", namespace), Resource::Namespace(data));
    }
}

fn put(resources: &mut BTreeMap<ResourceId, Resource>, kind: Kind, name: &Name, resource: Resource) {
    resources.insert(ResourceId { kind, name: name.clone() }, resource);
}
