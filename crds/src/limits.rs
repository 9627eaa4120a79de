//! Rates that a route's requests keep, and what a provider takes; both over all pods together.
//!
//! One rate counts one thing: requests, tokens or money.

use crate::scalar::{Amount, GoDuration, LABEL, LABEL_LENGTH};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A rate that a route's requests keep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("(has(self.requests) ? 1 : 0) + (has(self.tokens) ? 1 : 0) + (has(self.cost) ? 1 : 0) == 1")
        .message("a rate limit counts one thing: give exactly one of requests, tokens and cost"),
    validation = Rule::new("duration(self.per) >= duration('1s') && duration(self.per) <= duration('24h')")
        .message("per must be from 1s to 24h; for a longer time use a Budget"),
    validation = Rule::new("!has(self.burst) || !has(self.cost)")
        .message("burst counts requests or tokens: for a cost set cost.burst"),
    validation = Rule::new("(has(self.partitionBy) && 'Header' in self.partitionBy) == has(self.header)")
        .message("header names the header of partitionBy Header: give both or neither")
)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// Name within the route.
    #[schemars(length(min = 1, max = LABEL_LENGTH), regex(pattern = LABEL))]
    pub name: String,
    /// So many requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub requests: Option<i64>,
    /// So many tokens, input and output together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000_000_i64))]
    pub tokens: Option<i64>,
    /// So much money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// In that time.
    pub per: GoDuration,
    /// How many requests or tokens may be used at once; as many as the rate when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000_000_i64))]
    pub burst: Option<i64>,
    /// What each has a rate of its own; one rate for all when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 6), extend("x-kubernetes-list-type" = "set"))]
    pub partition_by: Vec<RatePartition>,
    /// Name of the request header that partitionBy Header goes by, in lower case.
    #[x_kube(validation = Rule::new("!(self in ['authorization', 'proxy-authorization', 'cookie', 'api-key', 'x-api-key', \
        'x-goog-api-key'])")
        .message("the header carries a credential, by which nothing is told apart: use partitionBy Caller or ApiKey"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[-a-z0-9!#$%&'*+.^_`|~]+$"))]
    pub header: Option<String>,
}

/// An amount of money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// How much.
    pub amount: Amount,
    /// ISO 4217 code.
    #[schemars(length(max = 3), regex(pattern = "^[A-Z]{3}$"))]
    pub currency: String,
    /// How much may be used at once; as much as the rate when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<Amount>,
}

/// By what a route's requests are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "a documented variant is no plain enum in a structural schema")]
pub enum RatePartition {
    Caller,
    ApiKey,
    User,
    Team,
    Model,
    Header,
}

/// What a provider takes, over all pods together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("!has(self.queue) || has(self.maxConcurrent) || has(self.requestsPerMinute) \
    || has(self.tokensPerMinute)")
    .message("a queue waits for room under a limit: set maxConcurrent, requestsPerMinute or tokensPerMinute"))]
#[serde(rename_all = "camelCase")]
pub struct ProviderLimits {
    /// Requests at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_concurrent: Option<i64>,
    /// Requests a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub requests_per_minute: Option<i64>,
    /// Tokens a minute, input and output together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000_000_i64))]
    pub tokens_per_minute: Option<i64>,
    /// Requests that wait for room; absent = none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<Queue>,
}

/// A queue on each pod: callers of a higher class go first, by the label weir.dev/priority of their namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("duration(self.maxWait) > duration('0s') && duration(self.maxWait) <= duration('5m')")
    .message("maxWait must be longer than 0s and at most 5m"))]
#[serde(rename_all = "camelCase")]
pub struct Queue {
    /// Requests that wait at most; a full queue drops its newest of the lowest class for one of a higher class.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_length: i32,
    /// How long one waits at most.
    pub max_wait: GoDuration,
}
