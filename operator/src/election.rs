//! Who leads: this process reads and writes the Lease, and tells the others by a watch channel.
//!
//! A leader that cannot renew still says `Leading`, but its term is over: whoever publishes or writes
//! status asks the term first. It becomes a standby only on reading that another one took over.

mod decide;

use crate::telemetry::Metrics;
use decide::{Decision, Me, Now, Observed, RENEW_DEADLINE, RETRY, decide, epoch, released};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};

/// Name of the Lease in the operator's namespace.
const LEASE: &str = "weir-operator";
/// One look at the Lease and one write; well under the renew deadline, so that a hung call is tried again.
const STEP_TIMEOUT: Duration = Duration::from_secs(4);

/// What this process is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Leadership {
    /// Another one leads, at this address; empty while none does.
    Standby(String),
    /// This one leads.
    Leading(Term),
}

/// A right to publish and to write status, as far as it was renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Term {
    /// Goes with each commit, so that pods refuse an older leader.
    pub(crate) epoch: u64,
    /// When it has run out, if it is not renewed.
    pub(crate) until: Instant,
}

impl Leadership {
    /// The term, if it has not run out by `now`.
    pub(crate) fn term(&self, now: Instant) -> Option<Term> {
        self.last_term().filter(|term| now < term.until)
    }

    /// The term, if this process took the Lease and knows of no successor; it may have run out.
    pub(crate) const fn last_term(&self) -> Option<Term> {
        match self {
            Self::Leading(term) => Some(*term),
            Self::Standby(_) => None,
        }
    }

    /// Whether this process took the Lease and knows of no successor.
    pub(crate) const fn leads(&self) -> bool {
        self.last_term().is_some()
    }
}

/// The highest epoch that anybody was heard of in; a leader below it takes a higher one.
#[derive(Default)]
pub(crate) struct EpochFloor {
    highest: AtomicU64,
    raised: Notify,
}

impl EpochFloor {
    /// Notes an epoch that may be another leader's: what pods or the Lease say, or one above what the store does.
    pub(crate) fn raise(&self, epoch: u64) {
        if self.highest.fetch_max(epoch, Ordering::Relaxed) < epoch {
            self.raised.notify_one();
        }
    }
}

/// The candidate.
pub(crate) struct Election {
    leases: Api<Lease>,
    me: Me,
    floor: Arc<EpochFloor>,
    seen: Option<Observed>,
    metrics: Arc<Metrics>,
}

impl Election {
    /// A candidate named after its pod, that serves config at `address`.
    pub(crate) fn new(
        client: Client,
        namespace: &str,
        pod: &str,
        address: &str,
        floor: Arc<EpochFloor>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let me = Me { identity: format!("{pod}_{:08x}", fastrand::u32(..)), address: address.to_owned() };
        Self { leases: Api::namespaced(client, namespace), me, floor, seen: None, metrics }
    }

    /// Takes part until `stop` turns true; then gives the Lease up, if it is held.
    pub(crate) async fn run(mut self, leadership: watch::Sender<Leadership>, mut stop: watch::Receiver<bool>) {
        loop {
            match tokio::time::timeout(STEP_TIMEOUT, self.step()).await {
                Ok(Ok(Some(now))) => self.tell(&leadership, &now),
                Ok(Ok(None)) => {}
                Ok(Err(error)) => self.failed(&error.to_string()),
                Err(_) => self.failed("the API server does not answer in time"),
            }
            let floor = Arc::clone(&self.floor);
            tokio::select! {
                () = tokio::time::sleep(jittered(RETRY)) => {}
                () = floor.raised.notified() => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        let led = leadership.borrow().leads();
        if led && !matches!(tokio::time::timeout(STEP_TIMEOUT, self.release()).await, Ok(Ok(()))) {
            tracing::warn!("the Lease could not be released; the standby takes it when it expires");
        }
        self.tell(&leadership, &Leadership::Standby(String::new()));
    }

    /// One look and at most one write; `None` = somebody wrote in between, so nothing is known.
    async fn step(&mut self) -> Result<Option<Leadership>, kube::Error> {
        let found = self.leases.get_opt(LEASE).await?;
        let now = Now { mono: Instant::now(), wall: Timestamp::now() };
        self.seen = found.map(|lease| Observed::next(self.seen.take(), lease, now.mono));
        // A Lease that is lost later would count from 0 again.
        let seen = self.seen.as_ref().map_or(0, |seen| epoch(&seen.lease));
        self.floor.highest.fetch_max(seen, Ordering::Relaxed);
        let lease = match decide(self.seen.as_ref(), &self.me, self.floor.highest.load(Ordering::Relaxed), now) {
            Decision::Wait(address) => return Ok(Some(Leadership::Standby(address))),
            Decision::Write(lease) => *lease,
        };
        let post = PostParams::default();
        let written = if self.seen.is_some() {
            self.leases.replace(LEASE, &post, &lease).await
        } else {
            let metadata = ObjectMeta { name: Some(LEASE.to_owned()), ..lease.metadata };
            self.leases.create(&post, &Lease { metadata, ..lease }).await
        };
        match written {
            Ok(lease) => {
                let term = Term { epoch: epoch(&lease), until: now.mono + RENEW_DEADLINE };
                self.floor.highest.fetch_max(term.epoch, Ordering::Relaxed);
                self.seen = Some(Observed { lease, since: now.mono });
                Ok(Some(Leadership::Leading(term)))
            }
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn release(&self) -> Result<(), kube::Error> {
        let Some(lease) = self.leases.get_opt(LEASE).await? else { return Ok(()) };
        if lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_ref()) == Some(&self.me.identity) {
            self.leases.replace(LEASE, &PostParams::default(), &released(lease)).await?;
        }
        Ok(())
    }

    fn tell(&self, leadership: &watch::Sender<Leadership>, now: &Leadership) {
        self.metrics.leader.set(i64::from(now.leads()));
        leadership.send_if_modified(|before| {
            if before.leads() != now.leads() {
                tracing::info!(identity = self.me.identity, ?now, "leadership changed");
            }
            let changed = before != now;
            before.clone_from(now);
            changed
        });
    }

    fn failed(&self, error: &str) {
        self.metrics.failed("lease");
        tracing::warn!(error, "the Lease cannot be read or written");
    }
}

/// Up to a tenth more, so that candidates do not step together.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(1.0 + fastrand::f64() / 10.0)
}
