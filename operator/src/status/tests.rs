//! What stands in status, case by case.

use super::fleet::Fleet;
use super::spending::{Caveat, Spent, SpentOfLimit, SpentOfPartition};
use super::{budget, provider, route};
use crate::publish::{Desired, Holdings, PodState};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_compile::{Condition, CredentialVerdict, ObjectId, ObjectKind, Verdict};
use weir_snapshot::envelope::{CredentialState, ProviderState, Trouble};
use weir_snapshot::{Digest, Kind, Name, Resource, ResourceId, Sealed, Snapshot, Unit};

fn pod(name: &str, ready: bool) -> Arc<Pod> {
    let ready = if ready { "True" } else { "False" };
    let pod = json!({"metadata": {"name": name, "uid": format!("uid-{name}")},
        "status": {"conditions": [{"type": "Ready", "status": ready}]}});
    Arc::new(serde_json::from_value(pod).unwrap())
}

fn id() -> ObjectId {
    ObjectId { kind: ObjectKind::Provider, name: Name::new("ns", "p") }
}

fn resource() -> ResourceId {
    ResourceId { kind: Kind::Provider, name: Name::new("ns", "p") }
}

/// One Provider resource that needs `provider.mock`.
fn desired() -> Desired {
    let body = json!({"provider_type": "Mock", "upstream": {"Mock": {"text": "hi", "error_status": 500}},
        "health": weir_snapshot::Health::default()});
    let mock = Resource::parse(Kind::Provider, body.to_string().as_bytes()).unwrap();
    let sealed = Sealed { resource: mock, digest: Digest::of(b"new") };
    let snapshot = Snapshot { resources: BTreeMap::from([(resource(), Arc::new(sealed))]) };
    Desired { snapshot, ..Desired::default() }
}

fn verdict() -> Verdict {
    let condition = |type_, status, reason| Condition { type_, status, reason, message: "why".to_owned() };
    Verdict {
        generation: 3,
        conditions: vec![condition("Accepted", true, "Accepted"), condition("ResolvedRefs", true, "Resolved")],
        resources: vec![resource()],
        ..Verdict::default()
    }
}

fn holding(digest: &str) -> PodState {
    let held = BTreeMap::from([(resource(), Digest::of(digest.as_bytes()))]);
    let features = ["provider.mock".to_owned()].into();
    PodState::of(Holdings { held, features, ..Holdings::default() })
}

fn streams(pods: Vec<(&str, PodState)>) -> BTreeMap<String, PodState> {
    pods.into_iter().map(|(name, state)| (format!("uid-{name}"), state)).collect()
}

fn condition(status: &impl serde::Serialize, type_: &str) -> (String, String, String) {
    let status = serde_json::to_value(status).unwrap();
    let all = status["conditions"].as_array().unwrap();
    let found = all.iter().find(|condition| condition["type"] == type_).unwrap_or(&Value::Null);
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    (text("status"), text("reason"), text("message"))
}

fn programmed(pods: &[Arc<Pod>], streams: &BTreeMap<String, PodState>) -> (String, String, String) {
    condition(&provider_status(pods, streams, &verdict()), "Programmed")
}

fn provider_status(
    pods: &[Arc<Pod>],
    streams: &BTreeMap<String, PodState>,
    verdict: &Verdict,
) -> weir_crds::ProviderStatus {
    let object = serde_json::from_value(json!({"apiVersion": "weir.dev/v1alpha1", "kind": "Provider",
        "metadata": {"name": "p", "namespace": "ns"}, "spec": {"type": "OpenAI"}}));
    let desired = desired();
    let fleet = Fleet::new(pods, streams, &desired);
    provider::status(&object.unwrap(), &id(), verdict, &fleet, Timestamp::UNIX_EPOCH)
}

