//! Routes and Providers that selectors name and that are not there, so that a slip of the pen does not pass in silence.
//!
//! Of other namespaces only a Budget of the platform namespace learns anything.

use super::ancestry::Known;
use crate::index;
use crate::objects::Objects;
use crate::verdict::ObjectKind;
use std::collections::{BTreeMap, BTreeSet};
use weir_snapshot::Name;

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
    let selectors = || known.iter().filter_map(|(name, built)| Some((name, &built.as_ref()?.data.selector)));
    if selectors().all(|(_, selector)| selector.routes.is_empty() && selector.providers.is_empty()) {
        return BTreeMap::new();
    }
    let unread = |kind| objects.undecodable.iter().filter(move |held| held.id.kind == kind).map(|held| &held.id.name);
    let mut routes: BTreeSet<Name> = objects.routes.iter().map(|route| index::name(&route.metadata)).collect();
    routes.extend(unread(ObjectKind::LLMRoute).cloned());
    let mut providers: BTreeSet<Name> = objects.providers.iter().map(|held| index::name(&held.metadata)).collect();
    providers.extend(unread(ObjectKind::Provider).cloned());
    let platform = &objects.settings.platform_namespace;
    let mut found = BTreeMap::new();
    for (name, selector) in selectors() {
        let sees = |other: &&Name| other.namespace == name.namespace || name.namespace == *platform;
        let missing = |wanted: &[Name], there: &BTreeSet<Name>, (kind, reason, path): (&str, _, _)| -> Vec<Absent> {
            let missing = wanted.iter().filter(|name| !there.contains(*name)).filter(sees);
            let message = |name| format!("there is no {kind} {name}; create it, or take it out");
            missing.map(|name| Absent { reason, path, message: message(name) }).collect()
        };
        let mut absent = missing(&selector.routes, &routes, ("LLMRoute", "RouteNotFound", "spec.selector.routes"));
        let of_providers = ("Provider", "ProviderNotFound", "spec.selector.providers");
        absent.extend(missing(&selector.providers, &providers, of_providers));
        if !absent.is_empty() {
            found.insert(name.clone(), absent);
        }
    }
    found
}
