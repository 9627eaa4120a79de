//! Objects from a folder of manifests: the same that a cluster takes, without one.
//!
//! Every complaint says file, line, object, field and mend. It never writes, and reads keys of providers from
//! the environment where no Secret gives them.

mod complaint;
mod node;
mod schema;

pub(crate) use complaint::Complaint;

use super::PRICES;
use super::cluster::name_of;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::ObjectMeta;
use node::Document;
use schema::Kinds;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weir_compile::{Compiled, ObjectId, ObjectKind, Objects, Overlay, Undecodable, secret_variable};
use weir_snapshot::{Name, Settings};

/// Ranges that a laptop's upstreams may be in besides public ones.
const LOCAL_RANGES: [&str; 6] = ["127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];
/// Namespace of objects that name none.
const DEFAULT_NAMESPACE: &str = "default";
/// Namespace whose routes serve every namespace, as the chart's README installs it.
const PLATFORM_NAMESPACE: &str = "weir-system";
/// Most bytes of a file: tens of thousands of keys.
const FILE_BYTES: u64 = 16 * 1024 * 1024;

/// Label by which a namespace can be selected by name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// What a folder holds.
#[derive(Default)]
pub(crate) struct Folder {
    pub(crate) objects: Objects,
    pub(crate) complaints: Vec<Complaint>,
    /// Objects of other kinds, which a cluster would take and Weir does not need.
    pub(crate) ignored: Vec<String>,
    /// Where each object stands, by kind and name.
    places: BTreeMap<(String, Name), Document>,
}

/// Reads every `.yaml` and `.yml` file below a folder, in order of their paths.
pub(crate) fn read(folder: &Path, environment: impl Fn(&str) -> Option<String>) -> std::io::Result<Folder> {
    let mut found = Folder {
        objects: Objects {
            settings: Settings {
                platform_namespace: PLATFORM_NAMESPACE.to_owned(),
                allow_upstream_cidrs: LOCAL_RANGES.map(str::to_owned).to_vec(),
                ..Settings::default()
            },
            allow_plaintext_namespaces: BTreeSet::from(["*".to_owned()]),
            ..Objects::default()
        },
        ..Folder::default()
    };
    let kinds = Kinds::new();
    for path in files(folder)? {
        let documents = match std::fs::metadata(&path)?.len() {
            bytes if bytes > FILE_BYTES => {
                let message =
                    format!("has {bytes} bytes, and {FILE_BYTES} are read: put its objects into several files");
                Err(Complaint::of_file(&path, 1, message))
            }
            _ => Document::read_all(&path, &std::fs::read_to_string(&path)?),
        };
        match documents {
            Ok(documents) => documents.into_iter().for_each(|document| found.take(document, &kinds)),
            Err(complaint) => found.complaints.push(complaint),
        }
    }
    found.imply_namespaces();
    found.read_prices();
    found.fill_from_environment(environment);
    Ok(found)
}

/// The files, or the one file that is named.
fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    if folder.is_file() {
        return Ok(vec![folder.to_path_buf()]);
    }
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with('.'));
        let yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if path.is_dir() && !hidden {
            out.extend(files(&path)?);
        } else if yaml && !hidden {
            out.push(path);
        }
    }
    out.sort();
    Ok(out)
}

impl Folder {
    /// What compile says against these objects, with the places that it means.
    pub(crate) fn complaints_of(&self, compiled: &Compiled) -> Vec<Complaint> {
        let mut out = self.complaints.clone();
        for (id, verdict) in &compiled.verdicts {
            // What is wrong with one that cannot be read was said where it was read.
            let unread = self.objects.undecodable.iter().any(|held| held.id == *id);
            let Some(document) = self.places.get(&(format!("{:?}", id.kind), id.name.clone())).filter(|_| !unread)
            else {
                continue;
            };
            for (field, message) in &verdict.complaints {
                let complaint = document.complaint(field, message.clone());
                if !out.iter().any(|held| held.same_place(&complaint)) {
                    out.push(complaint);
                }
            }
        }
        for (name, message) in &compiled.refused_keys {
            let document = self.places.get(&("Secret".to_owned(), name.clone()));
            out.extend(document.map(|document| document.complaint("", format!("is no API key: {message}"))));
        }
        out.sort();
        out
    }

