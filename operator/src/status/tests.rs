//! What stands in status, case by case.

use super::fleet::Fleet;
use super::{provider, route};
use crate::publish::{Desired, Holdings, PodState};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_compile::{Condition, CredentialVerdict, ObjectId, ObjectKind, Verdict};
use weir_snapshot::envelope::{CredentialState, ProviderState, Trouble};
use weir_snapshot::{Digest, Kind, Name, Resource, ResourceId, Sealed, Snapshot};

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
    let sealed = Sealed { resource: Arc::new(mock), digest: Digest("new".to_owned()) };
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
    let held = BTreeMap::from([(resource(), Digest(digest.to_owned()))]);
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
    refusing.holdings.rejected.insert(resource(), (Digest("new".to_owned()), "no".to_owned()));
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
    let status = route::status(&object, &verdict, fleet.programmed(&verdict), Timestamp::UNIX_EPOCH);
    for type_ in ["Ready", "Programmed"] {
        assert_eq!(condition(&status, type_).0, "False");
    }
    assert_eq!(condition(&status, "Stalled"), ("True".to_owned(), "Invalid".to_owned(), "mend it".to_owned()));
}
