//! Every reference from one object to another is resolved here, and nowhere else.
//!
//! What is missing and what is forbidden give the same text: nobody learns what exists elsewhere.

use crate::built::Built;
use crate::index::Index;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use weir_crds::{ConfigMapKeyRef, ProviderRef, SecretKeyRef, Service};
use weir_snapshot::{Consent, Name, Secret, Upstream};

/// Key of a ConfigMap with CA certificates, where none is named.
pub(crate) const CA_KEY: &str = "ca.crt";

/// Why a reference leads nowhere.
#[derive(Debug)]
pub(crate) struct Unresolved {
    /// Reason of the condition.
    pub(crate) reason: &'static str,
    /// What to do about it.
    pub(crate) message: String,
}

impl Unresolved {
    /// Puts the two together.
    pub(crate) fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// The Provider that a route of namespace `from` names.
pub(crate) fn provider<'b>(
    providers: &BTreeMap<&'b Name, &'b Built>,
    from: &str,
    wanted: &ProviderRef,
) -> Result<(&'b Name, &'b weir_snapshot::Provider), Unresolved> {
    let name = Name::new(wanted.namespace.as_deref().unwrap_or(from), &wanted.name);
    match providers.get_key_value(&name).filter(|(_, built)| permits(&built.consent, from)) {
        Some((&name, built)) => built.data.as_ref().map(|data| (name, data)).ok_or_else(|| {
            Unresolved::new("ProviderUnusable", format!("the Provider {name} cannot be used itself; mend it first"))
        }),
        None if name.namespace == from => {
            Err(Unresolved::new("ProviderNotFound", format!("there is no Provider {name}; create it")))
        }
        None => Err(Unresolved::new(
            "RefNotPermitted",
            format!(
                "there is no Provider {name} that routes of namespace {from} may use; \
                 its owner can create it, or allow the namespace in its spec.allowedNamespaces"
            ),
        )),
    }
}

/// Whether objects of a namespace may name the one that gave the consent.
pub(crate) fn permits(consent: &Consent, namespace: &str) -> bool {
    consent.all || consent.namespaces.iter().any(|held| held == namespace)
}

/// The callers' namespace that a route of namespace `from` names, which must accept its routes.
pub(crate) fn callers(index: &Index, from: &str, namespace: &str) -> Result<(), Unresolved> {
    let accepted = namespace == from
        || from == index.objects.settings.platform_namespace
        || index.accepted_by(namespace).iter().any(|held| held == from);
    if accepted {
        return Ok(());
    }
    Err(Unresolved::new(
        "RefNotPermitted",
        format!(
            "there is no namespace {namespace} that accepts routes of namespace {from}; \
             its owner can annotate it with weir.dev/accept-routes-from: {from}"
        ),
    ))
}

/// One key of a Secret of that namespace, as it is sent: without white space at its end.
pub(crate) fn secret(index: &Index, namespace: &str, wanted: &SecretKeyRef) -> Result<Secret, Unresolved> {
    readable(index, namespace)?;
    let key = wanted.key.as_deref().unwrap_or("apiKey");
    let name = Name::new(namespace, &wanted.name);
    let Some(secret) = index.secrets.get(&name) else {
        let elsewhere = if index.objects.in_cluster {
            String::new()
        } else {
            format!(", or set the environment variable {}", secret_variable(namespace, &wanted.name, key))
        };
        let message = format!("there is no Secret {name}; create it with the key {key}{elsewhere}");
        return Err(Unresolved::new("SecretNotFound", message));
    };
    let Some(bytes) = secret.data.as_ref().and_then(|data| data.get(key)) else {
        return Err(Unresolved::new("SecretNotFound", format!("the Secret {name} has no key {key}; add it")));
    };
    let text = std::str::from_utf8(&bytes.0).unwrap_or_default().trim_ascii_end();
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
        let message = format!("the key {key} of the Secret {name} must be plain ASCII without spaces");
        return Err(Unresolved::new("SecretInvalid", message));
    }
    Ok(Secret::new(text.to_owned()))
}

/// Whether the Secrets of a namespace may be read, else the command that grants it.
pub(crate) fn readable(index: &Index, namespace: &str) -> Result<(), Unresolved> {
    let objects = &index.objects;
    if !objects.secrets_forbidden.contains(namespace) {
        return Ok(());
    }
    let account = match objects.operator_account.as_str() {
        "" => format!("{}:weir-operator", objects.settings.platform_namespace),
        account => account.to_owned(),
    };
    let release = account.rsplit(':').next().and_then(|name| name.strip_suffix("-operator")).unwrap_or("weir");
    Err(Unresolved::new(
        "SecretsForbidden",
        format!(
            "the operator may not read the Secrets of namespace {namespace}; grant it: kubectl create rolebinding \
             {release}-secret-reader --namespace {namespace} --clusterrole={release}-secret-reader \
             --serviceaccount={account}"
        ),
    ))
}

