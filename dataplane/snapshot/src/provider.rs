//! Where requests go: providers, their models and prices, and the credentials for them.

use crate::{Pricing, ProviderLimits, Secret};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// A provider that routes may target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provider {
    /// What it is, which decides the dialect.
    pub provider_type: ProviderType,
    /// Where it is.
    pub upstream: Upstream,
    /// PEM certificates that its server certificate may chain to, besides the public roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_pem: Option<String>,
    /// Its credentials; the secrets are resources of their own. Empty = none is sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<CredentialRef>,
    /// Its models by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub models: BTreeMap<String, Model>,
    /// Whether a model that is not listed is passed on under its own name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub any_model: bool,
    /// Changes to the headers of every request to it.
    #[serde(default, skip_serializing_if = "Headers::is_empty")]
    pub headers: Headers,
    /// Its time limits, where they differ from the defaults.
    #[serde(default, skip_serializing_if = "Timeouts::is_default")]
    pub timeouts: Timeouts,
    /// When its targets are ejected.
    pub health: Health,
    /// What it takes, over all pods.
    #[serde(default, skip_serializing_if = "ProviderLimits::is_empty")]
    pub limits: ProviderLimits,
    /// Members of requests by which it may take another model, and that it is sent all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_request_members: Vec<String>,
}

impl Provider {
    /// The features without which a pod must not apply it.
    pub(crate) fn needs(&self) -> Vec<&'static str> {
        let mut needs = vec![match self.provider_type {
            ProviderType::OpenAI | ProviderType::OpenAICompatible => "provider.openai",
            ProviderType::Anthropic => "provider.anthropic",
            ProviderType::Mock => "provider.mock",
        }];
        if !self.headers.is_empty() {
            needs.push("provider.headers");
        }
        let pricings = self.models.values().filter_map(|model| model.pricing.as_ref());
        needs.extend(pricings.flat_map(|pricing| pricing.needs()).collect::<BTreeSet<_>>());
        if !self.limits.is_empty() {
            needs.push("provider.limits");
        }
        needs
    }
}

/// The provider types of `Provider.spec.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named as in the API")]
pub enum ProviderType {
    OpenAI,
    OpenAICompatible,
    Anthropic,
    Mock,
}

impl ProviderType {
    /// Every type.
    pub const ALL: [Self; 4] = [Self::OpenAI, Self::OpenAICompatible, Self::Anthropic, Self::Mock];

    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAI => "OpenAI",
            Self::OpenAICompatible => "OpenAICompatible",
            Self::Anthropic => "Anthropic",
            Self::Mock => "Mock",
        }
    }
}

/// Where a provider is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Upstream {
    /// The base URL that the stock SDK of the type's dialect takes, such as `https://api.openai.com/v1` or
    /// `https://api.anthropic.com`; plain `http` only where that was permitted.
    Url(String),
    /// Pods behind a Service, spoken to in plain text, at `/v1` for the types of the OpenAI dialect.
    Addresses {
        /// `host` header: the Service's DNS name and port.
        host: String,
        /// Ready endpoints.
        addresses: Vec<SocketAddr>,
    },
    /// Answers from the data plane itself.
    Mock(Mock),
}

/// Changes to the headers that are sent; names are lower-case.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Headers {
    /// Sent with that value, in the place of what would be sent under that name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, String>,
    /// Not sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

impl Headers {
    /// Whether they change nothing.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }
}

/// Which credential, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialRef {
    /// Name within the provider.
    pub name: String,
    /// Share of requests, relative to its siblings.
    pub weight: u32,
}

/// One model of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Model {
    /// Name that the provider knows it by, where it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_name: Option<String>,
    /// What it costs; absent = unpriced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pricing: Option<Pricing>,
    /// Tokens of input and output together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u64>,
    /// Tokens of output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output: Option<u64>,
}

/// Time limits of one attempt, in milliseconds; absent = the built-in default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Timeouts {
    /// To a connection, TLS included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_ms: Option<u64>,
    /// To the first semantic event of a streamed answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<u64>,
    /// Between two reads of a streamed answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_idle_ms: Option<u64>,
    /// The attempt, whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_ms: Option<u64>,
}

impl Timeouts {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// When a provider's targets are ejected, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Failures in a row that eject.
    pub consecutive_failures: u32,
    /// The first ejection, in milliseconds; each further one in a row is longer by as much.
    pub min_ejection_ms: u64,
    /// The longest ejection, in milliseconds.
    pub max_ejection_ms: u64,
    /// Whether a `Retry-After` cools the target down.
    pub honor_retry_after: bool,
}

impl Default for Health {
    fn default() -> Self {
        Self { consecutive_failures: 5, min_ejection_ms: 10_000, max_ejection_ms: 300_000, honor_retry_after: true }
    }
}

/// How a Mock provider answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mock {
    /// The text of every answer.
    pub text: String,
    /// Wait before an answer, or before a stream's first token, in milliseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub latency_ms: u64,
    /// Wait between two tokens of a stream, in milliseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub token_interval_ms: u64,
    /// Of a thousand requests so many fail, evenly spread.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub errors_per_mille: u64,
    /// Status of a failing request.
    pub error_status: u16,
    /// A stream is cut after so many tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_after_tokens: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it by reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// The secret of one credential.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// Sent as a bearer token, to Anthropic as `x-api-key`.
    #[serde(serialize_with = "Secret::wire")]
    pub secret: Secret,
}
