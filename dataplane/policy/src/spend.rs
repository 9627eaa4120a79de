//! What a request is charged to: the rates of its route, the Budgets that cover it, the limits of its provider.
//!
//! It names pots and amounts; whether they hold so much is the ledger's to say.

mod asked;
mod bound;
mod charge;
mod refuse;

pub use asked::Asked;
use asked::whole;
pub use bound::Bound;
pub use charge::{Charge, Payer};
pub use refuse::{no_room, refusal};
pub(crate) use refuse::{shown, span};

use crate::budgets::Budget;
use crate::price::{Cost, cost, dearest};
use crate::{Table, Target};
use std::sync::Arc;
use weir_dialect::{ErrorType, Refusal, Usage};
use weir_lease::{Claim, Terms};
use weir_snapshot::{BudgetMode, Currency, Name, Quote, Reservation, Unit};

/// Output that a rate makes room for where the caller set no limit.
const LIKELY_OUTPUT: u64 = 1_024;
/// Pots of one request; what it needs beyond is refused.
const MOST_POTS: usize = 32;

/// One part in so many of a provider's limit is left to higher classes.
const YIELD_SHARE: u64 = 10;

/// What a request may come to at one target.
struct At<'a> {
    /// Few requests come to more; what one comes to beyond is charged afterwards.
    likely: Size,
    /// No request comes to more.
    most: Size,
    pricing: Option<Quote<'a>>,
    provider: &'a Name,
}

/// In tokens.
#[derive(Clone, Copy)]
struct Size {
    input: u64,
    output: u64,
}

/// What came of a request.
#[derive(Debug, Clone, Copy)]
pub struct Came<'a> {
    /// What it used; `None` where no provider answered.
    pub usage: Option<&'a Usage>,
    /// What its model costs in the tier of service that it was of.
    pub pricing: Option<Quote<'a>>,
    /// Who answered.
    pub provider: Option<&'a Name>,
}

impl Table {
    /// Whether some requests are refused where the ledger cannot be asked.
    pub fn enforces_budgets(&self) -> bool {
        self.budgets.any_enforces()
    }

    /// The pots of the route's rates and of the Budgets that cover the request. `soft` Budgets are counted alone.
    pub fn charges(&self, asked: &Asked<'_>, soft: &[Name]) -> Result<Vec<Charge>, Refusal> {
        let mut budgets = asked.covering(&self.budgets);
        if asked.counts_only {
            if let Some(budget) = budgets.iter().find(|budget| budget.data.mode == BudgetMode::Block) {
                return Err(refuse::blocked(budget));
            }
            budgets.clear();
        }
        let pots = asked.route.rates.len() + budgets.iter().map(|budget| budget.limits.len()).sum::<usize>();
        if pots == 0 {
            return Ok(Vec::new());
        }
        if pots > MOST_POTS {
            let message = format!(
                "the request is covered by {pots} limits of Budgets and rates, and at most {MOST_POTS} can be kept at once",
            );
            return Err(Refusal::new(503, ErrorType::Overloaded, "too_many_budgets", message));
        }
        let targets: Vec<_> = asked.targets().map(|target| at(asked, target)).collect();
        let mut charges = Vec::with_capacity(pots);
        self.charge_rates(asked, &targets, &mut charges);
        for budget in budgets {
            self.charge_budget(budget, asked, &targets, soft.contains(&budget.id), &mut charges)?;
        }
        Ok(charges)
    }

