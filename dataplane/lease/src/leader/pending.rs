//! Asks that wait.

use crate::Millis;
use weir_snapshot::ledger::{Ask, Refused};

/// An ask that waits.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) member: usize,
    pub(super) ask: Ask,
    pub(super) began: Millis,
    /// When it is refused.
    pub(super) until: Millis,
    /// Whether leases were recalled for it already.
    pub(super) recalled: bool,
    /// Why it waits.
    pub(super) why: Refused,
}
