//! Which Budgets cover a request.

use super::Asked;
use crate::{Caller, CallerKind};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use weir_lease::limits_of_budget;
use weir_snapshot::{AccountRef, BudgetMode, Name, OnExceeded, Price, Pricing, Resource};

/// A Budget as requests use it.
#[derive(Clone)]
pub struct Budget {
    /// Namespace and name.
    pub id: Name,
    /// What was pushed.
    pub data: weir_snapshot::Budget,
    /// Names of its limits in the ledger, in their order.
    pub limits: Vec<Arc<str>>,
    made_of: Arc<Resource>,
}

/// All Budgets, indexed.
#[derive(Default)]
pub(crate) struct Budgets {
    by_name: BTreeMap<Name, Arc<Budget>>,
    /// Those that select by the caller's namespace.
    by_namespace: HashMap<String, Vec<Arc<Budget>>>,
    others: Vec<Arc<Budget>>,
    /// The dearest price of each currency.
    ceilings: BTreeMap<String, Pricing>,
}

impl Budgets {
    /// Takes over what is the same as before.
    pub(crate) fn build<'a>(
        pushed: impl Iterator<Item = (&'a Name, &'a Arc<Resource>)>,
        prices: impl Iterator<Item = &'a Pricing>,
        previous: &Self,
    ) -> Self {
        let mut budgets = Self::default();
        for (name, resource) in pushed {
            let Resource::Budget(data) = &**resource else { continue };
            let same = previous.by_name.get(name).filter(|held| Arc::ptr_eq(&held.made_of, resource));
            let budget = same.cloned().unwrap_or_else(|| {
                let limits = limits_of_budget(name, data).into_iter().map(|(limit, _)| limit).collect();
                Arc::new(Budget { id: name.clone(), data: data.clone(), limits, made_of: Arc::clone(resource) })
            });
            match &budget.data.selector.caller_namespaces {
                Some(namespaces) => namespaces.iter().for_each(|namespace| {
                    budgets.by_namespace.entry(namespace.clone()).or_default().push(Arc::clone(&budget));
                }),
                None => budgets.others.push(Arc::clone(&budget)),
            }
            budgets.by_name.insert(name.clone(), budget);
        }
        for pricing in prices {
            let dearer = |held: &Pricing| weight(pricing) > weight(held);
            if budgets.ceilings.get(&pricing.currency).is_none_or(dearer) {
                budgets.ceilings.insert(pricing.currency.clone(), pricing.clone());
            }
        }
        budgets
    }

    /// The Budgets that cover a request, and all their ancestors, each once.
    pub(crate) fn covering(&self, asked: &Asked<'_>) -> Vec<Arc<Budget>> {
        let of_namespace = self.by_namespace.get(&asked.caller.namespace).into_iter().flatten();
        let covering = of_namespace.chain(&self.others).filter(|budget| budget.covers(asked));
        let mut all: Vec<Arc<Budget>> = Vec::new();
        for budget in covering {
            let ancestors = budget.data.ancestors.iter().filter_map(|name| self.by_name.get(name));
            for budget in std::iter::once(budget).chain(ancestors) {
                let counts = budget.data.mode != BudgetMode::Off;
                if counts && !all.iter().any(|held| held.id == budget.id) {
                    all.push(Arc::clone(budget));
                }
            }
        }
        all
    }

    /// The dearest price of a currency.
    pub(crate) fn ceiling(&self, currency: &str) -> Option<&Pricing> {
        self.ceilings.get(currency)
    }
}

fn weight(pricing: &Pricing) -> u128 {
    let Price(input) = pricing.rates.input;
    let Price(output) = pricing.rates.output;
    u128::from(input) + u128::from(output)
}

impl Budget {
    /// Where its requests go once it is over its threshold, or spent.
    pub fn degrades_to(&self) -> Option<&str> {
        match &self.data.on_exceeded {
            OnExceeded::Degrade { target } => Some(target),
            OnExceeded::Reject | OnExceeded::Queue { .. } => None,
        }
    }

    /// Whether what a provider answered counts.
    pub(super) fn counts(&self, provider: Option<&Name>) -> bool {
        let wanted = &self.data.selector.providers;
        wanted.is_empty() || provider.is_some_and(|provider| wanted.contains(provider))
    }

    fn covers(&self, asked: &Asked<'_>) -> bool {
        let selector = &self.data.selector;
        let caller = asked.caller;
        let listed = |wanted: &[String], held: Option<&str>| {
            wanted.is_empty() || held.is_some_and(|held| wanted.iter().any(|one| one == held))
        };
        let by_key =
            selector.api_keys.as_ref().is_none_or(|ids| caller.key_id.as_ref().is_some_and(|id| ids.contains(id)));
        let by_account = selector.service_accounts.is_empty() || is_account(caller, &selector.service_accounts);
        let by_route = selector.routes.is_empty() || selector.routes.contains(&asked.route.id);
        let by_provider = selector.providers.is_empty()
            || asked.targets().any(|target| selector.providers.contains(&target.provider.id));
        by_key
            && by_account
            && by_route
            && by_provider
            && listed(&selector.teams, caller.team.as_deref())
            && listed(&selector.users, caller.user.as_deref())
            && listed(&selector.models, Some(asked.model))
    }
}

fn is_account(caller: &Caller, accounts: &[AccountRef]) -> bool {
    let named = |held: &AccountRef| held.name == "*" || held.name == caller.name;
    caller.kind == CallerKind::ServiceAccount
        && accounts.iter().any(|held| held.namespace == caller.namespace && named(held))
}
