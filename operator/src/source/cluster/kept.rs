//! What of an object is kept: what somebody reads, in bounds, whatever else its owner writes into it.

use super::guarded::Guarded;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use std::collections::BTreeMap;

/// What names and annotations of ours begin with.
const OURS: &str = "weir.dev/";
/// Longest value of one of our annotations: the longest are lists of models and of namespaces.
const ANNOTATION_BYTES: usize = 4 * 1024;
/// Longest entry of a ConfigMap that is kept: a bundle of all public CAs is 220 KiB, a price list less.
const ENTRY_BYTES: usize = 256 * 1024;
/// Entries of a ConfigMap that are kept, the shortest first: those of ours have one to three.
const MAP_BYTES: usize = 512 * 1024;
/// Longest entry of a Secret that is kept: a provider's key is below 1 KiB, a service account file below 4 KiB.
const SECRET_BYTES: usize = 16 * 1024;
/// Entries of a Secret together.
const SECRETS_BYTES: usize = 64 * 1024;

/// An object of which only what is read is kept.
pub(crate) trait Kept {
    /// Drops the rest.
    fn keep(&mut self);
}

/// Identity, labels and our annotations.
fn metadata(held: &mut ObjectMeta) {
    let annotations = held.annotations.take().unwrap_or_default();
    let ours = annotations.into_iter().filter(|(name, text)| name.starts_with(OURS) && text.len() <= ANNOTATION_BYTES);
    let ours: BTreeMap<_, _> = ours.collect();
    *held = ObjectMeta {
        name: held.name.take(),
        namespace: held.namespace.take(),
        uid: held.uid.take(),
        resource_version: held.resource_version.take(),
        creation_timestamp: held.creation_timestamp.take(),
        deletion_timestamp: held.deletion_timestamp.take(),
        generation: held.generation,
        labels: held.labels.take(),
        annotations: (!ours.is_empty()).then_some(ours),
        ..ObjectMeta::default()
    };
}

/// Drops entries that are longer than `each` and, the longest first, those beyond `all` bytes.
fn entries<T>(data: &mut Option<BTreeMap<String, T>>, size: impl Fn(&T) -> usize, each: usize, all: usize) {
    let Some(held) = data else { return };
    let mut sizes: Vec<(usize, String)> =
        held.iter().map(|(name, value)| (size(value) + name.len(), name.clone())).collect();
    sizes.sort();
    let mut left = all;
    for (size, name) in sizes {
        match left.checked_sub(size).filter(|_| size <= each) {
            Some(rest) => left = rest,
            None => drop(held.remove(&name)),
        }
    }
}

impl Kept for ConfigMap {
    fn keep(&mut self) {
        metadata(&mut self.metadata);
        self.binary_data = None;
        entries(&mut self.data, String::len, ENTRY_BYTES, MAP_BYTES);
    }
}

impl Kept for Secret {
    fn keep(&mut self) {
        metadata(&mut self.metadata);
        entries(&mut self.data, |value| value.0.len(), SECRET_BYTES, SECRETS_BYTES);
    }
}

impl Kept for EndpointSlice {
    fn keep(&mut self) {
        metadata(&mut self.metadata);
    }
}

/// Labels are for selectors; only who administrates the cluster writes them.
impl Kept for Namespace {
    fn keep(&mut self) {
        metadata(&mut self.metadata);
        (self.spec, self.status) = (None, None);
    }
}

impl Kept for ServiceAccount {
    fn keep(&mut self) {
        let ObjectMeta { name, namespace, uid, resource_version, .. } = std::mem::take(&mut self.metadata);
        let metadata = ObjectMeta { name, namespace, uid, resource_version, ..ObjectMeta::default() };
        *self = Self { metadata, ..Self::default() };
    }
}

impl Kept for Pod {
    fn keep(&mut self) {
        metadata(&mut self.metadata);
    }
}

impl<K: Resource + Clone> Kept for Guarded<K> {
    fn keep(&mut self) {
        metadata(self.meta_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kept<K: Kept + serde::Serialize + serde::de::DeserializeOwned>(object: serde_json::Value) -> serde_json::Value {
        let mut object: K = serde_json::from_value(object).unwrap();
        object.keep();
        serde_json::to_value(&object).unwrap()
    }

    #[test]
    fn of_an_account_only_its_identity_is_kept_however_much_its_owner_writes_into_it() {
        let all = (0..2_000).map(|at| {
            let account = json!({"metadata": {"namespace": "ns", "name": format!("a{at}"), "uid": format!("u{at}"),
                "annotations": {"note": "n".repeat(250_000), "weir.dev/note": "n".repeat(250_000)},
                "labels": {"some": "label"}}, "secrets": [{"name": "s"}]});
            let held = kept::<ServiceAccount>(account);
            assert_eq!(held["metadata"]["uid"], format!("u{at}"));
            held.to_string().len()
        });
        assert!(all.sum::<usize>() < 400_000, "500 MB of annotations are gone");
    }

    #[test]
    fn of_a_namespace_labels_and_our_annotations_are_kept() {
        let annotations =
            json!({"weir.dev/accept-routes-from": "team-b", "other": "x", "weir.dev/long": "x".repeat(5_000)});
        let namespace = json!({"metadata": {"name": "team-a", "labels": {"any": "label", "weir.dev/team": "reds"},
            "annotations": annotations, "finalizers": ["f"], "managedFields": []}, "status": {"phase": "Active"}});
        let held = kept::<Namespace>(namespace);
        assert_eq!(held["metadata"]["labels"], json!({"any": "label", "weir.dev/team": "reds"}));
        assert_eq!(held["metadata"]["annotations"], json!({"weir.dev/accept-routes-from": "team-b"}));
        assert!(held.get("status").is_none() && held["metadata"].get("finalizers").is_none());
    }

    #[test]
    fn what_is_too_long_to_be_of_use_is_dropped_from_config_maps_and_secrets() {
        let long = "x".repeat(ENTRY_BYTES + 1);
        let map = json!({"metadata": {"name": "m"}, "data": {"ca.crt": "pem", "note": long, "a": "y".repeat(200_000),
            "b": "y".repeat(200_001), "c": "y".repeat(200_002)}, "binaryData": {"z": "AAAA"}});
        let held = kept::<ConfigMap>(map);
        let names: Vec<_> = held["data"].as_object().unwrap().keys().collect();
        assert_eq!(names, ["a", "b", "ca.crt"], "the shortest stay");
        assert!(held.get("binaryData").is_none());
        let value = |bytes: usize| k8s_openapi::ByteString(vec![7; bytes]);
        let secret = json!({"metadata": {"name": "s"}, "type": "weir.dev/api-key",
            "data": {"current": value(67), "archive": value(SECRET_BYTES)}});
        let held = kept::<Secret>(secret);
        assert_eq!(held["data"].as_object().unwrap().keys().collect::<Vec<_>>(), ["current"]);
        assert_eq!(held["type"], "weir.dev/api-key");
    }
}
