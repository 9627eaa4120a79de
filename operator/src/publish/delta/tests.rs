//! What is sent to a pod, case by case.

use super::*;
use weir_snapshot::{Access, ApiKey, ServiceAccount};

fn id(kind: Kind, name: &str) -> ResourceId {
    ResourceId::new(kind, "ns", name)
}

fn desired(resources: impl IntoIterator<Item = (ResourceId, Resource)>) -> Desired {
    Desired { revision: 7, snapshot: resources.into_iter().collect(), ..Desired::default() }
}

fn access(models: usize) -> Resource {
    Resource::from(Access { api_key_namespaces: vec!["x".repeat(models)], ..Access::default() })
}

fn holds(desired: &Desired) -> Holdings {
    let resources = desired.snapshot.resources.iter();
    let held = resources.map(|(id, sealed)| (id.clone(), sealed.digest)).collect();
    Holdings { held, ..Holdings::default() }
}

#[test]
fn only_what_differs_is_sent_and_what_is_gone_is_removed() {
    let old = desired([
        (id(Kind::Access, "a"), access(1)),
        (id(Kind::Access, "b"), access(1)),
        (id(Kind::Access, "c"), access(1)),
    ]);
    let new = desired([(id(Kind::Access, "a"), access(1)), (id(Kind::Access, "b"), access(2))]);
    let delta = holds(&old).delta(&new);
    assert_eq!(delta, Delta { puts: vec![id(Kind::Access, "b")], removes: vec![id(Kind::Access, "c")] });
    assert_eq!(holds(&new).delta(&new), Delta::default());
}

#[test]
fn after_the_acknowledgement_nothing_is_left_but_what_was_refused_and_that_is_not_sent_again() {
    let new = desired([(id(Kind::Access, "a"), access(1)), (id(Kind::Access, "b"), access(2))]);
    let mut pod = Holdings::default();
    let sent = pod.delta(&new).sent(&new);
    let refused = (new.snapshot.resources[&id(Kind::Access, "b")].digest, "no".to_owned());
    pod.applied(sent, BTreeMap::from([(id(Kind::Access, "b"), refused)]));
    assert_eq!(pod.delta(&new), Delta::default());
    let changed = desired([(id(Kind::Access, "a"), access(1)), (id(Kind::Access, "b"), access(3))]);
    assert_eq!(pod.delta(&changed).puts, vec![id(Kind::Access, "b")]);
    assert_eq!(pod.delta(&desired([])).removes, vec![id(Kind::Access, "a"), id(Kind::Access, "b")]);
}

#[test]
fn a_resource_whose_feature_the_pod_lacks_is_left_out() {
    let mock = serde_json::json!({"provider_type": "Mock", "upstream": {"Mock": {"text": "hi", "error_status": 500}},
        "health": weir_snapshot::Health::default()});
    let mock = Resource::parse(Kind::Provider, mock.to_string().as_bytes()).unwrap();
    let new = desired([(id(Kind::Provider, "p"), mock), (id(Kind::Access, "a"), access(1))]);
    let mut pod = Holdings::default();
    assert_eq!(pod.delta(&new).puts, vec![id(Kind::Access, "a")]);
    pod.features.insert("provider.mock".to_owned());
    assert_eq!(pod.delta(&new).puts.len(), 2);
}

#[test]
fn what_is_kept_is_neither_changed_nor_removed_but_sent_where_there_is_none() {
    let old = desired([(id(Kind::Access, "a"), access(1)), (id(Kind::ApiKey, "k"), Resource::from(ApiKey::default()))]);
    let mut new = desired([(id(Kind::Access, "a"), access(2))]);
    new.kept.namespaces.insert("ns".to_owned());
    assert_eq!(holds(&old).delta(&new), Delta::default());
    assert_eq!(Holdings::default().delta(&new).puts, vec![id(Kind::Access, "a")]);
}

