//! What of a route is in flight; it outlives config swaps. Counters and nothing else.

use std::sync::atomic::{AtomicU32, AtomicU64};

/// Requests, retries and failovers in flight, and when all targets were out, the last probe.
#[derive(Debug, Default)]
pub struct Load {
    pub(crate) active: AtomicU32,
    pub(crate) retries: AtomicU32,
    pub(crate) failovers: AtomicU32,
    pub(crate) last_probe: AtomicU64,
}
