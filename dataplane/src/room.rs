//! Room at a provider that has limits of its own: taken at once, or waited for in line.

use crate::clock::Clock;
use crate::funds::Funds;
use crate::ledger::Ledger;
use crate::live::Live;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use weir_lease::{Refusal, Standing};
use weir_policy::{Asked, Target, Turn};
use weir_snapshot::Queue;

/// Between two looks of the first in line for room that time brings, or other pods.
const LOOK: Duration = Duration::from_millis(20);

/// An attempt that wants room at its provider.
pub(crate) struct Room<'a> {
    pub(crate) ledger: &'a Arc<Ledger>,
    pub(crate) live: &'a Arc<Live>,
    pub(crate) clock: Clock,
    pub(crate) target: &'a Target,
    pub(crate) asked: &'a Asked<'a>,
}

impl Room<'_> {
    /// What the attempt holds of its provider's limits; `None` where it has none. At a provider with a queue it waits
    /// until `deadline` at most.
    pub(crate) async fn get(&self, deadline: Instant) -> Result<Option<Funds>, Refusal> {
        let provider = &self.target.provider;
        if !provider.has_limits() {
            return Ok(None);
        }
        provider.line.arrives(self.asked.caller.priority, self.clock.now());
        match provider.data.limits.queue {
            None => self.take().await.map(Some),
            Some(queue) => self.wait(queue, deadline).await.map(Some),
        }
    }

    async fn wait(&self, queue: Queue, deadline: Instant) -> Result<Funds, Refusal> {
        let (line, class) = (&self.target.provider.line, self.asked.caller.priority);
        let until = deadline.min(Instant::now() + Duration::from_millis(queue.max_wait_ms));
        let standing = Standing::default();
        let (exhausted, crowded) = (true, false);
        let mut met = Refusal { claim: None, standing, exhausted, crowded, retry_after_ms: Some(1_000) };
        if !line.is_before(class) {
            match self.take().await {
                Ok(funds) => return Ok(funds),
                Err(refusal) => met = refusal,
            }
        }
        let Some(place) = line.enter(class, queue.max_length) else { return Err(met) };
        while Instant::now() < until {
            let look = match place.turn() {
                Turn::First => match self.take().await {
                    Ok(funds) => return Ok(funds),
                    Err(refusal) => {
                        met = refusal;
                        until.min(Instant::now() + LOOK)
                    }
                },
                Turn::Later => until,
                Turn::Lost => break,
            };
            let _ = timeout_at(look, poll_fn(|context| place.poll_news(context))).await;
        }
        Err(met)
    }

    async fn take(&self) -> Result<Funds, Refusal> {
        let line = &self.target.provider.line;
        let yields = line.yields(self.asked.caller.priority, self.clock.now());
        let charges = self.live.table.provider_charges(self.target, self.asked, yields);
        let reservation = self.ledger.reserve(&charges).await?;
        Ok(Funds::at_provider(self.ledger, self.live, charges, reservation, line))
    }
}
