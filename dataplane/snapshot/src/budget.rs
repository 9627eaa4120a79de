//! Money and rates: what may be spent, by whom, over which time.
//!
//! Amounts are whole numbers of the smallest part that is counted: 10⁻⁹ of a currency's unit, one token, one
//! request.

use crate::{Currency, Name};
use serde::{Deserialize, Serialize};

/// A Budget object, resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// What may be spent in each window; one a unit. Each is a pot of its own.
    pub limits: Vec<Limit>,
    /// Over which time.
    pub window: Window,
    /// Which requests it covers.
    #[serde(default, skip_serializing_if = "BudgetSelector::is_empty")]
    pub selector: BudgetSelector,
    /// What each has a pot of its own; empty = one pot for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partition_by: Vec<Dimension>,
    /// Budgets that a request must pass as well, the parent first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ancestors: Vec<Name>,
    /// What it does.
    #[serde(default, skip_serializing_if = "BudgetMode::is_default")]
    pub mode: BudgetMode,
    /// What becomes of a request that it does not cover.
    #[serde(default, skip_serializing_if = "OnExceeded::is_default")]
    pub on_exceeded: OnExceeded,
    /// From when on its requests move to a cheaper target; absent = not before it is spent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thrift: Option<Thrift>,
    /// What a request reserves before it is sent.
    #[serde(default, skip_serializing_if = "Reservation::is_default")]
    pub reservation: Reservation,
    /// What holds while no leader of the ledger answers.
    #[serde(default, skip_serializing_if = "FailureMode::is_default")]
    pub failure_mode: FailureMode,
    /// What becomes of a request whose price nobody knows.
    #[serde(default, skip_serializing_if = "OnUnpriced::is_default")]
    pub on_unpriced: OnUnpriced,
    /// Changes of its limits for a time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
}

/// How much of what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// What is counted.
    pub unit: Unit,
    /// How much; of a currency in 10⁻⁹ of its unit.
    pub amount: u64,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Unit {
    /// Money, in 10⁻⁹ of the currency's unit.
    Currency(Currency),
    /// Input and output tokens together.
    Tokens,
    /// Input tokens, cached ones included.
    InputTokens,
    /// Output tokens, reasoning included.
    OutputTokens,
    /// Requests that reached a provider.
    Requests,
}

impl Unit {
    /// As it stands in the API.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Currency(currency) => currency.as_str(),
            Self::Tokens => "Tokens",
            Self::InputTokens => "InputTokens",
            Self::OutputTokens => "OutputTokens",
            Self::Requests => "Requests",
        }
    }

    /// The unit of that name, or of that currency; `None` = the text is neither.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "Tokens" => Self::Tokens,
            "InputTokens" => Self::InputTokens,
            "OutputTokens" => Self::OutputTokens,
            "Requests" => Self::Requests,
            code => Self::Currency(Currency::parse(code)?),
        })
    }
}

/// The time over which a Budget counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Window {
    /// From one turn of the calendar to the next, in that IANA time zone.
    Calendar {
        /// How long.
        every: Period,
        /// Where midnight is.
        time_zone: String,
    },
    /// The last so many milliseconds at any time.
    Rolling {
        /// How long.
        duration_ms: u64,
    },
    /// For ever.
    Total,
}

/// A period of the calendar. Weeks begin on Mondays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "they speak for themselves")]
pub enum Period {
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

/// Which requests a Budget covers: all fields must hold, of each list one entry. An empty list holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BudgetSelector {
    /// Namespaces of callers. A Budget outside of the platform namespace has its own here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller_namespaces: Option<Vec<String>>,
    /// ServiceAccounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service_accounts: Vec<crate::AccountRef>,
    /// Secrets of API keys; absent = it selects by no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_secrets: Option<Vec<Name>>,
    /// Teams.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<String>,
    /// Users.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// Routes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Name>,
    /// Providers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<Name>,
    /// Namespaces of Providers. What goes to a Provider of another one does not count; absent = of any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_namespaces: Option<Vec<String>>,
    /// Models as the client names them (an alias counts as what it stands for).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
}

