//! What a request is charged, and on whose word.

use crate::Provider;
use crate::budgets::Budget;
use std::sync::Arc;
use weir_lease::Claim;
use weir_snapshot::Unit;

/// One pot that a request is charged to.
#[derive(Clone)]
pub struct Charge {
    /// What is reserved of which pot.
    pub claim: Claim,
    /// What is counted.
    pub unit: Unit,
    /// On whose word.
    pub of: Payer,
}

impl AsRef<Claim> for Charge {
    fn as_ref(&self) -> &Claim {
        &self.claim
    }
}

/// On whose word a request is charged.
#[derive(Clone)]
pub enum Payer {
    /// A rate limit of its route, by its place there.
    Rate(usize),
    /// A Budget.
    Budget(Arc<Budget>),
    /// The provider's own limit; without a unit it counts requests that run.
    Provider {
        /// Whose.
        provider: Arc<Provider>,
        /// Whether it counts requests that run.
        gauge: bool,
    },
}
