//! The LLMRoute: which models callers may name, who they are, and where their requests go.
//!
//! It grants nothing that a Provider's owner has not allowed; defaults are applied where it is compiled.

use crate::access::{Access, TrustedHeaders};
use crate::condition::conditions;
use crate::limits::RateLimit;
use crate::params::ParamSets;
use crate::reference::ProviderRef;
use crate::scalar::{GoDuration, LABEL, LABEL_LENGTH, NAME, NAME_LENGTH};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which models callers may name, and where their requests go.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "weir.dev",
    version = "v1alpha1",
    kind = "LLMRoute",
    plural = "llmroutes",
    doc = "An LLMRoute: the models that callers may name, who those callers are, and where their requests go.",
    namespaced,
    shortname = "llmr",
    category = "llm",
    category = "ai",
    status = "LLMRouteStatus",
    derive = "PartialEq",
    printcolumn(name = "Models", type_ = "integer", json_path = ".status.modelsTotal"),
    printcolumn(name = "Targets", type_ = "string", json_path = ".status.targets"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Programmed", type_ = "string", json_path = ".status.programmed", priority = 1),
    printcolumn(name = "Budgets", type_ = "integer", json_path = ".status.budgetsTotal", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct LLMRouteSpec {
    /// Hosts that it answers for; all when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(min = 1, max = NAME_LENGTH), regex(pattern = NAME)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub hostnames: Vec<String>,
    /// Models that callers may name.
    #[schemars(
        length(min = 1, max = 64),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub models: Vec<ModelName>,
    /// Who may use it; the ServiceAccounts and API keys of its own namespace when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// Headers of the caller that say whom its requests are for; without this no header of a caller counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted_headers: Option<TrustedHeaders>,
    /// Where requests go. This version takes one rule.
    #[x_kube(validation = Rule::new("self.size() == 1")
        .message("this version takes exactly one rule: put every target into it and use priority for failover"))]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub rules: Vec<RouteRule>,
    /// When an attempt is repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Time limits; each comes before the Provider's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<RouteTimeouts>,
    /// Rates that its requests keep, over all pods together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub rate_limits: Vec<RateLimit>,
    /// How requests are put into another dialect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub translation: Option<Translation>,
    /// Whether its callers may ask, by the header `x-weir-explain: 1`, why a request went where it did and what it was
    /// charged to; the answer names Providers, Budgets and what is left of them. False when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explain: Option<bool>,
}

/// A model that callers may name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("!self.name.endsWith('*') || !has(self.aliases) || self.aliases.size() == 0")
        .message("a name that ends in * takes no aliases: list the aliased model by its own name"),
    validation = Rule::new("!self.name.endsWith('*') || !has(self.listed) || !self.listed")
        .message("a name that ends in * is never listed: remove listed, or list models by their own names")
)]
#[serde(rename_all = "camelCase")]
pub struct ModelName {
    /// The name; with a `*` at its end every name that begins so.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[^*\s]*\*?$"))]
    pub name: String,
    /// Further names for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 8),
        inner(length(min = 1, max = 128), regex(pattern = r"^[^*\s]+$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub aliases: Vec<String>,
    /// Whether `GET /v1/models` shows it; true when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<bool>,
}

/// Where requests go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.targets.exists(t, (has(t.weight) ? t.weight : 1) > 0 \
    && self.targets.all(o, (has(o.priority) ? o.priority : 0) >= (has(t.priority) ? t.priority : 0)))")
    .message("no target of the lowest priority has a weight over 0: give one a weight, or remove those targets"))]
#[serde(rename_all = "camelCase")]
pub struct RouteRule {
    /// Name within the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = LABEL_LENGTH), regex(pattern = LABEL))]
    pub name: Option<String>,
    /// The Providers to choose from.
    #[schemars(
        length(min = 1, max = 32),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub targets: Vec<Target>,
}

