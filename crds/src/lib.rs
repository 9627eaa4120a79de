//! The Kubernetes API of Weir, group `weir.dev`: the kinds, their schema, their rules, their status.
//!
//! A field stands here only once it works; what the schema can refuse, nothing else checks.
#![allow(unreachable_pub, reason = "KubeSchema derives a public twin of each struct")]
#![allow(clippy::duplicated_attributes, reason = "each printer column has its own")]

mod access;
mod budget;
mod budget_status;
mod condition;
mod headers;
mod jwt;
mod limits;
mod llm_route;
mod params;
mod provider;
mod reference;
mod scalar;

pub use access::{
    Access, AdmittedAccount, AdmittedCertificate, ApiKeys, KeyNamespaces, ServiceAccountRef, TrustedHeaders,
};
pub use budget::{
    Budget, BudgetApiKeys, BudgetLimit, BudgetPartition, BudgetSelector, BudgetSpec, Calendar, CallerNamespaces,
    Degrade, Estimate, ExceededAction, ExceededQueue, FailureMode, OnExceeded, OnUnpriced, Override, OverrideOperation,
    Period, Reservation, Rolling, Threshold, Total, WebhookRef, Window,
};
pub use budget_status::{BudgetMode, BudgetState, BudgetStatus, LimitStatus, PartitionStatus};
pub use headers::{Header, Headers};
pub use jwt::{AdmittedGroup, ClaimPaths, KeySetRef, TokenIssuer};
pub use limits::{Cost, ProviderLimits, Queue, RateLimit, RatePartition};
pub use llm_route::{
    Backoff, Effective, LLMRoute, LLMRouteSpec, LLMRouteStatus, ModelName, OnLoss, Retry, RetryOn, RouteRule,
    RouteTimeouts, Target, Translation,
};
pub use params::{Caps, ParamName, ParamSets, Params, ReasoningEffort};
pub use provider::{
    Credential, CredentialState, CredentialStatus, Endpoint, Health, Mock, Model, ModelPolicy, Pricing, Provider,
    ProviderSpec, ProviderStatus, ProviderType, Rates, Service, ServiceTier, Tariff, Tier, Timeouts, Tls,
};
pub use reference::{
    AllowedNamespaces, ConfigMapKeyRef, NamespacesFrom, ObjectRef, ProviderRef, Requirement, SecretKeyRef, Selector,
    SelectorOperator,
};
pub use scalar::{Amount, Decimal, GoDuration};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

/// Group of every kind.
pub const GROUP: &str = "weir.dev";
/// Version of every kind.
pub const VERSION: &str = "v1alpha1";

/// The definitions of all kinds, as they are installed.
pub fn manifests() -> Vec<CustomResourceDefinition> {
    vec![Budget::crd(), LLMRoute::crd(), Provider::crd()]
}
