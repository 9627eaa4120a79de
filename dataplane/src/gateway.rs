//! One running data plane: its config, its listeners, its end.

use crate::clock::Clock;
use crate::config::Config;
use crate::costs::Costs;
use crate::drain::Drain;
use crate::ledger::{Ledger, converse};
use crate::live::Live;
use crate::memory::{self, Memory};
use crate::rejection::Rejection;
use crate::telemetry::Telemetry;
use arc_swap::ArcSwap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use weir_policy::{Millis, Shedding};
use weir_snapshot::ledger::{FromPod, ToPod};
use weir_snapshot::{Resources, Snapshot};

/// How long after its start a process may wait for the ledger's leader, on the clock's scale.
const LEADER_WAIT_MS: Millis = 6_000;

/// A data plane. It serves nothing until its first config is applied.
pub struct Gateway {
    pub(crate) config: Config,
    pub(crate) live: ArcSwap<Live>,
    pub(crate) clock: Clock,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) drain: Drain,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) shedding: Shedding,
    pub(crate) memory: Arc<Memory>,
    /// Held over an apply, so that two never interleave.
    applying: Mutex<()>,
}

impl Gateway {
    /// A data plane that does not listen yet.
    pub fn new(config: Config) -> Arc<Self> {
        let (clock, telemetry) = (Clock::new(), Telemetry::start(Arc::new(Costs::new())));
        Arc::new(Self {
            ledger: Arc::new(Ledger::new(clock, Arc::clone(&telemetry))),
            shedding: Shedding::default(),
            memory: Memory::of(config.max_held_bytes.unwrap_or_else(|| memory::limit() / 2)),
            drain: Drain::new(config.drain_delay, config.drain_timeout, config.grace_period),
            config,
            live: ArcSwap::default(),
            clock,
            telemetry,
            applying: Mutex::new(()),
        })
    }

    /// Replaces the whole config. What cannot be used is named, and keeps its last good version.
    pub fn apply(&self, snapshot: Snapshot) -> Vec<Rejection> {
        self.apply_resources(snapshot.into_resources())
    }

    /// The same for shared resources.
    pub fn apply_resources(&self, resources: Resources) -> Vec<Rejection> {
        let _one = self.applying.lock().unwrap_or_else(PoisonError::into_inner);
        let (live, rejected) = Live::build(resources, &self.live.load(), &self.clock);
        self.telemetry.metrics.config_applied(live.table.routes().count());
        self.live.store(Arc::new(live));
        rejected
    }

    /// Begins and follows the orderly end (SIGTERM); see [`Drain`].
    pub const fn drain(&self) -> &Drain {
        &self.drain
    }

    /// Speaks with a leader of the ledger that is in this process, until the channels close.
    pub async fn join_ledger(&self, outgoing: mpsc::Sender<FromPod>, incoming: mpsc::Receiver<ToPod>) {
        converse(&self.ledger, (String::new(), true), outgoing, ReceiverStream::new(incoming).map(Ok)).await;
    }

    /// Gives what is leased back and reports the last that was spent: the process ends.
    pub async fn settle_up(&self) {
        self.ledger.farewell().await;
    }

    /// Whether it has config and is not ending. Where Budgets enforce, a young process waits a little for the ledger's
    /// leader too, since it would refuse what they cover.
    pub fn is_ready(&self) -> bool {
        let live = self.live.load();
        let can_spend =
            !live.table.enforces_budgets() || self.ledger.met_a_leader() || self.clock.now() >= LEADER_WAIT_MS;
        live.loaded && !self.drain.has_begun() && can_spend
    }
}