#[test]
fn the_brake_lets_keys_go() {
    // The body of the route does not matter here.
    let old = desired([
        (id(Kind::Route, "a"), access(1)),
        (id(Kind::Access, "a"), access(1)),
        (id(Kind::ApiKey, "k"), Resource::from(ApiKey::default())),
    ]);
    assert_eq!(braked(&old, &desired([])), [id(Kind::ApiKey, "k")]);
}

/// What goes although the brake is on.
fn braked(old: &Desired, new: &Desired) -> Vec<ResourceId> {
    let pod = holds(old);
    pod.delta(new).without_removes(new, &pod.held).removes
}

fn account(name: &str, uid: &str) -> Arc<k8s_openapi::api::core::v1::ServiceAccount> {
    let account = serde_json::json!({"metadata": {"namespace": "ns", "name": name, "uid": uid}});
    Arc::new(serde_json::from_value(account).unwrap())
}

#[test]
fn the_brake_lets_accounts_go_that_are_gone_and_keeps_those_that_only_lost_their_route() {
    let uid = |uid: &str| Resource::from(ServiceAccount { uid: uid.to_owned() });
    let accounts = ["deleted", "anew", "stays"].map(|name| (id(Kind::ServiceAccount, name), uid("1")));
    let new = Desired { accounts: vec![account("anew", "2"), account("stays", "1")], ..desired([]) };
    let gone = braked(&desired(accounts), &new);
    assert_eq!(gone, [id(Kind::ServiceAccount, "anew"), id(Kind::ServiceAccount, "deleted")]);
}

#[test]
fn the_brake_keeps_rights_with_what_they_belong_to_and_lets_all_others_go() {
    let secret = || Resource::from(weir_snapshot::Credential { secret: weir_snapshot::Secret::new("sk".to_owned()) });
    let consent = || Resource::from(weir_snapshot::Consent::default());
    let keys = || Resource::from(weir_snapshot::KeySet { jwks: String::new() });
    let other = |kind: Kind, name: &str| ResourceId::new(kind, "other", name);
    // The bodies of a route and a Provider do not matter here.
    let old = desired([
        (id(Kind::Route, "r"), access(1)),
        (id(Kind::Access, "r"), access(1)),
        (id(Kind::Access, "stays"), access(1)),
        (id(Kind::Provider, "p"), access(1)),
        (id(Kind::Consent, "p"), consent()),
        (id(Kind::Consent, "stays"), consent()),
        (id(Kind::Credential, "p/main"), secret()),
        (id(Kind::Credential, "stays/main"), secret()),
        (id(Kind::KeySet, "of-r"), keys()),
        (other(Kind::KeySet, "stays"), keys()),
    ]);
    let mut gone = braked(&old, &desired([]));
    gone.sort();
    let mut expected = vec![
        id(Kind::Access, "stays"),
        id(Kind::Consent, "stays"),
        id(Kind::Credential, "stays/main"),
        other(Kind::KeySet, "stays"),
    ];
    expected.sort();
    assert_eq!(gone, expected);
}

#[test]
fn a_commit_ends_the_messages_and_large_bodies_come_in_parts() {
    let large = access(2 * BODY_BYTES);
    let body = large.body().unwrap();
    let old = desired([(id(Kind::Access, "z"), access(1))]);
    let new = desired([(id(Kind::Access, "a"), large)]);
    let messages: Vec<_> = holds(&old).delta(&new).messages(&new, 3).map(|message| message.kind.unwrap()).collect();
    let mut joined = Vec::new();
    let mut more = Vec::new();
    for message in &messages[..messages.len() - 2] {
        let to_pod::Kind::Put(put) = message else { panic!("puts come first") };
        assert!(put.body.len() <= BODY_BYTES);
        joined.extend_from_slice(&put.body);
        more.push(put.more);
    }
    assert_eq!(joined, body);
    assert_eq!(more, [true, true, false]);
    assert!(matches!(&messages[messages.len() - 2], to_pod::Kind::Remove(remove) if remove.name == "z"));
    assert_eq!(messages.last(), Some(&to_pod::Kind::Commit(Commit { epoch: 3, revision: 7 })));
}
