//! The name of a pot.

use std::sync::Arc;
use weir_snapshot::ledger;

/// Names a pot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PotId {
    pub(super) limit: Arc<str>,
    pub(super) window: u64,
    pub(super) partition: Arc<str>,
}

impl PotId {
    pub(super) fn wire(&self) -> ledger::Pot {
        ledger::Pot { limit: self.limit.to_string(), partition: self.partition.to_string(), window: self.window }
    }
}
