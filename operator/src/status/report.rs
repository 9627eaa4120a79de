//! Status written back: what differs from what is stored, as soon as it is due, by the leader alone.
//!
//! A second look at the same facts writes nothing. A write names the version that it replaces, so a paused
//! old leader loses.

use super::alarm::Told;
use super::change::{Change, Pace};
use super::conditions::Finding;
use super::fleet::Fleet;
use super::spending::{Spending, Spent};
use super::{budget, draft, provider, route};
use crate::election::Leadership;
use crate::events::{Events, News};
use crate::publish::{Desired, Pods};
use crate::source::cluster::{Cluster, Guarded, name_of};
use crate::telemetry::Metrics;
use crate::webhook::Webhooks;
use draft::{Draft, Undecoded};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;
use kube::{Client, Resource};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use weir_compile::{ObjectId, ObjectKind, Verdict};
use weir_crds::{Budget, LLMRoute, Provider};
use weir_snapshot::Name;

/// Changes come together; so that a new object is written once its pods have acknowledged, not before too.
const GATHER: Duration = Duration::from_millis(30);
/// Pods find a new leader within that time; until then their absence says nothing of them.
const REDIAL: Duration = Duration::from_secs(20);
/// One write.
const TIMEOUT: Duration = Duration::from_secs(5);
const SILENT: &str = "the API server does not answer in time";
/// Pause after a failure.
const RETRY: Duration = Duration::from_secs(2);

/// Writes status.
pub(crate) struct Reporter {
    pub(crate) client: Client,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) pods: Arc<Pods>,
    pub(crate) desired: watch::Receiver<Option<Arc<Desired>>>,
    pub(crate) leadership: watch::Receiver<Leadership>,
    /// What the ledger tells of Budgets.
    pub(crate) spending: watch::Receiver<Arc<Spending>>,
    pub(crate) events: Events,
    pub(crate) webhooks: Webhooks,
    pub(crate) metrics: Arc<Metrics>,
}

/// What was done before and need not be done again.
struct Done {
    pace: Pace,
    /// Since when this process leads.
    leads_since: Option<Instant>,
    /// Versions of objects that do not decode and whose status was found right.
    inspected: BTreeMap<ObjectId, String>,
    /// API keys that were told of, with what ails them.
    keys: BTreeMap<Name, String>,
    /// The last look at each route and Budget.
    looked: Looked,
    /// What was told of Budgets.
    told: Told,
}

#[derive(Default)]
struct Looked {
    routes: BTreeMap<ObjectId, Look<LLMRoute>>,
    budgets: BTreeMap<ObjectId, Look<Budget>>,
}

/// What was to be written of an object, and all that it followed from.
struct Look<K> {
    object: Arc<K>,
    verdict: Arc<Verdict>,
    programmed: (Finding, String),
    spent: Option<Arc<Spent>>,
    /// Rates of a route that have as many partitions as they may.
    crowded: Vec<String>,
    /// Nothing where its status was right.
    draft: Option<Arc<Draft>>,
}

impl<K> Look<K> {
    fn is_of(
        &self,
        object: &Arc<K>,
        verdict: &Arc<Verdict>,
        programmed: &(Finding, String),
        spent: Option<&Arc<Spent>>,
        crowded: &[String],
    ) -> bool {
        Arc::ptr_eq(&self.object, object)
            && Arc::ptr_eq(&self.verdict, verdict)
            && self.programmed == *programmed
            && self.spent.as_ref().map(Arc::as_ptr) == spent.map(Arc::as_ptr)
            && self.crowded == crowded
    }
}

/// What is to be done of one object.
enum Work {
    Write(Arc<Draft>),
    /// It does not decode, and is read as it is stored.
    Read(Undecoded),
}

impl Work {
    fn of(&self) -> (&ObjectId, Change) {
        match self {
            Self::Write(draft) => (&draft.id, draft.change),
            Self::Read(object) => (&object.id, Change::State),
        }
    }