    fn charge_rates(&self, asked: &Asked<'_>, targets: &[At<'_>], charges: &mut Vec<Charge>) {
        for (place, (rate, limit)) in asked.route.data.rate_limits.iter().zip(&asked.route.rates).enumerate() {
            if asked.counts_only && rate.unit != Unit::Requests {
                continue;
            }
            let terms = Terms::Rate { amount: rate.amount, per_ms: rate.per_ms, burst: rate.burst };
            let amounts = targets.iter().map(|at| self.estimate(rate.unit, at.likely, at.pricing, None));
            // A request over the whole burst could never be met: it takes all of it.
            let amount = dearest_of(amounts).unwrap_or(0).min(rate.burst);
            let believed = self.budgets.believed(&asked.route.id.namespace, asked.caller);
            let partition = asked.partition(&rate.partition_by, believed);
            let claim = Claim { limit: Arc::clone(limit), partition, amount, leave: 0, terms };
            charges.push(Charge { claim, unit: rate.unit, of: Payer::Rate(place) });
        }
    }

    fn charge_budget(
        &self,
        budget: &Arc<Budget>,
        asked: &Asked<'_>,
        targets: &[At<'_>],
        soft: bool,
        charges: &mut Vec<Charge>,
    ) -> Result<(), Refusal> {
        if budget.data.mode == BudgetMode::Block {
            return Err(refuse::blocked(budget));
        }
        let hard = budget.data.mode == BudgetMode::Enforce && !soft;
        let terms = if hard { Terms::Hard(budget.data.failure_mode) } else { Terms::Soft };
        let believed = self.budgets.believed(&budget.id.namespace, asked.caller);
        let partition = asked.partition(&budget.data.partition_by, believed);
        let covered = || targets.iter().filter(|at| budget.counts(Some(at.provider)));
        for (limit, pot) in budget.data.limits.iter().zip(&budget.limits) {
            let amounts = covered()
                .map(|at| self.estimate(limit.unit, at.most, at.pricing, budget.ceiling_of(Some(at.provider))));
            let amount = match budget.data.reservation {
                Reservation::Fixed(amount) => Some(amount),
                Reservation::UpperBound => dearest_of(amounts),
            };
            let amount = match amount {
                Some(amount) => amount,
                None if hard => return Err(refuse::unpriced(budget, limit.unit, asked)),
                None => 0,
            };
            let (limit_name, partition) = (Arc::clone(pot), Arc::clone(&partition));
            let claim = Claim { limit: limit_name, partition, amount, leave: 0, terms };
            charges.push(Charge { claim, unit: limit.unit, of: Payer::Budget(Arc::clone(budget)) });
        }
        Ok(())
    }

    /// What a request of that size comes to of a unit; `None` where a price is needed and missing. The dearest price of
    /// `ceiling`'s namespaces counts there, if given.
    fn estimate(&self, unit: Unit, size: Size, pricing: Option<Quote<'_>>, ceiling: Option<[&str; 2]>) -> Option<u64> {
        let Size { input, output } = size;
        match unit {
            Unit::Requests => Some(1),
            Unit::Tokens => Some(input.saturating_add(output)),
            Unit::InputTokens => Some(input),
            Unit::OutputTokens => Some(output),
            Unit::Currency(currency) => {
                let pricing = self.pricing(pricing, currency, ceiling)?;
                self.in_currency(&dearest(pricing, input, output), currency)
            }
        }
    }

    /// The price to count with; where there is none, the dearest of that currency if the Budget says so.
    fn pricing<'a>(
        &'a self,
        known: Option<Quote<'a>>,
        currency: Currency,
        ceiling: Option<[&str; 2]>,
    ) -> Option<Quote<'a>> {
        known.or_else(|| self.budgets.ceiling(ceiling?, currency))
    }

    fn in_currency(&self, cost: &Cost, currency: Currency) -> Option<u64> {
        Some(cost.in_currency(currency, &self.settings().exchange_rates)?.nano())
    }

    /// What a charge comes to in the end, in its unit's smallest parts; `None` = nobody knows the price.
    pub fn spent(&self, charge: &Charge, came: &Came<'_>) -> Option<u64> {
        let ceiling = match &charge.of {
            Payer::Rate(..) => {
                if charge.unit == Unit::Requests {
                    return Some(1);
                }
                None
            }
            Payer::Provider { gauge: true, .. } => return Some(0),
            // It was sent, whatever came of it.
            Payer::Provider { gauge: false, .. } if charge.unit == Unit::Requests => return Some(1),
            Payer::Provider { gauge: false, .. } => None,
            Payer::Budget(budget) if !budget.counts(came.provider) => return Some(0),
            Payer::Budget(budget) => budget.ceiling_of(came.provider),
        };
        let Some(usage) = came.usage else { return Some(0) };
        match charge.unit {
            Unit::Requests => Some(1),
            Unit::Tokens => Some(usage.input_total().saturating_add(usage.output_total())),
            Unit::InputTokens => Some(usage.input_total()),
            Unit::OutputTokens => Some(usage.output_total()),
            Unit::Currency(currency) => {
                let pricing = self.pricing(came.pricing, currency, ceiling);
                pricing.and_then(|pricing| self.in_currency(&cost(usage, pricing), currency))
            }
        }
    }

    /// The pots of a target's provider, for one attempt; one that `yields` leaves a share of each to higher classes.
    pub fn provider_charges(&self, target: &Target, asked: &Asked<'_>, yields: bool) -> Vec<Charge> {
        let (limits, At { likely, pricing, .. }) = (&target.provider.data.limits, at(asked, target));
        let charge = |(unit, limit, terms): &(Option<Unit>, Arc<str>, Terms)| {
            let amount = match unit {
                None | Some(Unit::Requests) => 1,
                Some(unit) => {
                    let most = limits.tokens_per_minute.unwrap_or(u64::MAX);
                    self.estimate(*unit, likely, pricing, None).unwrap_or(0).min(most)
                }
            };
            let most = match terms {
                Terms::Rate { burst, .. } => *burst,
                Terms::Gauge { most } => *most,
                Terms::Hard(_) | Terms::Soft => 0,
            };
            let leave = if yields { most.div_ceil(YIELD_SHARE).min(most.saturating_sub(amount)) } else { 0 };
            Charge {
                claim: Claim { limit: Arc::clone(limit), partition: whole(), amount, leave, terms: *terms },
                unit: unit.unwrap_or(Unit::Requests),
                of: Payer::Provider { provider: Arc::clone(&target.provider), gauge: unit.is_none() },
            }
        };
        let counted = |(unit, ..): &&(Option<Unit>, Arc<str>, Terms)| {
            !asked.counts_only || matches!(unit, None | Some(Unit::Requests))
        };
        target.provider.pots.iter().filter(counted).map(charge).collect()
    }
}

/// What the request may come to at that target.
fn at<'a>(asked: &Asked<'_>, target: &'a Target) -> At<'a> {
    let limits = target.limits_for(asked.model);
    let within = |input: u64| limits.context_window.map_or(input, |window| input.min(window));
    let unasked = limits.max_output.map_or(LIKELY_OUTPUT, |most| most.min(LIKELY_OUTPUT));
    let each = target.most_output(asked.max_output).unwrap_or(unasked);
    At {
        likely: Size { input: within(asked.input.likely), output: each.saturating_mul(asked.choices) },
        most: Size { input: within(asked.input.most), output: asked.most_output(target) },
        pricing: asked.quote(target),
        provider: &target.provider.id,
    }
}

/// Whichever target answers; `None` where one of them cannot be told.
fn dearest_of(mut amounts: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    amounts.try_fold(0, |most, amount| Some(amount?.max(most)))
}
