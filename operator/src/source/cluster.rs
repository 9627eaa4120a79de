//! Objects from a cluster: watches in, and at any moment everything that is known, whole or not at all.
//!
//! It judges nothing; an object that does not decode is passed on as such and stops no other.

mod cache;
mod follow;
mod given;
mod guarded;
mod issuer;
mod kept;
mod names;
mod own;
mod secrets;
#[cfg(test)]
mod simulation;
mod wanted;

pub(crate) use cache::{Cache, Seen, name_of};
pub(crate) use follow::WATCH_SECONDS;
pub(crate) use given::Given;
pub(crate) use guarded::Guarded;
pub(crate) use names::{Names, api_server};
pub(crate) use wanted::Task;

use crate::brake::Brake;
use crate::telemetry::Metrics;
use follow::{Watched, events, follow, metadata_events};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Client;
use kube::api::Api;
use kube::core::PartialObjectMeta;
use kube_runtime::watcher;
use secrets::Secrets;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use wanted::Wanted;
use weir_compile::{ObjectId, ObjectKind, Objects, Undecodable};
use weir_crds::{Budget, LLMRoute, Provider};
use weir_snapshot::{Issuer, Kind, ResourceId};

/// Everything at one moment.
pub(crate) struct View {
    /// For compile.
    pub(crate) objects: Objects,
    /// What they name and of which nothing is known yet.
    pub(crate) unknown: Names,
}

/// The caches of a cluster.
pub(crate) struct Cluster {
    given: Given,
    /// The Providers.
    pub(crate) providers: Arc<Cache<Guarded<Provider>>>,
    /// The routes.
    pub(crate) routes: Arc<Cache<Guarded<LLMRoute>>>,
    /// The Budgets.
    pub(crate) budgets: Arc<Cache<Guarded<Budget>>>,
    /// The pods of the data plane.
    pub(crate) pods: Arc<Cache<Pod>>,
    namespaces: Arc<Cache<Namespace>>,
    accounts: Arc<Cache<ServiceAccount>>,
    wanted: Mutex<Dynamic>,
    issuer: watch::Receiver<Option<Issuer>>,
    own_services: watch::Receiver<BTreeSet<IpAddr>>,
    changed: watch::Sender<u64>,
    _tasks: Vec<Task>,
}

/// How long first lists may hold up a new leader, which would else tell its pods twice.
const GRACE: Duration = Duration::from_secs(2);

struct Dynamic {
    /// Until when what is not listed yet is waited for; `None` = no more. Whoever names something new later holds up
    /// nobody else's changes: pods keep what they have of it.
    patience: Option<Instant>,
    secrets: Secrets,
    config_maps: Wanted<ConfigMap>,
    slices: Wanted<EndpointSlice>,
}

impl Cluster {
    /// Starts all watches.
    pub(crate) fn watch(client: &Client, given: Given, brake: &Arc<Brake>, metrics: &Arc<Metrics>) -> Arc<Self> {
        let changed = watch::Sender::new(0);
        let sender = changed.clone();
        let tell: Arc<dyn Fn(Seen) + Send + Sync> = Arc::new(move |_| sender.send_modify(|version| *version += 1));
        let starter = Starter { metrics, tell: &tell };
        let mut tasks = Vec::new();
        let everywhere = watcher::Config::default;
        let pods = Api::namespaced(client.clone(), &given.namespace);
        let pods = starter.start(&mut tasks, pods, everywhere().labels(&given.dataplane_selector));
        let routes = starter.start_braked(&mut tasks, Api::all(client.clone()), Kind::Route, brake);
        let budgets = starter.start_braked(&mut tasks, Api::all(client.clone()), Kind::Budget, brake);
        let (send_issuer, issuer) = watch::channel(None);
        tasks.push(Task::spawn(issuer::follow(client.clone(), send_issuer, Arc::clone(metrics))));
        let (send_addresses, own_services) = watch::channel(BTreeSet::new());
        let sender = changed.clone();
        tasks.push(Task::spawn(own::follow(
            client.clone(),
            given.namespace.clone(),
            given.gateway_services.clone(),
            send_addresses,
            Arc::clone(metrics),
            move || sender.send_modify(|version| *version += 1),
        )));
        let dynamic = Dynamic {
            patience: None,
            secrets: Secrets::new(client.clone(), Arc::clone(&tell), Arc::clone(metrics)),
            config_maps: Wanted::new(client.clone(), by_name, Arc::clone(&tell), Arc::clone(metrics)),
            slices: Wanted::new(client.clone(), by_service, Arc::clone(&tell), Arc::clone(metrics)),
        };
        Arc::new(Self {
            providers: starter.start(&mut tasks, Api::all(client.clone()), everywhere()),
            namespaces: starter.start_metadata(&mut tasks, Api::all(client.clone())),
            accounts: starter.start_metadata(&mut tasks, Api::all(client.clone())),
            given,
            routes,
            budgets,
            pods,
            wanted: Mutex::new(dynamic),
            issuer,
            own_services,
            changed,
            _tasks: tasks,
        })
    }

