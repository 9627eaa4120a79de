//! The Budget: how much may be spent, by whom, over which time.
//!
//! Amounts are decimal strings; what was spent is the ledger's, and status is only a view of it.

use crate::access::ServiceAccountRef;
use crate::budget_status::{BudgetMode, BudgetStatus};
use crate::reference::{AllowedNamespaces, ObjectRef, Selector};
use crate::scalar::{Amount, GoDuration, LABEL, LABEL_LENGTH, NAME, NAME_LENGTH, UNIT};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much may be spent, by whom, over which time.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "weir.dev",
    version = "v1alpha1",
    kind = "Budget",
    doc = "A Budget: how much money, how many tokens or requests may be spent, by whom, over which time.",
    namespaced,
    shortname = "llmb",
    category = "llm",
    category = "ai",
    status = "BudgetStatus",
    derive = "PartialEq",
    printcolumn(name = "Limit", type_ = "string", json_path = ".status.limit"),
    printcolumn(name = "Spent", type_ = "string", json_path = ".status.spent"),
    printcolumn(name = "Used", type_ = "string", json_path = ".status.used"),
    printcolumn(name = "Resets", type_ = "string", json_path = ".status.periodEnd"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".status.mode"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Reserved", type_ = "string", json_path = ".status.reserved", priority = 1),
    printcolumn(name = "Parent", type_ = "string", json_path = ".spec.parentRef.name", priority = 1),
    printcolumn(name = "Partitions", type_ = "integer", json_path = ".status.partitionsTotal", priority = 1)
)]
#[x_kube(
    validation = Rule::new("!has(self.overrides) || self.overrides.all(o, self.limits.exists(l, l.unit == o.unit))")
        .message("an override changes one of the limits: name its unit"),
    validation = Rule::new("!has(self.reservation) || self.reservation.estimate != 'Fixed' || self.limits.size() == 1")
        .message("reservation.fixedAmount is of one unit: a Budget with estimate Fixed has one limit"),
    validation = Rule::new("!has(self.thresholds) || !self.thresholds.exists(t, has(t.degrade) && t.degrade) \
        || (has(self.onExceeded) && has(self.onExceeded.degrade))")
        .message("a threshold that degrades needs a target: set onExceeded.degrade.targetName"),
    validation = Rule::new("!has(self.onExceeded) || !has(self.onExceeded.degrade) || self.onExceeded.action == 'Degrade' \
        || (has(self.thresholds) && self.thresholds.exists(t, has(t.degrade) && t.degrade))")
        .message("nothing goes to onExceeded.degrade: set action: Degrade, or degrade: true at a threshold")
)]
#[serde(rename_all = "camelCase")]
pub struct BudgetSpec {
    /// What may be spent in each window; one a unit.
    #[schemars(
        length(min = 1, max = 4),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["unit"])
    )]
    pub limits: Vec<BudgetLimit>,
    /// Over which time.
    pub window: Window,
    /// Which requests it covers: every field must hold, of a list one entry. All when absent; outside of the
    /// platform namespace those of callers of its own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<BudgetSelector>,
    /// What each has the limits for itself; together they have them once when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5), extend("x-kubernetes-list-type" = "set"))]
    pub partition_by: Vec<BudgetPartition>,
    /// A Budget that its requests must pass as well, with all that stand above it; one of another namespace must
    /// allow it (`allowedNamespaces`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_ref: Option<ObjectRef>,
    /// Which namespaces' Budgets may name it as their parent; only its own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<AllowedNamespaces>,
    /// It refuses what it cannot cover (Enforce, the default), counts and warns (Warn), counts alone (Shadow), does
    /// nothing (Disabled), or refuses everything (Block).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "BudgetMode")]
    pub mode: Option<BudgetMode>,
    /// What becomes of a request that it does not cover; refused with 429 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_exceeded: Option<OnExceeded>,
    /// What happens once so much is spent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["percent"])
    )]
    pub thresholds: Vec<Threshold>,
    /// What a request reserves before it is sent; the most that it can cost when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<Reservation>,
    /// While no leader of the ledger answers, what pods hold may be spent (LeasedOnly, the default), nothing
    /// (Closed), or everything (Open).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "FailureMode")]
    pub failure_mode: Option<FailureMode>,
    /// A request whose price nobody knows is refused where money is enforced (Refuse, the default), or counts as the
    /// dearest priced model (Ceiling).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "OnUnpriced")]
    pub on_unpriced: Option<OnUnpriced>,
    /// Changes of its limits for a time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub overrides: Vec<Override>,
}

