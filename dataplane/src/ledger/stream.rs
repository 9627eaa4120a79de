//! One stream with one leader: its words to the wallet, the wallet's reports and asks to it.

use super::{Ledger, held, new_incarnation};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_stream::{Stream, StreamExt as _};
use tonic::Status;
use weir_lease::{Greeting, ROUND_MS};
use weir_snapshot::ledger::{FromPod, Hello, ToPod, from_pod, to_pod};

/// Parts of a hello that wait to be sent, of 256 KiB each.
const AHEAD: usize = 8;
/// A leader that takes none of them within that time is left.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two reports of what requests cost.
const COSTS_EVERY: Duration = Duration::from_secs(5);

/// How a stream ended.
pub(crate) enum End {
    /// The operator is a standby: dial this one.
    Leader(String),
    /// It ended; `served` says whether the leader spoke.
    Closed { served: bool, why: String },
}

/// Speaks with a leader until the stream ends. The token proves the pod; the leader takes hellos in `parts`, or not.
pub(crate) async fn converse(
    ledger: &Ledger,
    (token, parts): (String, bool),
    outgoing: mpsc::Sender<FromPod>,
    mut incoming: impl Stream<Item = Result<ToPod, Status>> + Unpin,
) -> End {
    let end = if greet(ledger, token, parts, &outgoing).await {
        ledger.turn_to(&outgoing);
        exchange(ledger, &outgoing, &mut incoming).await
    } else {
        End::Closed { served: false, why: "the stream closed at once".into() }
    };
    ledger.hang_up();
    end
}

/// Tells a leader all that is held here, a part at a time, so that requests go on meanwhile; false if it is gone.
async fn greet(ledger: &Ledger, mut token: String, parts: bool, outgoing: &mpsc::Sender<FromPod>) -> bool {
    let mut greeting = if parts { Greeting::default() } else { Greeting::whole() };
    let few_wait = outgoing.max_capacity().saturating_sub(AHEAD).max(1);
    loop {
        let taken = tokio::time::timeout(PATIENCE, outgoing.reserve_many(few_wait)).await;
        let Ok(Ok(_)) = taken else { return false };
        let hello = Hello { token: std::mem::take(&mut token), ..held(&ledger.wallet).hello(&mut greeting) };
        let more = hello.more;
        if outgoing.send(FromPod { kind: Some(from_pod::Kind::Hello(hello)) }).await.is_err() {
            return false;
        }
        if !more {
            return true;
        }
    }
}

async fn exchange(
    ledger: &Ledger,
    outgoing: &mpsc::Sender<FromPod>,
    incoming: &mut (impl Stream<Item = Result<ToPod, Status>> + Unpin),
) -> End {
    let mut rounds = tokio::time::interval(Duration::from_millis(ROUND_MS));
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut costs = tokio::time::interval(COSTS_EVERY);
    costs.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut served = false;
    loop {
        let message = tokio::select! {
            message = incoming.next() => message,
            _ = rounds.tick(), if served => match report(ledger) {
                true => continue,
                false => return End::Closed { served, why: "the leader does not read".into() },
            },
            _ = costs.tick(), if served => {
                ledger.tell_costs(false);
                continue;
            }
        };
        let message = match message {
            Some(Ok(message)) => message,
            Some(Err(status)) => {
                return End::Closed { served, why: format!("{}: {}", status.code(), status.message()) };
            }
            None => return End::Closed { served, why: "it was closed".into() },
        };
        match &message.kind {
            Some(to_pod::Kind::NotLeader(leader)) if leader.address.is_empty() => {
                return End::Closed { served, why: "no operator leads at the moment".into() };
            }
            Some(to_pod::Kind::CostsStored(stored)) => ledger.telemetry.costs.stored(stored.version),
            Some(to_pod::Kind::NotLeader(leader)) => return End::Leader(leader.address.clone()),
            Some(to_pod::Kind::Adrift(word)) => {
                ledger.adrift.send_replace(word.adrift.then_some(word.epoch));
                continue;
            }
            Some(_) if !served => {
                // The first word of a leader answers the hello: it knows what is held here.
                served = true;
                *held(&ledger.stream) = Some(outgoing.clone());
                ledger.telemetry.metrics.ledger.connected.set(1);
                held(&ledger.wallet).set_connected(true);
                ledger.met.store(true, Ordering::Relaxed);
            }
            Some(_) | None => {}
        }
        let (taken, pods) = {
            let mut wallet = held(&ledger.wallet);
            (wallet.take(message, ledger.clock.now()), wallet.pods())
        };
        ledger.telemetry.metrics.ledger.pods.set(i64::try_from(pods).unwrap_or(i64::MAX));
        if let Some((ask, _)) = taken.answered
            && let Some(waiting) = held(&ledger.waiting).remove(&ask)
        {
            let _ = waiting.send(());
        }
        if taken.report && !report(ledger) {
            return End::Closed { served, why: "the leader does not read".into() };
        }
        if taken.closed {
            held(&ledger.wallet).restart(new_incarnation());
            return End::Closed { served: true, why: "the leader had given this process up".into() };
        }
    }
}

/// Reports what changed, and asks ahead of need. False where the leader does not read: on the next stream it is told all.
fn report(ledger: &Ledger) -> bool {
    let now = ledger.clock.now();
    let (reports, asks) = {
        let mut wallet = held(&ledger.wallet);
        (wallet.reports(now), wallet.asks_ahead(now))
    };
    let reported = reports.into_iter().all(|report| ledger.say(from_pod::Kind::Report(report)));
    reported && asks.into_iter().all(|ask| ledger.say(from_pod::Kind::Ask(ask)))
}
