//! One pod's stream: proof first, then differences, each awaiting its acknowledgement.
//!
//! One commit is under way at a time, so what the pod has is always known; changes in between add up.

use super::connection::Proof;
use super::delta::{Delta, Desired, Holdings, Sent};
use super::pace::Pace;
use super::pods::{Membership, Pods};
use crate::brake::{Brake, Loss};
use crate::election::{EpochFloor, Leadership};
use crate::proof::{ProvenPod, Prover, Review};
use crate::telemetry::Metrics;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tonic::{Status, Streaming};
use weir_snapshot::envelope::{Ack, FromPod, Hello, NotLeader, ProviderState, Rejected, ToPod, from_pod, to_pod};
use weir_snapshot::{Digest, Kind, ResourceId};

/// A stream that does not say who it is by then ends.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time between two reviews of the token.
const REVIEW: Duration = Duration::from_secs(50);
/// Pause after a review that nobody answered.
const REVIEW_RETRY: Duration = Duration::from_secs(10);
/// A pod that does not acknowledge by then redials and says anew what it has.
const ACK_TIMEOUT: Duration = Duration::from_secs(30);
/// A pod that does not read by then is gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// An epoch is a Lease's count of transitions, which is no greater.
const MAX_EPOCH: u64 = i32::MAX as u64;
/// Most entries of what a pod says in several messages: some hundred bytes each.
const MOST_ENTRIES: usize = 300_000;
/// Longest reason of a pod that is kept.
const REASON_BYTES: usize = 1024;

/// What all streams share.
pub(crate) struct Shared {
    /// Whether this process leads.
    pub(crate) leadership: watch::Receiver<Leadership>,
    /// What pods are to have, once it is known.
    pub(crate) desired: watch::Receiver<Option<Arc<Desired>>>,
    /// The pods with a stream.
    pub(crate) pods: Arc<Pods>,
    /// Who may have one.
    pub(crate) prover: Prover,
    /// The highest epoch that pods saw.
    pub(crate) floor: Arc<EpochFloor>,
    /// Holds mass deletes.
    pub(crate) brake: Arc<Brake>,
    /// Counts.
    pub(crate) metrics: Arc<Metrics>,
}

/// Where a stream's messages go.
pub(super) type Outgoing = mpsc::Sender<Result<ToPod, Status>>;

/// Serves one stream to its end.
pub(super) async fn run(shared: Arc<Shared>, proof: Proof, mut incoming: Streaming<FromPod>, outgoing: Outgoing) {
    let end = match enter(&shared, &mut incoming).await {
        Ok(session) => {
            proof.give();
            session.follow(&mut incoming, &outgoing).await
        }
        Err(end) => end,
    };
    let last = match end {
        End::NotLeader(address) => Ok(ToPod { kind: Some(to_pod::Kind::NotLeader(NotLeader { address })) }),
        End::Closed(status) => Err(status),
    };
    let _ = tokio::time::timeout(SEND_TIMEOUT, outgoing.send(last)).await;
}

/// How a stream ends.
enum End {
    /// Another one leads, at this address.
    NotLeader(String),
    /// For that reason.
    Closed(Status),
}

