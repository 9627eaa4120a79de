//! What a request holds of rates and Budgets from before it is sent until it is settled.
//!
//! Settled exactly once: by its drop at the latest, which frees what was reserved.

use crate::clock::unix_s;
use crate::ledger::Ledger;
use crate::live::Live;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::time::Instant;
use weir_dialect::{Dialect, Refusal};
use weir_lease::{Reservation, Standing};
use weir_policy::{Asked, Budget, Came, Charge, Line, Payer, Route, refusal};
use weir_snapshot::{BudgetMode, Name, OnExceeded, Thrift, Unit};

/// Headers of most answers whose route has rates.
const HEADERS: usize = 18;
/// Between two looks for room of a request that may wait for it.
const LOOK: Duration = Duration::from_millis(100);

const LIMIT_MODE: HeaderName = HeaderName::from_static("x-weir-limit-mode");
const BUDGET_WARNING: HeaderName = HeaderName::from_static("x-weir-budget-warning");

/// What a request holds.
pub(crate) struct Funds {
    ledger: Arc<Ledger>,
    live: Arc<Live>,
    charges: Vec<Charge>,
    reservation: Option<Reservation>,
    /// The target that a Budget limits the request to.
    pub(crate) only: Option<String>,
    /// Who waits for the provider's room that it holds.
    line: Option<Arc<Line>>,
}

/// What the client is told of limits, whether it was served or not.
#[derive(Default)]
pub(crate) struct Told {
    /// Rates of the route, in the client's dialect.
    pub(crate) headers: HeaderMap,
    /// The Budget that moved the request to a cheaper target.
    pub(crate) degraded_by: Option<Name>,
}

impl Funds {
    /// Reserves what the request may come to. The refusal is the client's answer.
    pub(crate) async fn secure(
        ledger: &Arc<Ledger>,
        live: &Arc<Live>,
        asked: Asked<'_>,
        dialect: Dialect,
        told: &mut Told,
    ) -> Result<Self, Refusal> {
        let (mut soft, mut only, mut waits_until) = (Vec::new(), None::<String>, None::<Instant>);
        loop {
            let asked = Asked { only: only.as_deref(), ..asked };
            let charges = live.table.charges(&asked, &soft)?;
            if only.is_none()
                && let Some(Moved { by, to, .. }) = degraded(ledger, &charges, asked.route)
            {
                (told.degraded_by, only) = (Some(by), Some(to));
                continue;
            }
            let reserved = if charges.is_empty() { Ok(Reservation::default()) } else { ledger.reserve(&charges).await };
            let met = match reserved {
                Ok(reservation) => {
                    tell(ledger, &charges, &reservation, asked.route, dialect, told);
                    let (ledger, live) = (Arc::clone(ledger), Arc::clone(live));
                    return Ok(Self { ledger, live, charges, reservation: Some(reservation), only, line: None });
                }
                Err(met) => met,
            };
            let Some(charge) = charges.get(met.claim.unwrap_or(0)) else { return Err(Refusal::internal()) };
            if let Payer::Budget(budget) = &charge.of
                && met.exhausted
            {
                let elsewhere = match (&budget.data.on_exceeded, thrift(budget, asked.route)) {
                    (_, Some(thrift)) if only.is_none() => Some(Moved::by(budget, &thrift.target, false)),
                    (OnExceeded::Degrade { target }, _)
                        if has_target(asked.route, target) && !soft.contains(&budget.id) =>
                    {
                        Some(Moved::by(budget, target, true))
                    }
                    (OnExceeded::Queue { max_wait_ms }, _)
                        if Instant::now() < *waits_until.get_or_insert_with(|| after(*max_wait_ms)) =>
                    {
                        tokio::time::sleep(LOOK).await;
                        continue;
                    }
                    _ => lacking(ledger, &charges, asked.route, &soft).await,
                };
                if let Some(Moved { by, to, softly }) = elsewhere {
                    soft.extend(softly.then(|| by.clone()));
                    (told.degraded_by, only) = (Some(by), Some(to));
                    continue;
                }
            }
            tell(ledger, &charges, &Reservation::default(), asked.route, dialect, told);
            return Err(refusal(charge, asked.route, &met));
        }
    }

    /// What an attempt holds of its provider's limits; the line there is told when it comes back.
    pub(crate) fn at_provider(
        ledger: &Arc<Ledger>,
        live: &Arc<Live>,
        charges: Vec<Charge>,
        reservation: Reservation,
        line: &Arc<Line>,
    ) -> Self {
        let (ledger, live, line) = (Arc::clone(ledger), Arc::clone(live), Some(Arc::clone(line)));
        Self { ledger, live, charges, reservation: Some(reservation), only: None, line }
    }

    /// Settles at what the request came to.
    pub(crate) fn settle(mut self, came: &Came<'_>) {
        self.release(came);
    }

    fn release(&mut self, came: &Came<'_>) {
        if let Some(reservation) = self.reservation.take().filter(|_| !self.charges.is_empty()) {
            let spent: Vec<Option<u64>> =
                self.charges.iter().map(|charge| self.live.table.spent(charge, came)).collect();
            self.ledger.settle(reservation, &spent);
            self.line.iter().for_each(|line| line.freed());
        }
    }
}

