//! What is applied to the cluster is what every pod serves, and status tells the truth about it.

use serde_json::{Value, json};
use weir_tests::fleet::{Fleet, OTHER_TEAM, TEAM, until_status};
use weir_tests::kubectl;
use weir_tests::manifests::{open_route, provider};
use weir_tests::provider::Provider;

const MODEL: &str = "gpt-test";

async fn served(fleet: &Fleet, model: &str) {
    for dataplane in &fleet.dataplanes {
        assert_eq!(dataplane.client().chat(model).await.text(), "Hello", "{}", dataplane.name);
    }
}

fn delete(fleet: &Fleet, object: &str, namespace: &str) {
    kubectl::run(&fleet.api, &["delete", object, "-n", namespace], "").expect("it is deleted");
}

#[tokio::test]
async fn once_ready_the_very_next_request_on_each_pod_sees_it() {
    let upstream = Provider::start().await;
    let fleet = Fleet::start().await;
    fleet.apply(&[provider(TEAM, "upstream", &upstream.url(), MODEL), open_route(TEAM, "chat", MODEL, &["upstream"])]);
    fleet.wait_ready("provider.weir.dev/upstream", TEAM);
    fleet.wait_ready("llmroute/chat", TEAM);
    served(&fleet, MODEL).await;
    assert!(fleet.condition("llmroute/chat", TEAM, "Programmed").message.contains("2/2"));

    let mut changed = open_route(TEAM, "chat", MODEL, &["upstream"]);
    changed["spec"]["models"][0]["aliases"] = json!(["short"]);
    fleet.apply(&[changed]);
    fleet.wait_ready("llmroute/chat", TEAM);
    served(&fleet, "short").await;

    delete(&fleet, "llmroute/chat", TEAM);
    // No route is left for callers without a credential, so one is asked for.
    until_status(&fleet.clients(), MODEL, 401).await;
    fleet.apply(&[open_route(TEAM, "renamed", MODEL, &["upstream"])]);
    fleet.wait_ready("llmroute/renamed", TEAM);
    served(&fleet, MODEL).await;
}

#[tokio::test]
async fn a_pod_that_lags_is_counted_and_named() {
    let upstream = Provider::start().await;
    let fleet = Fleet::start().await;
    fleet.dataplanes[1].process.signal("STOP");
    fleet.apply(&[provider(TEAM, "upstream", &upstream.url(), MODEL), open_route(TEAM, "chat", MODEL, &["upstream"])]);
    let held = fleet.until("llmroute/chat", TEAM, "Programmed", |found| found.message.contains("1/2")).await;
    assert_eq!(held.status, "False");
    assert!(held.message.contains(&fleet.dataplanes[1].name), "the pod that lags is named: {held:?}");
    assert_eq!(fleet.condition("llmroute/chat", TEAM, "Ready").status, "False");
    fleet.dataplanes[1].process.signal("CONT");
    fleet.wait_ready("llmroute/chat", TEAM);
    served(&fleet, MODEL).await;
}

#[tokio::test]
async fn a_provider_serves_other_namespaces_by_its_owners_consent_alone() {
    let upstream = Provider::start().await;
    let fleet = Fleet::start().await;
    let mut shared = provider(OTHER_TEAM, "shared", &upstream.url(), MODEL);
    let foreign = |name: &str, provider: &str| {
        let mut route = open_route(TEAM, name, name, &["shared"]);
        route["spec"]["rules"][0]["targets"][0]["providerRef"] = json!({"name": provider, "namespace": OTHER_TEAM});
        route["spec"]["rules"][0]["targets"][0]["model"] = json!(MODEL);
        route
    };
    fleet.apply(&[shared.clone(), foreign("borrows", "shared"), foreign("dangles", "missing")]);
    let forbidden = fleet.until("llmroute/borrows", TEAM, "ResolvedRefs", |found| found.status == "False").await;
    let missing = fleet.until("llmroute/dangles", TEAM, "ResolvedRefs", |found| found.status == "False").await;
    assert_eq!(forbidden.reason, missing.reason);
    assert_eq!(forbidden.message.replace("shared", "missing"), missing.message, "nobody learns what exists");
    until_status(&fleet.clients(), "borrows", 503).await;

    shared["spec"]["allowedNamespaces"] = json!({"from": "All"});
    fleet.apply(&[shared.clone()]);
    fleet.wait_ready("llmroute/borrows", TEAM);
    served(&fleet, "borrows").await;

    shared["spec"]["allowedNamespaces"] = json!({"from": "Same"});
    fleet.apply(&[shared]);
    until_status(&fleet.clients(), "borrows", 503).await;
}

#[tokio::test]
async fn of_two_routes_that_claim_the_same_the_younger_says_which_won() {
    let upstream = Provider::start().await;
    let fleet = Fleet::start().await;
    fleet.apply(&[provider(TEAM, "upstream", &upstream.url(), MODEL), open_route(TEAM, "older", MODEL, &["upstream"])]);
    fleet.wait_ready("llmroute/older", TEAM);
    // Creation times have whole seconds; the name decides between equal ones.
    fleet.apply(&[open_route(TEAM, "younger", MODEL, &["upstream"])]);
    let lost = fleet.until("llmroute/younger", TEAM, "Conflicted", |found| found.status == "True").await;
    assert!(lost.message.contains(&format!("{TEAM}/older")), "{lost:?}");
    assert_ne!(fleet.condition("llmroute/older", TEAM, "Conflicted").status, "True");
    delete(&fleet, "llmroute/older", TEAM);
    fleet.wait_ready("llmroute/younger", TEAM);
    served(&fleet, MODEL).await;
}

/// Lets the API server store what the schema would refuse, as an older or newer schema might.
fn store_undecodable(fleet: &Fleet, object: &Value) {
    let get = ["get", "crd", "llmroutes.weir.dev", "-o", "json"];
    let text = kubectl::run(&fleet.api, &get, "").expect("the kind is there");
    let mut open: Value = serde_json::from_str(&text).expect("kubectl prints JSON");
    let kept = open["spec"]["versions"][0]["schema"].clone();
    open["metadata"] = json!({"name": "llmroutes.weir.dev"});
    let loose = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let mut put = |schema: Value| {
        open["spec"]["versions"][0]["schema"] = schema;
        kubectl::run(&fleet.api, &["replace", "-f", "-"], &open.to_string()).expect("the kind is replaced");
    };
    put(json!({"openAPIV3Schema": {"type": "object", "properties": {"spec": loose, "status": loose}}}));
    let stored =
        std::iter::repeat_with(|| kubectl::apply(&fleet.api, &object.to_string())).take(100).any(|put| put.success);
    assert!(stored, "the API server takes the looser schema");
    put(kept);
}

#[tokio::test]
async fn an_object_that_does_not_decode_stops_nothing_else() {
    let upstream = Provider::start().await;
    let fleet = Fleet::start().await;
    let mut broken = open_route(TEAM, "broken", "broken", &["upstream"]);
    broken["spec"]["models"] = json!("not a list");
    store_undecodable(&fleet, &broken);
    fleet.apply(&[provider(TEAM, "upstream", &upstream.url(), MODEL), open_route(TEAM, "chat", MODEL, &["upstream"])]);
    fleet.wait_ready("llmroute/chat", TEAM);
    served(&fleet, MODEL).await;
    let refused = fleet.until("llmroute/broken", TEAM, "Accepted", |found| found.status == "False").await;
    assert_eq!(refused.reason, "Undecodable");
}
