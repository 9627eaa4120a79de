//! The Budgets of a table, by whom they may cover.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use weir_lease::limits_of_budget;
use weir_snapshot::{BudgetMode, Currency, Name, Price, Pricing, Quote, Resource, Tariff};

/// A Budget as requests use it.
#[derive(Clone)]
pub struct Budget {
    /// Namespace and name.
    pub id: Name,
    /// What was pushed.
    pub data: Arc<weir_snapshot::Budget>,
    /// Names of its limits in the ledger, in their order.
    pub limits: Vec<Arc<str>>,
}

/// All Budgets, indexed.
#[derive(Default)]
pub(crate) struct Budgets {
    by_name: BTreeMap<Name, Arc<Budget>>,
    /// Those that select by the caller's namespace.
    by_namespace: HashMap<String, Vec<Arc<Budget>>>,
    others: Vec<Arc<Budget>>,
    /// The dearest price of each currency, whatever tier of service it is of.
    ceilings: BTreeMap<Currency, Pricing>,
}

impl Budgets {
    /// Takes over what is the same as before.
    pub(crate) fn build<'a>(
        pushed: impl Iterator<Item = (&'a Name, &'a Resource)>,
        prices: impl Iterator<Item = &'a Pricing>,
        previous: &Self,
    ) -> Self {
        let mut budgets = Self::default();
        for (name, resource) in pushed {
            let Resource::Budget(data) = resource else { continue };
            let same = previous.by_name.get(name).filter(|held| Arc::ptr_eq(&held.data, data));
            let budget = same.cloned().unwrap_or_else(|| {
                let limits = limits_of_budget(name, data).into_iter().map(|(limit, _)| limit).collect();
                Arc::new(Budget { id: name.clone(), data: Arc::clone(data), limits })
            });
            match &budget.data.selector.caller_namespaces {
                Some(namespaces) => namespaces.iter().for_each(|namespace| {
                    budgets.by_namespace.entry(namespace.clone()).or_default().push(Arc::clone(&budget));
                }),
                None => budgets.others.push(Arc::clone(&budget)),
            }
            budgets.by_name.insert(name.clone(), budget);
        }
        for Quote { pricing, tariff } in prices.flat_map(Pricing::quotes) {
            let dearer = |held: &Pricing| weight(tariff) > weight(&held.standard);
            if budgets.ceilings.get(&pricing.currency).is_none_or(dearer) {
                let (standard, service_tiers) = (tariff.clone(), BTreeMap::new());
                let ceiling = Pricing { standard, service_tiers, ..pricing.clone() };
                budgets.ceilings.insert(pricing.currency, ceiling);
            }
        }
        budgets
    }

    /// Those that may cover a caller of that namespace.
    pub(crate) fn of(&self, namespace: &str) -> impl Iterator<Item = &Arc<Budget>> {
        self.by_namespace.get(namespace).into_iter().flatten().chain(&self.others)
    }

    /// The Budgets above one, the parent first.
    pub(crate) fn above<'a>(&'a self, budget: &'a Budget) -> impl Iterator<Item = &'a Arc<Budget>> {
        budget.data.ancestors.iter().filter_map(|name| self.by_name.get(name))
    }

    /// Whether any refuses what it does not cover.
    pub(crate) fn any_enforces(&self) -> bool {
        self.by_name.values().any(|budget| budget.data.mode == BudgetMode::Enforce)
    }

    /// The dearest price of a currency.
    pub(crate) fn ceiling(&self, currency: Currency) -> Option<Quote<'_>> {
        self.ceilings.get(&currency).map(Pricing::standard)
    }
}

fn weight(tariff: &Tariff) -> u128 {
    let Price(input) = tariff.rates.input;
    let Price(output) = tariff.rates.output;
    u128::from(input) + u128::from(output)
}

impl Budget {
    /// Whether what a provider answered counts.
    pub(crate) fn counts(&self, provider: Option<&Name>) -> bool {
        let wanted = &self.data.selector.providers;
        wanted.is_empty() || provider.is_some_and(|provider| wanted.contains(provider))
    }
}
