//! Watches that come and go with what objects name: one ConfigMap, the endpoints of one Service.
//!
//! Nothing is watched that nobody names, and what was never listed is not taken for empty.

use super::cache::{Cache, Seen};
use super::follow::{Watched, events, follow};
use crate::telemetry::Metrics;
use k8s_openapi::NamespaceResourceScope;
use kube::api::Api;
use kube::{Client, Resource};
use kube_runtime::watcher;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::task::JoinHandle;
use weir_snapshot::Name;

/// A task that ends with its owner.
pub(crate) struct Task(JoinHandle<()>);

impl Task {
    /// Starts it.
    pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(task))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What the watches hold.
pub(crate) struct Reading<K> {
    /// The objects of those that were listed.
    pub(crate) objects: Vec<Arc<K>>,
    /// Names of which nothing is known yet.
    pub(crate) unknown: BTreeSet<Name>,
}

/// Watches by the name that objects gave.
pub(crate) struct Wanted<K> {
    client: Client,
    select: fn(&str) -> watcher::Config,
    tell: Arc<dyn Fn(Seen) + Send + Sync>,
    metrics: Arc<Metrics>,
    watches: BTreeMap<Name, (Arc<Cache<K>>, Task)>,
}

impl<K> Wanted<K>
where
    K: Watched + Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    /// None yet; `select` makes the selector for a name within its namespace.
    pub(crate) fn new(
        client: Client,
        select: fn(&str) -> watcher::Config,
        tell: Arc<dyn Fn(Seen) + Send + Sync>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { client, select, tell, metrics, watches: BTreeMap::new() }
    }

    /// Watches these and no others, and says which of them are not listed yet.
    pub(crate) fn read(&mut self, names: &BTreeSet<Name>) -> Reading<K> {
        self.watches.retain(|name, _| names.contains(name));
        for name in names {
            if !self.watches.contains_key(name) {
                let watch = self.start(name);
                self.watches.insert(name.clone(), watch);
            }
        }
        let mut reading = Reading { objects: Vec::new(), unknown: BTreeSet::new() };
        for (name, (cache, _)) in &self.watches {
            match cache.all() {
                Some(objects) => reading.objects.extend(objects),
                None => drop(reading.unknown.insert(name.clone())),
            }
        }
        reading
    }

    fn start(&self, name: &Name) -> (Arc<Cache<K>>, Task) {
        let cache = Arc::new(Cache::default());
        let tell = Arc::clone(&self.tell);
        let api = Api::namespaced(self.client.clone(), &name.namespace);
        let what = format!("{} {name}", api.resource_url());
        let watch = follow(
            what,
            events(api, (self.select)(&name.name)),
            Arc::clone(&cache),
            Arc::clone(&self.metrics),
            move |seen| tell(seen),
        );
        (cache, Task::spawn(watch))
    }
}
