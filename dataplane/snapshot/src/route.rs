//! How requests get there: routes, their targets, retries and time limits.

use crate::{Name, RateLimit};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// An LLMRoute, resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// Unix seconds of the object's creation; of two equal claims the older wins.
    pub created_at: i64,
    /// Hosts that it answers for, lower case, without port; empty = all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
    /// Names that clients send, aliases included.
    pub models: Vec<ModelName>,
    /// What to do, the first that matches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// Why the whole route is refused; it keeps its claim, so that no other route answers in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// When an attempt is repeated.
    pub retry: Retry,
    /// Time limits.
    #[serde(default, skip_serializing_if = "RouteTimeouts::is_default")]
    pub timeouts: RouteTimeouts,
    /// What becomes of a request that the target's dialect cannot carry whole.
    #[serde(default, skip_serializing_if = "OnLoss::is_default")]
    pub on_loss: OnLoss,
    /// Rates that its requests keep.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rate_limits: Vec<RateLimit>,
    /// Headers of the caller that say whom its requests are for.
    #[serde(default, skip_serializing_if = "TrustedHeaders::is_empty")]
    pub trusted_headers: TrustedHeaders,
    /// Whether its callers may ask why a request went where it did.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub explain: bool,
}

impl Route {
    /// The features without which a pod must not apply it.
    pub(crate) fn needs(&self) -> Vec<&'static str> {
        let targets = || self.rules.iter().flat_map(|rule| &rule.targets);
        let mut needs = Vec::new();
        if targets().any(|target| !target.caps.is_empty()) {
            needs.push("params.caps");
        }
        if targets().any(|target| !target.remove.is_empty()) {
            needs.push("params.remove");
        }
        if !self.on_loss.is_default() {
            needs.push("on-loss");
        }
        if !self.rate_limits.is_empty() {
            needs.push("rate-limits");
        }
        if !self.trusted_headers.is_empty() {
            needs.push("trusted-headers");
        }
        if self.trusted_headers.session.is_some() || self.trusted_headers.agent.is_some() {
            needs.push("trusted-headers.session");
        }
        if self.explain {
            needs.push("explain");
        }
        needs
    }
}

/// What becomes of a request that the target's dialect cannot carry whole; `translation.onLoss` of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum OnLoss {
    /// It is sent, and the answer names what was left out.
    #[default]
    Report,
    /// It is refused.
    Refuse,
    /// It is sent, and what was left out is only counted.
    CountOnly,
}

impl OnLoss {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Names of headers, in lower case, by which a caller says whom its requests are for; they never open anything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TrustedHeaders {
    /// The user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// The project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The cost centre.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_center: Option<String>,
    /// The session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The agent within a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
}

impl TrustedHeaders {
    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A name that clients send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelName {
    /// The name; with a trailing `*` every name that begins so.
    pub pattern: String,
    /// For an alias, the name that it stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias_of: Option<String>,
    /// Whether the models list shows it. Aliases and patterns are never shown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub listed: bool,
}

/// One rule of a route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Where its requests go. Bad targets are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<Arc<Target>>,
    /// Why it has no target at all; such a rule answers 503.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<String>,
}

/// One target of a rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Name within the rule.
    pub name: String,
    /// Its Provider.
    pub provider: Name,
    /// Model of the Provider; absent = the one that the client named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Share of requests among those of its priority; 0 = none.
    pub weight: u32,
    /// 0 first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: u32,
    /// Parameters where the caller gave none.
    #[serde(default, skip_serializing_if = "Params::is_empty")]
    pub defaults: Params,
    /// Parameters whatever the caller gave.
    #[serde(default, skip_serializing_if = "Params::is_empty")]
    pub overrides: Params,
    /// Upper bounds of parameters, whoever gave them.
    #[serde(default, skip_serializing_if = "Caps::is_empty")]
    pub caps: Caps,
    /// Parameters that are not sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<ParamName>,
}

/// Parameters of a chat request, the same for every dialect.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Params {
    /// Most tokens that the answer may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// Sampling temperature, 0 to 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Nucleus sampling, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// -2 to 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frequency_penalty: Option<f64>,
    /// -2 to 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence_penalty: Option<f64>,
    /// Seed of the sampling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// `none`, `minimal`, `low`, `medium`, `high` or `xhigh`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<String>,
}

impl Params {
    /// Whether it sets nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Upper bounds: a value above is lowered. One that was not given stays so, but for the limit of output tokens,
/// whose absence means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Caps {
    /// Most tokens that the answer may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// Sampling temperature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
}

impl Caps {
    /// Whether it bounds nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The parameters of [`Params`] by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named as in Params")]
pub enum ParamName {
    MaxOutputTokens,
    Temperature,
    TopP,
    FrequencyPenalty,
    PresencePenalty,
    Seed,
    ReasoningEffort,
}

/// When an attempt is repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts at most, the first and failovers included.
    pub max_attempts: u32,
    /// On which failures.
    pub on: Vec<RetryOn>,
    /// First pause before the same target is tried again, in milliseconds; it doubles, with full jitter.
    pub backoff_base_ms: u64,
    /// Longest such pause, in milliseconds.
    pub backoff_max_ms: u64,
    /// Retries in flight, in percent of the route's requests in flight (at least 3 may).
    pub budget_percent: u32,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            on: vec![
                RetryOn::Connect,
                RetryOn::Reset,
                RetryOn::Timeout,
                RetryOn::ServerError,
                RetryOn::Overloaded,
                RetryOn::RateLimited,
                RetryOn::CredentialRejected,
            ],
            backoff_base_ms: 100,
            backoff_max_ms: 2_000,
            budget_percent: 20,
        }
    }
}

/// Failures after which another attempt may follow; `retry.on` of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RetryOn {
    /// No connection: DNS, refused, unreachable, TLS.
    Connect,
    /// The connection broke before the answer's first content.
    Reset,
    /// A time limit passed before the answer's first content.
    Timeout,
    /// A status of 500 to 504 or 520 to 527, or 408, 409, 425, 499.
    ServerError,
    /// 529, or an error that says overloaded.
    Overloaded,
    /// 429, or an error that says that a quota is used up, such as 402.
    RateLimited,
    /// 401, or another error that says that the key or its account is not good.
    CredentialRejected,
    /// 404 from the provider.
    ModelUnavailable,
}

/// Time limits of a route, in milliseconds; absent = the provider's, else the built-in default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RouteTimeouts {
    /// The client's request, all attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_ms: Option<u64>,
    /// One attempt, whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_ms: Option<u64>,
    /// To the first semantic event of a streamed answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<u64>,
    /// Between two reads of a streamed answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_idle_ms: Option<u64>,
}

impl RouteTimeouts {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it by reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}
