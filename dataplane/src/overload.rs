//! Knowing that the process cannot keep up: a task that now and then goes to the end of the queue of all that can run, and
//! how long it waits there.

use crate::gateway::Gateway;
use std::sync::Weak;
use std::time::Duration;
use tokio::time::Instant;
use weir_dialect::{ErrorType, Refusal};
use weir_policy::LOOK_MS;
use weir_snapshot::Priority;

/// Looks at the queue as long as the gateway lives.
pub(crate) async fn watch(gateway: Weak<Gateway>) {
    loop {
        tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
        let queued = Instant::now();
        tokio::task::yield_now().await;
        let Some(gateway) = gateway.upgrade() else { return };
        let waited = u64::try_from(queued.elapsed().as_micros()).unwrap_or(u64::MAX);
        gateway.shedding.waited(waited, gateway.clock.now());
        gateway.telemetry.metrics.shed_ratio.set(f64::from(gateway.shedding.per_mille()) / 1_000.0);
    }
}

/// Turns a request of that class away where there are too many; clients that come again do so at different times. Its
/// body was read, which costs less than the new connection that the client would need otherwise.
pub(crate) fn admit(gateway: &Gateway, class: Priority) -> Result<(), Refusal> {
    if !gateway.shedding.sheds(class, fastrand::u32(..)) {
        return Ok(());
    }
    let message = "the gateway has more requests than it can serve; try again later";
    let refusal = Refusal::new(503, ErrorType::Overloaded, "gateway_overloaded", message);
    Err(Refusal { retry_after_ms: Some(fastrand::u64(1_000..5_000)), ..refusal })
}
