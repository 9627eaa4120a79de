//! The orderly end: not ready at once, listening a while longer, then waiting for streams, then an error
//! event for those that are left. Streams are told before the process is killed, however short its time is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// How long before the hard end streams are told of it.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long before the kill everything is over, so that what is known of requests is still written.
const FLUSH: Duration = Duration::from_secs(2);

/// When the phases begin, from the signal on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Schedule {
    closed: Duration,
    farewell: Duration,
    over: Duration,
}

impl Schedule {
    /// What the configuration asks for, moved forward where the process would be killed before.
    fn new(delay: Duration, timeout: Duration, grace: Option<Duration>) -> Self {
        let (mut farewell, mut over) = (delay + timeout.saturating_sub(FAREWELL), delay + timeout);
        if let Some(grace) = grace {
            farewell = farewell.min(grace.saturating_sub(FAREWELL));
            over = over.min(grace.saturating_sub(FLUSH));
        }
        Self { closed: delay.min(farewell), farewell, over }
    }
}

/// Where the process is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    /// Not ready any more, still accepting.
    Leaving,
    /// Listeners closed; running requests go on.
    Closed,
    /// Streams that still run are ended with an error event.
    Farewell,
    /// Whatever still runs is dropped.
    Over,
}

/// The end of a data plane.
pub struct Drain {
    schedule: Schedule,
    phase: watch::Sender<Phase>,
    running: Arc<Running>,
    begun: AtomicBool,
}

#[derive(Default)]
struct Running {
    count: AtomicUsize,
    idle: Notify,
}

struct Tracked(Arc<Running>);

impl Drop for Tracked {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}

impl Drain {
    pub(crate) fn new(delay: Duration, timeout: Duration, grace: Option<Duration>) -> Self {
        Self {
            schedule: Schedule::new(delay, timeout, grace),
            phase: watch::Sender::new(Phase::Serving),
            running: Arc::default(),
            begun: AtomicBool::new(false),
        }
    }

    /// Goes through the phases; returns when nothing runs any more. A second call changes nothing.
    pub async fn run(&self) {
        if self.begun.swap(true, Ordering::AcqRel) {
            return self.finished().await;
        }
        let (began, Schedule { closed, farewell, over }) = (Instant::now(), self.schedule);
        self.phase.send_replace(Phase::Leaving);
        tracing::info!(
            closed_s = closed.as_secs(),
            farewell_s = farewell.as_secs(),
            over_s = over.as_secs(),
            "draining"
        );
        tokio::time::sleep_until(began + closed).await;
        self.phase.send_replace(Phase::Closed);
        if tokio::time::timeout_at(began + farewell, self.idle()).await.is_err() {
            self.phase.send_replace(Phase::Farewell);
            if tokio::time::timeout_at(began + over, self.idle()).await.is_err() {
                tracing::warn!("requests were cut off: they outlasted the drain timeout");
            }
        }
        self.phase.send_replace(Phase::Over);
    }

    /// Whether the end has begun.
    pub fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Resolves when listeners close.
    pub(crate) async fn listeners_close(&self) {
        self.reached(Phase::Closed).await;
    }

    /// Resolves when streams must say goodbye; it owns what it needs.
    pub(crate) fn farewell(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut phase = self.phase.subscribe();
        async move {
            let _ = phase.wait_for(|phase| *phase >= Phase::Farewell).await;
        }
    }

    /// Resolves when all is over.
    pub async fn finished(&self) {
        self.reached(Phase::Over).await;
    }

    async fn reached(&self, wanted: Phase) {
        let mut phase = self.phase.subscribe();
        let _ = phase.wait_for(|phase| *phase >= wanted).await;
    }

    async fn idle(&self) {
        loop {
            let idle = self.running.idle.notified();
            if self.running.count.load(Ordering::Acquire) == 0 {
                return;
            }
            idle.await;
        }
    }

    /// A connection that the drain waits for.
    pub(crate) fn track<F: Future<Output = ()> + Send + 'static>(
        &self,
        work: F,
    ) -> impl Future<Output = ()> + Send + 'static {
        self.running.count.fetch_add(1, Ordering::AcqRel);
        let tracked = Tracked(Arc::clone(&self.running));
        async move {
            let _tracked = tracked;
            work.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn schedule(delay: u64, timeout: u64, grace: Option<u64>) -> [u64; 3] {
        let Schedule { closed, farewell, over } = Schedule::new(s(delay), s(timeout), grace.map(s));
        [closed, farewell, over].map(|at| at.as_secs())
    }

    #[test]
    fn a_grace_period_that_suffices_changes_nothing_and_a_shorter_one_moves_the_end_forward_f35() {
        assert_eq!(schedule(15, 600, None), [15, 610, 615]);
        assert_eq!(schedule(15, 600, Some(660)), [15, 610, 615]);
        assert_eq!(schedule(15, 600, Some(30)), [15, 25, 28]);
        assert_eq!(schedule(15, 600, Some(10)), [5, 5, 8], "streams are told although listeners would still be open");
        assert_eq!(schedule(15, 600, Some(1)), [0, 0, 0]);
        assert_eq!(schedule(0, 3, None), [0, 0, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn every_stream_is_told_five_seconds_before_the_kill_f35() {
        let drain = Arc::new(Drain::new(s(15), s(600), Some(s(30))));
        let began = Instant::now();
        let streams: Vec<_> = (0..3)
            .map(|_| {
                let told = drain.farewell();
                tokio::spawn(drain.track(async move {
                    told.await;
                    assert_eq!(Instant::now() - began, s(25));
                    std::future::pending().await
                }))
            })
            .collect();
        let listeners = Arc::clone(&drain);
        let closed = tokio::spawn(async move {
            listeners.listeners_close().await;
            Instant::now() - began
        });
        drain.run().await;
        assert_eq!((closed.await.unwrap(), Instant::now() - began), (s(15), s(28)));
        assert!(streams.iter().all(|stream| !stream.is_finished()), "none panicked");
    }
}
