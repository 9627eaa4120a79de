//! One stream with one leader: its words to the wallet, the wallet's reports and asks to it.

use super::{Ledger, held, new_incarnation};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_stream::{Stream, StreamExt as _};
use tonic::Status;
use weir_lease::ROUND_MS;
use weir_snapshot::ledger::{FromPod, Hello, ToPod, from_pod, to_pod};

/// Between two reports of what requests cost.
const COSTS_EVERY: Duration = Duration::from_secs(5);

/// How a stream ended.
pub(crate) enum End {
    /// The operator is a standby: dial this one.
    Leader(String),
    /// It ended; `served` says whether the leader spoke.
    Closed { served: bool, why: String },
}

/// Speaks with a leader until the stream ends; `token` proves the pod.
pub(crate) async fn converse(
    ledger: &Ledger,
    token: String,
    outgoing: mpsc::Sender<FromPod>,
    mut incoming: impl Stream<Item = Result<ToPod, Status>> + Unpin,
) -> End {
    let hello = Hello { token, ..held(&ledger.wallet).hello() };
    let end = if outgoing.send(FromPod { kind: Some(from_pod::Kind::Hello(hello)) }).await.is_ok() {
        ledger.turn_to(&outgoing);
        exchange(ledger, &outgoing, &mut incoming).await
    } else {
        End::Closed { served: false, why: "the stream closed at once".into() }
    };
    ledger.hang_up();
    end
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
            _ = rounds.tick(), if served => {
                report(ledger);
                continue;
            }
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
        if taken.report {
            report(ledger);
        }
        if taken.closed {
            held(&ledger.wallet).restart(new_incarnation());
            return End::Closed { served: true, why: "the leader had given this process up".into() };
        }
    }
}

/// Reports what changed, and asks ahead of need.
fn report(ledger: &Ledger) {
    let now = ledger.clock.now();
    let (report, ask) = {
        let mut wallet = held(&ledger.wallet);
        (wallet.report(now), wallet.ask_ahead(now))
    };
    report.into_iter().for_each(|report| _ = ledger.say(from_pod::Kind::Report(report)));
    ask.into_iter().for_each(|ask| _ = ledger.say(from_pod::Kind::Ask(ask)));
}
