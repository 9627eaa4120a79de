//! The process's two clocks, read here and nowhere else.

use std::time::{SystemTime, UNIX_EPOCH};
use tokio::time::{Duration, Instant};
use weir_policy::Millis;

/// Monotonic milliseconds since the process began, for every decision.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    zero: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        // Zero means "never" to the policy, so the scale begins a second later.
        let now = Instant::now();
        Self { zero: now.checked_sub(Duration::from_secs(1)).unwrap_or(now) }
    }

    pub(crate) fn now(&self) -> Millis {
        u64::try_from(self.zero.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The instant of a time on this scale.
    pub(crate) fn at(&self, ms: Millis) -> Instant {
        self.zero + Duration::from_millis(ms)
    }
}

/// Seconds since 1970, for expiry dates and the log.
pub(crate) fn unix() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Unix seconds.
pub(crate) fn unix_s() -> i64 {
    i64::try_from(unix().as_secs()).unwrap_or(i64::MAX)
}