    fn take(&mut self, document: Document, kinds: &Kinds) {
        let text = |name: &str| document.value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (version, kind) = (text("apiVersion"), text("kind"));
        match (version.as_str(), kind.as_str()) {
            (_, "") => self.complaints.push(document.complaint("kind", "is missing: every manifest names its kind")),
            ("v1", "List") => document.items().into_iter().for_each(|item| self.take(item, kinds)),
            ("weir.dev/v1alpha1", "Provider") => {
                self.ours(document, kinds, ObjectKind::Provider, |objects| &mut objects.providers);
            }
            ("weir.dev/v1alpha1", "LLMRoute") => {
                self.ours(document, kinds, ObjectKind::LLMRoute, |objects| &mut objects.routes);
            }
            ("weir.dev/v1alpha1", "Budget") => {
                self.ours(document, kinds, ObjectKind::Budget, |objects| &mut objects.budgets);
            }
            (version, _) if version.starts_with("weir.dev/") => {
                let message = format!(
                    "Weir has no {kind} in {version}: the kinds are Provider, LLMRoute and Budget, weir.dev/v1alpha1"
                );
                self.complaints.push(document.complaint("kind", message));
            }
            ("v1", "Secret") => self.plain(document, |objects| &mut objects.secrets),
            ("v1", "ConfigMap") => self.plain(document, |objects| &mut objects.config_maps),
            ("v1", "Namespace") => self.plain(document, |objects| &mut objects.namespaces),
            ("v1", "ServiceAccount") => self.plain(document, |objects| &mut objects.service_accounts),
            _ => self.ignored.push(document.title()),
        }
    }

    fn ours<K: DeserializeOwned>(
        &mut self,
        mut document: Document,
        kinds: &Kinds,
        kind: ObjectKind,
        list: impl Fn(&mut Objects) -> &mut Vec<Arc<K>>,
    ) {
        let named = document.name_in(DEFAULT_NAMESPACE);
        let mut complaints = kinds.complaints(&document);
        let Some(name) = named else {
            complaints.push(document.complaint("metadata.name", "is missing: every object has a name"));
            return self.complaints.extend(complaints);
        };
        if complaints.is_empty() {
            match serde_json::from_value(document.value.clone()) {
                Ok(object) => list(&mut self.objects).push(Arc::new(object)),
                Err(e) => complaints.push(document.complaint("", format!("cannot be read: {e}"))),
            }
        }
        if let Some(first) = complaints.first() {
            let id = ObjectId { kind, name: name.clone() };
            self.objects.undecodable.push(Undecodable { id, generation: 0, error: first.message.clone() });
        }
        self.complaints.extend(complaints);
        self.place(name, document);
    }

    fn plain<K: DeserializeOwned>(&mut self, mut document: Document, list: impl Fn(&mut Objects) -> &mut Vec<Arc<K>>) {
        let Some(name) = document.name_in(DEFAULT_NAMESPACE) else {
            let complaint = document.complaint("metadata.name", "is missing: every object has a name");
            return self.complaints.push(complaint);
        };
        match serde_json::from_value(document.value.clone()) {
            Ok(object) => list(&mut self.objects).push(Arc::new(object)),
            // The text of a Secret must not be quoted.
            Err(e) => self.complaints.push(document.complaint("", format!("cannot be read: {:?} error", e.classify()))),
        }
        self.place(name, document);
    }

    /// Remembers where an object stands, and complains of a second one of its name.
    fn place(&mut self, name: Name, document: Document) {
        let kind = document.value.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        match self.places.entry((kind, name)) {
            Entry::Vacant(free) => drop(free.insert(document)),
            Entry::Occupied(held) => {
                let (kind, name) = held.key();
                let message =
                    format!("is a second {kind} {name}; the first is at {}", held.get().place("metadata.name"));
                self.complaints.push(document.complaint("metadata.name", message));
            }
        }
    }

