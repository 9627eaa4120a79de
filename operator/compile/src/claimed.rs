//! Whose callers are who come with a credential of no namespace: a token of some issuer, or a certificate.
//!
//! Each audience of an issuer and each certificate's subject belongs to one namespace, so that no tenant takes
//! another's callers by naming them too: to the platform's, else to that of the oldest route that names it.

use crate::age::created_at;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_crds::LLMRoute;
use weir_snapshot::Name;

/// A credential that a route takes for a caller's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Credential {
    /// Tokens of an issuer, for an audience.
    Token(String, String),
    /// Certificates of a subject.
    Subject(String),
}

/// What each route names and belongs to another namespace.
pub(crate) fn elsewhere(
    routes: &BTreeMap<Name, &Arc<LLMRoute>>,
    platform: &str,
) -> BTreeMap<Name, BTreeSet<Credential>> {
    let mut named: Vec<_> = routes.iter().filter_map(|(name, route)| Some((name, *route, named(route)?))).collect();
    named.sort_by_key(|(name, route, _)| (name.namespace != platform, created_at(&route.metadata), *name));
    let mut owners: BTreeMap<&Credential, &str> = BTreeMap::new();
    for (name, _, credentials) in &named {
        for credential in credentials {
            owners.entry(credential).or_insert(&name.namespace);
        }
    }
    let of_another = |(name, _, credentials): &(&Name, _, BTreeSet<Credential>)| {
        let is_elsewhere = |held: &&Credential| owners.get(*held).is_some_and(|owner| *owner != name.namespace);
        let elsewhere: BTreeSet<_> = credentials.iter().filter(is_elsewhere).cloned().collect();
        (!elsewhere.is_empty()).then(|| ((*name).clone(), elsewhere))
    };
    named.iter().filter_map(of_another).collect()
}

fn named(route: &LLMRoute) -> Option<BTreeSet<Credential>> {
    let access = route.spec.access.as_ref()?;
    let tokens = access.jwt.iter().flat_map(|issuer| {
        issuer.audiences.iter().map(|audience| Credential::Token(issuer.issuer.clone(), audience.clone()))
    });
    let subjects = access.certificates.iter().map(|held| Credential::Subject(held.subject.clone()));
    let named: BTreeSet<_> = tokens.chain(subjects).collect();
    (!named.is_empty()).then_some(named)
}