/// Lets a pod in that proves itself.
async fn enter(shared: &Arc<Shared>, incoming: &mut Streaming<FromPod>) -> Result<Session, End> {
    if let Leadership::Standby(address) = &*shared.leadership.borrow() {
        return Err(End::NotLeader(address.clone()));
    }
    let first = tokio::time::timeout(HELLO_TIMEOUT, incoming.message()).await;
    let kind = first.ok().and_then(Result::ok).flatten().and_then(|message| message.kind);
    let Some(from_pod::Kind::Hello(hello)) = kind else {
        return Err(End::Closed(Status::invalid_argument("the first message of a stream is its hello")));
    };
    let Hello { token, gateway, incarnation, features, highest_epoch, held, more } = hello;
    if highest_epoch > MAX_EPOCH {
        return Err(End::Closed(Status::invalid_argument("no leader ever had that epoch")));
    }
    let pod = match shared.prover.admit(&token).await {
        Review::Proven(pod) => pod,
        Review::Refused(reason) => {
            shared.metrics.refused_streams.inc();
            tracing::warn!(reason, "a config stream was refused");
            return Err(End::Closed(Status::permission_denied(reason)));
        }
        Review::Unanswered(error) => {
            shared.metrics.failed("token_review");
            tracing::warn!(error, "a config stream cannot be proven");
            return Err(End::Closed(Status::unavailable("the token cannot be reviewed now")));
        }
    };
    shared.floor.raise(highest_epoch);
    let known = |held: weir_snapshot::envelope::Held| {
        Some((ResourceId::new(Kind::parse(&held.kind)?, held.namespace, held.name), Digest::read(&held.digest)))
    };
    let mut held: BTreeMap<_, _> = held.into_iter().filter_map(known).collect();
    let mut goes_on = more;
    while goes_on {
        let next = tokio::time::timeout(HELLO_TIMEOUT, incoming.message()).await;
        let kind = next.ok().and_then(Result::ok).flatten().and_then(|message| message.kind);
        let Some(from_pod::Kind::Hello(part)) = kind.filter(|_| held.len() < MOST_ENTRIES) else {
            return Err(End::Closed(Status::invalid_argument("a hello that never ends")));
        };
        held.extend(part.held.into_iter().filter_map(known));
        goes_on = part.more;
    }
    tracing::info!(pod = pod.name, gateway, incarnation, held = held.len(), "a pod follows");
    let holdings = Holdings { held, rejected: BTreeMap::new(), features: features.into_iter().collect() };
    let member = shared.pods.enter(&pod.uid, holdings);
    let member = member.ok_or_else(|| End::Closed(Status::resource_exhausted("too many pods follow already")))?;
    let now = Instant::now();
    Ok(Session {
        shared: Arc::clone(shared),
        desired: shared.desired.clone(),
        leadership: shared.leadership.clone(),
        brake: shared.brake.changes(),
        member,
        pod,
        token,
        highest_epoch,
        pace: Pace::new(now),
        wait_until: None,
        under_way: None,
        refused: Vec::new(),
        observed: Vec::new(),
        greeted: false,
        review_at: now + REVIEW,
        reviewing: None,
    })
}

struct Session {
    shared: Arc<Shared>,
    desired: watch::Receiver<Option<Arc<Desired>>>,
    leadership: watch::Receiver<Leadership>,
    brake: watch::Receiver<u64>,
    member: Membership,
    pod: ProvenPod,
    /// The newest that the pod sent.
    token: String,
    highest_epoch: u64,
    pace: Pace,
    /// No push before.
    wait_until: Option<Instant>,
    under_way: Option<(Sent, Instant)>,
    /// What it said so far of what it refuses, and of upstreams, where that goes on in another message.
    refused: Vec<Rejected>,
    observed: Vec<ProviderState>,
    /// Whether a first commit was sent, which tells the pod that it is up to date.
    greeted: bool,
    review_at: Instant,
    reviewing: Option<Pin<Box<dyn Future<Output = Review> + Send>>>,
}

/// What happened next.
enum Turn {
    Message(Result<Option<FromPod>, Status>),
    Reviewed(Review),
    ReviewDue,
    AckOverdue,
    Superseded,
    /// Something that may call for a push.
    Changed,
    Stop,
}

