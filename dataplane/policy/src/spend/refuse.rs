//! What a client is told whose request a limit does not cover.

use super::asked::Asked;
use super::charge::{Charge, Payer};
use crate::Route;
use crate::budgets::Budget;
use weir_dialect::{ErrorType, Refusal};
use weir_lease::Standing;
use weir_snapshot::{Name, Unit, decimal};

/// The longest that SDKs wait before they try again by themselves; what takes longer they ask for at once, and in vain.
const SDK_PATIENCE_MS: u64 = 60_000;

/// The client's answer where a charge was not met.
pub fn refusal(charge: &Charge, route: &Route, met: &weir_lease::Refusal) -> Refusal {
    match &charge.of {
        Payer::Rate(place) => rate(charge, route, *place, met),
        Payer::Budget(budget) => of_budget(budget, charge, met),
        Payer::Provider { provider, .. } => no_room(&provider.id, met),
    }
}

/// A provider whose own limits leave no room.
pub fn no_room(provider: &Name, met: &weir_lease::Refusal) -> Refusal {
    if !met.exhausted {
        return unavailable(&format!("the limits of the provider {provider}"), "provider_limit_unavailable", met);
    }
    let message = format!("the limits of the provider {provider} leave no room at the moment; try again later");
    let refusal = Refusal::new(429, ErrorType::RateLimit, "provider_limit", message);
    Refusal { retry_after_ms: met.retry_after_ms, ..refusal }
}

fn rate(charge: &Charge, route: &Route, place: usize, met: &weir_lease::Refusal) -> Refusal {
    let Some(rate) = route.data.rate_limits.get(place) else { return Refusal::internal() };
    if met.crowded {
        return crowded(&format!("the rate limit {:?} of the route {}", rate.name, route.id), met);
    }
    if !met.exhausted {
        return unavailable(&format!("the rate limit {:?}", rate.name), "rate_limit_unavailable", met);
    }
    let message = format!(
        "the rate limit {:?} of the route {} is reached: {} in {}{}",
        rate.name,
        route.id,
        shown(charge.unit, rate.amount),
        span(rate.per_ms),
        again(met.retry_after_ms),
    );
    let refusal = Refusal::new(429, ErrorType::RateLimit, "rate_limit_exceeded", message);
    let should_retry = met.retry_after_ms.is_none_or(|ms| ms > SDK_PATIENCE_MS).then_some(false);
    Refusal { retry_after_ms: met.retry_after_ms, should_retry, ..refusal }
}

fn of_budget(budget: &Budget, charge: &Charge, met: &weir_lease::Refusal) -> Refusal {
    if met.crowded {
        return crowded(&format!("the Budget {}", budget.id), met);
    }
    if !met.exhausted {
        return unavailable(&format!("the Budget {}", budget.id), "budget_store_unavailable", met);
    }
    let Standing { limit, spent, remaining, .. } = met.standing;
    let partition = &charge.claim.partition;
    let of = if partition.is_empty() { String::new() } else { format!(" for {partition:?}") };
    let message = format!(
        "the Budget {}{of} does not cover this request: {} of {} are spent, {} are left, and the request may take {}{}",
        budget.id,
        shown(charge.unit, spent),
        shown(charge.unit, limit),
        shown(charge.unit, remaining.min(limit.saturating_sub(spent))),
        shown(charge.unit, charge.claim.amount),
        again(met.retry_after_ms),
    );
    let refusal = Refusal::new(429, ErrorType::RateLimit, "budget_exceeded", message);
    Refusal { retry_after_ms: met.retry_after_ms, should_retry: Some(false), ..refusal }
}

/// The limit, or its namespace, has as many partitions as its share of the ledger, and this request is of a further one.
fn crowded(what: &str, met: &weir_lease::Refusal) -> Refusal {
    let message = format!(
        "{what} has as many partitions as its namespace's share of the ledger holds, and there is none for this caller;          whoever owns it should divide it by something of fewer values (partitionBy){}",
        again(met.retry_after_ms),
    );
    let refusal = Refusal::new(503, ErrorType::Overloaded, "too_many_partitions", message);
    Refusal { retry_after_ms: met.retry_after_ms, should_retry: Some(false), ..refusal }
}

/// The ledger cannot say whether the limit covers the request.
fn unavailable(what: &str, code: &'static str, met: &weir_lease::Refusal) -> Refusal {
    let message = format!("{what} cannot be checked at the moment{}", again(met.retry_after_ms.or(Some(1_000))));
    let refusal = Refusal::new(503, ErrorType::Overloaded, code, message);
    Refusal { retry_after_ms: met.retry_after_ms.or(Some(1_000)), ..refusal }
}

/// A Budget that refuses everything.
pub(super) fn blocked(budget: &Budget) -> Refusal {
    let message = format!("the Budget {} blocks all requests", budget.id);
    let refusal = Refusal::new(403, ErrorType::Permission, "budget_blocked", message);
    Refusal { should_retry: Some(false), ..refusal }
}

/// A hard Budget of money and a request whose price nobody knows.
pub(super) fn unpriced(budget: &Budget, unit: Unit, asked: &Asked<'_>) -> Refusal {
    let model: String = asked.model.chars().take(128).collect();
    let why = format!("the Budget {} lets nothing through that it cannot count", budget.id);
    let (code, param, message) = match asked.unpriced_tier() {
        Some(tier) => {
            let name = tier.name().unwrap_or_default();
            let members: Vec<_> = tier.members().collect();
            let what = format!("the model {model:?} has no price in the service tier {name:?}");
            let mend = format!(
                "leave out {}, or have the tier priced in pricing.serviceTiers of the Provider's model",
                members.join(" and ")
            );
            let param = members.first().copied().unwrap_or("service_tier");
            ("service_tier_unpriced", param, format!("{what}, and {why}; {mend}"))
        }
        None => {
            let message = format!("the model {model:?} has no price in {}, and {why}", unit.as_str());
            ("model_unpriced", "model", message)
        }
    };
    let refusal = Refusal::new(403, ErrorType::Permission, code, message);
    Refusal { param: Some(param.into()), should_retry: Some(false), ..refusal }
}

/// An amount as people read it.
pub(crate) fn shown(unit: Unit, amount: u64) -> String {
    match unit {
        Unit::Currency(code) => format!("{} {code}", decimal(amount.into(), 9)),
        Unit::Tokens => format!("{amount} tokens"),
        Unit::InputTokens => format!("{amount} input tokens"),
        Unit::OutputTokens => format!("{amount} output tokens"),
        Unit::Requests => format!("{amount} requests"),
    }
}

pub(crate) fn span(ms: u64) -> String {
    match ms {
        ms if ms % 3_600_000 == 0 => format!("{} h", ms / 3_600_000),
        ms if ms % 60_000 == 0 => format!("{} min", ms / 60_000),
        ms if ms % 1_000 == 0 => format!("{} s", ms / 1_000),
        ms => format!("{ms} ms"),
    }
}

fn again(ms: Option<u64>) -> String {
    ms.map(|ms| format!("; try again in {}", span(ms.div_ceil(1_000) * 1_000))).unwrap_or_default()
}
