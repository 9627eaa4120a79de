//! What the ledger knows, as the status of Budgets tells it.

use crate::status::{Caveat, Spending, Spent, SpentOfLimit, SpentOfPartition};
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_lease::{Health, LimitView, PotView, TOP, View, limits_of_budget, limits_of_route};
use weir_snapshot::{Budget, BudgetMode, Limit, Name, Resource, Snapshot};

/// How every Budget and the rates of every route of the snapshot stand.
pub(crate) fn spending(view: &View, snapshot: &Snapshot) -> Spending {
    let mut spending = Spending::default();
    for (id, sealed) in &snapshot.resources {
        match &sealed.resource {
            Resource::Budget(budget) => {
                let spent = spent(view, &id.name, budget).map(Arc::new);
                spending.budgets.extend(spent.map(|spent| (id.name.clone(), spent)));
            }
            Resource::Route(route) => {
                let full =
                    |(pot, _): &(Arc<str>, weir_lease::Limit)| view.limits.get(pot).is_some_and(|held| held.full);
                let limits = limits_of_route(&id.name, route);
                let crowded = route.rate_limits.iter().zip(&limits).filter(|(_, limit)| full(limit));
                let crowded: Vec<String> = crowded.map(|(rate, _)| rate.name.clone()).collect();
                if !crowded.is_empty() {
                    spending.crowded_rates.insert(id.name.clone(), crowded);
                }
            }
            Resource::Settings(_)
            | Resource::Issuer(_)
            | Resource::KeySet(_)
            | Resource::Namespace(_)
            | Resource::ServiceAccount(_)
            | Resource::ApiKey(_)
            | Resource::Prices(_)
            | Resource::Provider(_)
            | Resource::Consent(_)
            | Resource::Credential(_)
            | Resource::Access(_) => {}
        }
    }
    spending
}

fn spent(view: &View, name: &Name, budget: &Budget) -> Option<Spent> {
    let pots: Vec<_> = limits_of_budget(name, budget).into_iter().map(|(pot, _)| pot).collect();
    let limits: Vec<(&Limit, &LimitView)> =
        budget.limits.iter().zip(&pots).filter_map(|(limit, pot)| Some((limit, view.limits.get(pot)?))).collect();
    let span = limits.first()?.1.span;
    let most_used = |of: &(&Limit, &LimitView)| {
        let (limit, held) = of;
        let pot = held.top.first().map(|(_, pot)| *pot).unwrap_or_default();
        of_limit(limit, held, pot)
    };
    let partitions = limits.iter().map(|(_, held)| held.partitions as u64).max().unwrap_or(0);
    Some(Spent {
        limits: limits.iter().map(most_used).collect(),
        starts: span.ends.map(|_| span.begins / 1_000),
        ends: span.ends.map(|ends| ends / 1_000),
        partitions: if budget.partition_by.is_empty() { 1 } else { partitions },
        top: if budget.partition_by.is_empty() { Vec::new() } else { top(&limits) },
        unpriced: limits.iter().map(|(_, held)| held.unpriced).max().unwrap_or(0),
        overrides: limits.iter().flat_map(|(_, held)| held.overrides.iter().cloned()).collect(),
        caveat: caveat(view.health).or_else(|| limits.iter().any(|(_, held)| held.full).then(|| full(budget.mode))),
    })
}

fn of_limit(limit: &Limit, held: &LimitView, pot: PotView) -> SpentOfLimit {
    let PotView { spent, reserved, unaccounted, unpriced: _ } = pot;
    SpentOfLimit { unit: limit.unit, limit: held.amount, spent, reserved, unaccounted }
}

/// The partitions that are used most, each by its limit that is used most. Whoever is among them is among those that
/// have spent most of that limit.
fn top(limits: &[(&Limit, &LimitView)]) -> Vec<SpentOfPartition> {
    let mut all: BTreeMap<&Arc<str>, SpentOfLimit> = BTreeMap::new();
    for (limit, held) in limits {
        for (partition, pot) in &held.top {
            let of = of_limit(limit, held, *pot);
            if all.get(partition).is_none_or(|known| known.percent() < of.percent()) {
                all.insert(partition, of);
            }
        }
    }
    let mut top: Vec<_> = all
        .into_iter()
        .map(|(partition, limit)| SpentOfPartition { partition: partition.to_string(), limit })
        .collect();
    top.sort_by(|a, b| {
        (b.limit.percent(), b.limit.spent, &a.partition).cmp(&(a.limit.percent(), a.limit.spent, &b.partition))
    });
    top.truncate(TOP);
    top
}

fn caveat(health: Health) -> Option<Caveat> {
    let (reason, message) = match health {
        Health::Exact => return None,
        Health::Recovering => (
            "Recovering",
            "a new leader of the ledger has not heard of every pod yet; what they may hold counts as spent until then",
        ),
        Health::Reset => {
            ("LedgerReset", "the ledger's store was empty and no pod knew what had been spent; counting began anew")
        }
    };
    Some(Caveat { reason, message: message.to_owned() })
}

fn full(mode: BudgetMode) -> Caveat {
    let what = match mode {
        BudgetMode::Enforce => "requests of further ones are refused with 503",
        BudgetMode::Warn | BudgetMode::Shadow | BudgetMode::Off | BudgetMode::Block => "further ones are not counted",
    };
    let message = format!(
        "this Budget, or its namespace, has as many partitions as its share of the ledger holds, and {what}; divide it by \
         something of fewer values (spec.partitionBy), have fewer such Budgets, or keep the ledger in Redis \
         (ledger.redisSecretName of the chart), which holds more"
    );
    Caveat { reason: "TooManyPartitions", message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_lease::Span;

    #[test]
    fn a_ledger_without_room_for_further_partitions_is_a_reason_not_to_be_enforcing() {
        let limit = Limit { unit: weir_snapshot::Unit::Tokens, amount: 10 };
        let budget: Budget = serde_json::from_value(serde_json::json!({
            "limits": [limit], "window": "Total", "mode": "Enforce", "partition_by": ["User"],
        }))
        .expect("a Budget");
        let name = Name::new("team", "users");
        let shown = |health, full| {
            let (overrides, top) = (vec![], vec![]);
            let held = LimitView { amount: 10, overrides, span: Span::ALWAYS, partitions: 0, top, unpriced: 0, full };
            let limits = limits_of_budget(&name, &budget).into_iter().map(|(pot, _)| (pot, held.clone())).collect();
            let spent = spent(&View { limits, health }, &name, &budget).expect("it is known");
            spent.caveat.map(|caveat| caveat.reason)
        };
        assert_eq!(shown(Health::Exact, false), None);
        assert_eq!(shown(Health::Exact, true), Some("TooManyPartitions"));
        assert_eq!(shown(Health::Reset, true), Some("LedgerReset"), "what was lost is worse");
    }
}
