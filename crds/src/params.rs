//! Parameters of a chat request: what a target sets, bounds and leaves out.
//!
//! Named the same for every provider; no dialect's own name stands here.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Request parameters that a target sets, bounds or leaves out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new(nothing_given_is_removed())
        .message("a parameter that is removed is not sent: take it out of defaults, overrides and caps, or out of remove"),
    validation = Rule::new(nothing_given_is_over_its_cap())
        .message("a default or override is over the cap of its parameter: lower it, or raise the cap")
)]
#[serde(rename_all = "camelCase")]
pub struct ParamSets {
    /// Where the caller gave none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<Params>,
    /// Whatever the caller gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overrides: Option<Params>,
    /// Upper bounds: what the caller gave above is lowered. A caller who gave no maxOutputTokens gets the bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caps: Option<Caps>,
    /// Parameters that are not sent, whatever the caller gave.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7), extend("x-kubernetes-list-type" = "set"))]
    pub remove: Vec<ParamName>,
}

const NAMES: [&str; 7] =
    ["maxOutputTokens", "temperature", "topP", "frequencyPenalty", "presencePenalty", "seed", "reasoningEffort"];
const CAPPED: [&str; 3] = ["maxOutputTokens", "temperature", "topP"];

fn nothing_given_is_removed() -> String {
    let clause =
        |set: &str, name: &str| format!("!('{name}' in self.remove && has(self.{set}) && has(self.{set}.{name}))");
    let given = ["defaults", "overrides"].into_iter().flat_map(|set| NAMES.map(|name| clause(set, name)));
    let clauses: Vec<_> = given.chain(CAPPED.map(|name| clause("caps", name))).collect();
    format!("!has(self.remove) || ({})", clauses.join(" && "))
}

fn nothing_given_is_over_its_cap() -> String {
    let clause = |set: &str, name: &str| {
        format!(
            "(!has(self.caps.{name}) || !has(self.{set}) || !has(self.{set}.{name}) \
             || self.{set}.{name} <= self.caps.{name})"
        )
    };
    let clauses: Vec<_> =
        ["defaults", "overrides"].into_iter().flat_map(|set| CAPPED.map(|name| clause(set, name))).collect();
    format!("!has(self.caps) || ({})", clauses.join(" && "))
}

/// Parameters of a chat request, named the same for every provider.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Params {
    /// Most tokens that the answer may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_output_tokens: Option<i64>,
    /// Sampling temperature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 2.0))]
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub top_p: Option<f64>,
    /// Penalty on tokens by how often they occurred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -2.0, max = 2.0))]
    pub frequency_penalty: Option<f64>,
    /// Penalty on tokens that occurred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -2.0, max = 2.0))]
    pub presence_penalty: Option<f64>,
    /// Seed of the sampling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// How much a reasoning model thinks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ReasoningEffort")]
    pub reasoning_effort: Option<ReasoningEffort>,
}

/// Upper bounds of parameters.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Caps {
    /// Most tokens that the answer may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_output_tokens: Option<i64>,
    /// Sampling temperature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 2.0))]
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub top_p: Option<f64>,
}

/// A parameter by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "a documented variant is no plain enum in a structural schema")]
pub enum ParamName {
    MaxOutputTokens,
    Temperature,
    TopP,
    FrequencyPenalty,
    PresencePenalty,
    Seed,
    ReasoningEffort,
}

/// How much a reasoning model thinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "a documented variant is no plain enum in a structural schema")]
pub enum ReasoningEffort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    XHigh,
}
