//! While nothing of an answer has reached the client, another target, credential or try can still save it.

use serde_json::{Value, json};
use weir_tests::gateway::Gateway;
use weir_tests::manifests::{file, open_route, provider, secret};
use weir_tests::provider::{Provider, Script, Step, Usage, chunk};

const MODEL: &str = "gpt-test";

/// A gateway before two providers, the second for when the first fails.
async fn before(first: &Provider, second: &Provider) -> Gateway {
    let objects = [
        provider("default", "first", &first.url(), MODEL),
        provider("default", "second", &second.url(), MODEL),
        open_route("default", "chat", MODEL, &["first", "second"]),
    ];
    Gateway::up(&file(&objects)).await
}

async fn pair() -> (Provider, Provider, Gateway) {
    let (first, second) = (Provider::start().await, Provider::start().await);
    second.always(Script::chat("from the second", Usage::of(7, 3)));
    let gateway = before(&first, &second).await;
    (first, second, gateway)
}

#[tokio::test]
async fn f01_a_target_that_refuses_connections_is_passed_over_and_then_ejected() {
    let (first, _second, gateway) = pair().await;
    first.refuse().await;
    let mut attempts = Vec::new();
    for _ in 0..8 {
        let reply = gateway.client().chat(MODEL).await;
        assert_eq!(reply.text(), "from the second");
        attempts.push(reply.header("x-weir-attempts").to_owned());
    }
    assert_eq!(attempts[0], "2");
    assert!(attempts[5..].iter().all(|n| n == "1"), "ejected after five failures at the latest: {attempts:?}");
}

#[tokio::test]
async fn f08_a_reset_after_the_whole_request_is_tried_once_more_and_marked_as_ambiguous() {
    let only = Provider::start().await;
    only.always(Script::new(vec![Step::Reset]));
    let objects = [provider("default", "only", &only.url(), MODEL), open_route("default", "chat", MODEL, &["only"])];
    let gateway = Gateway::up(&file(&objects)).await;
    let reply = gateway.client().chat(MODEL).await;
    assert_eq!(reply.status, 502, "{:?}", reply.body);
    assert_eq!(reply.header("x-should-retry"), "false");
    assert_eq!(only.requests().len(), 2);
    let line = &gateway.access_log(1).await[0];
    let failed = line["failed_attempts"].as_array().expect("failed attempts");
    assert_eq!(failed.len(), 2);
    assert!(failed.iter().all(|attempt| attempt["ambiguous_input_tokens"].as_u64() > Some(0)), "{line}");
    assert_eq!(line["output_tokens"], 0, "nothing is charged: {line}");
}

#[tokio::test]
async fn f17_an_error_first_under_a_200_is_no_answer() {
    for code in ["insufficient_quota", "server_is_overloaded", "rate_limit_exceeded"] {
        let (first, _second, gateway) = pair().await;
        let error = json!({"error": {"message": "no", "type": code, "code": code}});
        first.next(Script::stream([format!("data: {error}\n\n")]));
        assert_eq!(gateway.client().chat_stream(MODEL).await.text().await, "from the second", "{code}");
        first.next(Script::json(200, &error));
        assert_eq!(gateway.client().chat(MODEL).await.text(), "from the second", "{code}");
    }
}

#[tokio::test]
async fn what_is_no_answer_at_all_is_none() {
    for nothing in [Script::stream([""; 0]), Script::whole(200, &[], ""), Script::whole(200, &[], "<html>")] {
        let (first, _second, gateway) = pair().await;
        first.next(nothing.clone());
        assert_eq!(gateway.client().chat_stream(MODEL).await.text().await, "from the second");
        first.next(nothing);
        assert_eq!(gateway.client().chat(MODEL).await.text(), "from the second");
    }
}