impl Drop for Funds {
    fn drop(&mut self) {
        self.release(&Came { usage: None, pricing: None, provider: None });
    }
}

/// A request that a Budget moves to a cheaper target.
struct Moved {
    by: Name,
    /// Name of the target.
    to: String,
    /// Whether the Budget, which is spent, counts alone from then on.
    softly: bool,
}

impl Moved {
    fn by(budget: &Budget, target: &str, softly: bool) -> Self {
        Self { by: budget.id.clone(), to: target.to_owned(), softly }
    }
}

/// What the first Budget makes of it that is over its threshold, and whose cheaper target the route has.
fn degraded(ledger: &Ledger, charges: &[Charge], route: &Route) -> Option<Moved> {
    charges.iter().find_map(|charge| {
        let Payer::Budget(budget) = &charge.of else { return None };
        let Thrift { percent, target } = thrift(budget, route)?;
        let Standing { limit, spent, .. } = ledger.standing(&charge.claim)?;
        let over = u128::from(spent) * 100 >= u128::from(limit) * u128::from(*percent);
        over.then(|| Moved::by(budget, target, false))
    })
}

/// From when on a Budget moves requests to a cheaper target, which the route has.
fn thrift<'b>(budget: &'b Budget, route: &Route) -> Option<&'b Thrift> {
    budget.data.thrift.as_ref().filter(|thrift| has_target(route, &thrift.target))
}

/// What another Budget makes of it that is spent: at its target it may cost little enough for the one that refused.
async fn lacking(ledger: &Ledger, charges: &[Charge], route: &Route, soft: &[Name]) -> Option<Moved> {
    for charge in charges {
        let Payer::Budget(budget) = &charge.of else { continue };
        let OnExceeded::Degrade { target } = &budget.data.on_exceeded else { continue };
        if soft.contains(&budget.id) || !has_target(route, target) {
            continue;
        }
        match ledger.reserve(std::slice::from_ref(charge)).await {
            Ok(reservation) => ledger.settle(reservation, &[Some(0)]),
            Err(met) if met.exhausted => return Some(Moved::by(budget, target, true)),
            Err(_) => {}
        }
    }
    None
}

fn after(ms: u64) -> Instant {
    Instant::now() + Duration::from_millis(ms)
}

fn has_target(route: &Route, name: &str) -> bool {
    route.targets.iter().any(|target| target.data.name == name)
}

/// What the client is told: of each unit the rate with the least left, and Budgets that only warn and are spent.
fn tell(
    ledger: &Ledger,
    charges: &[Charge],
    reservation: &Reservation,
    route: &Route,
    dialect: Dialect,
    told: &mut Told,
) {
    for (unit, names) in [Unit::Requests, Unit::Tokens].into_iter().zip(rate_headers(dialect)) {
        let rates = charges.iter().filter(|charge| charge.unit == unit).filter_map(|charge| {
            let Payer::Rate(place) = &charge.of else { return None };
            Some((route.data.rate_limits.get(*place)?, ledger.standing(&charge.claim)?))
        });
        let Some((rate, standing)) = rates.min_by_key(|(_, standing)| standing.remaining) else { continue };
        let missing = u128::from(rate.burst.saturating_sub(standing.remaining)) * u128::from(rate.per_ms);
        let full_in_ms = u64::try_from(missing.div_ceil(u128::from(rate.amount.max(1)))).unwrap_or(u64::MAX);
        let [limit, remaining, reset] = names;
        told.headers.reserve(HEADERS);
        put(told, limit, rate.burst.to_string());
        put(told, remaining, standing.remaining.min(rate.burst).to_string());
        put(told, reset, dialect.reset(full_in_ms, unix_s()));
    }
    if reservation.local {
        told.headers.insert(LIMIT_MODE, HeaderValue::from_static("local"));
    }
    for charge in charges {
        let Payer::Budget(budget) = &charge.of else { continue };
        let warns = budget.data.mode == BudgetMode::Warn;
        if warns && ledger.standing(&charge.claim).is_some_and(|standing| standing.spent >= standing.limit) {
            put(told, &BUDGET_WARNING, budget.id.to_string());
        }
    }
}

fn put(told: &mut Told, name: &HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        told.headers.insert(name, value);
    }
}

/// The names of a dialect's headers of rates, each read once.
fn rate_headers(dialect: Dialect) -> &'static [[HeaderName; 3]; 4] {
    static NAMES: LazyLock<[[[HeaderName; 3]; 4]; 2]> = LazyLock::new(|| {
        [Dialect::OpenAI, Dialect::Anthropic]
            .map(|dialect| dialect.rate_headers().map(|unit| unit.map(HeaderName::from_static)))
    });
    let [openai, anthropic] = &*NAMES;
    match dialect {
        Dialect::OpenAI => openai,
        Dialect::Anthropic => anthropic,
    }
}