/// One Provider to choose from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Name within the rule.
    #[schemars(length(min = 1, max = LABEL_LENGTH), regex(pattern = LABEL))]
    pub name: String,
    /// The Provider.
    pub provider_ref: ProviderRef,
    /// Its model; the one that the caller named when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[^*\s]+$"))]
    pub model: Option<String>,
    /// Share of requests among the targets of its priority; 1 when absent, 0 = none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub weight: Option<i32>,
    /// Lower ones are tried first; 0 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 15))]
    pub priority: Option<i32>,
    /// Request parameters that this target sets, bounds or leaves out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<ParamSets>,
}

/// When an attempt is repeated.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// Attempts at most, the first and failovers included; 3 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10))]
    pub max_attempts: Option<i32>,
    /// On which failures; all but ModelUnavailable when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "set"))]
    pub on: Option<Vec<RetryOn>>,
    /// Pauses before the same target is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
    /// Retries in flight, in percent of the route's requests in flight (3 always may); 20 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub budget_percent: Option<i32>,
}

/// Failures after which another attempt may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "a documented variant is no plain enum in a structural schema")]
pub enum RetryOn {
    Connect,
    Reset,
    Timeout,
    ServerError,
    Overloaded,
    RateLimited,
    CredentialRejected,
    ModelUnavailable,
}

/// Pauses before the same target is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("duration(has(self.base) ? self.base : '100ms') \
    <= duration(has(self.max) ? self.max : '2s') && duration(has(self.max) ? self.max : '2s') <= duration('1m')")
    .message("base (100ms when absent) <= max (2s when absent) <= 1m must hold"))]
#[serde(rename_all = "camelCase")]
pub struct Backoff {
    /// The first pause, which doubles each time; 100ms when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<GoDuration>,
    /// The longest pause; 2s when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<GoDuration>,
}

/// Time limits of a route.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("[has(self.request) ? self.request : '1s', has(self.attempt) ? self.attempt : '1s', \
    has(self.firstToken) ? self.firstToken : '1s', has(self.streamIdle) ? self.streamIdle : '1s']\
    .all(t, duration(t) > duration('0s') && duration(t) <= duration('24h'))")
    .message("a time limit must be longer than 0s and at most 24h"))]
#[serde(rename_all = "camelCase")]
pub struct RouteTimeouts {
    /// The caller's request, all attempts together, a streamed answer to its end; 10m when absent, 1h for a stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<GoDuration>,
    /// One attempt, a streamed answer to its end; as long as the request may take when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<GoDuration>,
    /// To the first sign of a streamed answer: content, a tool call, or that the model begins to think. Pings and comments of
    /// the provider are none. 60s when absent. Another target may still take over until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token: Option<GoDuration>,
    /// Between two reads of a streamed answer after that. Whatever the provider sends shows that it lives, pings and
    /// comments too, however long the model thinks. 60s when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_idle: Option<GoDuration>,
}

/// How requests are put into the dialect of a target that is not the caller's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Translation {
    /// A request that the other dialect cannot carry whole is sent and the answer names what was left out (Report,
    /// the default), is refused (Refuse), or is sent and only counted (CountOnly).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "OnLoss")]
    pub on_loss: Option<OnLoss>,
}

/// What becomes of a request that another dialect cannot carry whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "a documented variant is no plain enum in a structural schema")]
pub enum OnLoss {
    Report,
    Refuse,
    CountOnly,
}

/// What became of an LLMRoute.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LLMRouteStatus {
    /// The `metadata.generation` that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Accepted, ResolvedRefs, Conflicted, Programmed, Enforcing, Ready; Stalled where only an edit helps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
    /// Budgets that may cover requests of it, the first 16 by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 512)), extend("x-kubernetes-list-type" = "atomic"))]
    pub budgets: Vec<String>,
    /// All of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budgets_total: Option<i64>,
    /// What takes effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective: Option<Effective>,
    /// Models that callers may name, aliases apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models_total: Option<i64>,
    /// Targets that are good, of all, such as `3/4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub targets: Option<String>,
    /// Pods that serve this generation, of all, such as `2/2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub programmed: Option<String>,
}

/// What takes effect of a route.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Effective {
    /// Targets that are good.
    pub targets_ready: i64,
    /// All targets.
    pub targets_total: i64,
    /// What ails the others, the first 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 1024)), extend("x-kubernetes-list-type" = "atomic"))]
    pub not_ready: Vec<String>,
}
