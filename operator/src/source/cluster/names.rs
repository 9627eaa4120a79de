//! What the objects name, and so what else must be watched. Pure.

use super::given::Given;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt as _;
use std::collections::BTreeSet;
use std::net::IpAddr;
use weir_crds::{LLMRoute, Provider};
use weir_snapshot::Name;

/// Names of other objects.
pub(crate) struct Names {
    /// Namespaces whose Secrets matter.
    pub(crate) secrets: BTreeSet<String>,
    /// ConfigMaps with CA certificates.
    pub(crate) config_maps: BTreeSet<Name>,
    /// Services whose endpoints matter.
    pub(crate) services: BTreeSet<Name>,
}

impl Names {
    /// Collects them.
    pub(crate) fn of(providers: &[Provider], routes: &[LLMRoute], namespaces: &[Namespace], given: &Given) -> Self {
        let mut names = Self {
            secrets: given.secret_namespaces.clone(),
            config_maps: BTreeSet::new(),
            services: BTreeSet::from([api_server()]),
        };
        for provider in providers {
            let namespace = provider.namespace().unwrap_or_default();
            if let Some(tls) = &provider.spec.tls {
                names.config_maps.insert(Name::new(&namespace, &tls.ca_config_map_ref.name));
            }
            if let Some(service) = provider.spec.endpoint.as_ref().and_then(|endpoint| endpoint.service.as_ref()) {
                names.services.insert(Name::new(&namespace, &service.name));
            }
            if !provider.spec.credentials.is_empty() {
                names.secrets.insert(namespace);
            }
        }
        for route in routes {
            names.secrets.extend(key_namespaces(route, namespaces, &given.settings.platform_namespace));
        }
        names
    }
}

/// Namespaces whose API keys a route admits.
fn key_namespaces(route: &LLMRoute, namespaces: &[Namespace], platform: &str) -> Vec<String> {
    let own = route.namespace().unwrap_or_default();
    let keys = route.spec.access.as_ref().map(|access| access.api_keys.as_ref());
    match keys {
        // Without access the callers of its own namespace are admitted, those with keys among them.
        None => vec![own],
        Some(None) => Vec::new(),
        Some(Some(keys)) => match &keys.namespaces {
            Some(others) if own == platform => namespaces
                .iter()
                .filter(|namespace| others.selector.matches(namespace.labels()))
                .map(|namespace| namespace.name_any())
                .collect(),
            Some(_) | None => vec![own],
        },
    }
}

fn api_server() -> Name {
    Name::new("default", "kubernetes")
}

/// Where the API server is, but for loopback, which is bound by `--allow-upstream-cidr` alone.
pub(crate) fn api_server_addresses(slices: &[EndpointSlice]) -> Vec<IpAddr> {
    let of_api_server = |slice: &&EndpointSlice| {
        let Name { namespace, name } = api_server();
        slice.namespace() == Some(namespace) && slice.labels().get("kubernetes.io/service-name") == Some(&name)
    };
    let addresses = slices.iter().filter(of_api_server).flat_map(|slice| &slice.endpoints).flat_map(|e| &e.addresses);
    addresses.filter_map(|address| address.parse().ok()).filter(|address: &IpAddr| !address.is_loopback()).collect()
}
