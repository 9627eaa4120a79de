//! What the objects name, and so what else must be watched. Pure.

use super::given::Given;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt as _;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use weir_compile::mapped_key_sets;
use weir_crds::{Budget, LLMRoute, Provider};
use weir_snapshot::Name;

/// Names of other objects.
#[derive(Default)]
pub(crate) struct Names {
    /// Namespaces whose Secrets matter.
    pub(crate) secrets: BTreeSet<String>,
    /// ConfigMaps: of CA certificates, of key sets, and that of prices.
    pub(crate) config_maps: BTreeSet<Name>,
    /// Services whose endpoints matter.
    pub(crate) services: BTreeSet<Name>,
}

impl Names {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        let Self { secrets, config_maps, services } = self;
        secrets.is_empty() && config_maps.is_empty() && services.is_empty()
    }

    /// Whether a Provider names any of them.
    pub(crate) fn touch(&self, provider: &Provider) -> bool {
        let Self { secrets, config_maps, services } = Self::of_provider(provider);
        !secrets.is_disjoint(&self.secrets)
            || !config_maps.is_disjoint(&self.config_maps)
            || !services.is_disjoint(&self.services)
    }

    /// Collects them.
    pub(crate) fn of(
        providers: &[Arc<Provider>],
        routes: &[Arc<LLMRoute>],
        budgets: &[Arc<Budget>],
        namespaces: &[Arc<Namespace>],
        given: &Given,
    ) -> Self {
        let mut names = Self {
            secrets: given.secret_namespaces.clone(),
            config_maps: BTreeSet::from([given.prices.clone()]),
            services: given.gateway_names().into_iter().chain([api_server()]).collect(),
        };
        for provider in providers {
            let Self { secrets, config_maps, services } = Self::of_provider(provider);
            names.secrets.extend(secrets);
            names.config_maps.extend(config_maps);
            names.services.extend(services);
        }
        for route in routes {
            names.config_maps.extend(mapped_key_sets(route).into_iter().map(|(_, map)| map));
            names.secrets.extend(key_namespaces(route, namespaces, &given.settings.platform_namespace));
        }
        let told = |budget: &&Arc<Budget>| budget.spec.thresholds.iter().any(|held| held.webhook_ref.is_some());
        names.secrets.extend(budgets.iter().filter(told).filter_map(|budget| budget.namespace()));
        names
    }

    fn of_provider(provider: &Provider) -> Self {
        let namespace = provider.namespace().unwrap_or_default();
        let in_namespace = |name: &String| Name::new(&namespace, name);
        let spec = &provider.spec;
        let service = spec.endpoint.as_ref().and_then(|endpoint| endpoint.service.as_ref());
        Self {
            config_maps: spec.tls.iter().map(|tls| in_namespace(&tls.ca_config_map_ref.name)).collect(),
            services: service.iter().map(|service| in_namespace(&service.name)).collect(),
            secrets: if spec.credentials.is_empty() { BTreeSet::new() } else { BTreeSet::from([namespace]) },
        }
    }
}

