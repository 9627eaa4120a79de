//! What the ledger knows, as the status of Budgets tells it.

use crate::status::{Caveat, Spending, Spent, SpentOfLimit, SpentOfPartition};
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_lease::{Health, LimitView, PotView, View, limits_of_budget};
use weir_snapshot::{Budget, Kind, Limit, Name, Resource, Snapshot};

/// Partitions that a status names.
const TOP: usize = 10;

/// How every Budget of the snapshot stands.
pub(crate) fn spending(view: &View, snapshot: &Snapshot) -> Spending {
    let of_kind = snapshot.resources.iter().filter(|(id, _)| id.kind == Kind::Budget);
    let budgets = of_kind.filter_map(|(id, sealed)| {
        let Resource::Budget(budget) = &sealed.resource else { return None };
        Some((&id.name, budget))
    });
    budgets.filter_map(|(name, budget)| Some((name.clone(), Arc::new(spent(view, name, budget)?)))).collect()
}

fn spent(view: &View, name: &Name, budget: &Budget) -> Option<Spent> {
    let pots: Vec<_> = limits_of_budget(name, budget).into_iter().map(|(pot, _)| pot).collect();
    let limits: Vec<(&Limit, &LimitView)> =
        budget.limits.iter().zip(&pots).filter_map(|(limit, pot)| Some((limit, view.limits.get(pot)?))).collect();
    let span = limits.first()?.1.span;
    let most_used = |of: &(&Limit, &LimitView)| {
        let (limit, held) = of;
        let pot = held.pots.values().max_by_key(|pot| pot.spent).copied().unwrap_or_default();
        of_limit(limit, held, pot)
    };
    let partitions = limits.iter().map(|(_, held)| held.pots.len() as u64).max().unwrap_or(0);
    Some(Spent {
        limits: limits.iter().map(most_used).collect(),
        starts: span.ends.map(|_| span.begins / 1_000),
        ends: span.ends.map(|ends| ends / 1_000),
        partitions: if budget.partition_by.is_empty() { 1 } else { partitions },
        top: if budget.partition_by.is_empty() { Vec::new() } else { top(&limits) },
        unpriced: limits.iter().map(unpriced).max().unwrap_or(0),
        overrides: limits.iter().flat_map(|(_, held)| held.overrides.iter().cloned()).collect(),
        caveat: caveat(view.health).or_else(|| limits.iter().any(|(_, held)| held.full).then(full)),
    })
}

/// Requests whose price nobody knew, over all partitions.
fn unpriced((_, held): &(&Limit, &LimitView)) -> u64 {
    held.pots.values().map(|pot| pot.unpriced).sum()
}

fn of_limit(limit: &Limit, held: &LimitView, pot: PotView) -> SpentOfLimit {
    let PotView { spent, reserved, unaccounted, unpriced: _ } = pot;
    SpentOfLimit { unit: limit.unit, limit: held.amount, spent, reserved, unaccounted }
}

/// The partitions that are used most, each by its limit that is used most.
fn top(limits: &[(&Limit, &LimitView)]) -> Vec<SpentOfPartition> {
    let mut all: BTreeMap<&Arc<str>, SpentOfLimit> = BTreeMap::new();
    for (limit, held) in limits {
        for (partition, pot) in &held.pots {
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

fn full() -> Caveat {
    let message = "the ledger holds as many partitions as its store takes, and requests of further ones are refused with 503; \
        have fewer, or keep the ledger in Redis (ledger.redisSecretName of the chart)";
    Caveat { reason: "TooManyPartitions", message: message.to_owned() }
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
            let held = LimitView { amount: 10, overrides: vec![], span: Span::ALWAYS, pots: BTreeMap::new(), full };
            let limits = limits_of_budget(&name, &budget).into_iter().map(|(pot, _)| (pot, held.clone())).collect();
            let spent = spent(&View { limits, health }, &name, &budget).expect("it is known");
            spent.caveat.map(|caveat| caveat.reason)
        };
        assert_eq!(shown(Health::Exact, false), None);
        assert_eq!(shown(Health::Exact, true), Some("TooManyPartitions"));
        assert_eq!(shown(Health::Reset, true), Some("LedgerReset"), "what was lost is worse");
    }
}
