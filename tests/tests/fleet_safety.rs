//! What the operator does not do: infer deletes, write twice, keep a secret's old value, or read what it was not granted.

use serde_json::json;
use weir_tests::fleet::{Fleet, TEAM, until_status};
use weir_tests::helm::NAMESPACE;
use weir_tests::kubectl;
use weir_tests::manifests::{aliased_route, api_key, open_route, provider, route, secret};
use weir_tests::provider::Provider;
use weir_tests::wait;

const MODEL: &str = "gpt-test";

#[tokio::test]
async fn f47_routes_that_vanish_without_being_seen_to_go_are_kept_until_a_person_agrees() {
    let upstream = Provider::start().await;
    let mut fleet = Fleet::start().await;
    let names: Vec<_> = (0..12).map(|number| format!("r{number}")).collect();
    let mut objects = vec![provider(TEAM, "upstream", &upstream.url(), MODEL)];
    objects.extend(names.iter().map(|name| aliased_route(TEAM, name, "upstream", MODEL)));
    fleet.apply(&objects);
    for name in &names {
        fleet.wait_ready(&format!("llmroute/{name}"), TEAM);
    }
    fleet.operators.iter().for_each(|operator| operator.process.kill());
    kubectl::run(&fleet.api, &["delete", "llmroutes", "--all", "-n", TEAM], "").expect("they are deleted");
    for number in 0..2 {
        fleet.start_operator(number).await;
    }
    let digest = wait::until("the operator says what it holds back, and how to let it go", || async {
        let events = kubectl::run(&fleet.api, &["get", "events", "-n", NAMESPACE, "-o", "json"], "").text;
        let (_, rest) = events.split_once("weir.dev/allow-deletes=")?;
        Some(rest.split(|next: char| !next.is_ascii_alphanumeric()).next()?.to_owned())
    })
    .await;
    for name in &names {
        for client in fleet.clients() {
            assert_eq!(client.chat(name).await.status, 200, "{name} is still served");
        }
    }
    let allow = format!("weir.dev/allow-deletes={digest}");
    kubectl::run(&fleet.api, &["annotate", "deployment/weir-operator", "-n", NAMESPACE, &allow], "")
        .expect("annotated");
    for name in &names {
        until_status(&fleet.clients(), name, 401).await;
    }
}

#[tokio::test]
async fn f49_another_leader_finds_everything_done_and_writes_nothing() {
    let upstream = Provider::start().await;
    let fleet = Fleet::start().await;
    fleet.apply(&[provider(TEAM, "upstream", &upstream.url(), MODEL), open_route(TEAM, "chat", MODEL, &["upstream"])]);
    fleet.wait_ready("provider.weir.dev/upstream", TEAM);
    fleet.wait_ready("llmroute/chat", TEAM);
    let before = fleet.stored("llmroute/chat", TEAM);
    let first = fleet.leader().await;
    fleet.operators[first].process.kill();
    let second = fleet.leader().await;
    assert_ne!(first, second);
    // A later change is in status, so whatever the new leader had to write before is written.
    fleet.apply(&[aliased_route(TEAM, "later", "upstream", MODEL)]);
    fleet.wait_ready("llmroute/later", TEAM);
    assert_eq!(fleet.stored("llmroute/chat", TEAM), before, "nothing about it changed, so nothing was written");
}

#[tokio::test]
async fn a_rotated_credential_and_a_revoked_key_take_effect_on_every_pod() {
    let upstream = Provider::start().await;
    let fleet = Fleet::start().await;
    let mut keyed = provider(TEAM, "upstream", &upstream.url(), MODEL);
    keyed["spec"]["credentials"] = json!([{"name": "main", "secretRef": {"name": "upstream"}}]);
    let (token, key) = api_key(TEAM, "app", &json!({}));
    let old = secret(TEAM, "upstream", "apiKey", "sk-old");
    fleet.apply(&[old, key, keyed, route(TEAM, "chat", MODEL, &["upstream"])]);
    fleet.wait_ready("llmroute/chat", TEAM);
    let callers: Vec<_> = fleet.clients().iter().map(|client| client.with_credential(&token)).collect();
    until_status(&callers, MODEL, 200).await;
    assert_eq!(upstream.requests().last().map(|record| record.credential().to_owned()).as_deref(), Some("sk-old"));

    fleet.apply(&[secret(TEAM, "upstream", "apiKey", "sk-new")]);
    for caller in &callers {
        wait::until_true("the new credential is used", || async {
            let before = upstream.requests().len();
            assert_eq!(caller.chat(MODEL).await.status, 200);
            upstream.requests()[before].credential() == "sk-new"
        })
        .await;
    }
    kubectl::run(&fleet.api, &["delete", "secret/app", "-n", TEAM], "").expect("the key is revoked");
    until_status(&callers, MODEL, 401).await;
}

#[tokio::test]
async fn secrets_of_a_namespace_that_granted_nothing_are_named_as_forbidden_with_the_command() {
    let upstream = Provider::start().await;
    let fleet = Fleet::start().await;
    fleet.api.namespace("ungranted").await;
    let mut keyed = provider("ungranted", "upstream", &upstream.url(), MODEL);
    keyed["spec"]["endpoint"] = json!({"url": "https://llm.example/v1"});
    keyed["spec"]["credentials"] = json!([{"name": "main", "secretRef": {"name": "upstream"}}]);
    fleet.apply(&[keyed]);
    let found = fleet
        .until("provider.weir.dev/upstream", "ungranted", "ResolvedRefs", |found| found.reason == "SecretsForbidden")
        .await;
    assert!(found.message.contains("kubectl create rolebinding"), "{found:?}");
    assert!(found.message.contains("weir-secret-reader"), "{found:?}");
}
