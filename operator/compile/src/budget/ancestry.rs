//! The Budgets above a Budget, as far as each of them agrees.
//!
//! A missing parent and one that does not agree give the same text.

use super::BuiltBudget;
use crate::findings::Gravity;
use crate::reference::permits;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_snapshot::Name;

/// Budgets that may stand above one.
const MOST: usize = 5;

/// Why a Budget has no good place among the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Misplaced {
    /// Reason of the condition.
    pub(super) reason: &'static str,
    /// Where in the object.
    pub(super) path: &'static str,
    /// What to do about it.
    pub(super) message: String,
}

impl Misplaced {
    fn new(reason: &'static str, message: String) -> Self {
        Self { reason, path: "spec.parentRef", message }
    }
}

/// All Budgets by name; of one that cannot be read there is nothing.
pub(super) type Known = BTreeMap<Name, Option<Arc<BuiltBudget>>>;

/// The Budgets above that one, its parent first.
pub(super) fn above(name: &Name, own: &BuiltBudget, known: &Known) -> Result<Vec<Name>, Misplaced> {
    let (mut chain, mut child, mut at) = (Vec::new(), name, own);
    while let Some(wanted) = &at.parent {
        if wanted == name || chain.contains(wanted) {
            let chain: Vec<_> = chain.iter().map(ToString::to_string).collect();
            let message = format!(
                "the Budgets above it form a circle: {name}, {}; take parentRef out of one of them",
                chain.join(", ")
            );
            return Err(Misplaced::new("ParentCycle", message));
        }
        let (found, parent) = parent(wanted, child, known)?;
        chain.push(found.clone());
        (child, at) = (found, parent);
    }
    if chain.len() > MOST {
        let message = format!("{} Budgets stand above it, and {MOST} may; name one that stands higher", chain.len());
        return Err(Misplaced::new("ParentTooDeep", message));
    }
    Ok(chain)
}

fn parent<'k>(wanted: &Name, child: &Name, known: &'k Known) -> Result<(&'k Name, &'k BuiltBudget), Misplaced> {
    let from = &child.namespace;
    let agrees = |held: &Option<Arc<BuiltBudget>>| match held {
        Some(parent) => permits(&parent.consent, from),
        None => wanted.namespace == *from,
    };
    match known.get_key_value(wanted).filter(|(_, held)| agrees(held)) {
        Some((found, Some(parent))) if parent.findings.first(Gravity::Invalid).is_none() => Ok((found, parent)),
        Some((found, _)) => {
            let message = format!("the Budget {found} cannot be used itself; mend it first");
            Err(Misplaced::new("ParentUnusable", message))
        }
        None if wanted.namespace == *from => {
            let message = format!("there is no Budget {wanted}; create it, or name another parent");
            Err(Misplaced::new("ParentNotFound", message))
        }
        None => {
            let message = format!(
                "there is no Budget {wanted} that Budgets of namespace {from} may name as their parent; its owner can \
                 create it, or allow the namespace in its spec.allowedNamespaces"
            );
            Err(Misplaced::new("RefNotPermitted", message))
        }
    }
}
