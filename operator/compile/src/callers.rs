//! The ServiceAccounts, API keys and namespaces that some route admits; pods learn of no others.
//!
//! What is left out here is refused there. A route that is open to everybody admits every API key.

use crate::index::Index;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_snapshot::{Access, AdmittedAccount, Kind, Name, Namespace, Priority, ResourceId, Sealed, ServiceAccount};

/// Whom routes admit, and what pods are told of them.
#[derive(Default)]
pub(crate) struct Callers {
    admitted: Admitted,
    resources: Vec<(ResourceId, Arc<Sealed>)>,
}

/// Whom all routes together admit.
#[derive(Default, PartialEq)]
struct Admitted {
    /// Names of ServiceAccounts by namespace; `*` = all of it.
    accounts: BTreeMap<String, BTreeSet<String>>,
    /// Namespaces whose API keys are admitted.
    key_namespaces: BTreeSet<String>,
    /// Whether a route admits everybody, holders of any API key too.
    everybody: bool,
    /// Ids of API keys by namespace.
    keys: BTreeMap<String, BTreeSet<String>>,
    /// Namespaces whose routes take tokens of other issuers or certificates, whose holders count as theirs.
    foreign_namespaces: BTreeSet<String>,
}

impl Callers {
    /// Takes what the routes admit, of an index that may be another than the last time.
    pub(crate) fn admit<'a>(
        &mut self,
        accesses: impl Iterator<Item = (&'a Name, &'a Access)>,
        index: &Index,
        anew: bool,
    ) {
        let admitted = Admitted::by(accesses);
        if anew || admitted != self.admitted {
            self.resources = admitted.resources(index);
            self.admitted = admitted;
        }
    }

    /// What pods are told.
    pub(crate) fn resources(&self) -> &[(ResourceId, Arc<Sealed>)] {
        &self.resources
    }
}

impl Admitted {
    fn by<'a>(accesses: impl Iterator<Item = (&'a Name, &'a Access)>) -> Self {
        let mut all = Self::default();
        for (name, access) in accesses {
            let Access {
                anonymous,
                service_accounts,
                api_key_namespaces,
                api_keys,
                api_key_models: _,
                jwt,
                certificates,
            } = access;
            all.everybody |= *anonymous;
            if !(jwt.is_empty() && certificates.is_empty()) {
                all.foreign_namespaces.insert(name.namespace.clone());
            }
            for AdmittedAccount { account, models: _ } in service_accounts {
                add(&mut all.accounts, &account.namespace, &account.name);
            }
            for namespace in api_key_namespaces {
                if !all.key_namespaces.contains(namespace) {
                    all.key_namespaces.insert(namespace.clone());
                }
            }
            for (namespace, ids) in api_keys {
                ids.iter().for_each(|id| add(&mut all.keys, namespace, id));
            }
        }
        all
    }

    fn resources(&self, index: &Index) -> Vec<(ResourceId, Arc<Sealed>)> {
        let Self { accounts, key_namespaces, everybody, keys, foreign_namespaces } = self;
        let mut resources = Vec::new();
        let mut namespaces: BTreeSet<&str> = foreign_namespaces.iter().map(String::as_str).collect();
        let has_account = |name: &Name| {
            accounts.get(&name.namespace).is_some_and(|names| names.contains("*") || names.contains(&name.name))
        };
        for (name, account) in index.accounts.iter().filter(|(name, _)| has_account(name)) {
            if let Some(uid) = account.metadata.uid.clone() {
                let sealed = Arc::new(Sealed::new(ServiceAccount { uid }));
                resources.push((ResourceId { kind: Kind::ServiceAccount, name: name.clone() }, sealed));
                namespaces.insert(name.namespace.as_str());
            }
        }
        for (name, key) in &index.keys {
            let by_id = || keys.get(&name.namespace).is_some_and(|ids| ids.contains(&key.id));
            if *everybody || key_namespaces.contains(&name.namespace) || by_id() {
                resources.push((ResourceId { kind: Kind::ApiKey, name: name.clone() }, Arc::clone(&key.sealed)));
                namespaces.insert(name.namespace.as_str());
            }
        }
        for namespace in namespaces {
            let labels = index.namespaces.get(namespace).and_then(|held| held.metadata.labels.as_ref());
            let label = |name: &str| labels?.get(&format!("weir.dev/{name}")).filter(|text| !text.is_empty()).cloned();
            let data = Namespace {
                accept_routes_from: index.accepted_by(namespace),
                team: label("team"),
                project: label("project"),
                cost_center: label("cost-center"),
                priority: label("priority").and_then(|name| Priority::named(&name)).unwrap_or_default(),
            };
            let sealed = Arc::new(Sealed::new(data));
            resources.push((ResourceId::new(Kind::Namespace, "", namespace), sealed));
        }
        resources
    }
}

/// Most routes of a namespace admit the same, so that hardly anything is copied.
fn add(to: &mut BTreeMap<String, BTreeSet<String>>, namespace: &str, name: &str) {
    match to.get_mut(namespace) {
        Some(held) if held.contains(name) => {}
        Some(held) => drop(held.insert(name.to_owned())),
        None => drop(to.insert(namespace.to_owned(), BTreeSet::from([name.to_owned()]))),
    }
}