impl Budget {
    /// The features without which a pod must not apply it.
    pub(crate) fn needs(&self) -> Vec<&'static str> {
        let by_secret = self.selector.key_secrets.as_ref().map(|_| "budget.key-secrets");
        std::iter::once("budget").chain(by_secret).collect()
    }
}

impl BudgetSelector {
    /// Whether it covers every request.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// By what requests are told apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Dimension {
    /// The caller, whatever it is.
    Caller,
    /// The API key.
    ApiKey,
    /// The ServiceAccount.
    ServiceAccount,
    /// The user.
    User,
    /// The team.
    Team,
    /// The model as the client named it; an alias counts as what it stands for.
    Model,
    /// The value of a request header, by its lower-case name.
    Header(String),
}

/// What a Budget does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum BudgetMode {
    /// It reserves before a request is sent, and refuses what it cannot cover.
    #[default]
    Enforce,
    /// It counts, and the answer carries a warning once it is spent.
    Warn,
    /// It counts alone.
    Shadow,
    /// It does nothing.
    Off,
    /// It refuses everything.
    Block,
}

impl BudgetMode {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What becomes of a request that a Budget does not cover.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum OnExceeded {
    /// It is refused with 429.
    #[default]
    Reject,
    /// It goes to the target of that name of its route; a route without such a target refuses it.
    Degrade {
        /// Name of the target.
        target: String,
    },
    /// It waits so many milliseconds at most for room, then it is refused.
    Queue {
        /// Longest wait.
        max_wait_ms: u64,
    },
}

impl OnExceeded {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A cheaper target before all is spent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thrift {
    /// Which share of a limit is spent by then, in percent.
    pub percent: u32,
    /// Name of the target; a route without it goes on as before.
    pub target: String,
}

/// What a request reserves before it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Reservation {
    /// The most that it can cost.
    #[default]
    UpperBound,
    /// So much, in the limit's smallest parts.
    Fixed(u64),
}

impl Reservation {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What holds while no leader of the ledger answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum FailureMode {
    /// What is leased may be spent; beyond it requests are refused with 503.
    #[default]
    LeasedOnly,
    /// Everything is refused.
    Closed,
    /// Everything is let through and counted.
    Open,
}

impl FailureMode {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What becomes of a request whose price nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum OnUnpriced {
    /// It is refused where the Budget enforces, and counted as unpriced elsewhere.
    #[default]
    Refuse,
    /// It costs as much as the dearest priced model of its currency.
    Ceiling,
}

impl OnUnpriced {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A change of one limit for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// Name within the Budget.
    pub name: String,
    /// Of which limit.
    pub unit: Unit,
    /// Whether `amount` comes on top or takes the limit's place.
    pub adds: bool,
    /// How much, in the limit's smallest parts.
    pub amount: u64,
    /// Unix seconds from which it no longer holds.
    pub until: i64,
}

/// A rate that a route's requests keep, over all pods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// Name within the route.
    pub name: String,
    /// What is counted: requests, tokens or a currency.
    pub unit: Unit,
    /// How much in each `per_ms`, in the unit's smallest parts.
    pub amount: u64,
    /// Over which time, in milliseconds.
    pub per_ms: u64,
    /// How much may be used at once.
    pub burst: u64,
    /// What each has a rate of its own; empty = one for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partition_by: Vec<Dimension>,
}

/// What a provider takes, over all pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProviderLimits {
    /// Requests at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<u64>,
    /// Requests a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// Tokens a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
    /// Requests that wait for room; absent = none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<Queue>,
}

impl ProviderLimits {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A queue on each pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// Requests that wait at most.
    pub max_length: u32,
    /// How long one waits at most, in milliseconds.
    pub max_wait_ms: u64,
}
