//! Tokens of an issuer outside the cluster: pods check them by themselves, with keys that the operator reads.

use serde_json::{Value, json};
use std::time::Instant;
use weir_tests::fleet::{Fleet, TEAM};
use weir_tests::gateway::Gateway;
use weir_tests::issuer::{ISSUER, Issuer};
use weir_tests::manifests::{file, provider, route};
use weir_tests::provider::Provider;
use weir_tests::wait;

const MODEL: &str = "gpt-test";

/// A route that takes the tokens of an issuer whose keys are there.
fn taking(namespace: &str, keys: &Value) -> Value {
    let mut route = route(namespace, "chat", MODEL, &["upstream"]);
    let mut issuer = json!({"issuer": ISSUER, "audiences": ["weir"], "claims": {"user": "email", "groups": "groups"},
        "groups": [{"name": "staff"}, {"name": "trial", "models": ["small"]}]});
    issuer.as_object_mut().expect("an object").extend(keys.as_object().expect("an object").clone());
    route["spec"]["access"] = json!({"jwt": [issuer]});
    route["spec"]["models"] = json!([{"name": MODEL}, {"name": "small"}]);
    route["spec"]["rules"][0]["targets"][0]["model"] = json!(MODEL);
    route
}

fn config_map(namespace: &str, name: &str, key: &str, text: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": namespace, "name": name},
        "data": {key: text}})
}

fn staff() -> Value {
    json!({"email": "ann@id.example", "groups": ["staff"]})
}

/// Whether every data plane takes a token.
async fn is_taken(fleet: &Fleet, token: &str) -> bool {
    let mut taken = true;
    for client in fleet.clients() {
        taken &= client.with_credential(token).chat(MODEL).await.status == 200;
    }
    taken
}

// kubectl waits meanwhile, and the issuer must answer.
#[tokio::test(flavor = "multi_thread")]
async fn an_issuers_outage_is_not_ours_and_its_new_keys_are_learnt_f89() {
    let (upstream, issuer) = (Provider::start().await, Issuer::start().await);
    let mut fleet = Fleet::start_with(&json!({"keySetRefresh": "1s"})).await;
    let keys = json!({"jwksUrl": issuer.url(), "caConfigMapRef": {"name": "id-ca"}});
    fleet.apply(&[
        config_map(TEAM, "id-ca", "ca.crt", &issuer.ca()),
        provider(TEAM, "upstream", &upstream.url(), MODEL),
        taking(TEAM, &keys),
    ]);
    fleet.wait_ready("llmroute/chat", TEAM);
    let first = issuer.token(&staff());
    assert!(is_taken(&fleet, &first).await);

    issuer.set_down(true);
    issuer.rotate();
    let second = issuer.token(&staff());
    let leader = &fleet.operators[fleet.leader().await].process;
    leader.line("that the issuer is down", |line| line.contains("a key set cannot be read").then_some(())).await;
    assert!(is_taken(&fleet, &first).await, "the last good keys stay");
    let client = fleet.dataplanes[0].client();
    assert_eq!(client.with_credential(&second).chat(MODEL).await.status, 401, "nobody can know this key");

    for operator in &fleet.operators {
        operator.process.kill();
    }
    for number in 0..2 {
        fleet.start_operator(number).await;
    }
    let told = fleet.until("llmroute/chat", TEAM, "ResolvedRefs", |found| found.status == "False").await;
    assert_eq!(told.reason, "KeysUnavailable", "{told:?}");
    assert!(is_taken(&fleet, &first).await, "a leader that never read the keys takes none away");

    issuer.set_down(false);
    wait::until_true("the new key is known on every pod", || is_taken(&fleet, &second)).await;
    assert!(is_taken(&fleet, &first).await, "the old key is still in the set");
    fleet.wait_ready("llmroute/chat", TEAM);

    let forger = Issuer::start().await;
    let (reads, since) = (issuer.reads(), Instant::now());
    for _ in 0..200 {
        assert_eq!(client.with_credential(&forger.token(&staff())).chat(MODEL).await.status, 401);
    }
    // At most a third more often than once a second, by the leader, and by another that may have led meanwhile.
    let due = since.elapsed().as_secs_f64() * 4.0 / 3.0 + 2.0;
    assert!(
        (issuer.reads() - reads) as f64 <= due,
        "no caller makes anybody read: {} of {due}",
        issuer.reads() - reads
    );
}

