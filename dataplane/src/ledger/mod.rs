//! This pod's share of what may be spent: reserved and settled here, leased from the ledger's leader.
//!
//! A request waits for the leader only when no lease covers it, and never for a store.

mod door;
mod follow;
mod seek;
mod service;
mod stream;

pub use follow::follow;
pub(crate) use stream::converse;

use crate::clock::Clock;
use crate::telemetry::Telemetry;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use weir_lease::{Claim, Refusal, Reservation, Reserved, Standing, Wallet};
use weir_snapshot::ledger::{FromPod, from_pod};

/// Longest wait for a lease: the leader's own, for its store, and the way there and back.
const ASK_TIMEOUT: Duration = Duration::from_millis(300);
/// Longest wait for the leader's word on the last report.
const FAREWELL: Duration = Duration::from_secs(2);

/// What this pod may spend.
pub(crate) struct Ledger {
    wallet: Mutex<Wallet>,
    /// Requests that wait for an answer, by their ask.
    waiting: Mutex<HashMap<u64, oneshot::Sender<()>>>,
    /// The stream to the leader, while there is one.
    stream: Mutex<Option<mpsc::Sender<FromPod>>>,
    /// Whether a leader ever spoke.
    met: AtomicBool,
    /// The epoch of the leader on the stream, while it says that it is adrift.
    adrift: watch::Sender<Option<u64>>,
    telemetry: Arc<Telemetry>,
    clock: Clock,
}

impl Ledger {
    pub(crate) fn new(clock: Clock, telemetry: Arc<Telemetry>) -> Self {
        Self {
            wallet: Mutex::new(Wallet::new(new_incarnation())),
            waiting: Mutex::default(),
            stream: Mutex::default(),
            met: AtomicBool::new(false),
            adrift: watch::Sender::new(None),
            telemetry,
            clock,
        }
    }

    /// Reserves all claims or none. Waits for the leader where no lease covers them.
    pub(crate) async fn reserve<C: AsRef<Claim> + Sync>(&self, claims: &[C]) -> Result<Reservation, Refusal> {
        let deadline = Instant::now() + ASK_TIMEOUT;
        loop {
            let (owed, ask, place, answered) = {
                let mut wallet = held(&self.wallet);
                match wallet.reserve(claims, self.clock.now()) {
                    Reserved::Held(reservation) => return Ok(reservation),
                    Reserved::Refused(refusal) => return Err(refusal),
                    Reserved::Short(wants) => {
                        let (tell, answered) = oneshot::channel();
                        let place = wants.first().and_then(|want| place(claims, &want.limit, &want.partition));
                        let owed = wallet.owed(&wants, self.clock.now());
                        let ask = wallet.ask(wants);
                        held(&self.waiting).insert(ask.id, tell);
                        (owed, ask, place, answered)
                    }
                }
            };
            let id = ask.id;
            let asked = Instant::now();
            // Where the stream ends before there is an answer, the wallet knows what holds now.
            let reported = owed.into_iter().all(|report| self.say(from_pod::Kind::Report(report)));
            let goes_on = reported && self.say(from_pod::Kind::Ask(ask)) && in_time(deadline, answered).await;
            self.telemetry.metrics.ledger.waits.observe(asked.elapsed().as_secs_f64());
            if !goes_on {
                held(&self.waiting).remove(&id);
                let standing = Standing::default();
                let (exhausted, crowded) = (false, false);
                return Err(Refusal { claim: place, standing, exhausted, crowded, retry_after_ms: Some(1_000) });
            }
        }
    }

    /// Settles what each claim came to, in their order; `None` = nobody knows the price.
    pub(crate) fn settle(&self, reservation: Reservation, spent: &[Option<u64>]) {
        held(&self.wallet).settle(reservation, spent, self.clock.now());
    }

    /// Whether a leader ever spoke with this process.
    pub(crate) fn met_a_leader(&self) -> bool {
        self.met.load(Ordering::Relaxed)
    }

    /// What a pot is at, as far as this pod knows.
    pub(crate) fn standing(&self, claim: &Claim) -> Option<Standing> {
        held(&self.wallet).standing(&claim.limit, &claim.partition, self.clock.now())
    }

    /// Lets go of what nobody needs, also while there is no leader to report to.
    fn tidy(&self) {
        held(&self.wallet).tidy(self.clock.now());
    }

    /// Tells the leader that nothing more is spent, and waits a little for its word.
    pub(crate) async fn farewell(&self) {
        let reports = held(&self.wallet).last_reports(self.clock.now());
        if reports.into_iter().all(|report| self.say(from_pod::Kind::Report(report))) {
            let gone = async {
                self.store_costs().await;
                while held(&self.stream).as_ref().is_some_and(|stream| stream.capacity() < stream.max_capacity()) {
                    tokio::task::yield_now().await;
                }
            };
            let _ = tokio::time::timeout(FAREWELL, gone).await;
        }
    }

