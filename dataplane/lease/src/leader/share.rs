//! What one start of a pod's process has of a pot.

use crate::Counters;

/// What a start of a pod's process has, as the leader knows it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Share {
    pub(super) member: usize,
    pub(super) counters: Counters,
    /// What it had free at its last report; what was granted since counts as used.
    pub(super) idle: u64,
}

impl Share {
    /// Whether all that was granted is spent or given back. A start that has forgotten what it spent gives that back too.
    pub(super) const fn is_done(&self) -> bool {
        self.counters.taken() <= self.counters.settled
    }
}