impl Session {
    async fn follow(mut self, incoming: &mut Streaming<FromPod>, outgoing: &Outgoing) -> End {
        let end = loop {
            if let Leadership::Standby(address) = &*self.leadership.borrow_and_update() {
                break End::NotLeader(address.clone());
            }
            if let Err(end) = self.push(outgoing).await {
                break end;
            }
            let turn = self.turn(incoming).await;
            if let Err(end) = self.take(turn) {
                break end;
            }
        };
        // A newer stream of the same pod has its own say.
        if self.member.look(|_| ()).is_some() {
            self.shared.brake.forget(&self.pod.uid);
        }
        let reason = match &end {
            End::NotLeader(_) => "another operator leads",
            End::Closed(status) => status.message(),
        };
        tracing::info!(pod = self.pod.name, reason, "a pod no longer follows");
        end
    }

    async fn turn(&mut self, incoming: &mut Streaming<FromPod>) -> Turn {
        let overdue = self.under_way.as_ref().map(|(_, sent)| *sent + ACK_TIMEOUT);
        let review_due = if self.reviewing.is_none() { Some(self.review_at) } else { None };
        tokio::select! {
            message = incoming.message() => Turn::Message(message),
            review = finished(&mut self.reviewing) => Turn::Reviewed(review),
            () = at(review_due) => Turn::ReviewDue,
            () = at(overdue) => Turn::AckOverdue,
            () = self.member.superseded() => Turn::Superseded,
            () = at(self.wait_until) => Turn::Changed,
            changed = self.desired.changed() => changed.map_or(Turn::Stop, |()| Turn::Changed),
            changed = self.leadership.changed() => changed.map_or(Turn::Stop, |()| Turn::Changed),
            changed = self.brake.changed() => changed.map_or(Turn::Stop, |()| Turn::Changed),
        }
    }

    fn take(&mut self, turn: Turn) -> Result<(), End> {
        match turn {
            Turn::Changed => Ok(()),
            Turn::Message(Ok(Some(message))) => self.message(message),
            Turn::Message(Ok(None)) => Err(End::Closed(Status::ok("the pod closed the stream"))),
            Turn::Message(Err(status)) => Err(End::Closed(status)),
            Turn::Reviewed(review) => self.reviewed(review),
            Turn::ReviewDue => {
                let (shared, token) = (Arc::clone(&self.shared), self.token.clone());
                self.reviewing = Some(Box::pin(async move { shared.prover.review(&token).await }));
                Ok(())
            }
            Turn::AckOverdue => Err(End::Closed(Status::deadline_exceeded("a commit was not acknowledged in time"))),
            Turn::Superseded => Err(End::Closed(Status::aborted("the pod opened another stream"))),
            Turn::Stop => Err(End::Closed(Status::unavailable("the operator stops"))),
        }
    }

    fn message(&mut self, message: FromPod) -> Result<(), End> {
        match message.kind {
            Some(from_pod::Kind::Ack(ack)) => self.acknowledged(ack),
            Some(from_pod::Kind::Token(token)) => {
                self.token = token.token;
                Ok(())
            }
            Some(from_pod::Kind::Observed(observed)) => {
                gather(&mut self.observed, observed.providers)?;
                if !observed.more {
                    let providers = std::mem::take(&mut self.observed);
                    self.member.change(|pod| pod.observed = Some(providers));
                }
                Ok(())
            }
            Some(from_pod::Kind::Hello(_)) => Err(End::Closed(Status::invalid_argument("a second hello"))),
            // A kind that only a newer build knows.
            None => Ok(()),
        }
    }

    fn acknowledged(&mut self, ack: Ack) -> Result<(), End> {
        gather(&mut self.refused, ack.rejected)?;
        if ack.more {
            return Ok(());
        }
        let rejected = std::mem::take(&mut self.refused);
        let Some((sent, _)) = self.under_way.take_if(|(sent, _)| sent.revision == ack.revision) else {
            return Err(End::Closed(Status::invalid_argument("an acknowledgement of what was not sent")));
        };
        let mut refused = BTreeMap::new();
        for mut rejected in rejected {
            let end = rejected.reason.floor_char_boundary(REASON_BYTES);
            rejected.reason.truncate(end);
            let Some(kind) = Kind::parse(&rejected.kind) else { continue };
            let id = ResourceId::new(kind, rejected.namespace, rejected.name);
            tracing::warn!(pod = self.pod.name, resource = %id, reason = rejected.reason, "a pod refused a resource");
            self.shared.metrics.rejections.inc();
            refused.insert(id, (Digest::read(&rejected.digest), rejected.reason));
        }
        self.member.change(|pod| pod.holdings.applied(sent, refused));
        Ok(())
    }