/// Namespaces whose API keys a route admits.
fn key_namespaces(route: &LLMRoute, namespaces: &[Arc<Namespace>], platform: &str) -> Vec<String> {
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

/// The API server's own Service.
pub(crate) fn api_server() -> Name {
    Name::new("default", "kubernetes")
}

/// Where the endpoints of these Services are, but for loopback, which is bound by `--allow-upstream-cidr` alone.
pub(crate) fn addresses(slices: &[Arc<EndpointSlice>], services: &[Name]) -> Vec<IpAddr> {
    let is_of_them = |slice: &&Arc<EndpointSlice>| {
        let (namespace, service) = (slice.namespace(), slice.labels().get("kubernetes.io/service-name"));
        services.iter().any(|name| namespace.as_ref() == Some(&name.namespace) && service == Some(&name.name))
    };
    let addresses = slices.iter().filter(is_of_them).flat_map(|slice| &slice.endpoints).flat_map(|e| &e.addresses);
    addresses.filter_map(|address| address.parse().ok()).filter(|address: &IpAddr| !address.is_loopback()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn given() -> Given {
        Given {
            settings: weir_snapshot::Settings { platform_namespace: "platform".to_owned(), ..Default::default() },
            allow_plaintext_namespaces: BTreeSet::new(),
            secret_namespaces: BTreeSet::from(["flagged".to_owned()]),
            prices: Name::new("weir", "prices"),
            namespace: "weir".to_owned(),
            operator_account: "weir:operator".to_owned(),
            dataplane_selector: "app=dataplane".to_owned(),
            gateway_services: BTreeSet::from(["gateway".to_owned()]),
        }
    }

    fn route(namespace: &str, access: &serde_json::Value) -> Arc<LLMRoute> {
        let spec = json!({"models": [], "rules": [], "access": access});
        let route = json!({"apiVersion": "weir.dev/v1alpha1", "kind": "LLMRoute",
            "metadata": {"name": "r", "namespace": namespace}, "spec": spec});
        Arc::new(serde_json::from_value(route).unwrap())
    }

    fn secrets(routes: &[Arc<LLMRoute>]) -> Vec<String> {
        let namespaces = ["a", "b"]
            .map(|name| json!({"metadata": {"name": name, "labels": {"team": name}}}))
            .map(|namespace| Arc::new(serde_json::from_value(namespace).unwrap()));
        Names::of(&[], routes, &[], &namespaces, &given()).secrets.into_iter().collect()
    }

    #[test]
    fn only_routes_that_admit_keys_need_secrets() {
        assert_eq!(secrets(&[route("open", &json!({"anonymous": true}))]), ["flagged"]);
        let accounts = json!({"serviceAccounts": [{"namespace": "x", "name": "y"}]});
        assert_eq!(secrets(&[route("accounts", &accounts)]), ["flagged"]);
        assert_eq!(secrets(&[route("own", &json!(null))]), ["flagged", "own"]);
        assert_eq!(secrets(&[route("keys", &json!({"apiKeys": {}}))]), ["flagged", "keys"]);
    }

    #[test]
    fn a_route_needs_the_config_maps_that_its_issuers_name() {
        let access = json!({"jwt": [
            {"issuer": "a", "audiences": ["x"], "jwksConfigMapRef": {"name": "keys"}},
            {"issuer": "b", "audiences": ["x"], "jwksUrl": "https://id.example", "caConfigMapRef": {"name": "ca"}},
        ]});
        let names = Names::of(&[], &[route("ns", &access)], &[], &[], &given());
        let named = BTreeSet::from([Name::new("ns", "ca"), Name::new("ns", "keys"), given().prices]);
        assert_eq!(names.config_maps, named);
    }

    #[test]
    fn keys_of_other_namespaces_are_for_platform_routes_alone() {
        let others = json!({"apiKeys": {"namespaces": {"selector": {"matchLabels": {"team": "b"}}}}});
        assert_eq!(secrets(&[route("platform", &others)]), ["b", "flagged"]);
        assert_eq!(secrets(&[route("tenant", &others)]), ["flagged", "tenant"]);
    }

    #[test]
    fn a_provider_needs_what_it_names_in_its_own_namespace() {
        let provider = json!({"apiVersion": "weir.dev/v1alpha1", "kind": "Provider",
            "metadata": {"name": "p", "namespace": "ns"},
            "spec": {"type": "OpenAICompatible", "endpoint": {"service": {"name": "vllm", "port": 80}},
                "tls": {"caConfigMapRef": {"name": "ca"}},
                "credentials": [{"name": "main", "secretRef": {"name": "key"}}]}});
        let names = Names::of(&[Arc::new(serde_json::from_value(provider).unwrap())], &[], &[], &[], &given());
        assert!(names.secrets.contains("ns"));
        assert_eq!(names.config_maps, BTreeSet::from([Name::new("ns", "ca"), given().prices]));
        assert!(names.services.contains(&Name::new("ns", "vllm")));
    }

    #[test]
    fn a_budget_needs_secrets_for_its_webhooks_alone() {
        let budget = |namespace: &str, threshold: serde_json::Value| {
            let budget = json!({"apiVersion": "weir.dev/v1alpha1", "kind": "Budget",
                "metadata": {"name": "b", "namespace": namespace},
                "spec": {"limits": [], "window": {"total": {}}, "thresholds": [threshold]}});
            Arc::new(serde_json::from_value(budget).unwrap())
        };
        let told = budget("told", json!({"percent": 80, "webhookRef": {"name": "hook"}}));
        let quiet = budget("quiet", json!({"percent": 80, "event": true}));
        let names = Names::of(&[], &[], &[told, quiet], &[], &given());
        assert_eq!(names.secrets, BTreeSet::from(["flagged".to_owned(), "told".to_owned()]));
    }

    #[test]
    fn the_api_server_and_the_gateway_are_found_by_their_services_but_for_loopback() {
        let slice = |namespace: &str, service: &str, address: &str| {
            let slice = json!({"addressType": "IPv4", "endpoints": [{"addresses": [address]}],
                "metadata": {"namespace": namespace, "labels": {"kubernetes.io/service-name": service}}});
            Arc::new(serde_json::from_value(slice).unwrap())
        };
        let slices = [
            slice("default", "kubernetes", "10.0.0.7"),
            slice("default", "kubernetes", "127.0.0.1"),
            slice("team", "kubernetes", "10.0.0.8"),
            slice("default", "other", "10.0.0.9"),
            slice("weir", "gateway", "10.0.0.10"),
            slice("team", "gateway", "10.0.0.11"),
        ];
        let found =
            |services: &[Name]| addresses(&slices, services).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(found(&[api_server()]), ["10.0.0.7"]);
        assert_eq!(found(&given().gateway_names()), ["10.0.0.10"]);
        assert!(Names::of(&[], &[], &[], &[], &given()).services.contains(&Name::new("weir", "gateway")));
    }
}
