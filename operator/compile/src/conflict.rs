//! Two routes of one namespace that claim the same hostname and model: the older has it.
//!
//! Across namespaces nothing conflicts; there the caller's trust decides.

use crate::age;
use crate::verdict::Condition;
use std::collections::{BTreeMap, BTreeSet};
use weir_crds::LLMRoute;
use weir_snapshot::Name;

/// The condition Conflicted of every route.
pub(crate) fn conditions(routes: &BTreeMap<Name, &LLMRoute>) -> BTreeMap<Name, Condition> {
    let mut oldest_first: Vec<_> = routes.iter().collect();
    oldest_first.sort_by_key(|(name, route)| (age::created_at(&route.metadata), *name));
    let mut claims: BTreeMap<(&str, &str, &str), &Name> = BTreeMap::new();
    let mut conditions = BTreeMap::new();
    for (name, route) in oldest_first {
        let mut lost = BTreeSet::new();
        for (hostname, model) in claimed(route) {
            let winner = *claims.entry((&name.namespace, hostname, model)).or_insert(name);
            if winner != name {
                lost.insert((model, hostname, winner));
            }
        }
        conditions.insert(name.clone(), condition(&lost));
    }
    conditions
}

/// Hostname (empty = any) and name of every claim.
fn claimed(route: &LLMRoute) -> impl Iterator<Item = (&str, &str)> {
    let hostnames: Vec<&str> = match route.spec.hostnames.as_slice() {
        [] => vec![""],
        named => named.iter().map(String::as_str).collect(),
    };
    let names = route.spec.models.iter().flat_map(|model| std::iter::once(&model.name).chain(&model.aliases));
    names.flat_map(move |name| hostnames.clone().into_iter().map(move |hostname| (hostname, name.as_str())))
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
    let (reason, message) = match lost.len() {
        0 => ("NoConflict", "no older route of the namespace claims the same".into()),
        more => {
            let more = if more > shown.len() { format!(" (and {} more)", more - shown.len()) } else { String::new() };
            ("OlderRouteWins", format!("{}{more}; name it in one of them only", shown.join(", ")))
        }
    };
    Condition { type_: "Conflicted", status: !lost.is_empty(), reason, message }
}
