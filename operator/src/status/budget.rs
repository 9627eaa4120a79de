//! Status of a Budget. Pure.
//!
//! It shows what the ledger tells of it, and says so where the ledger tells nothing.

use super::conditions::{Finding, compiled, conditions, summary};
use super::spending::{Spent, SpentOfLimit, decimal};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use weir_compile::Verdict;
use weir_crds::{Budget, BudgetLimit, BudgetMode, BudgetState, BudgetStatus, LimitStatus, PartitionStatus};
use weir_snapshot::Unit;

/// Lists in status are capped; totals stand beside them.
const MAX_PARTITIONS: usize = 10;
/// Longest name of a partition.
const PARTITION_BYTES: usize = 512;

/// What stands in status at `now`; `programmed` is what the fleet says of it, `spent` what the ledger does.
pub(crate) fn status(
    budget: &Budget,
    verdict: &Verdict,
    programmed: Finding,
    spent: Option<&Spent>,
    now: Timestamp,
) -> BudgetStatus {
    let mode = budget.spec.mode.unwrap_or_default();
    let accepted = verdict.conditions.iter().all(|condition| condition.status);
    let most = spent.and_then(most_used);
    let reached = reached(budget, most);
    let mut findings = compiled(verdict);
    findings.push(enforcing(mode, programmed, spent));
    findings.extend(summary(&findings));
    findings.extend([within(most), exhausted(spent, most), overridden(spent)]);
    let stored = budget.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let text = |pick: fn(&SpentOfLimit) -> (u64, u64)| {
        most.map(|limit| {
            let (amount, minus) = pick(limit);
            decimal(limit.unit, amount, minus)
        })
    };
    BudgetStatus {
        observed_generation: Some(verdict.generation),
        conditions: conditions(findings, stored, verdict.generation, now),
        state: Some(state(mode, accepted, most, &reached)),
        mode: Some(mode),
        limit: Some(most.map_or_else(|| as_written(budget), of_limit)),
        spent: text(|limit| (limit.spent, 0)),
        reserved: text(|limit| (limit.reserved, 0)),
        remaining: text(remaining),
        used_percent: most.map(|limit| number(limit.percent())),
        used: most.map(|limit| format!("{}%", limit.percent())),
        period_start: spent.and_then(|spent| time(spent.starts)),
        period_end: spent.and_then(|spent| time(spent.ends)),
        limits: spent.map(|spent| spent.limits.iter().map(limit_status).collect()).unwrap_or_default(),
        thresholds_reached: reached,
        partitions_total: spent.map(|spent| number(spent.partitions)),
        top_partitions: spent.map(top).unwrap_or_default(),
        unpriced_requests: spent.map(|spent| number(spent.unpriced)),
        unaccounted: text(|limit| (limit.unaccounted, 0)),
    }
}

/// The limit that is used most.
pub(crate) fn most_used(spent: &Spent) -> Option<&SpentOfLimit> {
    // Of equal ones the first, so that the same facts give the same status.
    spent.limits.iter().rev().max_by_key(|limit| limit.percent())
}

fn remaining(limit: &SpentOfLimit) -> (u64, u64) {
    (limit.limit, limit.gone().saturating_add(limit.reserved))
}

/// Whether every pod holds it and the ledger is exact. What refuses everything needs no ledger.
fn enforcing(mode: BudgetMode, programmed: Finding, spent: Option<&Spent>) -> Finding {
    let finding = |status, reason: &str, message: String| Finding::new("Enforcing", status, reason, message);
    if mode == BudgetMode::Disabled {
        return finding(Some(false), "Disabled", "it is switched off; set another mode".to_owned());
    }
    if programmed.status != Some(true) {
        return finding(Some(false), "NotProgrammed", programmed.message);
    }
    match spent.map(|spent| &spent.caveat) {
        Some(Some(caveat)) => finding(Some(false), caveat.reason, caveat.message.clone()),
        None if mode != BudgetMode::Block => {
            finding(Some(false), "Recovering", "the ledger tells nothing of it yet".to_owned())
        }
        None | Some(None) => finding(Some(true), "Enforcing", programmed.message),
    }
}

fn within(most: Option<&SpentOfLimit>) -> Finding {
    let finding = |status, reason: &str, message| Finding::new("WithinBudget", status, reason, message);
    match most {
        None => finding(None, "NotCounted", "the ledger tells nothing of it yet".to_owned()),
        Some(limit) if limit.spent > limit.limit => finding(Some(false), "OverBudget", used(limit)),
        // The numbers stand beside it, where they may change without a word.
        Some(_) => finding(Some(true), "WithinBudget", "no more was spent than the limit".to_owned()),
    }
}

