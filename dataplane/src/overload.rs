//! Knowing that the process cannot keep up: a task that is due now and then, and how late it gets its turn.

use crate::gateway::Gateway;
use std::sync::Weak;
use std::time::Duration;
use tokio::time::Instant;
use weir_dialect::{ErrorType, Refusal};
use weir_policy::TICK_MS;

/// Looks at the queue as long as the gateway lives.
pub(crate) async fn watch(gateway: Weak<Gateway>) {
    loop {
        let due = Instant::now() + Duration::from_millis(TICK_MS);
        tokio::time::sleep_until(due).await;
        let Some(gateway) = gateway.upgrade() else { return };
        gateway.shedding.waited(u64::try_from(due.elapsed().as_millis()).unwrap_or(u64::MAX));
    }
}

/// What a client hears that is turned away; clients that come again do so at different times.
pub(crate) fn refusal() -> Refusal {
    let message = "the gateway has more requests than it can serve; try again later";
    let refusal = Refusal::new(503, ErrorType::Overloaded, "gateway_overloaded", message);
    Refusal { retry_after_ms: Some(fastrand::u64(1_000..5_000)), ..refusal }
}
