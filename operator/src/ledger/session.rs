//! One pod's stream to the leader of the ledger: proof first, then its words to the leader.

use super::Desk;
use super::service::ledger_server::Ledger;
use crate::election::Leadership;
use crate::proof::{ProvenPod, Review};
use crate::publish::{Proof, Shared};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};
use weir_ledger::{Command, Office};
use weir_snapshot::ledger::{FromPod, Leads, NotLeader, ToPod, from_pod, to_pod};

/// Messages that wait for a pod to read; beyond it the stream ends.
const QUEUE: usize = 4_096;
/// A stream that does not say who it is by then ends.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// A new leader reads its store first; the pod is told to come back after that.
const OFFICE_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two looks whether it has.
const OFFICE_LOOK: Duration = Duration::from_millis(20);
/// A stream this old ends, so that the pod proves itself again.
const MAX_AGE: Duration = Duration::from_secs(600);

/// The service.
pub(crate) struct Service {
    shared: Arc<Shared>,
    desk: Arc<Desk>,
    streams: AtomicU64,
}

impl Service {
    /// Serves pods that the config stream's rules admit.
    pub(crate) fn new(shared: Arc<Shared>, desk: Arc<Desk>) -> Self {
        Self { shared, desk, streams: AtomicU64::new(0) }
    }
}

#[tonic::async_trait]
impl Ledger for Service {
    type LeaseStream = Pin<Box<dyn Stream<Item = Result<ToPod, Status>> + Send>>;

    async fn lease(&self, request: Request<Streaming<FromPod>>) -> Result<Response<Self::LeaseStream>, Status> {
        let (outgoing, messages) = mpsc::channel(QUEUE);
        let (shared, desk) = (Arc::clone(&self.shared), Arc::clone(&self.desk));
        let stream = self.streams.fetch_add(1, Ordering::Relaxed);
        // The pod says hello once it is answered.
        let proof = Proof::of(&request);
        tokio::spawn(serve(shared, desk, stream, proof, request.into_inner(), outgoing));
        Ok(Response::new(Box::pin(ReceiverStream::new(messages).map(Ok))))
    }
}

async fn serve(
    shared: Arc<Shared>,
    desk: Arc<Desk>,
    stream: u64,
    proof: Proof,
    mut incoming: Streaming<FromPod>,
    outgoing: mpsc::Sender<ToPod>,
) {
    match enter(&shared, &desk, &mut incoming, &outgoing).await {
        Ok((office, pod, hello)) => {
            proof.give();
            pass(office, pod, hello, stream, incoming, outgoing, shared.leadership.clone()).await;
        }
        Err(End::NotLeader(address)) => {
            let _ = outgoing.send(ToPod { kind: Some(to_pod::Kind::NotLeader(NotLeader { address })) }).await;
        }
        Err(End::Refused(reason)) => tracing::warn!(reason, "a ledger stream was refused"),
        Err(End::Left) => {}
    }
}

enum End {
    NotLeader(String),
    Refused(&'static str),
    /// The pod looked for another leader.
    Left,
}

type Hello = (String, FromPod);

/// Tells a pod which leader this process is, and lets it in if it goes on and proves itself.
async fn enter(
    shared: &Shared,
    desk: &Desk,
    incoming: &mut Streaming<FromPod>,
    outgoing: &mpsc::Sender<ToPod>,
) -> Result<(Arc<Office>, ProvenPod, Hello), End> {
    if let Leadership::Standby(address) = &*shared.leadership.borrow() {
        return Err(End::NotLeader(address.clone()));
    }
    let office = tokio::time::timeout(OFFICE_TIMEOUT, async {
        loop {
            if let Some(office) = desk.office() {
                return office;
            }
            tokio::time::sleep(OFFICE_LOOK).await;
        }
    });
    let office = office.await.map_err(|_| End::NotLeader(String::new()))?;
    let leads = Leads { epoch: office.epoch(), parts: true };
    outgoing.send(ToPod { kind: Some(to_pod::Kind::Leads(leads)) }).await.map_err(|_| End::Left)?;
    let Ok(first) = tokio::time::timeout(HELLO_TIMEOUT, incoming.message()).await else {
        return Err(End::Refused("a stream that says nothing is not held open"));
    };
    let Ok(Some(first)) = first else { return Err(End::Left) };
    let Some(from_pod::Kind::Hello(mut hello)) = first.kind else {
        return Err(End::Refused("the first message of a stream is its hello"));
    };
    let pod = match shared.prover.admit(&std::mem::take(&mut hello.token)).await {
        Review::Proven(pod) => pod,
        Review::Refused(reason) => {
            shared.metrics.refused_streams.inc();
            return Err(End::Refused(reason));
        }
        Review::Unanswered(_) => {
            return Err(End::Refused("the token cannot be reviewed now"));
        }
    };
    shared.floor.raise(hello.highest_epoch.min(i32::MAX as u64));
    Ok((office, pod, (hello.incarnation.clone(), FromPod { kind: Some(from_pod::Kind::Hello(hello)) })))
}

/// Passes a pod's words on until its stream, its time or the leader's is over.
async fn pass(
    office: Arc<Office>,
    pod: ProvenPod,
    (incarnation, hello): Hello,
    stream: u64,
    mut incoming: Streaming<FromPod>,
    outgoing: mpsc::Sender<ToPod>,
    mut leadership: watch::Receiver<Leadership>,
) {
    let closed = outgoing.clone();
    let enter = Command::Enter { incarnation: incarnation.clone(), pod: pod.uid.clone(), stream, outgoing };
    let mut greets = is_unfinished(&hello);
    let hello = Command::Message { incarnation: incarnation.clone(), pod: pod.uid.clone(), message: hello };
    // The leader may have ended while the pod proved itself.
    if !office.tell(enter).await || !office.tell(hello).await {
        return;
    }
    let until = tokio::time::sleep(MAX_AGE);
    tokio::pin!(until);
    let address = loop {
        tokio::select! {
            message = incoming.message() => {
                let Ok(Some(message)) = message else { break None };
                // Until its hello is whole it says nothing else, and nothing of it afterwards.
                let is_expected = match &message.kind {
                    Some(from_pod::Kind::Hello(hello)) => {
                        let goes_on = greets && hello.incarnation == incarnation;
                        greets = hello.more;
                        goes_on
                    }
                    Some(_) => !greets,
                    None => false,
                };
                let message = Command::Message { incarnation: incarnation.clone(), pod: pod.uid.clone(), message };
                if !is_expected || !office.tell(message).await {
                    break None;
                }
            }
            // The leader gave the stream up.
            () = closed.closed() => break None,
            () = &mut until => break None,
            changed = leadership.changed() => match (&*leadership.borrow_and_update(), changed) {
                (Leadership::Standby(address), _) => break Some(address.clone()),
                (Leadership::Leading(_), Ok(())) => {}
                (Leadership::Leading(_), Err(_)) => break None,
            },
        }
    };
    if let Some(address) = address {
        let _ = closed.try_send(ToPod { kind: Some(to_pod::Kind::NotLeader(NotLeader { address })) });
    }
    office.tell(Command::Left { incarnation, stream }).await;
}

/// Whether it is a part of a hello that goes on.
fn is_unfinished(message: &FromPod) -> bool {
    matches!(&message.kind, Some(from_pod::Kind::Hello(hello)) if hello.more)
}
