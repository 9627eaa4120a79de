//! How many pots a request can need at once: what is proven to be too many is refused, the youngest Budget first.
//!
//! Proven is what every request of one Budget needs: its own pots, those of each Budget that covers all that it
//! covers, and those of all above them.

use super::BuiltBudget;
use super::ancestry::Misplaced;
use super::coverage::includes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_snapshot::{BudgetMode, BudgetSelector, Name};

/// Pots of one request.
const MOST: usize = 32;

/// A Budget with a good place.
pub(super) struct Placed<'a> {
    pub(super) name: &'a Name,
    pub(super) built: &'a Arc<BuiltBudget>,
    pub(super) ancestors: &'a [Name],
}

/// The Budgets with which a request would need too many pots.
pub(super) fn too_many(placed: &[Placed<'_>]) -> BTreeMap<Name, Misplaced> {
    let counts: Vec<_> = placed.iter().filter(|held| counts(held.built)).collect();
    let pots: BTreeMap<&Name, usize> = counts.iter().map(|held| (held.name, held.built.data.limits.len())).collect();
    let mut refused = BTreeMap::new();
    if pots.values().sum::<usize>() <= MOST {
        return refused;
    }
    let mut oldest_first = counts;
    oldest_first.sort_by_key(|held| (held.built.created_at, held.name));
    let mut accepted = Accepted::default();
    for held in oldest_first {
        match accepted.most_with(held, &pots) {
            needed if needed > MOST => {
                let message = format!(
                    "a request that it covers would need {needed} pots, and {MOST} may be; narrow its selector, take \
                     a limit out, or remove a Budget that covers the same requests"
                );
                let misplaced = Misplaced { reason: "TooManyPots", path: "spec.selector", message };
                refused.insert(held.name.clone(), misplaced);
            }
            _ => accepted.add(held),
        }
    }
    refused
}

/// Whether requests need its pots.
fn counts(built: &BuiltBudget) -> bool {
    !matches!(built.data.mode, BudgetMode::Off | BudgetMode::Block)
}

/// Budgets by the only namespace whose callers they cover; `None` = by more than one.
#[derive(Default)]
struct Accepted<'a>(BTreeMap<Option<&'a str>, Vec<&'a Placed<'a>>>);

impl<'a> Accepted<'a> {
    fn add(&mut self, held: &'a Placed<'a>) {
        self.0.entry(namespace(&held.built.data.selector)).or_default().push(held);
    }

    /// The most pots that a request of `new`, or of a Budget that it covers, would need.
    fn most_with(&self, new: &Placed<'_>, pots: &BTreeMap<&Name, usize>) -> usize {
        let own = namespace(&new.built.data.selector);
        let all = || {
            let near = self.0.iter().filter(move |(of, _)| own.is_none() || of.is_none() || **of == own);
            near.flat_map(|(_, held)| held.iter().copied())
        };
        let selector = &new.built.data.selector;
        let narrower = all().filter(|held| includes(selector, &held.built.data.selector));
        let witnesses = narrower.chain([new]).filter(|held| is_possible(&held.built.data.selector));
        let needed = witnesses.map(|witness| {
            let covers = |held: &&Placed<'_>| includes(&held.built.data.selector, &witness.built.data.selector);
            let together = all().filter(covers).chain([new]);
            let names: BTreeSet<&Name> = together.flat_map(|held| held.ancestors.iter().chain([held.name])).collect();
            names.iter().filter_map(|name| pots.get(*name)).sum()
        });
        needed.max().unwrap_or(0)
    }
}

/// Whether any request can be covered at all.
fn is_possible(selector: &BudgetSelector) -> bool {
    fn some<T>(list: Option<&Vec<T>>) -> bool {
        list.is_none_or(|list| !list.is_empty())
    }
    some(selector.caller_namespaces.as_ref()) && some(selector.key_secrets.as_ref())
}

fn namespace(selector: &BudgetSelector) -> Option<&str> {
    match selector.caller_namespaces.as_deref() {
        Some([only]) => Some(only),
        Some(_) | None => None,
    }
}
