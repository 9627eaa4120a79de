//! The Budgets of a table, by whom they may cover.

use crate::{Believed, Caller};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use weir_lease::limits_of_budget;
use weir_snapshot::{BudgetMode, BudgetSelector, Currency, Name, OnUnpriced, Price, Pricing, Quote, Resource, Tariff};

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
    /// The dearest price of each currency, whatever tier of service it is of, by the namespace of its Provider.
    ceilings: HashMap<String, BTreeMap<Currency, Pricing>>,
    /// The platform's namespace, which every Budget believes.
    platform: String,
}

impl Budgets {
    /// Takes over what is the same as before. `prices` are those of Providers, by their names.
    pub(crate) fn build<'a>(
        pushed: impl Iterator<Item = (&'a Name, &'a Resource)>,
        prices: impl Iterator<Item = (&'a Name, &'a Pricing)>,
        platform: &str,
        previous: &Self,
    ) -> Self {
        let mut budgets = Self { platform: platform.to_owned(), ..Self::default() };
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
        for (provider, pricing) in prices {
            if !budgets.ceilings.contains_key(&provider.namespace) {
                budgets.ceilings.insert(provider.namespace.clone(), BTreeMap::new());
            }
            let Some(ceilings) = budgets.ceilings.get_mut(&provider.namespace) else { continue };
            for Quote { pricing, tariff } in pricing.quotes() {
                let dearer = |held: &Pricing| weight(tariff) > weight(&held.standard);
                if ceilings.get(&pricing.currency).is_none_or(dearer) {
                    let (standard, service_tiers) = (tariff.clone(), BTreeMap::new());
                    let ceiling = Pricing { standard, service_tiers, ..pricing.clone() };
                    ceilings.insert(pricing.currency, ceiling);
                }
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

    /// The dearest price of a currency at the Providers of the platform and of these namespaces; those of others say
    /// nothing of what a request costs here.
    pub(crate) fn ceiling(&self, namespaces: [&str; 2], currency: Currency) -> Option<Quote<'_>> {
        let of = |namespace: &str| self.ceilings.get(namespace)?.get(&currency);
        let known = namespaces.into_iter().chain([self.platform.as_str()]).filter_map(of);
        known.max_by_key(|held| weight(&held.standard)).map(Pricing::standard)
    }

    /// Whom a caller asks for, as far as Budgets and rates of that namespace believe it.
    pub(crate) fn believed<'a>(&self, namespace: &str, caller: &'a Caller) -> Believed<'a> {
        caller.believed_by(namespace, &self.platform)
    }
}

fn weight(tariff: &Tariff) -> u128 {
    let Price(input) = tariff.rates.input;
    let Price(output) = tariff.rates.output;
    u128::from(input) + u128::from(output)
}

impl Budget {
    /// Whose dearest price counts for a model of that Provider that has none; `None` = no price will do.
    pub(crate) fn ceiling_of<'a>(&'a self, provider: Option<&'a Name>) -> Option<[&'a str; 2]> {
        let own = self.id.namespace.as_str();
        let provider = provider.map_or(own, |provider| provider.namespace.as_str());
        (self.data.on_unpriced == OnUnpriced::Ceiling).then_some([own, provider])
    }

    /// Whether what goes to a Provider counts; `None` = nobody knows which answered.
    pub(crate) fn counts(&self, provider: Option<&Name>) -> bool {
        let BudgetSelector { providers, provider_namespaces, .. } = &self.data.selector;
        let Some(provider) = provider else { return providers.is_empty() && provider_namespaces.is_none() };
        (providers.is_empty() || providers.contains(provider))
            && provider_namespaces.as_ref().is_none_or(|wanted| wanted.contains(&provider.namespace))
    }
}
