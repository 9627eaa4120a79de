//! Who may have what: config for our own pods, routes for whom their owners admit, tokens while they live.

use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};
use weir_tests::client::Client;
use weir_tests::fleet::{Fleet, OTHER_TEAM, TEAM};
use weir_tests::gateway;
use weir_tests::helm::NAMESPACE;
use weir_tests::manifests::{provider, route};
use weir_tests::provider::{Provider, Script, Usage};
use weir_tests::sdk::{self, Credential};
use weir_tests::wait;

const MODEL: &str = "gpt-test";

#[tokio::test]
async fn a_token_of_another_account_with_the_right_audience_gets_no_config() {
    let fleet = Fleet::start().await;
    fleet.api.service_account(NAMESPACE, "stranger").await;
    let stranger = fleet.stranger("stranger").await;
    let admin = gateway::addresses(&stranger).await.admin;
    stranger.line("that it was refused", |line| line.contains("no config from the operator").then_some(())).await;
    assert!(!gateway::is_ready(admin).await);
    assert_eq!(Client::new(admin).get("/config").await.json(), json!({}), "it holds nothing");
}

#[tokio::test]
async fn a_tenants_more_exact_route_captures_nobody() {
    let (ours, theirs) = (Provider::start().await, Provider::start().await);
    ours.always(Script::chat("ours", Usage::of(1, 1)));
    theirs.always(Script::chat("theirs", Usage::of(1, 1)));
    let fleet = Fleet::start().await;
    fleet.api.service_account(TEAM, "app").await;
    let admits_all = json!({"serviceAccounts": [{"namespace": TEAM, "name": "*"}]});
    let mut own = route(TEAM, "wide", "gpt-*", &["upstream"]);
    own["spec"]["rules"][0]["targets"][0]["model"] = json!(MODEL);
    let mut exact = route(OTHER_TEAM, "exact", MODEL, &["upstream"]);
    exact["spec"]["access"] = admits_all;
    fleet.apply(&[
        provider(TEAM, "upstream", &ours.url(), MODEL),
        provider(OTHER_TEAM, "upstream", &theirs.url(), MODEL),
        own,
        exact,
    ]);
    fleet.wait_ready("llmroute/wide", TEAM);
    let refused = fleet.until("llmroute/exact", OTHER_TEAM, "ResolvedRefs", |found| found.status == "False").await;
    assert_eq!(refused.reason, "RefNotPermitted");
    let token = fleet.api.token(TEAM, "app", "weir", None).await;
    for dataplane in &fleet.dataplanes {
        assert_eq!(dataplane.client().with_credential(&token).chat(MODEL).await.text(), "ours");
    }
    assert!(theirs.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sdk_with_a_token_file_outlives_the_token() {
    let upstream = Provider::start().await;
    let fleet = Fleet::start().await;
    fleet.api.service_account(TEAM, "app").await;
    fleet.apply(&[provider(TEAM, "upstream", &upstream.url(), MODEL), route(TEAM, "chat", MODEL, &["upstream"])]);
    fleet.wait_ready("llmroute/chat", TEAM);
    let dataplane = &fleet.dataplanes[0];
    for sdk in sdk::ALL {
        let fresh = fleet.api.token(TEAM, "app", "weir", None).await;
        // Ends within seconds: 60 s past its end a token is still taken, for clocks that differ.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
        let dying = fleet.api.resign(&fresh, |claims| claims["exp"] = json!(now - 55));
        let file = fleet.api.folder().join(format!("{sdk:?}.token"));
        std::fs::write(&file, &dying).expect("a token can be written");
        let mut running = sdk.start("twice", MODEL, &dataplane.url(), Credential::TokenFile(&file));
        assert_eq!(running.answer()["text"], "Hello", "{sdk:?}");
        wait::until_true("the first token has ended", || async {
            dataplane.client().with_credential(&dying).chat(MODEL).await.status == 401
        })
        .await;
        std::fs::write(&file, &fresh).expect("a token can be written");
        running.go_on();
        assert_eq!(running.answer()["text"], "Hello", "{sdk:?} reads the file anew");
    }
}

#[tokio::test]
async fn a_deleted_accounts_token_is_refused() {
    let upstream = Provider::start().await;
    let fleet = Fleet::start().await;
    fleet.api.service_account(TEAM, "app").await;
    fleet.apply(&[provider(TEAM, "upstream", &upstream.url(), MODEL), route(TEAM, "chat", MODEL, &["upstream"])]);
    fleet.wait_ready("llmroute/chat", TEAM);
    let token = fleet.api.token(TEAM, "app", "weir", None).await;
    let client = fleet.dataplanes[0].client().with_credential(&token);
    assert_eq!(client.chat(MODEL).await.text(), "Hello");
    weir_tests::kubectl::run(&fleet.api, &["delete", "serviceaccount/app", "-n", TEAM], "").expect("it is deleted");
    wait::until_true("its token is refused", || async { client.chat(MODEL).await.status == 401 }).await;
}
