//! Objects from a folder of manifests: the same that a cluster takes, without one.
//!
//! Every complaint says file, line, object, field and mend. It never writes, and reads keys of providers from
//! the environment where no Secret gives them.

mod complaint;
mod node;
mod schema;

pub(crate) use complaint::Complaint;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use node::Document;
use schema::Kinds;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use weir_compile::{Compiled, ObjectId, ObjectKind, Objects, secret_variable};
use weir_snapshot::Settings;

/// Ranges that a laptop's upstreams may be in besides public ones.
const LOCAL_RANGES: [&str; 6] = ["127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];
/// Namespace of objects that name none.
const DEFAULT_NAMESPACE: &str = "default";
/// Namespace whose routes serve every namespace, as the chart's README installs it.
const PLATFORM_NAMESPACE: &str = "weir-system";

/// What a folder holds.
#[derive(Default)]
pub(crate) struct Folder {
    pub(crate) objects: Objects,
    pub(crate) complaints: Vec<Complaint>,
    /// Objects of other kinds, which a cluster would take and Weir does not need.
    pub(crate) ignored: Vec<String>,
    /// Where each of our objects stands.
    places: BTreeMap<ObjectId, Document>,
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
        let text = std::fs::read_to_string(&path)?;
        match Document::read_all(&path, &text) {
            Ok(documents) => documents.into_iter().for_each(|document| found.take(document, &kinds)),
            Err(complaint) => found.complaints.push(complaint),
        }
    }
    found.imply_namespaces();
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
            let Some(document) = self.places.get(id) else { continue };
            for (field, message) in &verdict.complaints {
                let complaint = document.complaint(field, message.clone());
                if !out.iter().any(|held| held.same_place(&complaint)) {
                    out.push(complaint);
                }
            }
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
            (version, _) if version.starts_with("weir.dev/") => {
                let message =
                    format!("Weir has no {kind} in {version}: the kinds are Provider and LLMRoute, weir.dev/v1alpha1");
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
        list: impl Fn(&mut Objects) -> &mut Vec<K>,
    ) {
        let named = document.name_in(DEFAULT_NAMESPACE);
        let mut complaints = kinds.complaints(&document);
        let Some(name) = named else {
            complaints.push(document.complaint("metadata.name", "is missing: every object has a name"));
            return self.complaints.extend(complaints);
        };
        if complaints.is_empty() {
            match serde_json::from_value(document.value.clone()) {
                Ok(object) => list(&mut self.objects).push(object),
                Err(e) => complaints.push(document.complaint("", format!("cannot be read: {e}"))),
            }
        }
        self.complaints.extend(complaints);
        let id = ObjectId { kind, name };
        if let Some(first) = self.places.get(&id) {
            let message = format!("is a second {id}; the first is at {}", first.place("metadata.name"));
            self.complaints.push(document.complaint("metadata.name", message));
        } else {
            self.places.insert(id, document);
        }
    }

    fn plain<K: DeserializeOwned>(&mut self, mut document: Document, list: impl Fn(&mut Objects) -> &mut Vec<K>) {
        let _ = document.name_in(DEFAULT_NAMESPACE);
        match serde_json::from_value(document.value.clone()) {
            Ok(object) => list(&mut self.objects).push(object),
            // The text of a Secret must not be quoted.
            Err(e) => self.complaints.push(document.complaint("", format!("cannot be read: {:?} error", e.classify()))),
        }
    }

    /// In a folder a namespace need not be written to exist.
    fn imply_namespaces(&mut self) {
        let objects = &mut self.objects;
        let held: BTreeSet<String> = objects.namespaces.iter().filter_map(|held| held.metadata.name.clone()).collect();
        let metadata = |meta: &kube::api::ObjectMeta| meta.namespace.clone();
        let mut named: BTreeSet<String> =
            objects.providers.iter().filter_map(|held| metadata(&held.metadata)).collect();
        named.extend(objects.routes.iter().filter_map(|held| metadata(&held.metadata)));
        named.extend(objects.secrets.iter().filter_map(|held| metadata(&held.metadata)));
        named.extend(objects.service_accounts.iter().filter_map(|held| metadata(&held.metadata)));
        for name in named.difference(&held) {
            let mut namespace = Namespace::default();
            namespace.metadata.name = Some(name.clone());
            namespace.metadata.labels =
                Some(BTreeMap::from([("kubernetes.io/metadata.name".to_owned(), name.clone())]));
            objects.namespaces.push(namespace);
        }
        for secret in &mut objects.secrets {
            let data = secret.data.get_or_insert_default();
            for (key, text) in secret.string_data.take().unwrap_or_default() {
                data.insert(key, k8s_openapi::ByteString(text.into_bytes()));
            }
        }
    }

    /// A provider's key that no Secret gives may come from the environment; compile names the variable where
    /// neither does.
    fn fill_from_environment(&mut self, environment: impl Fn(&str) -> Option<String>) {
        let objects = &mut self.objects;
        for provider in &objects.providers {
            let namespace = provider.metadata.namespace.clone().unwrap_or_default();
            for credential in &provider.spec.credentials {
                let (name, key) =
                    (&credential.secret_ref.name, credential.secret_ref.key.as_deref().unwrap_or("apiKey"));
                let found = objects.secrets.iter().position(|secret| {
                    secret.metadata.namespace.as_ref() == Some(&namespace)
                        && secret.metadata.name.as_ref() == Some(name)
                });
                let variable = secret_variable(&namespace, name, key);
                let (None, Some(text)) = (found, environment(&variable).filter(|text| !text.is_empty())) else {
                    continue;
                };
                let mut secret = Secret::default();
                secret.metadata.namespace = Some(namespace.clone());
                secret.metadata.name = Some(name.clone());
                secret.data = Some(BTreeMap::from([(key.to_owned(), k8s_openapi::ByteString(text.into_bytes()))]));
                objects.secrets.push(secret);
            }
        }
    }
}

#[cfg(test)]
mod tests;
