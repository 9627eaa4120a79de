//! The orderly end: not ready at once, listening a while longer, then waiting for streams, then an error
//! event for those that are left.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::watch;

/// How long before the hard end streams are told of it.
const FAREWELL: Duration = Duration::from_secs(5);

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
    delay: Duration,
    timeout: Duration,
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
    pub(crate) fn new(delay: Duration, timeout: Duration) -> Self {
        Self {
            delay,
            timeout,
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
        self.phase.send_replace(Phase::Leaving);
        tracing::info!(delay_s = self.delay.as_secs(), timeout_s = self.timeout.as_secs(), "draining");
        tokio::time::sleep(self.delay).await;
        self.phase.send_replace(Phase::Closed);
        let farewell = self.timeout.saturating_sub(FAREWELL);
        if tokio::time::timeout(farewell, self.idle()).await.is_err() {
            self.phase.send_replace(Phase::Farewell);
            if tokio::time::timeout(self.timeout - farewell, self.idle()).await.is_err() {
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