#[test]
fn programmed_counts_ready_pods_and_names_the_one_that_lags_and_why() {
    let three = |(status, reason, message): (&str, &str, &str)| (status.into(), reason.into(), message.into());
    let pods = [pod("a", true), pod("b", true), pod("c", false)];
    let of = |b: Option<PodState>| {
        let b = b.map(|state| ("b", state));
        programmed(&pods, &streams([("a", holding("new"))].into_iter().chain(b).collect()))
    };
    assert_eq!(of(Some(holding("new"))), three(("True", "Programmed", "2/2 pods")));
    let lag = |why: &str| three(("False", "PodLagging", &format!("1/2 pods: pod b {why}")));
    assert_eq!(of(None), lag("does not follow the operator"));
    assert_eq!(of(Some(holding("old"))), lag("has not applied it yet"));
    let mut unable = holding("old");
    unable.holdings.features.clear();
    assert_eq!(of(Some(unable)), lag("lacks the feature provider.mock that Provider ns/p needs"));
    let mut refusing = holding("");
    refusing.holdings.rejected.insert(resource(), (Digest::of(b"new"), "no".to_owned()));
    assert_eq!(of(Some(refusing)), lag("refused Provider ns/p: no"));
    let none = programmed(&[pod("c", false)], &streams(vec![("c", holding("new"))]));
    assert_eq!(none, three(("False", "NoReadyPods", "no pod of the data plane is Ready")));
}

#[test]
fn status_of_the_same_facts_is_the_same() {
    let (pods, streams) = ([pod("a", true)], streams(vec![("a", holding("new"))]));
    assert_eq!(provider_status(&pods, &streams, &verdict()), provider_status(&pods, &streams, &verdict()));
    assert_eq!(condition(&provider_status(&pods, &streams, &verdict()), "Ready").0, "True");
}

#[test]
fn health_and_credentials_are_what_pods_saw_and_the_worst_counts() {
    let seen = |verdict: i32, trouble: Option<Trouble>, healthy: u32| {
        let mut state = holding("new");
        let credentials = vec![CredentialState { name: "main".to_owned(), verdict, message: "401".to_owned() }];
        state.observed = Some(vec![ProviderState {
            namespace: "ns".to_owned(),
            name: "p".to_owned(),
            trouble,
            credentials,
            endpoints_healthy: healthy,
            endpoints_total: 3,
        }]);
        state
    };
    let mut verdict = verdict();
    verdict.credentials = vec![CredentialVerdict { name: "main".to_owned(), fingerprint: Some("0123abcd".to_owned()) }];
    let pods = [pod("a", true), pod("b", true)];
    let quiet = provider_status(&pods, &streams(vec![("a", seen(0, None, 3)), ("b", seen(0, None, 3))]), &verdict);
    assert_eq!(condition(&quiet, "CredentialsValid").0, "Unknown");
    assert_eq!(condition(&quiet, "Healthy").0, "True");
    let trouble = Trouble { reason: "Ejected".to_owned(), message: "connect refused".to_owned() };
    let bad = streams(vec![("a", seen(1, None, 3)), ("b", seen(2, Some(trouble), 2))]);
    let bad = provider_status(&pods, &bad, &verdict);
    let said = ("False".to_owned(), "CredentialRejected".to_owned(), "credential main: 401".to_owned());
    assert_eq!(condition(&bad, "CredentialsValid"), said);
    let said = ("False".to_owned(), "Ejected".to_owned(), "1 of 2 pods: connect refused".to_owned());
    assert_eq!(condition(&bad, "Healthy"), said);
    assert_eq!(bad.endpoints_healthy.as_deref(), Some("2/3"));
    assert_eq!(condition(&bad, "Ready").0, "True", "a provider's outage blocks no rollout");
}

