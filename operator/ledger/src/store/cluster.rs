//! ConfigMaps: one a part, replaced by `resourceVersion`.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, ListParams, ObjectMeta, PostParams};
use prost::Message as _;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use weir_lease::Outcome;
use weir_snapshot::ledger::Shard;

const LABEL: &str = "weir.dev/ledger";
const KEY: &str = "shard";
/// An answer of the API server; a write that takes longer counts as failed.
const TIMEOUT: Duration = Duration::from_secs(5);

pub struct Cluster {
    maps: Api<ConfigMap>,
    /// What was last read or written.
    versions: Mutex<HashMap<usize, String>>,
}

impl Cluster {
    pub(super) fn new(client: Client, namespace: &str) -> Self {
        Self { maps: Api::namespaced(client, namespace), versions: Mutex::default() }
    }

    pub(super) async fn load(&self) -> Result<Vec<Shard>, String> {
        let params = ListParams::default().labels(&format!("{LABEL}=true"));
        let list = timely(self.maps.list(&params)).await?;
        let mut shards = Vec::new();
        for map in list.items {
            let name = map.metadata.name.clone().unwrap_or_default();
            let Some(shard) = name.rsplit('-').next().and_then(|n| n.parse().ok()) else { continue };
            shards.push(decode(&map).ok_or_else(|| format!("the ConfigMap {name} is no part of a ledger"))?);
            self.read(shard, &map);
        }
        Ok(shards)
    }

    pub(super) async fn write(&self, shard: usize, body: &Shard) -> Result<Outcome, String> {
        let name = format!("weir-ledger-{shard}");
        let version = self.versions.lock().unwrap_or_else(PoisonError::into_inner).get(&shard).cloned();
        let map = ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                resource_version: version.clone(),
                labels: Some(BTreeMap::from([(LABEL.to_owned(), "true".to_owned())])),
                ..ObjectMeta::default()
            },
            binary_data: Some(BTreeMap::from([(KEY.to_owned(), ByteString(body.encode_to_vec()))])),
            ..ConfigMap::default()
        };
        let params = PostParams::default();
        let written = match version {
            Some(_) => tokio::time::timeout(TIMEOUT, self.maps.replace(&name, &params, &map)).await,
            None => tokio::time::timeout(TIMEOUT, self.maps.create(&params, &map)).await,
        };
        match written {
            Ok(Ok(stored)) => {
                self.read(shard, &stored);
                Ok(Outcome::Stored)
            }
            // Deleted, created by another, or changed by another.
            Ok(Err(kube::Error::Api(status)))
                if status.is_conflict() || status.is_not_found() || status.is_already_exists() =>
            {
                let held = timely(self.maps.get_opt(&name)).await?;
                self.versions.lock().unwrap_or_else(PoisonError::into_inner).remove(&shard);
                let Some(held) = held else { return Ok(Outcome::Failed) };
                self.read(shard, &held);
                Ok(Outcome::Conflict(decode(&held).unwrap_or_default()))
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the API server does not answer in time".to_owned()),
        }
    }

    fn read(&self, shard: usize, map: &ConfigMap) {
        if let Some(version) = map.metadata.resource_version.clone() {
            self.versions.lock().unwrap_or_else(PoisonError::into_inner).insert(shard, version);
        }
    }
}

fn decode(map: &ConfigMap) -> Option<Shard> {
    let bytes = map.binary_data.as_ref()?.get(KEY)?;
    Shard::decode(bytes.0.as_slice()).ok()
}

async fn timely<T>(answer: impl Future<Output = Result<T, kube::Error>>) -> Result<T, String> {
    match tokio::time::timeout(TIMEOUT, answer).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err("the API server does not answer in time".to_owned()),
    }
}