/// The environment variable that stands in for a key of a Secret where there is no cluster.
pub fn secret_variable(namespace: &str, name: &str, key: &str) -> String {
    let upper = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("WEIR_SECRET_{namespace}_{name}_{key}").chars().map(upper).collect()
}

/// PEM certificates in a ConfigMap of that namespace.
pub(crate) fn certificates(index: &Index, namespace: &str, wanted: &ConfigMapKeyRef) -> Result<String, Unresolved> {
    let key = wanted.key.as_deref().unwrap_or(CA_KEY);
    let pem = config_map(index, namespace, &wanted.name, key)?;
    anchors(pem).map_err(|why| {
        let message = format!(
            "the key {key} of the ConfigMap {namespace}/{} {why}; put CA certificates in PEM there",
            wanted.name
        );
        Unresolved::new("CertificateInvalid", message)
    })?;
    Ok(pem.to_owned())
}

/// One key of a ConfigMap of that namespace.
pub(crate) fn config_map<'i>(index: &'i Index, namespace: &str, name: &str, key: &str) -> Result<&'i str, Unresolved> {
    let name = Name::new(namespace, name);
    let Some(map) = index.config_maps.get(&name) else {
        let message = format!("there is no ConfigMap {name}; create it with the key {key}");
        return Err(Unresolved::new("ConfigMapNotFound", message));
    };
    let text = map.data.as_ref().and_then(|data| data.get(key));
    text.map(String::as_str)
        .ok_or_else(|| Unresolved::new("ConfigMapNotFound", format!("the ConfigMap {name} has no key {key}; add it")))
}

/// Whether a text is what a pod can trust: the check that its TLS makes.
fn anchors(pem: &str) -> Result<(), String> {
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|_| "is not PEM".to_owned())?;
        count += 1;
        webpki::anchor_from_trusted_cert(&certificate).map_err(|e| format!("holds no CA at entry {count}: {e:?}"))?;
    }
    if count == 0 { Err("holds no certificate".to_owned()) } else { Ok(()) }
}

/// The ready Pods behind a Service of that namespace; IPv4 where there is any, so that no Pod counts twice.
pub(crate) fn service(index: &Index, namespace: &str, wanted: &Service) -> Result<Upstream, Unresolved> {
    if !index.objects.in_cluster {
        let message = "a Service has no Pods outside a cluster; give an endpoint.url";
        return Err(Unresolved::new("NoEndpoints", message));
    }
    let name = Name::new(namespace, &wanted.name);
    let slices: Vec<_> = index.slices.get(&name).into_iter().flat_map(BTreeMap::values).collect();
    let of_family = |family: &str| -> BTreeSet<SocketAddr> {
        let slices = slices.iter().filter(|slice| slice.address_type == family);
        slices.flat_map(|slice| ready(slice, namespace, &wanted.port)).collect()
    };
    let may_be_dialled = |address: &SocketAddr| index.objects.settings.forbids_pod(address.ip()).is_none();
    let found = [of_family("IPv4"), of_family("IPv6")].into_iter().find(|addresses| !addresses.is_empty());
    let addresses: Vec<_> = found.into_iter().flatten().filter(may_be_dialled).collect();
    let Some(first) = addresses.first() else {
        let port = match &wanted.port {
            IntOrString::Int(number) => number.to_string(),
            IntOrString::String(name) => name.clone(),
        };
        let message = format!(
            "the Service {name} has no ready Pod of this namespace with the container port {port}; \
             name a port of the Service, or the number that its Pods listen on"
        );
        return Err(Unresolved::new("NoEndpoints", message));
    };
    Ok(Upstream::Addresses { host: format!("{}.{namespace}.svc:{}", wanted.name, first.port()), addresses })
}

fn ready(slice: &EndpointSlice, namespace: &str, wanted: &IntOrString) -> Vec<SocketAddr> {
    let ports = slice.ports.iter().flatten().filter(|port| match wanted {
        IntOrString::Int(number) => port.port == Some(*number),
        IntOrString::String(name) => port.name.as_deref() == Some(name),
    });
    let ports: Vec<u16> = ports.filter_map(|port| port.port?.try_into().ok()).collect();
    let is_ready_pod = |endpoint: &&Endpoint| {
        let is_ready = endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true);
        let is_pod = endpoint.target_ref.as_ref().is_some_and(|target| {
            target.kind.as_deref() == Some("Pod") && target.namespace.as_deref() == Some(namespace)
        });
        is_ready && is_pod
    };
    let addresses = slice.endpoints.iter().filter(is_ready_pod).flat_map(|endpoint| &endpoint.addresses);
    let addresses = addresses.filter_map(|address| address.parse::<IpAddr>().ok());
    addresses.flat_map(|address| ports.iter().map(move |port| SocketAddr::new(address, *port))).collect()
}
