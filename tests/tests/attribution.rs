//! Whom a request is accounted to: what the configuration says of its caller, and a client's own header only
//! where the route trusts it.

use serde_json::{Value, json};
use weir_tests::client::Client;
use weir_tests::gateway::Gateway;
use weir_tests::manifests::{api_key, file, open_route, provider, route};
use weir_tests::provider::Provider;

const MODEL: &str = "gpt-test";

/// The caller of the last of so many requests, as the access log has it.
async fn logged(gateway: &Gateway, requests: usize) -> Value {
    gateway.access_log(requests).await.pop().expect("a line")["caller"].clone()
}

fn claiming(client: &Client) -> Client {
    client.with_header("x-end-user", "mallory").with_header("x-team", "owners").with_header("x-project", "theirs")
}

#[tokio::test]
async fn a_request_is_accounted_to_whom_the_configuration_names_and_not_to_whom_the_client_does() {
    let upstream = Provider::start().await;
    let (token, secret) = api_key("default", "app-key", &json!({"weir.dev/team": "reds", "weir.dev/user": "ann"}));
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default",
        "labels": {"weir.dev/team": "blues", "weir.dev/project": "atlas", "weir.dev/cost-center": "cc-7"}}});
    let mut trusting = open_route("default", "trusting", "trusting", &["upstream"]);
    trusting["spec"]["rules"][0]["targets"][0]["model"] = json!(MODEL);
    trusting["spec"]["trustedHeaders"] = json!({"user": "x-end-user", "project": "x-project"});
    let gateway = Gateway::up(&file(&[
        namespace,
        secret,
        provider("default", "upstream", &upstream.url(), MODEL),
        route("default", "chat", MODEL, &["upstream"]),
        trusting,
    ]))
    .await;

    let with_key = gateway.client().with_credential(&token);
    assert_eq!(claiming(&with_key).chat(MODEL).await.text(), "Hello");
    let caller = logged(&gateway, 1).await;
    assert_eq!(caller["user"], "ann");
    assert_eq!(caller["team"], "reds", "the key comes before its namespace");
    assert_eq!(caller["project"], "atlas");
    assert_eq!(caller["cost_center"], "cc-7");

    assert_eq!(claiming(&with_key).chat("trusting").await.text(), "Hello");
    let caller = logged(&gateway, 2).await;
    assert_eq!(caller["user"], "mallory", "this route trusts that header");
    assert_eq!(caller["project"], "theirs", "and that");
    assert_eq!(caller["team"], "reds", "and no other");

    let text = String::from_utf8_lossy(&gateway.admin().get("/metrics").await.body).into_owned();
    let used: Vec<_> = text.lines().filter(|line| line.starts_with("weir_tokens_total{")).collect();
    assert!(!used.is_empty());
    assert!(
        used.iter().all(|line| line.contains(r#"team="reds""#) && line.contains(r#"project="atlas""#)),
        "what the configuration says is a label: {used:?}"
    );
    assert!(!text.contains("mallory") && !text.contains("theirs"), "what a client says is none");

    let twice = claiming(&with_key).with_header("x-end-user", "trudy");
    assert_eq!(twice.chat("trusting").await.text(), "Hello");
    assert_eq!(logged(&gateway, 3).await["user"], "ann", "a header that stands twice says nothing");

    let refused = claiming(&gateway.client()).with_header("x-end-user", "ann").chat(MODEL).await;
    assert_eq!(refused.status, 404, "a header opens nothing");
    assert!(upstream.requests().iter().all(|request| request.headers.get("x-end-user").is_none()), "it stays here");
}