fn exhausted(spent: Option<&Spent>, most: Option<&SpentOfLimit>) -> Finding {
    let finding = |status, reason: &str, message| Finding::new("Exhausted", status, reason, message);
    match most {
        None => finding(None, "NotCounted", "the ledger tells nothing of it yet".to_owned()),
        Some(limit) if is_exhausted(limit) => {
            let whose = spent.and_then(|spent| spent.top.first());
            let whose = whose.map(|top| format!(" by {}", top.partition)).unwrap_or_default();
            let message =
                format!("the limit of {} is spent{whose}; wait for its reset, or add an override", of_limit(limit));
            finding(Some(true), "Exhausted", message)
        }
        Some(_) => finding(Some(false), "NotExhausted", "something is left of every limit".to_owned()),
    }
}

fn overridden(spent: Option<&Spent>) -> Finding {
    let finding = |status, reason: &str, message| Finding::new("Overridden", status, reason, message);
    match spent.map(|spent| spent.overrides.as_slice()) {
        None => finding(None, "NotCounted", "the ledger tells nothing of it yet".to_owned()),
        Some([]) => finding(Some(false), "NotOverridden", "no override holds now".to_owned()),
        Some(names) => finding(Some(true), "Overridden", format!("these overrides hold: {}", names.join(", "))),
    }
}

/// Whether nothing is left but what running requests may give back.
pub(crate) fn is_exhausted(limit: &SpentOfLimit) -> bool {
    limit.gone() >= limit.limit
}

/// The thresholds that are reached, by rising percent.
fn reached(budget: &Budget, most: Option<&SpentOfLimit>) -> Vec<i32> {
    let percent = most.map_or(0, SpentOfLimit::percent);
    let is_reached = |threshold: &i32| u64::try_from(*threshold).is_ok_and(|threshold| percent >= threshold);
    let mut reached: Vec<i32> = budget.spec.thresholds.iter().map(|held| held.percent).filter(is_reached).collect();
    reached.sort_unstable();
    reached
}

fn state(mode: BudgetMode, accepted: bool, most: Option<&SpentOfLimit>, reached: &[i32]) -> BudgetState {
    let restricts = matches!(mode, BudgetMode::Enforce | BudgetMode::Block);
    match (mode, most) {
        (BudgetMode::Disabled, _) => BudgetState::Disabled,
        (BudgetMode::Block, _) => BudgetState::Blocked,
        _ if restricts && !accepted => BudgetState::Blocked,
        (_, None) => BudgetState::Unknown,
        (_, Some(limit)) if is_exhausted(limit) => BudgetState::Exhausted,
        (_, Some(_)) if !reached.is_empty() => BudgetState::Warning,
        (_, Some(_)) => BudgetState::OK,
    }
}

fn limit_status(limit: &SpentOfLimit) -> LimitStatus {
    let (left, taken) = remaining(limit);
    LimitStatus {
        unit: limit.unit.as_str().to_owned(),
        limit: decimal(limit.unit, limit.limit, 0),
        spent: decimal(limit.unit, limit.spent, 0),
        reserved: decimal(limit.unit, limit.reserved, 0),
        remaining: decimal(limit.unit, left, taken),
        used_percent: number(limit.percent()),
    }
}

fn top(spent: &Spent) -> Vec<PartitionStatus> {
    let shown = spent.top.iter().take(MAX_PARTITIONS).map(|held| {
        let mut partition = held.partition.clone();
        partition.truncate(partition.floor_char_boundary(PARTITION_BYTES));
        PartitionStatus {
            partition,
            spent: decimal(held.limit.unit, held.limit.spent, 0),
            used_percent: number(held.limit.percent()),
        }
    });
    shown.collect()
}

/// The first limit of the spec, for as long as the ledger tells of none: in the form in which it will.
fn as_written(budget: &Budget) -> String {
    let shown = |limit: &BudgetLimit| {
        let unit = Unit::parse(&limit.unit)?;
        let amount = if let Unit::Currency(_) = unit { limit.amount.nanos() } else { limit.amount.whole() };
        Some(format!("{} {}", decimal(unit, amount?, 0), unit.as_str()))
    };
    budget.spec.limits.first().and_then(shown).unwrap_or_default()
}

fn of_limit(limit: &SpentOfLimit) -> String {
    format!("{} {}", decimal(limit.unit, limit.limit, 0), limit.unit.as_str())
}

fn used(limit: &SpentOfLimit) -> String {
    format!("more was spent than the limit of {}", of_limit(limit))
}

fn time(seconds: Option<i64>) -> Option<Time> {
    Timestamp::from_second(seconds?).ok().map(Time)
}

fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