#[test]
fn a_refused_route_is_neither_ready_nor_programmed_and_stalls() {
    let refusal = Condition { type_: "Accepted", status: false, reason: "Invalid", message: "mend it".to_owned() };
    let verdict = Verdict { generation: 1, conditions: vec![refusal], ..Verdict::default() };
    let object = json!({"apiVersion": "weir.dev/v1alpha1", "kind": "LLMRoute",
        "metadata": {"name": "r", "namespace": "ns"}, "spec": {"models": [], "rules": []}});
    let (pods, streams, desired) = ([pod("a", true)], BTreeMap::new(), desired());
    let fleet = Fleet::new(&pods, &streams, &desired);
    let object = serde_json::from_value(object).unwrap();
    let status = route::status(&object, &verdict, fleet.programmed(&verdict), &[], Timestamp::UNIX_EPOCH);
    for type_ in ["Ready", "Programmed"] {
        assert_eq!(condition(&status, type_).0, "False");
    }
    assert_eq!(condition(&status, "Stalled"), ("True".to_owned(), "Invalid".to_owned(), "mend it".to_owned()));
}

fn budget_status(spec: &Value, verdict: &Verdict, spent: Option<&Spent>) -> Value {
    let mut object = json!({"apiVersion": "weir.dev/v1alpha1", "kind": "Budget",
        "metadata": {"name": "p", "namespace": "ns"},
        "spec": {"limits": [{"unit": "USD", "amount": "100"}], "window": {"total": {}}}});
    for (name, value) in spec.as_object().unwrap() {
        object["spec"][name] = value.clone();
    }
    let (pods, streams, desired) = ([pod("a", true)], streams(vec![("a", holding("new"))]), desired());
    let programmed = Fleet::new(&pods, &streams, &desired).programmed(verdict).0;
    let object = serde_json::from_value(object).unwrap();
    serde_json::to_value(budget::status(&object, verdict, programmed, spent, Timestamp::UNIX_EPOCH)).unwrap()
}

fn dollars(limit: u64, spent: u64, reserved: u64) -> SpentOfLimit {
    let nanos = |dollars: u64| dollars * 1_000_000_000;
    let unit = Unit::parse("USD").unwrap();
    SpentOfLimit { unit, limit: nanos(limit), spent: nanos(spent), reserved: nanos(reserved), unaccounted: 0 }
}

#[test]
fn a_budget_shows_the_limit_that_is_used_most_and_how_it_stands() {
    let tokens = SpentOfLimit { unit: Unit::Tokens, limit: 1000, spent: 100, reserved: 50, unaccounted: 0 };
    let spent = Spent {
        limits: vec![tokens, dollars(100, 85, 5)],
        starts: Some(0),
        ends: Some(86_400),
        partitions: 1,
        ..Spent::default()
    };
    let thresholds = json!({"thresholds": [{"percent": 90}, {"percent": 50}, {"percent": 80}]});
    let status = budget_status(&thresholds, &verdict(), Some(&spent));
    let shown = |field: &str| status[field].clone();
    assert_eq!(
        ["limit", "spent", "reserved", "remaining", "used", "state", "mode", "periodEnd"].map(shown),
        ["100 USD", "85", "5", "10", "85%", "Warning", "Enforce", "1970-01-02T00:00:00Z"].map(Value::from)
    );
    assert_eq!(status["thresholdsReached"], json!([50, 80]));
    assert_eq!(status["limits"][0]["remaining"], "850");
    assert_eq!(condition(&status, "Enforcing").0, "True");
    assert_eq!(condition(&status, "WithinBudget").0, "True");
    assert_eq!(condition(&status, "Exhausted").0, "False");
    assert_eq!(condition(&status, "Overridden").0, "False");
}

#[test]
fn a_spent_budget_is_exhausted_and_one_that_is_overdrawn_is_below_zero() {
    let of = |spent| {
        let spent = Spent { limits: vec![dollars(100, spent, 0)], ..Spent::default() };
        budget_status(&json!({}), &verdict(), Some(&spent))
    };
    let (even, over) = (of(100), of(101));
    assert_eq!((even["state"].as_str(), even["remaining"].as_str()), (Some("Exhausted"), Some("0")));
    assert_eq!((condition(&even, "Exhausted").0, condition(&even, "WithinBudget").0), ("True".into(), "True".into()));
    assert_eq!((over["remaining"].as_str(), condition(&over, "WithinBudget").1.as_str()), (Some("-1"), "OverBudget"));
    assert_eq!(condition(&over, "Ready").0, "True", "spending blocks no rollout");
}

