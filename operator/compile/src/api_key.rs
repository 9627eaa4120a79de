//! Secrets that are API keys: from what is stored to what pods compare with.
//!
//! A key that is wrong in any part is refused whole; expiry is parsed here and compared in the pod.

use crate::age::created_at;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_snapshot::api_key::{self, Presented};
use weir_snapshot::{ApiKey, KeyHash, Name, Sealed};

/// Type of such a Secret, and the label that holds the key's id.
const MARK: &str = "weir.dev/api-key";
const STORED_PREFIX: &str = "v1$";

/// A key that can be used.
pub(crate) struct Key {
    pub(crate) id: String,
    /// What pods get of it.
    pub(crate) sealed: Arc<Sealed>,
    /// Labels of its Secret, which routes select by.
    pub(crate) labels: BTreeMap<String, String>,
}

/// Reads all keys. Of two with the same id the older stays, so that nobody takes over a key by its id.
pub(crate) fn read(secrets: &BTreeMap<Name, Arc<Secret>>) -> (BTreeMap<Name, Key>, BTreeMap<Name, String>) {
    let (mut keys, mut refused) = (BTreeMap::new(), BTreeMap::new());
    let mut oldest_first: Vec<_> = secrets.iter().filter(|(_, secret)| is_key(secret)).collect();
    oldest_first.sort_by_key(|(name, secret)| (created_at(&secret.metadata), *name));
    let mut taken: BTreeMap<String, Name> = BTreeMap::new();
    for (name, secret) in oldest_first {
        match read_one(secret) {
            Ok(data) if taken.contains_key(&data.id) => {
                refused.insert(name.clone(), "another, older Secret has this key id; mint a new key".into());
            }
            Ok(data) => {
                let id = data.id.clone();
                taken.insert(id.clone(), name.clone());
                let labels = secret.metadata.labels.clone().unwrap_or_default();
                let sealed = Arc::new(Sealed::new(data));
                keys.insert(name.clone(), Key { id, sealed, labels });
            }
            Err(why) => {
                refused.insert(name.clone(), why);
            }
        }
    }
    (keys, refused)
}

fn is_key(secret: &Secret) -> bool {
    secret.type_.as_deref() == Some(MARK)
        || secret.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(MARK))
}

fn read_one(secret: &Secret) -> Result<ApiKey, String> {
    let id = secret.metadata.labels.as_ref().and_then(|labels| labels.get(MARK)).filter(|id| api_key::is_id(id));
    let id = id.ok_or_else(|| {
        format!("the label {MARK} is not a key id ({} lower-case letters and digits)", api_key::ID_LEN)
    })?;
    let annotation = |name: &str| {
        let annotations = secret.metadata.annotations.as_ref()?;
        annotations.get(&format!("weir.dev/{name}")).filter(|text| !text.is_empty()).cloned()
    };
    let expires_at = annotation("expires-at").map(|text| match text.parse::<Timestamp>() {
        Ok(time) => Ok(time.as_second()),
        Err(_) => Err(format!("the annotation weir.dev/expires-at {text:?} is no RFC 3339 time")),
    });
    let models = annotation("models").unwrap_or_default();
    let models = models.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
    Ok(ApiKey {
        id: id.clone(),
        hashes: hashes(secret, id)?,
        owner: annotation("owner"),
        team: annotation("team"),
        project: annotation("project"),
        cost_center: annotation("cost-center"),
        user: annotation("user"),
        expires_at: expires_at.transpose()?,
        models: models.collect(),
    })
}

fn hashes(secret: &Secret, id: &str) -> Result<Box<[KeyHash]>, String> {
    let mut hashes = Vec::new();
    for entry in ["current", "plaintext", "previous"] {
        let Some(bytes) = secret.data.as_ref().and_then(|data| data.get(entry)) else { continue };
        let text = std::str::from_utf8(&bytes.0).map_err(|_| format!("data.{entry} is no text"))?.trim_ascii();
        let hash = if entry == "plaintext" {
            let presented = Presented::parse(text).filter(|presented| presented.id == id);
            let hash = presented.ok_or("data.plaintext is not a whole key with the id of the label")?.hash();
            KeyHash(hash)
        } else {
            let hash = text.strip_prefix(STORED_PREFIX).and_then(KeyHash::parse);
            hash.ok_or_else(|| format!("data.{entry} is not `{STORED_PREFIX}` and 64 hex digits"))?
        };
        if !hashes.contains(&hash) {
            hashes.push(hash);
        }
    }
    if hashes.is_empty() {
        return Err("data holds none of current, previous and plaintext; `weir-operator key new` writes one".into());
    }
    Ok(hashes.into())
}
