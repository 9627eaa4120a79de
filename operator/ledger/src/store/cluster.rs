//! ConfigMaps: one a part, replaced by `resourceVersion`.

use super::part::{Part, Written};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, ListParams, ObjectMeta, PostParams};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Days of costs that are kept; as many ConfigMaps take turns.
pub(super) const COST_DAYS: u64 = 62;
const KEY: &str = "shard";
/// An answer of the API server; a write that takes longer counts as failed.
const TIMEOUT: Duration = Duration::from_secs(5);

pub struct Cluster {
    maps: Api<ConfigMap>,
    /// What was last read or written, by name.
    versions: Mutex<HashMap<String, String>>,
}

impl Cluster {
    pub(super) fn new(client: Client, namespace: &str) -> Self {
        Self { maps: Api::namespaced(client, namespace), versions: Mutex::default() }
    }

    /// All parts of the pots.
    pub(super) async fn shards(&self) -> Result<Vec<(Part, Vec<u8>)>, String> {
        let params = ListParams::default().labels(&format!("{}=true", label(Part::Shard(0))));
        let list = timely(self.maps.list(&params)).await?;
        let mut shards = Vec::new();
        for map in list.items {
            let name = map.metadata.name.clone().unwrap_or_default();
            let Some(shard) = name.rsplit('-').next().and_then(|n| n.parse().ok()) else { continue };
            self.seen(&map);
            shards.push((
                Part::Shard(shard),
                body(map).ok_or_else(|| format!("the ConfigMap {name} is no part of a ledger"))?,
            ));
        }
        Ok(shards)
    }

    pub(super) async fn read(&self, part: Part) -> Result<Option<Vec<u8>>, String> {
        let name = name(part);
        let held = timely(self.maps.get_opt(&name)).await?;
        self.versions().remove(&name);
        Ok(held.inspect(|map| self.seen(map)).and_then(body))
    }

    pub(super) async fn write(&self, part: Part, body: Vec<u8>) -> Result<Written, String> {
        let name = name(part);
        let version = self.versions().get(&name).cloned();
        let map = ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                resource_version: version.clone(),
                labels: Some(BTreeMap::from([(label(part).to_owned(), "true".to_owned())])),
                ..ObjectMeta::default()
            },
            binary_data: Some(BTreeMap::from([(KEY.to_owned(), ByteString(body))])),
            ..ConfigMap::default()
        };
        let params = PostParams::default();
        let written = match version {
            Some(_) => tokio::time::timeout(TIMEOUT, self.maps.replace(&name, &params, &map)).await,
            None => tokio::time::timeout(TIMEOUT, self.maps.create(&params, &map)).await,
        };
        match written {
            Ok(Ok(stored)) => {
                self.seen(&stored);
                Ok(Written::Stored)
            }
            // Deleted, created by another, or changed by another.
            Ok(Err(kube::Error::Api(status)))
                if status.is_conflict() || status.is_not_found() || status.is_already_exists() =>
            {
                self.read(part).await.map(Written::Changed)
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the API server does not answer in time".to_owned()),
        }
    }

    fn seen(&self, map: &ConfigMap) {
        if let (Some(name), Some(version)) = (map.metadata.name.clone(), map.metadata.resource_version.clone()) {
            self.versions().insert(name, version);
        }
    }

    fn versions(&self) -> std::sync::MutexGuard<'_, HashMap<String, String>> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name(part: Part) -> String {
    match part {
        Part::Shard(shard) => format!("weir-ledger-{shard}"),
        Part::Costs(day) => format!("weir-costs-{}", day % COST_DAYS),
    }
}

const fn label(part: Part) -> &'static str {
    match part {
        Part::Shard(_) => "weir.dev/ledger",
        Part::Costs(_) => "weir.dev/costs",
    }
}

fn body(map: ConfigMap) -> Option<Vec<u8>> {
    map.binary_data?.remove(KEY).map(|bytes| bytes.0)
}

async fn timely<T>(answer: impl Future<Output = Result<T, kube::Error>>) -> Result<T, String> {
    match tokio::time::timeout(TIMEOUT, answer).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err("the API server does not answer in time".to_owned()),
    }
}
