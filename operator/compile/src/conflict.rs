//! Two routes of one namespace that claim the same hostname and model: the older has it.
//!
//! Across namespaces nothing conflicts; there the caller's trust decides.

use crate::age;
use crate::verdict::Condition;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use weir_crds::LLMRoute;
use weir_snapshot::Name;

/// The condition Conflicted of every route that lost something.
pub(crate) fn conditions(routes: &BTreeMap<Name, &Arc<LLMRoute>>) -> BTreeMap<Name, Condition> {
    let mut winners: HashMap<(&str, &str, &str), (i64, &Name)> = HashMap::with_capacity(routes.len());
    for (name, route) in routes {
        let own = (age::created_at(&route.metadata), name);
        for (hostname, model) in claimed(route) {
            let winner = winners.entry((&name.namespace, hostname, model)).or_insert(own);
            *winner = own.min(*winner);
        }
    }
    let mut conditions = BTreeMap::new();
    for (name, route) in routes {
        let mut lost = BTreeSet::new();
        for (hostname, model) in claimed(route) {
            let winner = winners.get(&(name.namespace.as_str(), hostname, model));
            lost.extend(winner.filter(|(_, winner)| *winner != name).map(|(_, winner)| (model, hostname, *winner)));
        }
        if !lost.is_empty() {
            conditions.insert(name.clone(), condition(&lost));
        }
    }
    conditions
}

/// The condition Conflicted of a route that lost nothing.
pub(crate) fn none() -> Condition {
    let message = "no older route of the namespace claims the same".into();
    Condition { type_: "Conflicted", status: false, reason: "NoConflict", message }
}

/// Hostname (empty = any) and name of every claim.
fn claimed(route: &LLMRoute) -> impl Iterator<Item = (&str, &str)> {
    let any = route.spec.hostnames.is_empty().then_some("");
    let hostnames = move || route.spec.hostnames.iter().map(String::as_str).chain(any);
    let names = route.spec.models.iter().flat_map(|model| std::iter::once(&model.name).chain(&model.aliases));
    names.flat_map(move |name| hostnames().map(move |hostname| (hostname, name.as_str())))
}

fn condition(lost: &BTreeSet<(&str, &str, &Name)>) -> Condition {
    let shown: Vec<_> = lost
        .iter()
        .take(8)
        .map(|(model, hostname, winner)| {
            let at = if hostname.is_empty() { String::new() } else { format!(" at {hostname}") };
            format!("the model {model}{at} belongs to the older route {winner}")
        })
        .collect();
    let more = lost.len() - shown.len();
    let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
    let message = format!("{}{more}; name it in one of them only", shown.join(", "));
    Condition { type_: "Conflicted", status: true, reason: "OlderRouteWins", message }
}