#[test]
fn what_pods_took_with_them_is_neither_spent_nor_left() {
    let of = |spent| {
        let limit = SpentOfLimit { unaccounted: 15_000_000_000, ..dollars(100, spent, 0) };
        budget_status(&json!({}), &verdict(), Some(&Spent { limits: vec![limit], ..Spent::default() }))
    };
    let some = of(80);
    let shown = |field: &str| some[field].as_str().unwrap_or_default().to_owned();
    assert_eq!(["spent", "unaccounted", "remaining", "state"].map(shown), ["80", "15", "5", "OK"]);
    let none = of(85);
    assert_eq!((none["state"].as_str(), none["remaining"].as_str()), (Some("Exhausted"), Some("0")));
    assert_eq!(condition(&none, "WithinBudget").0, "True");
}

#[test]
fn partitions_are_capped_with_a_total_beside_them() {
    let pot = |n: u64| SpentOfPartition { partition: format!("u{n}"), limit: dollars(100, 100 - n, 0) };
    let spent = Spent {
        limits: vec![dollars(100, 100, 0)],
        partitions: 500,
        top: (0..20).map(pot).collect(),
        ..Spent::default()
    };
    let status = budget_status(&json!({"partitionBy": ["User"]}), &verdict(), Some(&spent));
    assert_eq!(
        (status["partitionsTotal"].as_i64(), status["topPartitions"].as_array().unwrap().len()),
        (Some(500), 10)
    );
    assert!(condition(&status, "Exhausted").2.contains("by u0"));
}

#[test]
fn what_a_budget_does_not_know_it_does_not_claim() {
    let unknown = budget_status(&json!({}), &verdict(), None);
    assert_eq!((unknown["state"].as_str(), unknown["limit"].as_str()), (Some("Unknown"), Some("100 USD")));
    assert_eq!(condition(&unknown, "Enforcing").1, "Recovering");
    assert_eq!(condition(&unknown, "Exhausted").0, "Unknown");
    assert_eq!(condition(&unknown, "Ready").0, "True", "a ledger that recovers blocks no rollout");
    let caveat = Some(Caveat { reason: "LedgerReset", message: "it began anew".to_owned() });
    let reset = budget_status(&json!({}), &verdict(), Some(&Spent { caveat, ..Spent::default() }));
    assert_eq!(condition(&reset, "Enforcing"), ("False".into(), "LedgerReset".into(), "it began anew".into()));
    let disabled = budget_status(&json!({"mode": "Disabled"}), &verdict(), None);
    assert_eq!(
        (disabled["state"].as_str(), condition(&disabled, "Enforcing").1.as_str()),
        (Some("Disabled"), "Disabled")
    );
    let blocks = budget_status(&json!({"mode": "Block"}), &verdict(), None);
    assert_eq!((blocks["state"].as_str(), condition(&blocks, "Enforcing").0.as_str()), (Some("Blocked"), "True"));
}

#[test]
fn a_refused_budget_that_enforces_blocks_and_says_why() {
    let refusal = Condition { type_: "Accepted", status: false, reason: "ParentNotFound", message: "why".to_owned() };
    let verdict =
        Verdict { generation: 1, conditions: vec![refusal], resources: vec![resource()], ..Verdict::default() };
    let status = budget_status(&json!({}), &verdict, None);
    assert_eq!((status["state"].as_str(), condition(&status, "Ready").1.as_str()), (Some("Blocked"), "ParentNotFound"));
    assert_eq!(condition(&status, "Stalled").0, "True");
    let counts = budget_status(&json!({"mode": "Warn"}), &verdict, None);
    assert_eq!(counts["state"], "Unknown");
}
