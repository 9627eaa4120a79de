//! The objects by name, so that the order in which they came cannot matter.
//!
//! It finds and never judges: who may see what is decided where it is asked.

use crate::api_key::{self, Key};
use crate::objects::Objects;
use crate::prices::PriceLists;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_crds::{AllowedNamespaces, NamespacesFrom};
use weir_snapshot::{Consent, Name};

const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// What surrounds Providers, routes and Budgets, by name.
#[derive(Default)]
pub(crate) struct Index {
    /// All of it, and of our own kinds none.
    pub(crate) objects: Objects,
    pub(crate) secrets: BTreeMap<Name, Arc<Secret>>,
    pub(crate) config_maps: BTreeMap<Name, Arc<ConfigMap>>,
    pub(crate) namespaces: BTreeMap<String, Arc<Namespace>>,
    pub(crate) accounts: BTreeMap<Name, Arc<ServiceAccount>>,
    /// By Service, each in the order of their names.
    pub(crate) slices: BTreeMap<Name, BTreeMap<String, Arc<EndpointSlice>>>,
    /// What models cost that Providers do not price.
    pub(crate) prices: Arc<PriceLists>,
    /// API keys that can be used, by their Secret.
    pub(crate) keys: BTreeMap<Name, Key>,
    /// Secrets that are meant as API keys and cannot be used, with the mend.
    pub(crate) refused_keys: BTreeMap<Name, String>,
}

impl Index {
    /// Indexes the objects; `before` is the index of the objects before.
    pub(crate) fn of(objects: &Objects, before: &Self) -> Self {
        let objects = Objects {
            providers: Vec::new(),
            routes: Vec::new(),
            budgets: Vec::new(),
            undecodable: Vec::new(),
            ..objects.clone()
        };
        let secrets: BTreeMap<_, _> = objects.secrets.iter().map(|s| (name(&s.metadata), Arc::clone(s))).collect();
        let mut slices: BTreeMap<Name, BTreeMap<String, Arc<EndpointSlice>>> = BTreeMap::new();
        for slice in &objects.endpoint_slices {
            let labels = slice.metadata.labels.as_ref();
            if let Some(service) = labels.and_then(|labels| labels.get(SERVICE_NAME)) {
                let service = Name::new(namespace(&slice.metadata), service);
                let slice_name = slice.metadata.name.clone().unwrap_or_default();
                slices.entry(service).or_default().insert(slice_name, Arc::clone(slice));
            }
        }
        let (keys, refused_keys) = api_key::read(&secrets);
        let namespaces =
            objects.namespaces.iter().map(|n| (n.metadata.name.clone().unwrap_or_default(), Arc::clone(n)));
        let accounts = objects.service_accounts.iter().map(|account| (name(&account.metadata), Arc::clone(account)));
        Self {
            config_maps: objects.config_maps.iter().map(|map| (name(&map.metadata), Arc::clone(map))).collect(),
            namespaces: namespaces.collect(),
            accounts: accounts.collect(),
            secrets,
            slices,
            prices: before.prices.followed_by(objects.overlay.as_ref()),
            keys,
            refused_keys,
            objects,
        }
    }

    /// Namespaces whose labels the selector matches.
    pub(crate) fn namespaces_matching(&self, selector: &weir_crds::Selector) -> impl Iterator<Item = &str> {
        let none = BTreeMap::new();
        self.namespaces
            .iter()
            .filter(move |(_, namespace)| selector.matches(namespace.metadata.labels.as_ref().unwrap_or(&none)))
            .map(|(name, _)| name.as_str())
    }

    /// Which namespaces an object of namespace `own` lets use it.
    pub(crate) fn consent(&self, allowed: Option<&AllowedNamespaces>, own: &str) -> Consent {
        let only_own = || Consent { all: false, namespaces: vec![own.to_owned()] };
        let Some(AllowedNamespaces { from, selector }) = allowed else { return only_own() };
        match (from, selector) {
            (NamespacesFrom::All, _) => Consent { all: true, namespaces: Vec::new() },
            (NamespacesFrom::Selector, Some(selector)) => {
                let mut namespaces: Vec<_> = self.namespaces_matching(selector).map(str::to_owned).collect();
                namespaces.push(own.to_owned());
                namespaces.sort();
                namespaces.dedup();
                Consent { all: false, namespaces }
            }
            (NamespacesFrom::Same | NamespacesFrom::Selector, _) => only_own(),
        }
    }

    /// Namespaces whose routes may serve callers of that one (`weir.dev/accept-routes-from`), sorted.
    pub(crate) fn accepted_by(&self, namespace: &str) -> Vec<String> {
        let annotations = self.namespaces.get(namespace).and_then(|held| held.metadata.annotations.as_ref());
        let text = annotations.and_then(|held| held.get("weir.dev/accept-routes-from"));
        let names = text.into_iter().flat_map(|text| text.split(',')).map(str::trim).filter(|name| !name.is_empty());
        let mut names: Vec<_> = names.map(str::to_owned).collect();
        names.sort();
        names.dedup();
        names
    }
}

/// Namespace and name of an object.
pub(crate) fn name(metadata: &ObjectMeta) -> Name {
    Name::new(namespace(metadata), metadata.name.clone().unwrap_or_default())
}

fn namespace(metadata: &ObjectMeta) -> String {
    metadata.namespace.clone().unwrap_or_default()
}