#[tokio::test]
async fn a_role_alone_is_no_content_and_its_replay_gives_one_stream() {
    let (first, _second, gateway) = pair().await;
    let role = json!([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": null}]);
    first.next(Script::stream([chunk(MODEL, &role, &Value::Null)]).step(Step::Reset));
    let (events, cut) = gateway.client().chat_stream(MODEL).await.events().await;
    assert!(cut.is_none());
    let roles = events.iter().filter(|event| event.contains("\"role\":\"assistant\"")).count();
    assert_eq!(roles, 1, "the first target's preamble is not passed on: {events:?}");
}

#[tokio::test]
async fn the_first_token_and_the_attempt_have_their_time() {
    let (first, second) = (Provider::start().await, Provider::start().await);
    second.always(Script::chat("from the second", Usage::of(7, 3)));
    let mut slow = provider("default", "first", &first.url(), MODEL);
    slow["spec"]["timeouts"] = json!({"firstToken": "150ms", "attempt": "300ms"});
    let objects = [
        slow,
        provider("default", "second", &second.url(), MODEL),
        open_route("default", "chat", MODEL, &["first", "second"]),
    ];
    let gateway = Gateway::up(&file(&objects)).await;
    first.next(Script::stream([": ping\n\n"]).step(Step::Stall));
    assert_eq!(gateway.client().chat_stream(MODEL).await.text().await, "from the second", "bytes flow, tokens do not");
    first.next(Script::new(vec![Step::Stall]));
    assert_eq!(gateway.client().chat(MODEL).await.text(), "from the second");
}

#[tokio::test]
async fn a_retry_after_cools_the_target_down() {
    let (first, _second, gateway) = pair().await;
    let limited = json!({"error": {"message": "slow down", "type": "rate_limit_error", "code": "rate_limit_exceeded"}});
    first.always(Script::whole(
        429,
        &[("retry-after", "60"), ("content-type", "application/json")],
        limited.to_string(),
    ));
    for _ in 0..5 {
        assert_eq!(gateway.client().chat(MODEL).await.text(), "from the second");
    }
    assert_eq!(first.requests().len(), 1, "it is left alone for as long as it asked");
}

#[tokio::test]
async fn f22_a_limited_credential_gives_way_to_its_siblings() {
    let upstream = Provider::start().await;
    upstream.respond(|request| match request.credential() {
        "sk-b" => Script::error(429, "rate_limit_error", Some("rate_limit_exceeded"), "slow down"),
        _ => Script::chat("Hello", Usage::of(7, 3)),
    });
    let mut pooled = provider("default", "pooled", &upstream.url(), MODEL);
    pooled["spec"]["credentials"] = json!([
        {"name": "a", "secretRef": {"name": "keys", "key": "a"}},
        {"name": "b", "secretRef": {"name": "keys", "key": "b"}},
        {"name": "c", "secretRef": {"name": "keys", "key": "c"}},
    ]);
    let mut keys = secret("default", "keys", "a", "sk-a");
    keys["stringData"] = json!({"a": "sk-a", "b": "sk-b", "c": "sk-c"});
    let gateway = Gateway::up(&file(&[pooled, keys, open_route("default", "chat", MODEL, &["pooled"])])).await;
    for _ in 0..30 {
        assert_eq!(gateway.client().chat(MODEL).await.text(), "Hello");
    }
    let used = |key: &str| upstream.requests().iter().filter(|request| request.credential() == key).count();
    assert!(used("sk-a") > 0 && used("sk-c") > 0);
    assert!(used("sk-b") <= 3, "a limited credential cools down: {} uses", used("sk-b"));
}

#[tokio::test]
async fn f28_a_key_that_was_rotated_away_is_the_gateways_problem_until_the_secret_says_the_new_one() {
    let upstream = Provider::start().await;
    upstream.respond(|request| match request.credential() {
        "sk-new" => Script::chat("Hello", Usage::of(7, 3)),
        _ => Script::error(401, "authentication_error", Some("invalid_api_key"), "bad key sk-old"),
    });
    let mut keyed = provider("default", "keyed", &upstream.url(), MODEL);
    keyed["spec"]["credentials"] = json!([{"name": "main", "secretRef": {"name": "key"}}]);
    let objects = |key: &str| {
        file(&[
            keyed.clone(),
            secret("default", "key", "apiKey", key),
            open_route("default", "chat", MODEL, &["keyed"]),
        ])
    };
    let gateway = Gateway::up(&objects("sk-old")).await;
    let refused = gateway.client().chat(MODEL).await;
    assert_eq!(refused.status, 502);
    assert_eq!(refused.json()["error"]["code"], "upstream_credential_rejected");
    assert!(!String::from_utf8_lossy(&refused.body).contains("sk-old"), "the provider's words are not passed on");
    assert_eq!(upstream.requests().len(), 1, "not tried again with the same key");
    gateway.write("weir.yaml", &objects("sk-new"));
    weir_tests::wait::until_true("the new key is used", || async { gateway.client().chat(MODEL).await.status == 200 })
        .await;
}
