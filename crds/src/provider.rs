//! The Provider: where models are, with which credentials, at which price, for whom.
//!
//! Secrets are named, never held; defaults are applied where a Provider is compiled, not here.

use crate::condition::conditions;
use crate::headers::Headers;
use crate::limits::ProviderLimits;
use crate::reference::{AllowedNamespaces, ConfigMapKeyRef, SecretKeyRef};
use crate::scalar::{Decimal, GoDuration, LABEL, LABEL_LENGTH, MEMBER, TIER};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where models are, and how they are reached.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "weir.dev",
    version = "v1alpha1",
    kind = "Provider",
    doc = "A Provider of models: where it is, its credentials, its models and their prices, and who may use it.",
    namespaced,
    shortname = "llmp",
    category = "llm",
    category = "ai",
    status = "ProviderStatus",
    derive = "PartialEq",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Models", type_ = "integer", json_path = ".status.modelsTotal"),
    printcolumn(name = "Healthy", type_ = "string", json_path = ".status.conditions[?(@.type==\"Healthy\")].status"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Endpoint", type_ = "string", json_path = ".spec.endpoint.url", priority = 1),
    printcolumn(name = "Endpoints", type_ = "string", json_path = ".status.endpointsHealthy", priority = 1),
    printcolumn(name = "Routes", type_ = "integer", json_path = ".status.routesTotal", priority = 1)
)]
#[x_kube(
    validation = Rule::new("self.type != 'OpenAICompatible' || has(self.endpoint)")
        .message("type OpenAICompatible has no public address: set endpoint.url or endpoint.service"),
    validation = Rule::new("self.type != 'Anthropic' || !has(self.endpoint) || !has(self.endpoint.url) \
        || !self.endpoint.url.matches('/v1/*$')")
        .message("the base URL of type Anthropic has no /v1, as for Anthropic's own SDK: take it off endpoint.url"),
    validation = Rule::new("self.type != 'Mock' || !(has(self.endpoint) || has(self.tls))")
        .message("type Mock answers from the gateway itself: remove endpoint and tls"),
    validation = Rule::new("self.type != 'Mock' || !has(self.credentials) || self.credentials.size() == 0")
        .message("type Mock takes no credential: remove credentials"),
    validation = Rule::new("self.type == 'Mock' || !has(self.mock)")
        .message("mock goes with type Mock only: remove it, or set type: Mock"),
    validation = Rule::new("!has(self.tls) || !has(self.endpoint) \
        || (has(self.endpoint.url) && self.endpoint.url.startsWith('https://'))")
        .message("tls goes with an https endpoint.url only: a service and http are spoken to in plain text")
)]
#[serde(rename_all = "camelCase")]
pub struct ProviderSpec {
    /// What it is, which decides the dialect it is spoken to in. Cannot be changed.
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("type cannot be changed: create another Provider and point the routes to it"))]
    #[serde(rename = "type")]
    pub type_: ProviderType,
    /// Where it is; absent = the public address of OpenAI or Anthropic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// How its certificate is verified, besides the public roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Its credentials, used in turn by weight; none = none is sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub credentials: Vec<Credential>,
    /// Its models.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub models: Vec<Model>,
    /// Whether only listed models may be targeted (Listed, the default) or any name is passed on (Any).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ModelPolicy")]
    pub model_policy: Option<ModelPolicy>,
    /// Changes to the headers of every request to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<Headers>,
    /// Time limits of one attempt; a route's own come first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<Timeouts>,
    /// When it is left alone after failures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// What it takes, over all pods together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ProviderLimits>,
    /// Members of requests that it is sent although a gateway behind it may take another model or provider by them, such
    /// as models, route, provider and fallbacks; a request with any other one of their kind goes to another target, or
    /// is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        inner(length(min = 1, max = 63), regex(pattern = MEMBER)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub allowed_request_members: Vec<String>,
    /// Which namespaces' routes may use it; only its own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<AllowedNamespaces>,
    /// How a Mock answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mock: Option<Mock>,
}

/// The kinds of provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "a documented variant is no plain enum in a structural schema")]
pub enum ProviderType {
    OpenAI,
    OpenAICompatible,
    Anthropic,
    Mock,
}

