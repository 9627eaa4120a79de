//! What compile reads: every object that was seen, and what could not be.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use std::collections::BTreeSet;
use weir_crds::{LLMRoute, Provider};
use weir_snapshot::{Issuer, Settings};

/// The objects of one moment, in any order.
#[derive(Default)]
pub struct Objects {
    /// The operator's own flags.
    pub settings: Settings,
    /// Namespaces whose Providers may use plain `http` (`--allow-plaintext-namespace`); `*` = every one.
    pub allow_plaintext_namespaces: BTreeSet<String>,
    /// Whether a Kubernetes cluster stands behind the objects; without one a Service has no endpoints.
    pub in_cluster: bool,
    /// Who signs ServiceAccount tokens, once that is known.
    pub issuer: Option<Issuer>,
    /// Every Provider that decodes.
    pub providers: Vec<Provider>,
    /// Every LLMRoute that decodes.
    pub routes: Vec<LLMRoute>,
    /// Objects of our kinds that do not decode.
    pub undecodable: Vec<Undecodable>,
    /// Secrets of the granted namespaces.
    pub secrets: Vec<Secret>,
    /// Namespaces whose Secrets the operator may not read.
    pub secrets_forbidden: BTreeSet<String>,
    /// The operator's own ServiceAccount as `namespace:name`, for the command that grants it such a namespace;
    /// empty = `weir-operator` of the platform namespace.
    pub operator_account: String,
    /// ConfigMaps that Providers name.
    pub config_maps: Vec<ConfigMap>,
    /// All namespaces.
    pub namespaces: Vec<Namespace>,
    /// All ServiceAccounts.
    pub service_accounts: Vec<ServiceAccount>,
    /// EndpointSlices of the Services that Providers name.
    pub endpoint_slices: Vec<EndpointSlice>,
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
