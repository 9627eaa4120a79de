//! What the operator pushes to the data plane: plain data that both ends agree on.
//!
//! It knows no Kubernetes and decides nothing; the bodies are JSON, the digests BLAKE3, the
//! envelope is `proto/config.proto`, the ledger's messages are `proto/ledger.proto`.

mod access;
mod address;
pub mod api_key;
mod budget;
pub mod envelope;
pub mod ledger;
mod money;
mod name;
mod pricing;
mod provider;
mod resource;
mod route;
mod secret;
mod token;

pub use access::{
    Access, AccountRef, AdmittedAccount, AdmittedCertificate, ApiKey, Consent, Issuer, KeyHash, Namespace, Priority,
    ServiceAccount, Settings,
};
pub use budget::{
    Budget, BudgetMode, BudgetSelector, Dimension, FailureMode, Limit, OnExceeded, OnUnpriced, Override, Period,
    ProviderLimits, Queue, RateLimit, Reservation, Thrift, Unit, Window,
};
pub use money::{Currency, Price, PriceError, decimal};
pub use name::Name;
pub use pricing::{ModelPrice, PriceSource, Prices, Pricing, Quote, Rates, Tariff, Tier};
/// What all messages of the streams are.
pub use prost::Message;
pub use provider::{
    Credential, CredentialRef, Headers, Health, Mock, Model, Provider, ProviderType, Timeouts, Upstream,
};
pub use resource::{Digest, Kind, Resource, ResourceId, Resources, Sealed, Snapshot};
pub use route::{
    Caps, ModelName, OnLoss, ParamName, Params, Retry, RetryOn, Route, RouteTimeouts, Rule, Target, TrustedHeaders,
};
pub use secret::Secret;
pub use token::{AdmittedGroup, ClaimPaths, KeySet, TokenIssuer};

/// What this build of the data plane understands, sent in its hello.
pub const FEATURES: &[&str] = &[
    "provider.openai",
    "provider.anthropic",
    "provider.mock",
    "provider.headers",
    "pricing.cache-write",
    "pricing.tiers",
    "pricing.service-tiers",
    "prices",
    "exchange-rates",
    "params.caps",
    "params.remove",
    "on-loss",
    "budget",
    "budget.key-secrets",
    "rate-limits",
    "provider.limits",
    "trusted-headers",
    "trusted-headers.session",
    "explain",
    "access.models",
    "access.jwt",
    "access.certificates",
];

/// Audience of the token by which a data-plane pod proves itself to the operator.
pub const POD_AUDIENCE: &str = "weir-operator";

/// Audience of the ServiceAccount tokens that callers present as API keys.
pub const CALLER_AUDIENCE: &str = "weir";

/// TLS server name of the operator's config stream, whatever address is dialled.
pub const OPERATOR_SERVER_NAME: &str = "weir-operator";
