//! Connections to providers: HTTP/2 without a queue, certificates that are checked, connections that are kept.

use serde_json::{Value, json};
use weir_tests::gateway::Gateway;
use weir_tests::manifests::{self, file, open_route, provider};
use weir_tests::provider::{Provider, Script, Signal, Usage, chunk};
use weir_tests::tls::Authority;
use weir_tests::wait;

const MODEL: &str = "gpt-test";

/// A gateway before a provider with TLS, which trusts these certificates besides the public ones.
async fn over_tls(upstream: &Provider, trusted: &Authority) -> Gateway {
    Gateway::up(&manifests::over_tls(upstream, trusted, MODEL)).await
}

#[tokio::test]
async fn another_connection_is_opened_before_http2_streams_queue() {
    const REQUESTS: usize = 90;
    let authority = Authority::default();
    let upstream = Provider::start_tls(&authority, &["localhost"]).await;
    let gateway = over_tls(&upstream, &authority).await;
    let all_there = Signal::default();
    upstream.always(Script::default().wait(&all_there).head(200, &[("content-type", "application/json")]).body(
        json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}]}).to_string(),
    ));
    let asked: Vec<_> = (0..REQUESTS)
        .map(|_| {
            let client = gateway.client();
            tokio::spawn(async move { client.chat(MODEL).await.text() })
        })
        .collect();
    wait::until_true("every request is at the provider at once", || async { upstream.requests().len() == REQUESTS })
        .await;
    all_there.fire();
    for answer in asked {
        assert_eq!(answer.await.expect("a request ends"), "Hello");
    }
    assert!(upstream.requests().iter().all(|request| request.version == http::Version::HTTP_2));
    assert!(upstream.connections() < REQUESTS as u64, "streams share connections");
}

#[tokio::test]
async fn a_certificate_of_a_stranger_gets_no_request() {
    let upstream = Provider::start_tls(&Authority::default(), &["localhost"]).await;
    let gateway = over_tls(&upstream, &Authority::default()).await;
    let refused = gateway.client().chat(MODEL).await;
    assert_eq!(refused.status, 502);
    assert!(refused.json()["error"]["message"].as_str().is_some_and(|text| text.contains("certificate is not valid")));
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn connections_are_kept_over_requests_and_over_a_change_of_config() {
    let upstream = Provider::start().await;
    upstream.always(Script::chat("Hello", Usage::of(7, 3)));
    let objects = |alias: &str| {
        let mut route = open_route("default", "chat", MODEL, &["upstream"]);
        route["spec"]["models"] = json!([{"name": MODEL, "aliases": [alias]}]);
        let route: Value = route;
        file(&[provider("default", "upstream", &upstream.url(), MODEL), route])
    };
    let gateway = Gateway::up(&objects("one")).await;
    for _ in 0..3 {
        assert_eq!(gateway.client().chat(MODEL).await.text(), "Hello");
        let said = json!([{"index": 0, "delta": {"content": "Hello"}, "finish_reason": "stop"}]);
        let events = chunk(MODEL, &said, &Value::Null) + "data: [DONE]\n\n";
        upstream.next(Script::whole(200, &[("content-type", "text/event-stream")], events));
        assert_eq!(gateway.client().chat_stream(MODEL).await.text().await, "Hello");
    }
    gateway.write("weir.yaml", &objects("two"));
    wait::until_true("the change is served", || async { gateway.client().chat("two").await.status == 200 }).await;
    assert_eq!(upstream.connections(), 1, "one connection served them all");
}
