//! The objects by name, so that the order in which they came cannot matter.
//!
//! It finds and never judges: who may see what is decided where it is asked.

use crate::api_key::{self, Key};
use crate::objects::Objects;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeMap;
use weir_snapshot::Name;

const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// The objects by name.
pub(crate) struct Index<'a> {
    pub(crate) objects: &'a Objects,
    pub(crate) secrets: BTreeMap<Name, &'a Secret>,
    pub(crate) config_maps: BTreeMap<Name, &'a ConfigMap>,
    pub(crate) namespaces: BTreeMap<&'a str, &'a Namespace>,
    pub(crate) accounts: BTreeMap<Name, &'a ServiceAccount>,
    /// By Service, each in the order of their names.
    pub(crate) slices: BTreeMap<Name, BTreeMap<&'a str, &'a EndpointSlice>>,
    /// API keys that can be used, by their Secret.
    pub(crate) keys: BTreeMap<Name, Key>,
}

impl<'a> Index<'a> {
    /// Indexes the objects, and says which Secrets are no good as API keys.
    pub(crate) fn of(objects: &'a Objects) -> (Self, BTreeMap<Name, String>) {
        let secrets: BTreeMap<_, _> = objects.secrets.iter().map(|s| (name(&s.metadata), s)).collect();
        let mut slices: BTreeMap<Name, BTreeMap<&str, &EndpointSlice>> = BTreeMap::new();
        for slice in &objects.endpoint_slices {
            let labels = slice.metadata.labels.as_ref();
            if let Some(service) = labels.and_then(|labels| labels.get(SERVICE_NAME)) {
                let service = Name::new(namespace(&slice.metadata), service);
                let slice_name = slice.metadata.name.as_deref().unwrap_or_default();
                slices.entry(service).or_default().insert(slice_name, slice);
            }
        }
        let (keys, refused) = api_key::read(&secrets);
        let namespaces = objects.namespaces.iter().map(|n| (n.metadata.name.as_deref().unwrap_or_default(), n));
        let index = Self {
            objects,
            config_maps: objects.config_maps.iter().map(|map| (name(&map.metadata), map)).collect(),
            namespaces: namespaces.collect(),
            accounts: objects.service_accounts.iter().map(|account| (name(&account.metadata), account)).collect(),
            secrets,
            slices,
            keys,
        };
        (index, refused)
    }

    /// Namespaces whose labels the selector matches.
    pub(crate) fn namespaces_matching(&self, selector: &weir_crds::Selector) -> impl Iterator<Item = &'a str> {
        let none = BTreeMap::new();
        let matching: Vec<_> = self
            .namespaces
            .iter()
            .filter(|(_, namespace)| selector.matches(namespace.metadata.labels.as_ref().unwrap_or(&none)))
            .map(|(name, _)| *name)
            .collect();
        matching.into_iter()
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
