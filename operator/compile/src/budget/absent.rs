//! Routes, Providers and targets that Budgets name and that are not there, so that a slip of the pen does not pass in
//! silence.
//!
//! Of other namespaces only a Budget of the platform namespace learns anything.

use super::ancestry::Known;
use crate::index;
use crate::objects::Objects;
use crate::verdict::ObjectKind;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_crds::LLMRoute;
use weir_snapshot::{Budget, BudgetSelector, Name, OnExceeded};

/// A name that leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Absent {
    /// Reason of the condition.
    pub(super) reason: &'static str,
    /// Where in the object.
    pub(super) path: &'static str,
    /// What to do about it.
    pub(super) message: String,
}

/// What each Budget names in vain.
pub(super) fn find(known: &Known, objects: &Objects) -> BTreeMap<Name, Vec<Absent>> {
    let budgets = || known.iter().filter_map(|(name, built)| Some((name, &built.as_ref()?.data)));
    let names_nothing = |budget: &Budget| {
        let selector = &budget.selector;
        selector.routes.is_empty() && selector.providers.is_empty() && target(budget).is_none()
    };
    if budgets().all(|(_, budget)| names_nothing(budget)) {
        return BTreeMap::new();
    }
    let unread = |kind| objects.undecodable.iter().filter(move |held| held.id.kind == kind).map(|held| &held.id.name);
    let mut routes: BTreeSet<Name> = objects.routes.iter().map(|route| index::name(&route.metadata)).collect();
    routes.extend(unread(ObjectKind::LLMRoute).cloned());
    let mut providers: BTreeSet<Name> = objects.providers.iter().map(|held| index::name(&held.metadata)).collect();
    providers.extend(unread(ObjectKind::Provider).cloned());
    let platform = &objects.settings.platform_namespace;
    let mut found = BTreeMap::new();
    for (name, budget) in budgets() {
        let selector = &budget.selector;
        let sees = |other: &&Name| other.namespace == name.namespace || name.namespace == *platform;
        let missing = |wanted: &[Name], there: &BTreeSet<Name>, (kind, reason, path): (&str, _, _)| -> Vec<Absent> {
            let missing = wanted.iter().filter(|name| !there.contains(*name)).filter(sees);
            let message = |name| format!("there is no {kind} {name}; create it, or take it out");
            missing.map(|name| Absent { reason, path, message: message(name) }).collect()
        };
        let mut absent = missing(&selector.routes, &routes, ("LLMRoute", "RouteNotFound", "spec.selector.routes"));
        let of_providers = ("Provider", "ProviderNotFound", "spec.selector.providers");
        absent.extend(missing(&selector.providers, &providers, of_providers));
        absent.extend(target(budget).and_then(|target| without_target(name, selector, target, objects)));
        if !absent.is_empty() {
            found.insert(name.clone(), absent);
        }
    }
    found
}

/// Where it moves requests to.
fn target(budget: &Budget) -> Option<&str> {
    match &budget.on_exceeded {
        OnExceeded::Degrade { target } => Some(target),
        OnExceeded::Reject | OnExceeded::Queue { .. } => budget.thrift.as_ref().map(|thrift| &*thrift.target),
    }
}

/// The target that no route of those has that the Budget selects, or else can see; routes that nobody can read count
/// as if they had it.
fn without_target(name: &Name, selector: &BudgetSelector, target: &str, objects: &Objects) -> Option<Absent> {
    let platform = &objects.settings.platform_namespace;
    let selected = |route: &Name| match &*selector.routes {
        [] => name.namespace == *platform || [&name.namespace, platform].contains(&&route.namespace),
        routes => routes.contains(route),
    };
    let unread = objects.undecodable.iter().filter(|held| held.id.kind == ObjectKind::LLMRoute);
    let has_target = |route: &&Arc<LLMRoute>| {
        let mut targets = route.spec.rules.iter().flat_map(|rule| &rule.targets);
        targets.any(|held| held.name == target)
    };
    let mut routes = objects.routes.iter().filter(|route| selected(&index::name(&route.metadata)));
    if routes.any(|route| has_target(&route)) || unread.into_iter().any(|held| selected(&held.id.name)) {
        return None;
    }
    let message = format!(
        "no route that it covers has a target {target:?}, so that it degrades nothing and refuses instead; \
         add a target of that name with weight 0, or name another"
    );
    Some(Absent { reason: "TargetNotFound", path: "spec.onExceeded.degrade.targetName", message })
}