    fn reviewed(&mut self, review: Review) -> Result<(), End> {
        self.reviewing = None;
        match review {
            Review::Proven(pod) if pod.uid == self.pod.uid => {
                self.pod = pod;
                self.review_at = Instant::now() + REVIEW;
                Ok(())
            }
            Review::Proven(_) => Err(End::Closed(Status::permission_denied("the token is of another pod"))),
            Review::Refused(reason) => {
                self.shared.metrics.refused_streams.inc();
                tracing::warn!(pod = self.pod.name, reason, "a config stream was refused on review");
                Err(End::Closed(Status::permission_denied(reason)))
            }
            Review::Unanswered(_) if k8s_openapi::jiff::Timestamp::now().as_second() < self.pod.expires_at => {
                self.shared.metrics.failed("token_review");
                self.review_at = Instant::now() + REVIEW_RETRY;
                Ok(())
            }
            Review::Unanswered(_) => Err(End::Closed(Status::unauthenticated("the token expired"))),
        }
    }

    /// Sends what is missing, if this process may and nothing else is under way.
    async fn push(&mut self, outgoing: &Outgoing) -> Result<(), End> {
        let now = Instant::now();
        self.wait_until = None;
        let term = self.leadership.borrow().term(now).filter(|term| term.epoch >= self.highest_epoch);
        let desired = self.desired.borrow_and_update().clone();
        let (Some(term), Some(desired), None) = (term, desired, &self.under_way) else { return Ok(()) };
        let Some(delta) = self.member.look(|pod| pod.holdings.delta(&desired)) else { return Ok(()) };
        let delta = self.braked(delta, &desired);
        if self.greeted && delta == Delta::default() {
            return Ok(());
        }
        self.wait_until = self.pace.take(now).err();
        if self.wait_until.is_some() {
            return Ok(());
        }
        for message in delta.messages(&desired, term.epoch) {
            match tokio::time::timeout(SEND_TIMEOUT, outgoing.send(Ok(message))).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(End::Closed(Status::cancelled("the pod is gone"))),
                Err(_) => return Err(End::Closed(Status::deadline_exceeded("the pod does not read"))),
            }
        }
        self.greeted = true;
        self.under_way = Some((delta.sent(&desired), Instant::now()));
        self.shared.metrics.pushes.inc();
        Ok(())
    }

    /// Without the deletes that the brake holds.
    fn braked(&self, delta: Delta, desired: &Desired) -> Delta {
        let loss = self.member.look(|pod| Loss::new(delta.removes.iter(), pod.holdings.held.keys()));
        let permitted = loss.is_none_or(|loss| self.shared.brake.permits(&self.pod.uid, loss));
        if permitted {
            return delta;
        }
        let held = self.member.look(|pod| pod.holdings.held.clone()).unwrap_or_default();
        delta.without_removes(desired, &held)
    }
}

/// Adds what a further message tells.
fn gather<T>(held: &mut Vec<T>, more: Vec<T>) -> Result<(), End> {
    held.extend(more);
    let bounded = held.len() <= MOST_ENTRIES;
    bounded.then_some(()).ok_or_else(|| End::Closed(Status::invalid_argument("a message that never ends")))
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

async fn finished(review: &mut Option<Pin<Box<dyn Future<Output = Review> + Send>>>) -> Review {
    match review {
        Some(review) => review.await,
        None => std::future::pending().await,
    }
}
