//! Whether a connection serves anything, so that one that does not can be closed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What a connection does.
#[derive(Debug)]
pub(super) struct Activity(Mutex<(usize, Instant)>);

/// A request that is served; dropped with the end of its answer.
#[derive(Debug)]
pub(super) struct Busy(Arc<Activity>);

impl Default for Activity {
    fn default() -> Self {
        Self(Mutex::new((0, Instant::now())))
    }
}

impl Activity {
    /// A request begins.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        self.lock().0 += 1;
        Busy(Arc::clone(self))
    }

    /// Resolves when nothing was served for so long.
    pub(super) async fn rested(&self, span: Duration) {
        loop {
            let (requests, since) = *self.lock();
            let due = if requests > 0 { Instant::now() + span } else { since + span };
            if requests == 0 && Instant::now() >= due {
                return;
            }
            tokio::time::sleep_until(due).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, (usize, Instant)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        *state = (state.0.saturating_sub(1), Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_connection_has_rested_a_while_after_its_last_answer() {
        let activity = Arc::new(Activity::default());
        let began = Instant::now();
        let (first, second) = (activity.busy(), activity.busy());
        let ends = async {
            tokio::time::sleep(MINUTE).await;
            drop(first);
            tokio::time::sleep(4 * MINUTE + Duration::from_secs(1)).await;
            drop(second);
        };
        tokio::join!(ends, activity.rested(2 * MINUTE));
        assert_eq!(began.elapsed(), 7 * MINUTE + Duration::from_secs(1));
        let idle = Arc::new(Activity::default());
        idle.rested(MINUTE).await;
        assert_eq!(began.elapsed(), 8 * MINUTE + Duration::from_secs(1), "also where nothing was ever asked");
    }
}
