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

/// Secrets of one namespace that may have the same key id: a request with that id is compared to all of them.
const MOST_OF_ONE_ID: usize = 4;

/// Reads all keys. Ids are no secret, so that anybody may write one that is another's: Secrets with one id are told apart
/// by their hashes. Of two with one hash the older stays, so that nobody takes over a key by a copy of its Secret.
pub(crate) fn read(secrets: &BTreeMap<Name, Arc<Secret>>) -> (BTreeMap<Name, Key>, BTreeMap<Name, String>) {
    let (mut keys, mut refused) = (BTreeMap::new(), BTreeMap::new());
    let mut oldest_first: Vec<_> = secrets.iter().filter(|(_, secret)| is_key(secret)).collect();
    oldest_first.sort_by_key(|(name, secret)| (created_at(&secret.metadata), *name));
    let mut taken = Taken::default();
    for (name, secret) in oldest_first {
        match read_one(secret).and_then(|data| taken.take(name, &data).map(|()| data)) {
            Ok(data) => {
                let id = data.id.clone();
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

/// What older Secrets have.
#[derive(Default)]
struct Taken {
    by_id: BTreeMap<String, Vec<Older>>,
}

struct Older {
    namespace: String,
    hashes: Box<[KeyHash]>,
}

impl Taken {
    /// Gives a Secret its key id, unless older ones leave it none.
    fn take(&mut self, secret: &Name, key: &ApiKey) -> Result<(), String> {
        let held = self.by_id.entry(key.id.clone()).or_default();
        if held.iter().any(|older| older.hashes.iter().any(|hash| key.hashes.contains(hash))) {
            return Err("another, older Secret has this key; mint a new key".into());
        }
        if held.iter().filter(|older| older.namespace == secret.namespace).count() >= MOST_OF_ONE_ID {
            return Err(format!(
                "{MOST_OF_ONE_ID} older Secrets of this namespace have this key id; remove one, or mint a new key"
            ));
        }
        held.push(Older { namespace: secret.namespace.clone(), hashes: key.hashes.clone() });
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ID: &str = "abcdef012345";

    /// A Secret of that namespace, age and secret.
    fn secret(namespace: &str, name: &str, second: u8, hash: u8) -> (Name, Arc<Secret>) {
        let stored = format!("{STORED_PREFIX}{}", format!("{hash:02x}").repeat(32));
        let current = k8s_openapi::ByteString(stored.into_bytes());
        let secret = json!({"type": MARK, "data": {"current": current}, "metadata": {"name": name,
            "namespace": namespace, "labels": {MARK: ID}, "creationTimestamp": format!("2026-01-01T00:00:{second:02}Z")}});
        (Name::new(namespace, name), Arc::new(serde_json::from_value(secret).unwrap()))
    }

    fn read_all(secrets: impl IntoIterator<Item = (Name, Arc<Secret>)>) -> (Vec<String>, Vec<String>) {
        let (keys, refused) = read(&secrets.into_iter().collect());
        let names = |names: Vec<&Name>| names.into_iter().map(ToString::to_string).collect();
        (names(keys.keys().collect()), names(refused.keys().collect()))
    }

    #[test]
    fn an_older_secret_with_the_same_id_takes_nothing_from_a_key() {
        let found = read_all([secret("stranger", "s", 0, 9), secret("owner", "k", 5, 1), secret("owner", "k2", 6, 2)]);
        assert_eq!(found, (vec!["owner/k".into(), "owner/k2".into(), "stranger/s".into()], vec![]));
    }

    #[test]
    fn a_copy_of_a_keys_secret_is_refused_in_any_namespace() {
        let found =
            read_all([secret("owner", "k", 0, 1), secret("owner", "copy", 1, 1), secret("other", "copy", 2, 1)]);
        assert_eq!(found, (vec!["owner/k".into()], vec!["other/copy".into(), "owner/copy".into()]));
    }

    #[test]
    fn a_namespace_has_few_secrets_of_one_id_and_no_other_namespace_has_fewer_by_that() {
        let many = (0..10).map(|at| secret("stranger", &format!("s{at}"), at, 100 + at));
        let (keys, refused) = read_all(many.chain([secret("owner", "k", 50, 1)]));
        assert_eq!((keys.len(), refused.len()), (MOST_OF_ONE_ID + 1, 10 - MOST_OF_ONE_ID));
        assert!(keys.contains(&"owner/k".to_owned()));
    }
}