const DIGITS_BY_UNIT: &str = "self.unit in ['Tokens', 'InputTokens', 'OutputTokens', 'Requests'] \
    ? !self.amount.contains('.') : self.amount.matches('^[0-9]{1,9}([.]|$)')";
const DIGITS_MESSAGE: &str = "an amount of tokens or requests is a whole number, and one of money has at most nine \
    digits before the point";

/// How much of what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new(DIGITS_BY_UNIT).message(DIGITS_MESSAGE))]
#[serde(rename_all = "camelCase")]
pub struct BudgetLimit {
    /// A currency (ISO 4217), Tokens, InputTokens, OutputTokens or Requests.
    #[schemars(length(max = 12), regex(pattern = UNIT))]
    pub unit: String,
    /// How much.
    pub amount: Amount,
}

/// The time over which a Budget counts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("(has(self.calendar) ? 1 : 0) + (has(self.rolling) ? 1 : 0) + (has(self.total) ? 1 : 0) == 1")
    .message("give exactly one of calendar, rolling and total"))]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// From one turn of the calendar to the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<Calendar>,
    /// The last so much time, at any moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolling: Option<Rolling>,
    /// `{}` = for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Total>,
}

/// A window from one turn of the calendar to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Calendar {
    /// How long it is. Weeks begin on Mondays.
    pub every: Period,
    /// IANA time zone whose midnight it turns at, such as Europe/Berlin; UTC when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$"))]
    pub time_zone: Option<String>,
}

/// A period of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "a documented variant is no plain enum in a structural schema")]
pub enum Period {
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

/// A window of the last so much time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("duration(self.duration) >= duration('1m') && duration(self.duration) <= duration('8784h')")
    .message("a rolling window is from 1m to 8784h (366 days) long"))]
#[serde(rename_all = "camelCase")]
pub struct Rolling {
    /// How much.
    pub duration: GoDuration,
}

/// A window without an end.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Total {}

/// Which requests a Budget covers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetSelector {
    /// Of callers of these namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller_namespaces: Option<CallerNamespaces>,
    /// Of these ServiceAccounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["namespace", "name"])
    )]
    pub service_accounts: Vec<ServiceAccountRef>,
    /// With API keys by the labels of their Secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_keys: Option<BudgetApiKeys>,
    /// Of these teams.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = NAME_LENGTH)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub teams: Vec<String>,
    /// Of these users.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = NAME_LENGTH)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub users: Vec<String>,
    /// Served by these LLMRoutes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub routes: Vec<ObjectRef>,
    /// Sent to these Providers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub providers: Vec<ObjectRef>,
    /// Sent to Providers of these namespaces, and to no others; its own namespace is always among them. When absent, of
    /// every namespace; in the platform namespace without `providers`, of the platform namespace alone, so that no
    /// other namespace's Provider spends it by what it says of usage and prices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_namespaces: Option<AllowedNamespaces>,
    /// For these models, by the names in `models` of the route; an alias counts as what it stands for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 128), regex(pattern = r"^[^*\s]+$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub models: Vec<String>,
}

/// Namespaces of callers, by name or label.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.names) != has(self.selector)")
    .message("give exactly one of names and selector"))]
#[serde(rename_all = "camelCase")]
pub struct CallerNamespaces {
    /// Their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 256),
        inner(length(min = 1, max = LABEL_LENGTH), regex(pattern = LABEL)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub names: Vec<String>,
    /// Their labels; an empty selector matches all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
}

/// API keys of a Budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetApiKeys {
    /// Labels of their Secrets; an empty selector matches all.
    pub selector: Selector,
}

