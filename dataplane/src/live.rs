//! The config of this moment with what belongs to it: the table, the origins, the token keys.
//!
//! Built apart, swapped whole; a request keeps the one that it began with.

use crate::clock::Clock;
use crate::rejection::Rejection;
use crate::upstream::{Origin, Trust};
use crate::verifier::Verifier;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use weir_policy::{Millis, Table};
use weir_snapshot::{Name, Resource, Resources};

/// What requests are served from.
#[derive(Default)]
pub(crate) struct Live {
    pub(crate) table: Table,
    pub(crate) origins: HashMap<Name, Arc<Origin>>,
    pub(crate) verifier: Arc<Verifier>,
    trust: Arc<Trust>,
    /// What was last pushed and could be used.
    pub(crate) resources: Resources,
    /// Whether any config was ever applied.
    pub(crate) loaded: bool,
    pub(crate) since: Millis,
}

impl Live {
    /// Closes upstream connections that no request has used for so long.
    pub(crate) fn close_idle(&self, since_at_least: Duration) {
        self.origins.values().for_each(|origin| origin.close_idle(since_at_least));
    }

    /// Builds the next from the last. A rejected resource keeps its last good version, except those that
    /// decide who may do what: they fail closed.
    pub(crate) fn build(mut resources: Resources, last: &Self, clock: &Clock) -> (Self, Vec<Rejection>) {
        let mut rejected = Vec::new();
        let mut origins = HashMap::new();
        for (id, resource) in &resources {
            let Resource::Provider(provider) = resource else { continue };
            match Origin::of(&id.name.namespace, provider, last.origins.get(&id.name), &last.trust) {
                Ok(origin) => {
                    origins.insert(id.name.clone(), origin);
                }
                Err(reason) => rejected.push(Rejection { id: Arc::clone(id), reason }),
            }
        }
        for Rejection { id, reason: _ } in &rejected {
            match (last.resources.get(id), last.origins.get(&id.name)) {
                (Some(good), Some(origin)) => {
                    resources.insert(Arc::clone(id), good.clone());
                    origins.insert(id.name.clone(), Arc::clone(origin));
                }
                _ => {
                    resources.remove(id);
                }
            }
        }
        let table = Table::build(&resources, &last.table);
        let (verifier, unreadable) = Verifier::of(&resources, table.issuer(), &last.verifier);
        rejected.extend(unreadable);
        (
            Self {
                table,
                origins,
                verifier: Arc::new(verifier),
                trust: Arc::clone(&last.trust),
                resources,
                loaded: true,
                since: clock.now(),
            },
            rejected,
        )
    }
}