    fn version(&self) -> &str {
        match self {
            Self::Write(draft) => &draft.version,
            Self::Read(object) => &object.version,
        }
    }
}

/// Everything that one look found, of which `undecoded` still needs reading.
struct Drafts {
    drafts: Vec<Arc<Draft>>,
    undecoded: Vec<Undecoded>,
    /// Whether every Ready pod was heard.
    whole: bool,
}

impl Reporter {
    /// Writes until `stop` turns true.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let (mut pods, mut objects) = (self.pods.changes(), self.cluster.changes());
        let mut done = Done {
            pace: Pace::new(Instant::now()),
            leads_since: None,
            inspected: BTreeMap::new(),
            keys: BTreeMap::new(),
            looked: Looked::default(),
            told: Told::default(),
        };
        loop {
            let next = self.round(&mut done).await;
            let again = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = self.desired.changed() => if changed.is_err() { return },
                changed = pods.changed() => if changed.is_err() { return },
                changed = objects.changed() => if changed.is_err() { return },
                changed = self.spending.changed() => if changed.is_err() { return },
                () = again => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            tokio::time::sleep(GATHER).await;
        }
    }

    /// Writes what is due; says when more will be.
    async fn round(&self, done: &mut Done) -> Option<Instant> {
        let Some(desired) = self.desired.borrow().clone() else {
            done.leads_since = None;
            done.told = Told::default();
            return None;
        };
        let spending = Arc::clone(&self.spending.borrow());
        let redial = *done.leads_since.get_or_insert_with(Instant::now) + REDIAL;
        self.tell_of_keys(&desired, &mut done.keys);
        self.tell_of_spending(&desired, &spending, &mut done.told);
        let Done { pace, leads_since: _, inspected, keys: _, looked, told: _ } = done;
        let Drafts { drafts, undecoded, whole } = self.drafts(&desired, &spending, looked)?;
        if !whole && Instant::now() < redial {
            return Some(redial);
        }
        pace.keep(|id| desired.verdicts.contains_key(id));
        inspected.retain(|id, _| desired.verdicts.contains_key(id));
        looked.routes.retain(|id, _| desired.verdicts.contains_key(id));
        looked.budgets.retain(|id, _| desired.verdicts.contains_key(id));
        let unread = undecoded.into_iter().filter(|object| inspected.get(&object.id) != Some(&object.version));
        let work = drafts.into_iter().map(Work::Write).chain(unread.map(Work::Read)).collect();
        let mut next: Option<Instant> = None;
        for work in pace.order(work, Work::of) {
            let (now, (id, change)) = (Instant::now(), work.of());
            let due = pace.due(id, work.version(), change, now);
            let due = if due <= now { pace.take(&id.name.namespace, now).err() } else { Some(due) };
            let due = match (due, work) {
                (None, _) if !self.may_write() => return Some(now + RETRY),
                (None, Work::Write(draft)) => self.write(&draft, pace).await.err(),
                (None, Work::Read(object)) => {
                    let (id, version) = (object.id.clone(), object.version.clone());
                    match self.inspect(object, &desired).await {
                        Ok(Some(draft)) => self.write(&draft, pace).await.err(),
                        Ok(None) => {
                            inspected.insert(id, version);
                            None
                        }
                        Err(error) => Some(self.failed(&id, &error)),
                    }
                }
                (Some(due), _) => Some(due),
            };
            next = [next, due].into_iter().flatten().min();
        }
        next
    }

    /// API keys have no status; what ails one is told as an Event of its Secret, once.
    fn tell_of_keys(&self, desired: &Desired, told: &mut BTreeMap<Name, String>) {
        if !self.may_write() || *told == desired.refused_keys {
            return;
        }
        for (name, mend) in desired.refused_keys.iter().filter(|(name, mend)| told.get(*name) != Some(*mend)) {
            let about = ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Secret".to_owned()),
                namespace: Some(name.namespace.clone()),
                name: Some(name.name.clone()),
                ..ObjectReference::default()
            };
            self.events.tell(News::warning(about, "KeyRefused", mend.clone()));
        }
        told.clone_from(&desired.refused_keys);
    }

    /// Thresholds that are reached, as Events and webhooks.
    fn tell_of_spending(&self, desired: &Desired, spending: &Spending, told: &mut Told) {
        let Some(budgets) = self.cluster.budgets.all().filter(|_| self.may_write()) else { return };
        told.keep(|name| desired.alarms.contains_key(name));
        for object in budgets.iter().filter_map(|guarded| guarded.0.as_ref().ok()) {
            let name = name_of(&**object);
            let (Some(alarms), Some(spent)) = (desired.alarms.get(&name), spending.budgets.get(&name)) else {
                continue;
            };
            for crossing in told.crossings(&name, object.status.as_ref(), alarms, spent) {
                for alarm in alarms.iter().filter(|alarm| alarm.percent == crossing.percent) {
                    let about = object.object_ref(&());
                    if alarm.event {
                        self.events.tell(News::warning(about.clone(), "ThresholdReached", crossing.note()));
                    }
                    if let Some(to) = alarm.webhook.clone() {
                        let rules = desired.settings().cloned().unwrap_or_default();
                        self.webhooks.send(crossing.message(&name, about, to, rules, Timestamp::now()));
                    }
                }
            }
        }
    }

    fn may_write(&self) -> bool {
        self.leadership.borrow().term(Instant::now()).is_some()
    }

    fn drafts(&self, desired: &Desired, spending: &Spending, looked: &mut Looked) -> Option<Drafts> {
        let (providers, routes) = (self.cluster.providers.all()?, self.cluster.routes.all()?);
        let budgets = self.cluster.budgets.all()?;
        let Looked { routes: looked, budgets: looked_budgets } = looked;
        let (pods, now) = (self.cluster.pods.all()?, truncated(Timestamp::now()));
        let mut drafts = Drafts { drafts: Vec::new(), undecoded: Vec::new(), whole: true };
        self.pods.read(|streams| {
            let fleet = Fleet::new(&pods, streams, desired);
            drafts.whole = fleet.is_whole();
            for object in &providers {
                drafts.add(ObjectKind::Provider, object, desired, |object, id, verdict| {
                    let new = provider::status(object, id, verdict, &fleet, now);
                    Draft::new(id.clone(), &**object, object.status.as_ref(), &new).map(Arc::new)
                });
            }
            for object in &routes {
                drafts.add(ObjectKind::LLMRoute, object, desired, |object, id, verdict| {
                    let programmed = fleet.programmed(verdict);
                    let crowded = spending.crowded_rates.get(&id.name).map(Vec::as_slice).unwrap_or_default();
                    if let Some(look) =
                        looked.get(id).filter(|look| look.is_of(object, verdict, &programmed, None, crowded))
                    {
                        return look.draft.clone();
                    }
                    let new = route::status(object, verdict, programmed.clone(), crowded, now);
                    let draft = Draft::new(id.clone(), &**object, object.status.as_ref(), &new).map(Arc::new);
                    let (object, verdict) = (Arc::clone(object), Arc::clone(verdict));
                    let (crowded, spent, draft_of) = (crowded.to_vec(), None, draft.clone());
                    looked.insert(id.clone(), Look { object, verdict, programmed, spent, crowded, draft: draft_of });
                    draft
                });
            }
            for object in &budgets {
                drafts.add(ObjectKind::Budget, object, desired, |object, id, verdict| {
                    let (programmed, spent) = (fleet.programmed(verdict), spending.budgets.get(&id.name));
                    let held = looked_budgets.get(id);
                    if let Some(look) = held.filter(|look| look.is_of(object, verdict, &programmed, spent, &[])) {
                        return look.draft.clone();
                    }
                    let new = budget::status(object, verdict, programmed.0.clone(), spent.map(|spent| &**spent), now);
                    let draft = Draft::new(id.clone(), &**object, object.status.as_ref(), &new).map(Arc::new);
                    let (object, verdict, spent) = (Arc::clone(object), Arc::clone(verdict), spent.cloned());
                    let crowded = Vec::new();
                    let look = Look { object, verdict, programmed, spent, crowded, draft: draft.clone() };
                    looked_budgets.insert(id.clone(), look);
                    draft
                });
            }
        });
        Some(drafts)
    }

    /// Reads an object that does not decode, as far as its status goes; nothing if that is right or the object gone.
    async fn inspect(&self, object: Undecoded, desired: &Desired) -> Result<Option<Draft>, String> {
        let found = tokio::time::timeout(TIMEOUT, self.api(&object.id).get_opt(&object.id.name.name)).await;
        let found = found.map_err(|_| SILENT.to_owned())?.map_err(|error| error.to_string())?;
        let (Some(found), Some(verdict)) = (found, desired.verdicts.get(&object.id)) else { return Ok(None) };
        Ok(object.draft(&found, verdict, truncated(Timestamp::now())))
    }

    async fn write(&self, draft: &Draft, pace: &mut Pace) -> Result<(), Instant> {
        let api = self.api(&draft.id);
        let name = &draft.id.name.name;
        let manager = draft::FIELD_MANAGER;
        let written = match draft.decodes {
            true => {
                let params = PatchParams::apply(manager).force();
                tokio::time::timeout(TIMEOUT, api.patch_status(name, &params, &Patch::Apply(&draft.body))).await
            }
            false => {
                let params = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
                tokio::time::timeout(TIMEOUT, api.patch_status(name, &params, &Patch::Merge(&draft.body))).await
            }
        };
        match written {
            Ok(Ok(_)) => {
                self.metrics.status_writes.inc();
                pace.wrote(draft.id.clone(), draft.version.clone(), Instant::now());
                draft.news.iter().cloned().for_each(|news| self.events.tell(news));
                Ok(())
            }
            // It changed or went meanwhile, which the watch tells of.
            Ok(Err(kube::Error::Api(status))) if status.is_conflict() || status.is_not_found() => Ok(()),
            Ok(Err(error)) => Err(self.failed(&draft.id, &error.to_string())),
            Err(_) => Err(self.failed(&draft.id, SILENT)),
        }
    }

    fn failed(&self, id: &ObjectId, error: &str) -> Instant {
        self.metrics.failed("status");
        tracing::warn!(object = %id, error, "a status cannot be written");
        Instant::now() + RETRY
    }

    fn api(&self, id: &ObjectId) -> Api<DynamicObject> {
        let resource = match id.kind {
            ObjectKind::Provider => ApiResource::erase::<Provider>(&()),
            ObjectKind::LLMRoute => ApiResource::erase::<LLMRoute>(&()),
            ObjectKind::Budget => ApiResource::erase::<Budget>(&()),
        };
        Api::namespaced_with(self.client.clone(), &id.name.namespace, &resource)
    }
}

impl Drafts {
    fn add<K>(
        &mut self,
        kind: ObjectKind,
        object: &Guarded<K>,
        desired: &Desired,
        draft: impl FnOnce(&Arc<K>, &ObjectId, &Arc<Verdict>) -> Option<Arc<Draft>>,
    ) where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone,
    {
        let id = ObjectId { kind, name: name_of(object) };
        let Some(verdict) = desired.verdicts.get(&id).filter(|_| !desired.undecided.contains(&id)) else { return };
        // Of an older or newer generation: the next compilation is on its way.
        if object.meta().generation.unwrap_or(0) != verdict.generation {
            return;
        }
        match &object.0 {
            Ok(object) => self.drafts.extend(draft(object, &id, verdict)),
            Err(invalid) => {
                let version = invalid.metadata.resource_version.clone().unwrap_or_default();
                self.undecoded.push(Undecoded { id, version });
            }
        }
    }
}

/// The API server keeps whole seconds.
fn truncated(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