/// By what a Budget's requests are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "a documented variant is no plain enum in a structural schema")]
pub enum BudgetPartition {
    ApiKey,
    ServiceAccount,
    User,
    Team,
    Model,
}

/// What becomes of a request that a Budget does not cover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("self.action != 'Degrade' || has(self.degrade)")
        .message("action: Degrade needs degrade.targetName"),
    validation = Rule::new("(self.action == 'Queue') == has(self.queue)")
        .message("queue goes with action: Queue, and only with it")
)]
#[serde(rename_all = "camelCase")]
pub struct OnExceeded {
    /// It is refused with 429 (Reject), goes to a cheaper target (Degrade), or waits for room (Queue).
    pub action: ExceededAction,
    /// Where it goes with the action Degrade, and whatever the action from a threshold with `degrade` on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub degrade: Option<Degrade>,
    /// How long it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<ExceededQueue>,
}

/// What becomes of a request that a Budget does not cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "a documented variant is no plain enum in a structural schema")]
pub enum ExceededAction {
    Reject,
    Degrade,
    Queue,
}

/// Where requests go that are to cost less.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Degrade {
    /// Name of a target of the route that serves it, which may have the weight 0; a route without it refuses.
    #[schemars(length(min = 1, max = LABEL_LENGTH), regex(pattern = LABEL))]
    pub target_name: String,
}

/// How long a request waits that a Budget does not cover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("duration(self.maxWait) > duration('0s') && duration(self.maxWait) <= duration('5m')")
    .message("maxWait must be longer than 0s and at most 5m"))]
#[serde(rename_all = "camelCase")]
pub struct ExceededQueue {
    /// At most; then it is refused.
    pub max_wait: GoDuration,
}

/// What happens once so much is spent. Each shows in status and in metrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Threshold {
    /// Of the limit that is used most.
    #[schemars(range(min = 1, max = 1000))]
    pub percent: i32,
    /// Whether an Event tells of it; false when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<bool>,
    /// A Secret of the Budget's namespace with the keys `url` and `signingKey`: the URL is told of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_ref: Option<WebhookRef>,
    /// Whether requests go to the target of `onExceeded.degrade` from then on; false when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub degrade: Option<bool>,
}

/// A Secret that says who is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookRef {
    /// Its name.
    #[schemars(length(min = 1, max = NAME_LENGTH), regex(pattern = NAME))]
    pub name: String,
}

/// What a request reserves before it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("(self.estimate == 'Fixed') == has(self.fixedAmount)")
    .message("fixedAmount goes with estimate: Fixed, and only with it"))]
#[serde(rename_all = "camelCase")]
pub struct Reservation {
    /// The most that it can cost (UpperBound), or always the same (Fixed).
    pub estimate: Estimate,
    /// How much, in the unit of the only limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed_amount: Option<Amount>,
}

/// What a request reserves before it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "a documented variant is no plain enum in a structural schema")]
pub enum Estimate {
    UpperBound,
    Fixed,
}

/// What holds while no leader of the ledger answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "a documented variant is no plain enum in a structural schema")]
pub enum FailureMode {
    LeasedOnly,
    Closed,
    Open,
}

/// What becomes of a request whose price nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "a documented variant is no plain enum in a structural schema")]
pub enum OnUnpriced {
    Refuse,
    Ceiling,
}

/// A change of one limit for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new(DIGITS_BY_UNIT).message(DIGITS_MESSAGE))]
#[serde(rename_all = "camelCase")]
pub struct Override {
    /// Name within the Budget.
    #[schemars(length(min = 1, max = LABEL_LENGTH), regex(pattern = LABEL))]
    pub name: String,
    /// Of which limit.
    #[schemars(length(max = 12), regex(pattern = UNIT))]
    pub unit: String,
    /// Whether the amount takes the limit's place (Replace) or comes on top (Add).
    pub operation: OverrideOperation,
    /// How much.
    pub amount: Amount,
    /// When it ends.
    pub until: Time,
    /// Why, for those who read it.
    #[schemars(length(min = 1, max = 256))]
    pub reason: String,
}

/// How an override changes a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "a documented variant is no plain enum in a structural schema")]
pub enum OverrideOperation {
    Replace,
    Add,
}