/// Where a provider is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("has(self.url) != has(self.service)")
        .message("give exactly one of url and service"),
    validation = Rule::new("!has(self.url) || self.url.startsWith('https://') \
        || (has(self.allowPlaintext) && self.allowPlaintext)")
        .message("url must start with https://; for http:// set endpoint.allowPlaintext: true, \
            which also needs the operator's --allow-plaintext-namespace"),
    validation = Rule::new("!has(self.allowPlaintext) || has(self.url)")
        .message("allowPlaintext goes with url only: a service is always spoken to in plain text")
)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// The base URL that the SDK of its dialect takes: OpenAI's with `/v1`, Anthropic's without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 9, max = 512), regex(pattern = "^https?://"))]
    pub url: Option<String>,
    /// A Service of the same namespace; its Pods are balanced one by one, at the paths of its dialect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// Permits an `http://` URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_plaintext: Option<bool>,
}

/// A Service of the same namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Name of the Service.
    #[schemars(length(min = 1, max = LABEL_LENGTH), regex(pattern = LABEL))]
    pub name: String,
    /// Port of its endpoints, by name or number.
    pub port: IntOrString,
}

/// How a provider's certificate is verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// PEM certificates that it may chain to besides the public roots.
    pub ca_config_map_ref: ConfigMapKeyRef,
}

/// A credential of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    /// Name within the provider.
    #[schemars(length(min = 1, max = LABEL_LENGTH), regex(pattern = LABEL))]
    pub name: String,
    /// The Secret that holds it.
    pub secret_ref: SecretKeyRef,
    /// Share of requests relative to its siblings; 1 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub weight: Option<i32>,
}

/// A model of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    /// Name that routes use.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[^*\s]+$"))]
    pub name: String,
    /// Name that the provider uses, where it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^\S+$"))]
    pub upstream_name: Option<String>,
    /// What it costs; absent = as the operator's prices and its catalogue say, and unpriced where they say nothing,
    /// which status shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pricing: Option<Pricing>,
    /// Tokens of input and output together; absent = as the catalogue says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub context_window: Option<i64>,
    /// Tokens of output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_output: Option<i64>,
}

/// What a model costs: decimal strings, per million tokens unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pricing {
    /// ISO 4217 code.
    #[schemars(length(max = 3), regex(pattern = "^[A-Z]{3}$"))]
    pub currency: String,
    /// Of a request of the standard tier of service.
    #[serde(flatten)]
    pub standard: Tariff,
    /// Of requests that the provider serves in another tier of service; one that is not listed is unpriced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub service_tiers: Vec<ServiceTier>,
    /// One request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_request: Option<Decimal>,
}

/// What tokens cost in one tier of service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tariff {
    /// Of a request that is in no tier.
    #[serde(flatten)]
    pub rates: Rates,
    /// Other rates for requests with much input; they are those of all its tokens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 4),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["aboveInputTokens"])
    )]
    pub tiers: Vec<Tier>,
}

/// What tokens cost in a tier of service that requests name with `service_tier`, `speed` or `inference_geo`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceTier {
    /// The provider's name for it, such as flex, priority, batch, fast (a speed) or us (a place). Of a request that is
    /// of several, the names with `-` between, in the order service_tier, speed, inference_geo, such as fast-us.
    #[x_kube(validation = Rule::new("!(self in ['auto', 'default', 'standard', 'standard_only', 'on_demand', 'global', 'not_available'])")
        .message("name is one of the standard tier: its rates stand beside serviceTiers"))]
    #[schemars(length(min = 1, max = LABEL_LENGTH), regex(pattern = TIER))]
    pub name: String,
    /// Its rates.
    #[serde(flatten)]
    pub tariff: Tariff,
}

/// What each class of token costs, per million.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rates {
    /// Input tokens that were neither read from a cache nor written to one.
    pub input: Decimal,
    /// Output tokens.
    pub output: Decimal,
    /// Input tokens read from the provider's cache; as `input` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<Decimal>,
    /// Input tokens written to the provider's cache for five minutes; as `input` when absent.
    #[serde(default, rename = "cacheWrite5m", skip_serializing_if = "Option::is_none")]
    pub cache_write_5m: Option<Decimal>,
    /// Input tokens written to the provider's cache for an hour; as `input` when absent.
    #[serde(default, rename = "cacheWrite1h", skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<Decimal>,
    /// Reasoning tokens; as `output` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Decimal>,
}

/// What each class of token costs in a request with more input than that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tier {
    /// Input tokens of all classes together that a request of this tier has more than.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub above_input_tokens: i64,
    /// Its rates.
    #[serde(flatten)]
    pub rates: Rates,
}

