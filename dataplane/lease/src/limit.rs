//! What the leader knows of a limit, from what pods are pushed as well.

use crate::window::Turn;
use std::sync::Arc;
use weir_snapshot::{Budget, BudgetMode, Name, Override, Provider, Route, Unit, Window};

/// How long a partition of a rate is remembered by pods at least.
const RATE_WINDOW_MS: u64 = 600_000;

/// One limit; each of its partitions and windows is a pot.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// How it counts.
    pub nature: Nature,
    /// How much its pots hold, in the unit's smallest parts.
    pub amount: u64,
    /// Whether a grant must survive the loss of everything but the store.
    pub durable: bool,
    /// Changes of `amount` for a time.
    pub overrides: Vec<Override>,
    /// How its windows are cut.
    pub turn: Turn,
}

/// How a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    /// What is spent stays spent until the window turns.
    Window,
    /// What is spent comes back after so many milliseconds.
    Rolling {
        /// How long it counts.
        duration_ms: u64,
    },
    /// It fills up again, `amount` in each `per_ms`.
    Rate {
        /// How much comes back.
        amount: u64,
        /// In which time, in milliseconds.
        per_ms: u64,
    },
    /// What is reserved comes back when the request ends.
    Gauge,
}

impl Nature {
    /// Whether a store keeps its pots; rates and gauges begin anew with a leader.
    pub(crate) const fn is_stored(self) -> bool {
        matches!(self, Self::Window | Self::Rolling { .. })
    }
}

impl Limit {
    /// How much its pots hold at that time, overrides included. Of several that replace, the first counts.
    pub fn amount_at(&self, unix_ms: i64) -> u64 {
        let base = self.overrides_at(unix_ms).find(|change| !change.adds).map_or(self.amount, |change| change.amount);
        let added = self.overrides_at(unix_ms).filter(|change| change.adds).map(|change| change.amount);
        added.fold(base, u64::saturating_add)
    }

    /// The overrides that hold at that time.
    pub(crate) fn overrides_at(&self, unix_ms: i64) -> impl Iterator<Item = &Override> {
        self.overrides.iter().filter(move |change| unix_ms < change.until.saturating_mul(1_000))
    }
}

/// Whether the pots of a limit are there to be forgotten, by its name: those of Budgets alone are stored.
pub(crate) fn is_passing(limit: &str) -> bool {
    !limit.starts_with("Budget/")
}

fn id(kind: &str, object: &Name, limit: &str) -> Arc<str> {
    format!("{kind}/{}/{}/{limit}", object.namespace, object.name).into()
}

/// The limits of a Budget, in the order in which it lists them, by their names in the ledger.
pub fn limits_of_budget(name: &Name, budget: &Budget) -> Vec<(Arc<str>, Limit)> {
    let nature = match budget.window {
        Window::Calendar { .. } | Window::Total => Nature::Window,
        Window::Rolling { duration_ms } => Nature::Rolling { duration_ms },
    };
    let turn = Turn::of(&budget.window).unwrap_or(Turn::never());
    let limit = |limit: &weir_snapshot::Limit| {
        let of_unit = budget.overrides.iter().filter(|change| change.unit == limit.unit);
        let limit_of = Limit {
            nature,
            amount: limit.amount,
            durable: budget.mode == BudgetMode::Enforce,
            overrides: of_unit.cloned().collect(),
            turn: turn.clone(),
        };
        (id("Budget", name, limit.unit.as_str()), limit_of)
    };
    budget.limits.iter().map(limit).collect()
}

/// The rate limits of a route, in the order in which it lists them.
pub fn limits_of_route(name: &Name, route: &Route) -> Vec<(Arc<str>, Limit)> {
    let limit = |rate: &weir_snapshot::RateLimit| {
        let nature = Nature::Rate { amount: rate.amount, per_ms: rate.per_ms };
        (id("LLMRoute", name, &rate.name), passing(nature, rate.burst))
    };
    route.rate_limits.iter().map(limit).collect()
}

/// The limits of a Provider: what it counts, by its name in the ledger.
pub fn limits_of_provider(name: &Name, provider: &Provider) -> Vec<(Option<Unit>, Arc<str>, Limit)> {
    const MINUTE: u64 = 60_000;
    let limits = &provider.limits;
    let rate = |amount: u64| passing(Nature::Rate { amount, per_ms: MINUTE }, amount);
    let all = [
        (None, "maxConcurrent", limits.max_concurrent.map(|most| passing(Nature::Gauge, most))),
        (Some(Unit::Requests), "requestsPerMinute", limits.requests_per_minute.map(rate)),
        (Some(Unit::Tokens), "tokensPerMinute", limits.tokens_per_minute.map(rate)),
    ];
    all.into_iter().filter_map(|(unit, limit, held)| Some((unit, id("Provider", name, limit), held?))).collect()
}

/// One that no store keeps. A rate's windows are there to be forgotten: a client may choose its partition.
const fn passing(nature: Nature, amount: u64) -> Limit {
    let turn = match nature {
        Nature::Rate { .. } => Turn::every(RATE_WINDOW_MS),
        Nature::Gauge | Nature::Window | Nature::Rolling { .. } => Turn::never(),
    };
    Limit { nature, amount, durable: false, overrides: Vec::new(), turn }
}