    /// Waits for lists that are under way, once and for two seconds at most: this process leads from now on.
    pub(crate) fn lead(&self, now: Instant) {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).patience = Some(now + GRACE);
    }

    /// Tells of every change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Who signs ServiceAccount tokens.
    pub(crate) fn issuer(&self) -> watch::Receiver<Option<Issuer>> {
        self.issuer.clone()
    }

    /// Whether everything that does not depend on other objects was listed.
    pub(crate) fn is_complete(&self) -> bool {
        self.providers.is_complete()
            && self.routes.is_complete()
            && self.budgets.is_complete()
            && self.pods.is_complete()
            && self.namespaces.is_complete()
            && self.accounts.is_complete()
    }

    /// Everything, once it was listed completely.
    pub(crate) fn view(&self, now: Instant) -> Option<View> {
        let mut undecodable = Vec::new();
        let providers = decoded(ObjectKind::Provider, &self.providers.all()?, &mut undecodable);
        let routes = decoded(ObjectKind::LLMRoute, &self.routes.all()?, &mut undecodable);
        let budgets = decoded(ObjectKind::Budget, &self.budgets.all()?, &mut undecodable);
        let (namespaces, service_accounts) = (self.namespaces.all()?, self.accounts.all()?);
        self.pods.is_complete().then_some(())?;
        let names = Names::of(&providers, &routes, &budgets, &namespaces, &self.given);
        let mut dynamic = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let secrets = dynamic.secrets.read(&names.secrets);
        let config_maps = dynamic.config_maps.read(&names.config_maps);
        let slices = dynamic.slices.read(&names.services);
        let is_listing = secrets.is_listing || !config_maps.unknown.is_empty() || !slices.unknown.is_empty();
        if is_listing && dynamic.patience.is_some_and(|until| now < until) {
            return None;
        }
        dynamic.patience = None;
        let mut settings = self.given.settings.clone();
        settings.forbidden_addresses.extend(names::addresses(&slices.objects, &[api_server()]));
        settings.forbidden_addresses.sort_unstable();
        settings.forbidden_addresses.dedup();
        let mut own = self.own_services.borrow().clone();
        own.extend(names::addresses(&slices.objects, &self.given.gateway_names()));
        settings.gateway_addresses = own.into_iter().filter(|address| !address.is_loopback()).collect();
        let objects = Objects {
            settings,
            allow_plaintext_namespaces: self.given.allow_plaintext_namespaces.clone(),
            operator_account: self.given.operator_account.clone(),
            in_cluster: true,
            issuer: self.issuer.borrow().clone(),
            overlay: None,
            key_sets: BTreeMap::new(),
            providers,
            routes,
            budgets,
            undecodable,
            secrets: secrets.secrets,
            secrets_forbidden: secrets.forbidden,
            config_maps: config_maps.objects,
            namespaces,
            service_accounts,
            endpoint_slices: slices.objects,
        };
        let unknown = Names { secrets: secrets.unknown, config_maps: config_maps.unknown, services: slices.unknown };
        Some(View { objects, unknown })
    }
}

struct Starter<'a> {
    metrics: &'a Arc<Metrics>,
    tell: &'a Arc<dyn Fn(Seen) + Send + Sync>,
}

impl Starter<'_> {
    fn start<K: Watched>(&self, tasks: &mut Vec<Task>, api: Api<K>, config: watcher::Config) -> Arc<Cache<K>> {
        let cache = Arc::new(Cache::default());
        let tell = Arc::clone(self.tell);
        let (what, metrics) = (api.resource_url().to_owned(), Arc::clone(self.metrics));
        let watch = follow(what, events(api, config), Arc::clone(&cache), metrics, move |seen| tell(seen));
        tasks.push(Task::spawn(watch));
        cache
    }

    /// The same for what is read of metadata alone.
    fn start_metadata<K: Watched + Default>(
        &self,
        tasks: &mut Vec<Task>,
        api: Api<PartialObjectMeta<K>>,
    ) -> Arc<Cache<K>> {
        let cache = Arc::new(Cache::default());
        let tell = Arc::clone(self.tell);
        let (what, metrics) = (api.resource_url().to_owned(), Arc::clone(self.metrics));
        let watch = follow(what, metadata_events(api), Arc::clone(&cache), metrics, move |seen| tell(seen));
        tasks.push(Task::spawn(watch));
        cache
    }

    /// The same of a kind whose deletes the brake weighs.
    fn start_braked<K: Watched>(
        &self,
        tasks: &mut Vec<Task>,
        api: Api<K>,
        kind: Kind,
        brake: &Arc<Brake>,
    ) -> Arc<Cache<K>> {
        let cache = Arc::new(Cache::default());
        let (tell, brake) = (Arc::clone(self.tell), Arc::clone(brake));
        let tell = move |seen| {
            if let Seen::Delete(name) = &seen {
                brake.saw_delete(ResourceId { kind, name: name.clone() }, Instant::now());
            }
            tell(seen);
        };
        let (what, metrics) = (api.resource_url().to_owned(), Arc::clone(self.metrics));
        let watch = follow(what, events(api, watcher::Config::default()), Arc::clone(&cache), metrics, tell);
        tasks.push(Task::spawn(watch));
        cache
    }
}

fn by_name(name: &str) -> watcher::Config {
    watcher::Config::default().fields(&format!("metadata.name={name}"))
}

fn by_service(name: &str) -> watcher::Config {
    watcher::Config::default().labels(&format!("kubernetes.io/service-name={name}"))
}

/// The objects that decode; of the others, who they are.
fn decoded<K>(kind: ObjectKind, objects: &[Arc<Guarded<K>>], undecodable: &mut Vec<Undecodable>) -> Vec<Arc<K>> {
    let mut good = Vec::with_capacity(objects.len());
    for object in objects {
        match &object.0 {
            Ok(object) => good.push(Arc::clone(object)),
            Err(invalid) => {
                let metadata = &invalid.metadata;
                let (namespace, name) = (metadata.namespace.clone(), metadata.name.clone());
                let name = weir_snapshot::Name::new(namespace.unwrap_or_default(), name.unwrap_or_default());
                undecodable.push(Undecodable {
                    id: ObjectId { kind, name },
                    generation: metadata.generation.unwrap_or(0),
                    error: invalid.error.clone(),
                });
            }
        }
    }
    good
}
