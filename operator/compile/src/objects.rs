//! What compile reads: every object that was seen, and what could not be.

use crate::key_set::{KeySource, ReadKeys};
use crate::prices::Overlay;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_crds::{Budget, LLMRoute, Provider};
use weir_snapshot::{Issuer, Settings};

/// The objects of one moment, in any order. An object that did not change is the same `Arc` as before.
#[derive(Clone, Default)]
pub struct Objects {
    /// The operator's own flags.
    pub settings: Settings,
    /// Namespaces whose Providers may use plain `http` (`--allow-plaintext-namespace`); `*` = every one.
    pub allow_plaintext_namespaces: BTreeSet<String>,
    /// Whether a Kubernetes cluster stands behind the objects; without one a Service has no endpoints.
    pub in_cluster: bool,
    /// Who signs ServiceAccount tokens, once that is known.
    pub issuer: Option<Issuer>,
    /// Prices that come before those of the catalogue.
    pub overlay: Option<Arc<Overlay>>,
    /// Every Provider that decodes.
    pub providers: Vec<Arc<Provider>>,
    /// Every LLMRoute that decodes.
    pub routes: Vec<Arc<LLMRoute>>,
    /// Every Budget that decodes.
    pub budgets: Vec<Arc<Budget>>,
    /// Objects of our kinds that do not decode.
    pub undecodable: Vec<Undecodable>,
    /// Secrets of the granted namespaces.
    pub secrets: Vec<Arc<Secret>>,
    /// Namespaces whose Secrets the operator may not read.
    pub secrets_forbidden: BTreeSet<String>,
    /// The operator's own ServiceAccount as `namespace:name`, for the command that grants it such a namespace;
    /// empty = `weir-operator` of the platform namespace.
    pub operator_account: String,
    /// Key sets that were asked for, which a compilation before this one named.
    pub key_sets: BTreeMap<KeySource, ReadKeys>,
    /// ConfigMaps that Providers and routes name.
    pub config_maps: Vec<Arc<ConfigMap>>,
    /// All namespaces.
    pub namespaces: Vec<Arc<Namespace>>,
    /// All ServiceAccounts.
    pub service_accounts: Vec<Arc<ServiceAccount>>,
    /// EndpointSlices of the Services that Providers name.
    pub endpoint_slices: Vec<Arc<EndpointSlice>>,
}

impl Objects {
    /// Whether objects of a namespace may name plain `http`.
    pub(crate) fn permits_plaintext(&self, namespace: &str) -> bool {
        let permitted = &self.allow_plaintext_namespaces;
        permitted.contains("*") || permitted.contains(namespace)
    }

    /// Whether all but the objects of our own kinds is the same as in `other`.
    pub(crate) fn has_surroundings_of(&self, other: &Self) -> bool {
        let Self {
            settings,
            allow_plaintext_namespaces,
            in_cluster,
            issuer,
            overlay,
            providers: _,
            routes: _,
            budgets: _,
            undecodable: _,
            secrets,
            secrets_forbidden,
            operator_account,
            key_sets,
            config_maps,
            namespaces,
            service_accounts,
            endpoint_slices,
        } = self;
        *settings == other.settings
            && *allow_plaintext_namespaces == other.allow_plaintext_namespaces
            && *in_cluster == other.in_cluster
            && *overlay == other.overlay
            && *secrets_forbidden == other.secrets_forbidden
            && *operator_account == other.operator_account
            && *key_sets == other.key_sets
            && issuer.as_ref().map(|held| &held.issuer) == other.issuer.as_ref().map(|held| &held.issuer)
            && same(secrets, &other.secrets)
            && same(config_maps, &other.config_maps)
            && same(namespaces, &other.namespaces)
            && same(service_accounts, &other.service_accounts)
            && same(endpoint_slices, &other.endpoint_slices)
    }
}

fn same<T>(some: &[Arc<T>], others: &[Arc<T>]) -> bool {
    some.len() == others.len() && some.iter().zip(others).all(|(one, other)| Arc::ptr_eq(one, other))
}

/// An object of one of our kinds that does not decode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecodable {
    /// Which object.
    pub id: crate::ObjectId,
    /// `metadata.generation`.
    pub generation: i64,
    /// What the decoder said, secrets apart.
    pub error: String,
}
