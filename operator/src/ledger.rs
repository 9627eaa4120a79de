//! The leader of the ledger, for as long as this process leads; and the streams of the pods to it.

mod service;
mod session;
mod show;

pub(crate) use service::ledger_server::LedgerServer;
pub(crate) use session::Service;
pub(crate) use show::spending;

use crate::election::{EpochFloor, Leadership, Term};
use crate::publish::{Desired, Shared};
use crate::source::cluster::Cache;
use crate::status::Spending;
use arc_swap::ArcSwapOption;
use k8s_openapi::api::core::v1::Pod;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use weir_lease::View;
use weir_ledger::{Command, Lead, Meters, Office, Store, Tenure, limits};

/// The Redis of an operator in that namespace.
pub(crate) fn redis(url: &str, namespace: &str) -> Result<Store, String> {
    Store::redis(url, &format!("weir:{namespace}"))
}

/// Between two tries to read the store.
const LOAD_RETRY: Duration = Duration::from_secs(1);
/// Between two looks at which Pods run.
const PODS_EVERY: Duration = Duration::from_secs(1);

/// The way to the leader, while this process is it.
#[derive(Default)]
pub(crate) struct Desk {
    office: ArcSwapOption<Office>,
}

impl Desk {
    /// The leader, if this process is it and knows what was spent.
    pub(crate) fn office(&self) -> Option<Arc<Office>> {
        self.office.load_full()
    }
}

/// The part that leads the ledger.
pub(crate) struct Ledger {
    desk: Arc<Desk>,
    store: Arc<Store>,
    leadership: watch::Receiver<Leadership>,
    desired: watch::Receiver<Option<Arc<Desired>>>,
    pods: Arc<Cache<Pod>>,
    floor: Arc<EpochFloor>,
    spending: watch::Sender<Arc<Spending>>,
    meters: Meters,
}

impl Ledger {
    /// Over that store, for the data plane's `pods`; status is told by `spending` what was spent.
    pub(crate) fn new(
        store: Store,
        shared: &Shared,
        pods: Arc<Cache<Pod>>,
        spending: watch::Sender<Arc<Spending>>,
        meters: Meters,
    ) -> Self {
        Self {
            desk: Arc::default(),
            store: Arc::new(store),
            leadership: shared.leadership.clone(),
            desired: shared.desired.clone(),
            pods,
            floor: Arc::clone(&shared.floor),
            spending,
            meters,
        }
    }

    /// Where the leader is found.
    pub(crate) fn desk(&self) -> Arc<Desk> {
        Arc::clone(&self.desk)
    }

    /// Leads whenever this process does, until `stop` turns true.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let term = self.leadership.borrow_and_update().last_term();
            let Some(Term { epoch, until }) = term else {
                tokio::select! {
                    changed = self.leadership.changed() => if changed.is_err() { return },
                    () = turned(&mut stop) => return,
                }
                continue;
            };
            let (tell, tenure) = watch::channel(Tenure::Until(until));
            let leading = self.lead(epoch, tenure);
            tokio::pin!(leading);
            let mut leadership = self.leadership.clone();
            let stopped = loop {
                tokio::select! {
                    () = &mut leading => break false,
                    changed = leadership.changed() => {
                        let renewed = leadership.borrow_and_update().last_term().filter(|term| term.epoch == epoch);
                        let renewed = renewed.filter(|_| changed.is_ok());
                        tell.send_replace(renewed.map_or(Tenure::Over, |term| Tenure::Until(term.until)));
                    }
                    () = turned(&mut stop) => {
                        tell.send_replace(Tenure::Over);
                        leading.await;
                        break true;
                    }
                }
            };
            self.desk.office.store(None);
            if stopped {
                return;
            }
            tokio::time::sleep(LOAD_RETRY).await;
        }
    }

    async fn lead(&self, epoch: u64, mut tenure: watch::Receiver<Tenure>) {
        let (stored, running) = loop {
            match (self.store.load().await, self.running()) {
                (Ok(stored), Some(running)) => break (stored, running),
                (Err(error), _) => tracing::error!(error, "the ledger cannot be read; nothing is granted until it can"),
                (Ok(_), None) => {}
            }
            tokio::select! {
                () = tokio::time::sleep(LOAD_RETRY) => {}
                _ = tenure.wait_for(|tenure| *tenure == Tenure::Over) => return,
            }
        };
        let newest = stored.iter().map(|(_, shard)| shard.epoch).max().unwrap_or(0);
        if newest >= epoch {
            self.floor.raise(newest.saturating_add(1));
            return;
        }
        tracing::info!(epoch, parts = stored.len(), "leading the ledger");
        let (views, viewed) = watch::channel(Arc::new(View::default()));
        let settings = self.store.settings(epoch, fastrand::u64(..));
        let (lead, office) = Lead::new(settings, Arc::clone(&self.store), stored, &running, views, &self.meters);
        let office = Arc::new(office);
        tokio::select! {
            end = lead.run(tenure) => tracing::info!(?end, "no longer leading the ledger"),
            () = self.inform(&office, viewed) => {}
        }
    }

    /// Tells the leader what may be spent and which Pods run, and status what is spent.
    async fn inform(&self, office: &Arc<Office>, mut viewed: watch::Receiver<Arc<View>>) {
        let mut desired = self.desired.clone();
        desired.mark_changed();
        let mut pods = tokio::time::interval(PODS_EVERY);
        loop {
            tokio::select! {
                changed = desired.changed() => {
                    if changed.is_err() {
                        return std::future::pending().await;
                    }
                    let told = desired.borrow_and_update().clone();
                    if let Some(told) = told {
                        office.tell(Command::Limits(limits(&told.snapshot))).await;
                        // Pods find the leader once it knows the limits.
                        self.desk.office.store(Some(Arc::clone(office)));
                    }
                }
                _ = pods.tick() => {
                    if let Some(running) = self.running() {
                        office.tell(Command::Running(running)).await;
                    }
                }
                Ok(()) = viewed.changed() => {
                    let (view, told) = (viewed.borrow_and_update().clone(), self.desired.borrow().clone());
                    if let Some(told) = told {
                        self.spending.send_replace(Arc::new(spending(&view, &told.snapshot)));
                    }
                }
            }
        }
    }

    /// UIDs of the Pods of the data plane; `None` while they are not all known.
    fn running(&self) -> Option<BTreeSet<String>> {
        Some(self.pods.all()?.iter().filter_map(|pod| pod.metadata.uid.clone()).collect())
    }
}

/// Waits until it is true.
async fn turned(switch: &mut watch::Receiver<bool>) {
    let _ = switch.wait_for(|on| *on).await;
}
