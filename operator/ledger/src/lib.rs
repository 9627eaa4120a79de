//! The leader of the ledger: its loop, its clock, what requests cost, and the stores that outlive it.
//!
//! What is granted is decided in `weir-lease`; here are only time, channels and writes.

mod costs;
mod lead;
mod meters;
mod store;

pub use costs::today;
pub use lead::{Command, End, Lead, Office, Tenure};
pub use meters::Meters;
pub use store::{Days, Retention, Store};

use std::sync::Arc;
use weir_lease::{Limit, limits_of_budget, limits_of_provider, limits_of_route};
use weir_snapshot::{Resource, Snapshot};

/// The limits that a snapshot sets, by their names in the ledger.
pub fn limits(snapshot: &Snapshot) -> Vec<(Arc<str>, Limit)> {
    let of = |(id, sealed): (&weir_snapshot::ResourceId, &Arc<weir_snapshot::Sealed>)| match &sealed.resource {
        Resource::Budget(budget) => limits_of_budget(&id.name, budget),
        Resource::Route(route) => limits_of_route(&id.name, route),
        Resource::Provider(provider) => {
            limits_of_provider(&id.name, provider).into_iter().map(|(_, pot, limit)| (pot, limit)).collect()
        }
        Resource::Settings(_)
        | Resource::Issuer(_)
        | Resource::KeySet(_)
        | Resource::Namespace(_)
        | Resource::ServiceAccount(_)
        | Resource::ApiKey(_)
        | Resource::Prices(_)
        | Resource::Consent(_)
        | Resource::Credential(_)
        | Resource::Access(_) => Vec::new(),
    };
    snapshot.resources.iter().flat_map(of).collect()
}
