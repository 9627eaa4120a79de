//! Status of an LLMRoute. Pure.

use super::conditions::{Finding, compiled, conditions, summary};
use k8s_openapi::jiff::Timestamp;
use weir_compile::Verdict;
use weir_crds::{Effective, LLMRoute, LLMRouteStatus};

/// Lists in status are capped; totals stand beside them.
const MAX_LISTED: usize = 64;
/// Budgets that are named.
const MAX_BUDGETS: usize = 16;
/// Longest entry of such a list.
const ENTRY_BYTES: usize = 1024;

/// What stands in status at `now`; `programmed` is what the fleet says of it, and `crowded` are its rates that have as many
/// partitions as they may.
pub(crate) fn status(
    route: &LLMRoute,
    verdict: &Verdict,
    (programmed, pods): (Finding, String),
    crowded: &[String],
    now: Timestamp,
) -> LLMRouteStatus {
    let mut findings = compiled(verdict);
    findings.push(programmed);
    findings.extend(summary(&findings));
    // Requests of known partitions flow, so that it says nothing of `Ready`.
    findings.extend((!route.spec.rate_limits.is_empty()).then(|| enforcing(crowded)));
    let stored = route.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let Verdict { targets_ready, targets_total, targets_bad, generation, .. } = verdict;
    let not_ready = targets_bad.iter().take(MAX_LISTED).cloned().map(|mut entry| {
        // The schema counts characters, of which there are never more than bytes.
        entry.truncate(entry.floor_char_boundary(ENTRY_BYTES));
        entry
    });
    LLMRouteStatus {
        observed_generation: Some(*generation),
        conditions: conditions(findings, stored, *generation, now),
        effective: Some(Effective {
            targets_ready: count(*targets_ready),
            targets_total: count(*targets_total),
            not_ready: not_ready.collect(),
        }),
        models_total: Some(count(route.spec.models.len())),
        targets: Some(format!("{targets_ready}/{targets_total}")),
        programmed: Some(pods),
        budgets: verdict.budgets.iter().take(MAX_BUDGETS).map(ToString::to_string).collect(),
        budgets_total: Some(count(verdict.budgets.len())),
    }
}

/// Whether the rates let every caller in that they should.
fn enforcing(crowded: &[String]) -> Finding {
    if crowded.is_empty() {
        return Finding::new("Enforcing", Some(true), "Enforcing", "every rate limit has room for further partitions");
    }
    let message = format!(
        "these rate limits, or their namespace, have as many partitions as their share of the ledger holds, and requests of \
         further ones are refused with 503: {}; divide them by something of fewer values (rateLimits[].partitionBy)",
        crowded.join(", "),
    );
    Finding::new("Enforcing", Some(false), "TooManyPartitions", message)
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