#[tokio::test]
async fn a_token_opens_what_its_groups_may_use_and_says_whom_it_is_for() {
    let (upstream, issuer, forger) = (Provider::start().await, Issuer::start().await, Issuer::start().await);
    let gateway = Gateway::up(&file(&[
        config_map("default", "keys", "jwks.json", &issuer.jwks()),
        provider("default", "upstream", &upstream.url(), MODEL),
        taking("default", &json!({"jwksConfigMapRef": {"name": "keys"}})),
    ]))
    .await;
    let with = |token: &str| gateway.client().with_credential(token);
    let status = |token: String, model: &'static str| async move { with(&token).chat(model).await.status.as_u16() };

    let staff_token = with(&issuer.token(&staff()));
    assert_eq!(staff_token.chat(MODEL).await.text(), "Hello");
    let line = gateway.access_log(1).await.pop().expect("a line");
    assert_eq!(
        line["caller"],
        json!({"kind": "jwt", "namespace": "default", "name": "ann", "user": "ann@id.example", "groups": ["staff"]})
    );
    assert_eq!(upstream.requests()[0].credential(), "", "a caller's token stays here");

    let trial = json!({"groups": ["trial"]});
    assert_eq!(status(issuer.token(&trial), "small").await, 200);
    assert_eq!(status(issuer.token(&trial), MODEL).await, 403);
    let listed = with(&issuer.token(&trial)).get("/v1/models").await.json();
    let listed: Vec<_> = listed["data"].as_array().expect("a list").iter().map(|model| model["id"].clone()).collect();
    assert_eq!(listed, ["small"], "just what may be used");
    assert_eq!(status(issuer.token(&json!({"groups": ["others"]})), MODEL).await, 404);

    let mut expired = staff();
    expired["exp"] = json!(1_000);
    let mut elsewhere = staff();
    elsewhere["aud"] = json!("another-api");
    for wrong in [forger.token(&staff()), issuer.token(&expired), issuer.token(&elsewhere)] {
        assert_eq!(status(wrong, MODEL).await, 401);
    }
    let good = issuer.token(&staff());
    let (signed, _) = good.rsplit_once('.').expect("a signature");
    assert_eq!(status(format!("{signed}."), MODEL).await, 401, "a token without its signature");
}

#[tokio::test]
async fn whatever_an_issuer_calls_its_users_each_is_counted_apart() {
    let (upstream, issuer) = (Provider::start().await, Issuer::start().await);
    let mut route = taking("default", &json!({"jwksConfigMapRef": {"name": "keys"}}));
    route["spec"]["rateLimits"] = json!([{"name": "each", "requests": 1, "per": "24h", "partitionBy": ["User"]}]);
    let gateway = Gateway::up(&file(&[
        config_map("default", "keys", "jwks.json", &issuer.jwks()),
        provider("default", "upstream", &upstream.url(), MODEL),
        route,
    ]))
    .await;
    let status = async |email: Value| {
        let token = issuer.token(&json!({"sub": "subject", "email": email, "groups": ["staff"]}));
        gateway.client().with_credential(&token).chat(MODEL).await.status.as_u16()
    };
    let long = "long-user@".repeat(200);
    let users = [
        "ann",
        "Ann",
        " ann",
        "a|n",
        "a%7Cn",
        "a/n",
        "..",
        "{}",
        "\"",
        "*",
        "\u{e9}",
        "e\u{301}",
        "\u{202e}ann",
        "line\nbreak",
        "nil\u{0}",
        &long,
        &format!("{long}x"),
        &long[..64],
        &long[..65],
    ];
    for user in users {
        assert_eq!(status(json!(user)).await, 200, "{user:?} has a request of its own");
        assert_eq!(status(json!(user)).await, 429, "{user:?} has no more than that");
    }
    assert_eq!(status(json!("")).await, 200, "a claim that says nobody");
    for nobody in [json!(""), json!(null), json!({}), json!(["ann"])] {
        assert_eq!(status(nobody.clone()).await, 429, "{nobody}");
    }
}

#[tokio::test]
async fn without_a_cluster_the_keys_are_read_too() {
    let (upstream, issuer) = (Provider::start().await, Issuer::start().await);
    let keys = json!({"jwksUrl": issuer.url(), "caConfigMapRef": {"name": "id-ca"}});
    let gateway = Gateway::up(&file(&[
        config_map("default", "id-ca", "ca.crt", &issuer.ca()),
        provider("default", "upstream", &upstream.url(), MODEL),
        taking("default", &keys),
    ]))
    .await;
    let client = gateway.client().with_credential(&issuer.token(&staff()));
    wait::until_true("the keys were read", || async { client.chat(MODEL).await.status == 200 }).await;
    assert_eq!(issuer.reads(), 1);
}
