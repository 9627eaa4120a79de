//! Rates of routes and limits of Providers as the numbers that pods use; here the defaults are applied.

use crate::findings::{Findings, Gravity};
use crate::spec::{millis, number};
use weir_crds::{Amount, RatePartition};
use weir_snapshot::{Currency, Dimension, ProviderLimits, Queue, RateLimit, Unit};

/// The rates of a route by their names; one that cannot be read is left out, and the route is not accepted.
pub(crate) fn rates(spec: &[weir_crds::RateLimit], findings: &mut Findings) -> Vec<RateLimit> {
    let mut rates: Vec<_> = spec.iter().enumerate().filter_map(|(at, rate)| one(rate, at, findings)).collect();
    rates.sort_by(|one, other| one.name.cmp(&other.name));
    rates
}

fn one(spec: &weir_crds::RateLimit, at: usize, findings: &mut Findings) -> Option<RateLimit> {
    let weir_crds::RateLimit { name, requests, tokens, cost, per, burst, partition_by, header } = spec;
    let per_ms = millis(Some(per), &format!("spec.rateLimits[{at}].per"), findings);
    let count = |unit, amount: i64| {
        let amount = number(Some(amount))?;
        Some((unit, amount, number(*burst).unwrap_or(amount)))
    };
    let (unit, amount, burst) = match (requests, tokens, cost) {
        (Some(requests), _, _) => count(Unit::Requests, *requests)?,
        (None, Some(tokens), _) => count(Unit::Tokens, *tokens)?,
        (None, None, Some(cost)) => {
            let mut money = |member: &str, text: &Amount| {
                let nanos = text.nanos();
                if nanos.is_none() {
                    let path = format!("spec.rateLimits[{at}].cost.{member}");
                    let message = format!("{:?} is no amount of money, or more than can be counted", text.0);
                    findings.add(Gravity::Invalid, "InvalidAmount", path, message);
                }
                nanos
            };
            let amount = money("amount", &cost.amount)?;
            let burst = cost.burst.as_ref().map_or(Some(amount), |burst| money("burst", burst))?;
            let currency = Currency::parse(&cost.currency);
            if currency.is_none() {
                let message = format!("{:?} is no currency; write its ISO 4217 code, such as USD", cost.currency);
                findings.add(
                    Gravity::Invalid,
                    "InvalidAmount",
                    format!("spec.rateLimits[{at}].cost.currency"),
                    message,
                );
            }
            (Unit::Currency(currency?), amount, burst)
        }
        (None, None, None) => return None,
    };
    let mut partition_by: Vec<_> = partition_by.iter().filter_map(|by| dimension(*by, header.as_deref())).collect();
    partition_by.sort();
    partition_by.dedup();
    Some(RateLimit { name: name.clone(), unit, amount, per_ms: per_ms?, burst, partition_by })
}

fn dimension(by: RatePartition, header: Option<&str>) -> Option<Dimension> {
    Some(match by {
        RatePartition::Caller => Dimension::Caller,
        RatePartition::ApiKey => Dimension::ApiKey,
        RatePartition::User => Dimension::User,
        RatePartition::Team => Dimension::Team,
        RatePartition::Model => Dimension::Model,
        RatePartition::Header => Dimension::Header(header?.to_owned()),
    })
}

/// What a Provider takes.
pub(crate) fn provider(spec: Option<&weir_crds::ProviderLimits>, findings: &mut Findings) -> ProviderLimits {
    let Some(weir_crds::ProviderLimits { max_concurrent, requests_per_minute, tokens_per_minute, queue }) = spec else {
        return ProviderLimits::default();
    };
    let queue = queue.as_ref().and_then(|queue| {
        let max_wait_ms = millis(Some(&queue.max_wait), "spec.limits.queue.maxWait", findings)?;
        Some(Queue { max_length: number(Some(queue.max_length))?, max_wait_ms })
    });
    ProviderLimits {
        max_concurrent: number(*max_concurrent),
        requests_per_minute: number(*requests_per_minute),
        tokens_per_minute: number(*tokens_per_minute),
        queue,
    }
}
