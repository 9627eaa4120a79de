//! What became of a Budget: what was spent, reserved and is left.
//!
//! Amounts are decimal strings in the limit's unit, and below zero where more was spent than the limit.

use crate::condition::conditions;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Length of an amount with its sign.
const AMOUNT_LENGTH: usize = 32;

/// What became of a Budget. Where it has several limits or pots, single numbers are of the one that is used most.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetStatus {
    /// The `metadata.generation` that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Accepted, Enforcing, WithinBudget, Exhausted, Overridden, Ready; Stalled where only an edit helps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
    /// OK, Warning (a threshold is reached), Exhausted, Blocked, Disabled, or Unknown until the ledger tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "BudgetState")]
    pub state: Option<BudgetState>,
    /// The mode that is in effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "BudgetMode")]
    pub mode: Option<BudgetMode>,
    /// The limit with its unit, such as `100 USD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub limit: Option<String>,
    /// What was spent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = AMOUNT_LENGTH))]
    pub spent: Option<String>,
    /// What is reserved for requests under way and lent to pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = AMOUNT_LENGTH))]
    pub reserved: Option<String>,
    /// What is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = AMOUNT_LENGTH))]
    pub remaining: Option<String>,
    /// What was spent of the limit, in whole percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_percent: Option<i64>,
    /// The same for people, such as `42%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = AMOUNT_LENGTH))]
    pub used: Option<String>,
    /// When its window began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Time")]
    pub period_start: Option<Time>,
    /// When its window ends; absent for rolling and total windows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Time")]
    pub period_end: Option<Time>,
    /// Its limits, overrides included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["unit"]))]
    pub limits: Vec<LimitStatus>,
    /// Percents of the thresholds that are reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "set"))]
    pub thresholds_reached: Vec<i32>,
    /// Pots of the window; 1 without partitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions_total: Option<i64>,
    /// Those that are used most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 10),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["partition"])
    )]
    pub top_partitions: Vec<PartitionStatus>,
    /// Requests of the window whose price nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpriced_requests: Option<i64>,
    /// What pods held that are gone without a word; counted as spent until the window ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = AMOUNT_LENGTH))]
    pub unaccounted: Option<String>,
}

/// What a Budget does, as it is asked to and as it is in effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "a documented variant is no plain enum in a structural schema")]
pub enum BudgetMode {
    #[default]
    Enforce,
    Warn,
    Shadow,
    Disabled,
    Block,
}

/// How a Budget stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "a documented variant is no plain enum in a structural schema")]
pub enum BudgetState {
    OK,
    Warning,
    Exhausted,
    Blocked,
    Disabled,
    Unknown,
}

/// How one limit stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LimitStatus {
    /// Its unit.
    #[schemars(length(max = 12))]
    pub unit: String,
    /// How much it is, overrides included.
    #[schemars(length(max = AMOUNT_LENGTH))]
    pub limit: String,
    /// What was spent.
    #[schemars(length(max = AMOUNT_LENGTH))]
    pub spent: String,
    /// What is reserved for requests under way and lent to pods.
    #[schemars(length(max = AMOUNT_LENGTH))]
    pub reserved: String,
    /// What is left.
    #[schemars(length(max = AMOUNT_LENGTH))]
    pub remaining: String,
    /// What was spent of it, in whole percent.
    pub used_percent: i64,
}

/// How one pot of several stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PartitionStatus {
    /// Whose it is.
    #[schemars(length(max = 512))]
    pub partition: String,
    /// What was spent, of the limit that is used most.
    #[schemars(length(max = AMOUNT_LENGTH))]
    pub spent: String,
    /// What was spent of it, in whole percent.
    pub used_percent: i64,
}