    /// Tells the leader what requests cost that is not stored yet, as much as a report takes; false if nothing is.
    fn tell_costs(&self, last: bool) -> bool {
        let report = self.telemetry.costs.report(last);
        report.map(|report| self.say(from_pod::Kind::Costs(report))).is_some()
    }

    /// Tells it again and again, until all is stored.
    async fn store_costs(&self) {
        loop {
            let word = self.telemetry.costs.word();
            if !self.tell_costs(true) {
                return;
            }
            word.await;
        }
    }

    /// A leader of that epoch will be told what is held here; what the one before said of itself is over.
    fn meet(&self, epoch: u64) {
        self.adrift.send_replace(None);
        held(&self.wallet).meet(epoch);
    }

    /// A stream begins. Where it follows on that of a leader that was adrift, whoever waits for an answer asks anew.
    fn turn_to(&self, outgoing: &mpsc::Sender<FromPod>) {
        let moved = held(&self.stream).as_mut().map(|stream| *stream = outgoing.clone()).is_some();
        if moved {
            let mut wallet = held(&self.wallet);
            wallet.set_connected(false);
            wallet.set_connected(true);
            drop(wallet);
            held(&self.waiting).clear();
        }
    }

    /// The stream has ended.
    fn hang_up(&self) {
        held(&self.stream).take();
        self.telemetry.metrics.ledger.connected.set(0);
        held(&self.wallet).set_connected(false);
        held(&self.waiting).clear();
    }

    /// Sends a message to the leader; false where there is none, or it does not read.
    fn say(&self, kind: from_pod::Kind) -> bool {
        let stream = held(&self.stream);
        stream.as_ref().is_some_and(|stream| stream.try_send(FromPod { kind: Some(kind) }).is_ok())
    }
}

/// Where the claim on that pot stands.
fn place<C: AsRef<Claim>>(claims: &[C], limit: &str, partition: &str) -> Option<usize> {
    let is = |claim: &Claim| &*claim.limit == limit && &*claim.partition == partition;
    claims.iter().position(|claim| is(claim.as_ref()))
}

fn new_incarnation() -> String {
    format!("{:032x}", fastrand::u128(..))
}

/// Whether the answer comes by then, or the end of the stream.
async fn in_time(deadline: Instant, answered: oneshot::Receiver<()>) -> bool {
    tokio::time::timeout_at(deadline, answered).await.is_ok()
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Account;
    use crate::costs::Costs;
    use weir_dialect::Usage;
    use weir_lease::Terms;
    use weir_snapshot::FailureMode;

    #[tokio::test(start_paused = true)]
    async fn what_a_process_says_last_of_costs_is_all_of_them_however_many() {
        const KEYS: usize = 1_500;
        let costs = Arc::new(Costs::new());
        let telemetry = Telemetry::start(Arc::clone(&costs));
        let ledger = Arc::new(Ledger::new(Clock::new(), Arc::clone(&telemetry)));
        let mut account = Account::open(&telemetry, crate::memory::Memory::of(u64::MAX).hold(""), "/test");
        for key in 0..KEYS {
            account.record.upstream_model = Some(format!("model-{key}"));
            assert!(costs.add(&account.record, &Usage::default(), None));
        }
        let (outgoing, mut said) = mpsc::channel(8);
        *held(&ledger.stream) = Some(outgoing);
        let ending = tokio::spawn(async move { ledger.farewell().await });
        let mut keys = 0;
        while keys < KEYS {
            let message = said.recv().await.expect("it goes on until all is stored");
            let Some(from_pod::Kind::Costs(report)) = message.kind else { continue };
            assert!(report.last);
            keys += report.rows.len();
            costs.stored(report.version);
        }
        ending.await.expect("then it ends");
        assert!(costs.report(true).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_leader_that_is_left_asks_the_next_one() {
        let telemetry = Telemetry::start(Arc::new(Costs::new()));
        let ledger = Arc::new(Ledger::new(Clock::new(), telemetry));
        let (old, mut to_old) = mpsc::channel(8);
        *held(&ledger.stream) = Some(old);
        held(&ledger.wallet).set_connected(true);
        let terms = Terms::Hard(FailureMode::LeasedOnly);
        let claim = Claim { limit: "Budget/a/b/USD".into(), partition: "".into(), amount: 5, leave: 0, terms };
        let waiting = tokio::spawn({
            let ledger = Arc::clone(&ledger);
            async move { ledger.reserve(&[claim]).await }
        });
        let asks = |message: Option<FromPod>| matches!(message, Some(FromPod { kind: Some(from_pod::Kind::Ask(_)) }));
        assert!(asks(to_old.recv().await));
        let (new, mut to_new) = mpsc::channel(8);
        ledger.turn_to(&new);
        assert!(asks(to_new.recv().await));
        ledger.hang_up();
        assert!(waiting.await.expect("it does not panic").is_err(), "and no longer than there is one");
    }
}
