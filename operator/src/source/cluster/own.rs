//! Where the gateway's own Services are: read from the API server again and again.
//!
//! What was read last stays while it does not answer. Addresses of pods come from the Services' EndpointSlices.

use crate::telemetry::Metrics;
use k8s_openapi::api::core::v1::Service;
use kube::Client;
use kube::api::Api;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A Service keeps its addresses for life, but for those of a load balancer, which come late.
const READ: Duration = Duration::from_secs(30);
/// Answers are wanted within this time.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Reads for ever; `tell` is called with every change.
pub(super) async fn follow(
    client: Client,
    namespace: String,
    services: BTreeSet<String>,
    found: watch::Sender<BTreeSet<IpAddr>>,
    metrics: Arc<Metrics>,
    tell: impl Fn() + Send,
) {
    let api: Api<Service> = Api::namespaced(client, &namespace);
    let mut known: BTreeMap<&String, BTreeSet<IpAddr>> = BTreeMap::new();
    loop {
        for name in &services {
            match tokio::time::timeout(TIMEOUT, api.get_opt(name)).await {
                Ok(Ok(service)) => drop(known.insert(name, service.as_ref().map(addresses).unwrap_or_default())),
                Ok(Err(error)) => failed(&metrics, name, &error.to_string()),
                Err(_) => failed(&metrics, name, "the API server does not answer in time"),
            }
        }
        let now: BTreeSet<IpAddr> = known.values().flatten().copied().collect();
        let changed = found.send_if_modified(|before| {
            let changed = *before != now;
            *before = now;
            changed
        });
        if changed {
            tell();
        }
        tokio::time::sleep(READ).await;
    }
}

fn failed(metrics: &Metrics, name: &str, error: &str) {
    metrics.failed("service");
    tracing::warn!(name, error, "a Service of the gateway cannot be read; its address may be dialled by Providers");
}

/// All addresses by which a Service is reached.
fn addresses(service: &Service) -> BTreeSet<IpAddr> {
    let spec = service.spec.as_ref();
    let of_cluster = spec.into_iter().flat_map(|spec| {
        let all = spec.cluster_ip.iter().chain(spec.cluster_ips.iter().flatten());
        all.chain(spec.external_ips.iter().flatten()).chain(&spec.load_balancer_ip)
    });
    let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = balancer.and_then(|balancer| balancer.ingress.as_ref()).into_iter().flatten();
    let outside = ingress.filter_map(|ingress| ingress.ip.as_ref());
    // A headless Service has `None` for an address.
    of_cluster.chain(outside).filter_map(|address| address.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(service: serde_json::Value) -> Vec<String> {
        addresses(&serde_json::from_value(service).unwrap()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_service_is_reached_within_the_cluster_and_from_outside() {
        let spec =
            json!({"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9", "fd12::9"], "externalIPs": ["192.0.2.4"]});
        let status = json!({"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}, {"hostname": "lb.example"}]}});
        let all = ["10.96.0.9", "192.0.2.4", "203.0.113.7", "fd12::9"];
        assert_eq!(found(json!({"spec": spec, "status": status})), all);
    }

    #[test]
    fn a_headless_one_has_no_address_of_its_own() {
        assert!(found(json!({"spec": {"clusterIP": "None", "clusterIPs": ["None"]}})).is_empty());
        assert!(found(json!({})).is_empty());
    }
}
