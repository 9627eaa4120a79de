//! What is known of a request before it is sent, and which limits that brings it under.

use crate::budgets::{Budget, Budgets};
use crate::short::short;
use crate::{Believed, Caller, CallerKind, Route, Target};
use std::sync::{Arc, LazyLock};
use weir_dialect::{Dialect, InputSize, ServiceTier};
use weir_snapshot::{AccountRef, BudgetMode, Dimension, Name, Quote};

/// Output of a model whose limit nobody knows and whose caller set none.
const UNKNOWN_OUTPUT: u64 = 32_768;
/// A partition of more bytes is called by its beginning and a digest of the whole: names are kept in many places, and
/// clients may choose them.
const PARTITION_BYTES: usize = 64;

/// What is known of a request before it is sent.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Who calls.
    pub caller: &'a Caller,
    /// Its route.
    pub route: &'a Arc<Route>,
    /// The model that it names, an alias resolved.
    pub model: &'a str,
    /// The target that it is limited to, if any.
    pub only: Option<&'a str>,
    /// How large it is.
    pub input: InputSize,
    /// Most output that the caller asked for, in tokens, of each answer.
    pub max_output: Option<u64>,
    /// How many answers.
    pub choices: u64,
    /// Tokens of a predicted output, which are charged as output as well.
    pub predicted: u64,
    /// The tier of service that it names.
    pub service_tier: &'a ServiceTier,
    /// Whether its tokens are only to be counted: that takes a request of rates, and neither tokens nor money.
    pub counts_only: bool,
    /// What it is written in.
    pub dialect: Dialect,
    /// Its headers, by lower-case name.
    pub header: &'a (dyn Fn(&str) -> Option<String> + Sync),
}

impl<'a> Asked<'a> {
    /// The tier of service that a target is asked for.
    pub fn tier_at(&self, target: &Target) -> ServiceTier {
        self.service_tier.told(self.dialect, target.provider.dialect())
    }

    /// Output tokens that it can come to at a target, all answers together.
    pub fn most_output(&self, target: &Target) -> u64 {
        let unasked = target.limits_for(self.model).max_output.unwrap_or(UNKNOWN_OUTPUT);
        let each = target.most_output(self.max_output).unwrap_or(unasked);
        each.saturating_mul(self.choices).saturating_add(self.predicted)
    }

    /// What it costs at a target; `None` = nobody knows.
    pub(crate) fn quote<'t>(&self, target: &'t Target) -> Option<Quote<'t>> {
        target.pricing(self.model)?.quote(self.tier_at(target).name().as_deref())
    }

    /// The tier of service for which a target has no price whose model has one.
    pub(super) fn unpriced_tier(&self) -> Option<ServiceTier> {
        let unpriced = |target: &&Target| target.pricing(self.model).is_some() && self.quote(target).is_none();
        self.targets().find(unpriced).map(|target| self.tier_at(target))
    }

    /// The targets that may answer it.
    pub(super) fn targets(&self) -> impl Iterator<Item = &Target> {
        self.route.targets.iter().filter(|target| match self.only {
            Some(only) => target.data.name == only,
            None => target.data.weight > 0,
        })
    }

    /// The Budgets that cover a request, and all their ancestors, each once; none for which no target counts.
    pub(super) fn covering<'b>(&self, budgets: &'b Budgets) -> Vec<&'b Arc<Budget>> {
        let believed = |budget: &Budget| budgets.believed(&budget.id.namespace, self.caller);
        let covers = |budget: &&Arc<Budget>| self.is_covered_by(budget, believed(budget));
        let covering = budgets.of(&self.caller.namespace).filter(covers);
        let mut all: Vec<&Arc<Budget>> = Vec::new();
        for budget in covering {
            for budget in std::iter::once(budget).chain(budgets.above(budget)) {
                let counts = || self.targets().any(|target| budget.counts(Some(&target.provider.id)));
                if budget.data.mode != BudgetMode::Off && counts() && !all.iter().any(|held| held.id == budget.id) {
                    all.push(budget);
                }
            }
        }
        all
    }

    fn is_covered_by(&self, budget: &Budget, believed: Believed<'_>) -> bool {
        let selector = &budget.data.selector;
        let caller = self.caller;
        let listed = |wanted: &[String], held: Option<&str>| {
            wanted.is_empty() || held.is_some_and(|held| wanted.iter().any(|one| one == held))
        };
        let is_secret = |held: &Name| held.namespace == caller.namespace && held.name == caller.name;
        let has_key = |secrets: &Vec<Name>| caller.kind == CallerKind::ApiKey && secrets.iter().any(is_secret);
        let by_key = selector.key_secrets.as_ref().is_none_or(has_key);
        let by_account = selector.service_accounts.is_empty() || is_account(caller, &selector.service_accounts);
        let by_route = selector.routes.is_empty() || selector.routes.contains(&self.route.id);
        let by_provider = self.targets().any(|target| budget.counts(Some(&target.provider.id)));
        by_key
            && by_account
            && by_route
            && by_provider
            && listed(&selector.teams, believed.team)
            && listed(&selector.users, believed.user)
            && listed(&selector.models, Some(self.model))
    }

    /// Which of a limit's pots a request is charged to. Callers whose user or team is not known count together with
    /// those of their own namespace; without one, with those of the route's.
    pub(super) fn partition(&self, by: &[Dimension], believed: Believed<'_>) -> Arc<str> {
        let caller = self.caller;
        let known = |fact: Option<&str>| match fact {
            Some(fact) => fact.to_owned(),
            None if caller.namespace.is_empty() => [&self.route.id.namespace, "/"].concat(),
            None => [&caller.namespace, "/"].concat(),
        };
        let named = || [&caller.namespace, "/", &caller.name].concat();
        let kind = |kind| if caller.kind == kind { named() } else { String::new() };
        let value = |dimension: &Dimension| match dimension {
            Dimension::Caller => named(),
            Dimension::ApiKey => kind(CallerKind::ApiKey),
            Dimension::ServiceAccount => kind(CallerKind::ServiceAccount),
            Dimension::User => known(believed.user),
            Dimension::Team => known(believed.team),
            Dimension::Model => self.model.to_owned(),
            Dimension::Header(name) => (self.header)(name).unwrap_or_default(),
        };
        match by {
            [] => whole(),
            [one] => short(&value(one), PARTITION_BYTES).into(),
            // The bar between them stands in no value, so that no two lists of values read the same.
            several => {
                let escaped = several.iter().map(|one| value(one).replace('%', "%25").replace('|', "%7C"));
                short(&escaped.collect::<Vec<_>>().join("|"), PARTITION_BYTES).into()
            }
        }
    }
}

/// The partition of a limit that has only one.
pub(super) fn whole() -> Arc<str> {
    static WHOLE: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from(""));
    Arc::clone(&WHOLE)
}

fn is_account(caller: &Caller, accounts: &[AccountRef]) -> bool {
    let named = |held: &AccountRef| held.name == "*" || held.name == caller.name;
    caller.kind == CallerKind::ServiceAccount
        && accounts.iter().any(|held| held.namespace == caller.namespace && named(held))
}