/// Which models may be targeted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "a documented variant is no plain enum in a structural schema")]
pub enum ModelPolicy {
    Listed,
    Any,
}

/// Time limits of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("[has(self.connect) ? self.connect : '1s', has(self.firstToken) ? self.firstToken : '1s', \
    has(self.streamIdle) ? self.streamIdle : '1s', has(self.attempt) ? self.attempt : '1s']\
    .all(t, duration(t) > duration('0s') && duration(t) <= duration('24h'))")
    .message("a time limit must be longer than 0s and at most 24h"))]
#[serde(rename_all = "camelCase")]
pub struct Timeouts {
    /// To a connection, TLS included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<GoDuration>,
    /// To the first sign of a streamed answer: content, a tool call, or that the model begins to think. Pings and comments of
    /// the provider are none. 60s when absent. Another target may still take over until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token: Option<GoDuration>,
    /// Between two reads of a streamed answer after that. Whatever the provider sends shows that it lives, pings and
    /// comments too, however long the model thinks. 60s when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_idle: Option<GoDuration>,
    /// The whole attempt, a streamed answer to its end: what ends a provider that pings for ever. As long as the caller's
    /// request may take when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<GoDuration>,
}

/// When a provider is left alone after failures, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("duration(has(self.minEjection) ? self.minEjection : '10s') > duration('0s') \
    && duration(has(self.minEjection) ? self.minEjection : '10s') \
    <= duration(has(self.maxEjection) ? self.maxEjection : '5m') \
    && duration(has(self.maxEjection) ? self.maxEjection : '5m') <= duration('24h')")
    .message("0s < minEjection (10s when absent) <= maxEjection (5m when absent) <= 24h must hold"))]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// Failures in a row after which it is left alone; 5 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub consecutive_failures: Option<i32>,
    /// How long the first time, and how much longer each further time in a row; 10s when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_ejection: Option<GoDuration>,
    /// How long at most; 5m when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ejection: Option<GoDuration>,
    /// Whether its `Retry-After` is kept to; true when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub honor_retry_after: Option<bool>,
}

/// How a Mock answers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("duration(has(self.latency) ? self.latency : '0s') <= duration('1h') \
    && duration(has(self.tokenInterval) ? self.tokenInterval : '0s') <= duration('1h')")
    .message("latency and tokenInterval must be at most 1h"))]
#[x_kube(validation = Rule::new("!has(self.errorStatus) || has(self.errorRate)")
    .message("errorStatus says how a request fails: set errorRate too, which says how many do"))]
#[serde(rename_all = "camelCase")]
pub struct Mock {
    /// The text of every answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16384))]
    pub text: Option<String>,
    /// Wait before an answer, or before a stream's first token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<GoDuration>,
    /// Wait between two tokens of a stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_interval: Option<GoDuration>,
    /// Share of requests that fail, from `"0"` to `"1"` in steps of 0.001, evenly spread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 5), regex(pattern = r"^(0(\.[0-9]{1,3})?|1(\.0{1,3})?)$"))]
    pub error_rate: Option<String>,
    /// Status of a failing request; 500 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 400, max = 599))]
    pub error_status: Option<i32>,
    /// A stream is cut after so many tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub cut_after_tokens: Option<i64>,
}

/// What became of a Provider.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderStatus {
    /// The `metadata.generation` that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Accepted, ResolvedRefs, CredentialsValid, Programmed, Healthy, Ready; Stalled where only an edit helps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
    /// Its credentials.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub credentials: Vec<CredentialStatus>,
    /// Models listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models_total: Option<i64>,
    /// Models that are listed and have no price, the first 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 128)), extend("x-kubernetes-list-type" = "atomic"))]
    pub unpriced_models: Vec<String>,
    /// Routes that target it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routes_total: Option<i64>,
    /// Endpoints that no pod has ejected, of all, such as `2/3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub endpoints_healthy: Option<String>,
}

/// What is known of a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialStatus {
    /// Its name.
    #[schemars(length(max = LABEL_LENGTH))]
    pub name: String,
    /// Eight hex digits that tell two secrets apart and reveal neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    pub fingerprint: Option<String>,
    /// What real answers of the provider said of it.
    pub state: CredentialState,
}

/// What is known of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "a documented variant is no plain enum in a structural schema")]
pub enum CredentialState {
    Active,
    Rejected,
    Exhausted,
    Untried,
    Missing,
}