    /// In a folder a namespace need not be written to exist.
    fn imply_namespaces(&mut self) {
        let objects = &mut self.objects;
        let held: BTreeSet<String> = objects.namespaces.iter().filter_map(|held| held.metadata.name.clone()).collect();
        let metadata = |meta: &ObjectMeta| meta.namespace.clone();
        let mut named: BTreeSet<String> =
            objects.providers.iter().filter_map(|held| metadata(&held.metadata)).collect();
        named.extend(objects.budgets.iter().filter_map(|held| metadata(&held.metadata)));
        named.extend(objects.routes.iter().filter_map(|held| metadata(&held.metadata)));
        named.extend(objects.secrets.iter().filter_map(|held| metadata(&held.metadata)));
        named.extend(objects.service_accounts.iter().filter_map(|held| metadata(&held.metadata)));
        for name in named.difference(&held) {
            let metadata = ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() };
            objects.namespaces.push(Arc::new(Namespace { metadata, ..Namespace::default() }));
        }
        for held in &mut objects.namespaces {
            let ObjectMeta { name, labels, .. } = &mut Arc::make_mut(held).metadata;
            // As the API server labels it.
            labels.get_or_insert_default().extend(name.clone().map(|name| (NAME_LABEL.to_owned(), name)));
        }
        for secret in objects.secrets.iter_mut().map(Arc::make_mut) {
            let data = secret.data.get_or_insert_default();
            for (key, text) in secret.string_data.take().unwrap_or_default() {
                data.insert(key, ByteString(text.into_bytes()));
            }
        }
    }

    /// Prices that come before those of the catalogue, from the ConfigMap that holds them in a cluster.
    fn read_prices(&mut self) {
        let name = Name::new(PLATFORM_NAMESPACE, PRICES);
        let map = self.objects.config_maps.iter().find(|map| name_of(&***map) == name);
        match map.map(|map| Overlay::read(map)) {
            Some(Ok(overlay)) => self.objects.overlay = Some(Arc::new(overlay)),
            Some(Err(why)) => {
                let document = self.places.get(&("ConfigMap".to_owned(), name));
                self.complaints.extend(document.map(|document| document.complaint("data", why)));
            }
            None => {}
        }
    }

    /// A provider's key or a webhook that no Secret gives may come from the environment; compile names the variable
    /// where neither does.
    fn fill_from_environment(&mut self, environment: impl Fn(&str) -> Option<String>) {
        let objects = &mut self.objects;
        let name_of = |metadata: &ObjectMeta| {
            Name::new(metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
        };
        let written: BTreeSet<Name> = objects.secrets.iter().map(|secret| name_of(&secret.metadata)).collect();
        let mut filled: BTreeMap<Name, Secret> = BTreeMap::new();
        for (name, key) in wanted_secrets(objects).into_iter().filter(|(name, _)| !written.contains(name)) {
            let text = environment(&secret_variable(&name.namespace, &name.name, &key)).filter(|text| !text.is_empty());
            let Some(text) = text else { continue };
            let secret = filled.entry(name).or_insert_with_key(|name| Secret {
                metadata: ObjectMeta {
                    namespace: Some(name.namespace.clone()),
                    name: Some(name.name.clone()),
                    ..ObjectMeta::default()
                },
                ..Secret::default()
            });
            secret.data.get_or_insert_default().insert(key, ByteString(text.into_bytes()));
        }
        objects.secrets.extend(filled.into_values().map(Arc::new));
    }
}

/// Secrets that objects name, with the key that each needs.
fn wanted_secrets(objects: &Objects) -> Vec<(Name, String)> {
    let within = |metadata: &ObjectMeta, name: &str| Name::new(metadata.namespace.as_deref().unwrap_or_default(), name);
    let mut wanted = Vec::new();
    for provider in &objects.providers {
        for held in provider.spec.credentials.iter().map(|credential| &credential.secret_ref) {
            let key = held.key.clone().unwrap_or_else(|| "apiKey".to_owned());
            wanted.push((within(&provider.metadata, &held.name), key));
        }
    }
    for budget in &objects.budgets {
        for held in budget.spec.thresholds.iter().filter_map(|threshold| threshold.webhook_ref.as_ref()) {
            let name = within(&budget.metadata, &held.name);
            wanted.extend(["url", "signingKey"].map(|key| (name.clone(), key.to_owned())));
        }
    }
    wanted
}

#[cfg(test)]
mod tests;
