//! What a route makes of requests for providers of another dialect: what is sent, what is lost, who is asked.

use serde_json::{Value, json};
use weir_tests::gateway::Gateway;
use weir_tests::manifests::{file, open_route, provider, secret};
use weir_tests::provider::{Provider, Script, Usage};

const MODEL: &str = "m";

fn claude(name: &str, provider: &Provider) -> Value {
    let url = provider.url();
    json!({
        "apiVersion": "weir.dev/v1alpha1", "kind": "Provider", "metadata": {"namespace": "default", "name": name},
        "spec": {
            "type": "Anthropic",
            "endpoint": {"url": url.trim_end_matches("/v1"), "allowPlaintext": true},
            "credentials": [{"name": "main", "secretRef": {"name": "key"}}],
            "models": [{"name": MODEL, "maxOutput": 500, "pricing": {
                "currency": "USD", "input": "1", "output": "10", "cacheRead": "0.1", "cacheWrite5m": "1.25", "cacheWrite1h": "2"}}],
        },
    })
}

fn message(text: &str) -> Script {
    let usage = json!({"input_tokens": 100, "cache_read_input_tokens": 1_000, "cache_creation_input_tokens": 300,
        "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 100}, "output_tokens": 10});
    Script::json(
        200,
        &json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn", "stop_sequence": null, "usage": usage}),
    )
}

/// A gateway before an Anthropic provider and then an OpenAI one; the route may be changed.
async fn gateway(first: &Provider, second: &Provider, change: impl FnOnce(&mut Value, &mut Value)) -> Gateway {
    let (mut claude, mut route) = (claude("first", first), open_route("default", "r", MODEL, &["first", "second"]));
    change(&mut claude, &mut route);
    let objects = [
        claude,
        provider("default", "second", &second.url(), MODEL),
        route,
        secret("default", "key", "apiKey", "sk-ant"),
    ];
    Gateway::up(&file(&objects)).await
}

async fn pair() -> (Provider, Provider) {
    let (first, second) = (Provider::start().await, Provider::start().await);
    first.always(message("from claude"));
    second.always(Script::chat("from the second", Usage::of(7, 3)));
    (first, second)
}

fn chat(more: Value) -> Value {
    let mut body = json!({"model": MODEL, "messages": [{"role": "user", "content": "hi"}]});
    let Value::Object(more) = more else { panic!("an object") };
    body.as_object_mut().unwrap().extend(more);
    body
}

#[tokio::test]
async fn an_anthropic_provider_is_called_as_its_own_sdk_calls_it_and_every_class_of_token_is_priced() {
    let (first, second) = pair().await;
    let gateway = gateway(&first, &second, |_, _| {}).await;
    let reply = gateway.client().post("/v1/chat/completions", &chat(json!({}))).await;
    assert_eq!(reply.json()["choices"][0]["message"]["content"], "from claude", "{:?}", reply.body);
    let usage = &reply.json()["usage"];
    assert_eq!(
        (&usage["prompt_tokens"], &usage["prompt_tokens_details"]["cached_tokens"]),
        (&json!(1_400), &json!(1_000))
    );
    let asked = first.request(0).await;
    assert_eq!(asked.path, "/v1/messages");
    for (name, value) in [("x-api-key", "sk-ant"), ("anthropic-version", "2023-06-01")] {
        assert_eq!(asked.headers.get(name).unwrap(), value);
    }
    assert!(asked.headers.get("authorization").is_none());
    assert_eq!(asked.json()["max_tokens"], 500, "the model's own limit");
    let line = &gateway.access_log(1).await[0];
    // 100 + 1,000 x 0.1 + 200 x 1.25 + 100 x 2 + 10 x 10, all by a millionth.
    assert_eq!(line["cost"]["amount"], "0.00075", "{line}");
    assert_eq!((&line["cache_read_tokens"], &line["cache_write_tokens"]), (&json!(1_000), &json!(300)));
}

#[tokio::test]
async fn a_failover_to_the_other_dialect_begins_again_from_what_the_caller_sent() {
    let (first, second) = pair().await;
    let gateway = gateway(&first, &second, |_, _| {}).await;
    first.next(Script::json(529, &json!({"type": "error", "error": {"type": "overloaded_error", "message": "no"}})));
    let signed = json!([{"type": "thinking", "thinking": "hm", "signature": "sig"}, {"type": "text", "text": "a"}]);
    let body = json!({"model": MODEL, "max_tokens": 9, "top_k": 3, "stream": true, "system": "s", "messages": [
        {"role": "user", "content": "q"}, {"role": "assistant", "content": signed}, {"role": "user", "content": "r"}]});
    let stream = gateway.client().stream("/v1/messages", &body).await;
    assert_eq!(stream.headers["x-weir-loss"], "thinking");
    let (events, broken) = stream.events().await;
    assert!(broken.is_none());
    assert_eq!(events.iter().filter(|event| event.starts_with("event: message_start")).count(), 1, "T13");
    let data = |event: &String| {
        let json: Value = serde_json::from_str(event.lines().find_map(|line| line.strip_prefix("data: "))?).ok()?;
        json["delta"]["text"].as_str().map(str::to_owned)
    };
    assert_eq!(events.iter().filter_map(data).collect::<String>(), "from the second");
    assert!(events.last().unwrap().contains("message_stop"));
    assert_eq!(first.request(0).await.json()["messages"], body["messages"], "byte for byte to its own dialect");
    let sent = second.request(0).await.json();
    assert_eq!(sent["messages"][0], json!({"role": "system", "content": "s"}));
    assert_eq!(sent["messages"][2], json!({"role": "assistant", "content": "a"}), "a foreign signature goes nowhere");
    assert_eq!(sent["top_k"], 3);
}

#[tokio::test]
async fn who_cannot_be_asked_is_passed_over_and_when_nobody_can_the_field_is_named() {
    let (first, second) = pair().await;
    let route = |route: &mut Value| route["spec"]["retry"] = json!({"maxAttempts": 1});
    let both = gateway(&first, &second, |_, r| route(r)).await;
    let reply = both.client().post("/v1/chat/completions", &chat(json!({"n": 2}))).await;
    assert_eq!((reply.text().as_str(), reply.header("x-weir-attempts")), ("from the second", "1"));
    assert_eq!(second.request(0).await.json()["n"], 2);
    let alone = gateway(&first, &second, |_, route| {
        route["spec"]["rules"][0]["targets"].as_array_mut().unwrap().truncate(1);
    })
    .await;
    let reply = alone.client().post("/v1/chat/completions", &chat(json!({"n": 2}))).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["error"]["param"]), (400, &json!("n")), "{:?}", reply.body);
    assert!(first.requests().is_empty());
}

#[tokio::test]
async fn a_route_decides_what_a_loss_means() {
    for (on_loss, status, header) in [("Report", 200, "seed"), ("CountOnly", 200, ""), ("Refuse", 400, "")] {
        let (first, second) = pair().await;
        let gateway = gateway(&first, &second, |_, route| {
            route["spec"]["translation"] = json!({"onLoss": on_loss});
            route["spec"]["rules"][0]["targets"].as_array_mut().unwrap().truncate(1);
        })
        .await;
        let reply = gateway.client().post("/v1/chat/completions", &chat(json!({"seed": 4}))).await;
        let told = reply.headers.get("x-weir-loss").map_or("", |value| value.to_str().unwrap());
        assert_eq!((reply.status.as_u16(), told), (status, header), "{on_loss}: {:?}", reply.body);
        if status == 400 {
            assert_eq!(reply.json()["error"]["code"], "translation_loss");
            assert!(first.requests().is_empty(), "nothing was sent");
        } else {
            let metrics = String::from_utf8(gateway.admin().get("/metrics").await.body.to_vec()).unwrap();
            let counted = metrics.lines().find(|line| line.starts_with("weir_translation_loss_total{field=\"seed\""));
            assert!(counted.is_some_and(|line| line.ends_with(" 1")), "{on_loss}: {metrics}");
        }
    }
}

#[tokio::test]
async fn params_and_headers_are_the_targets() {
    let (first, second) = pair().await;
    let gateway = gateway(&first, &second, |claude, route| {
        claude["spec"]["headers"] = json!({"set": [{"name": "x-team", "value": "a"}], "remove": ["user-agent"]});
        route["spec"]["rules"][0]["targets"][0]["params"] = json!({
            "defaults": {"topP": 0.5}, "caps": {"maxOutputTokens": 50, "temperature": 0.5}, "remove": ["reasoningEffort"]});
    })
    .await;
    let client = gateway.client();
    client.post("/v1/chat/completions", &chat(json!({"max_tokens": 400, "reasoning_effort": "high"}))).await;
    let asked = first.request(0).await;
    let sent = asked.json();
    assert_eq!((&sent["max_tokens"], &sent["top_p"], sent.get("thinking")), (&json!(50), &json!(0.5), None), "{sent}");
    assert_eq!(asked.headers.get("x-team").unwrap(), "a");
    assert!(asked.headers.get("user-agent").is_none());
    let body = json!({"model": MODEL, "max_tokens": 400, "temperature": 0.9, "messages": [], "odd": {"kept": 1}});
    client.post("/v1/messages", &body).await;
    let sent = first.request(1).await.json();
    assert_eq!(
        (&sent["max_tokens"], &sent["temperature"], &sent["odd"]),
        (&json!(50), &json!(0.5), &json!({"kept": 1}))
    );
}

#[tokio::test]
async fn tokens_are_counted_by_who_can_and_cost_nothing() {
    let (first, second) = pair().await;
    let gateway = gateway(&first, &second, |_, _| {}).await;
    first.next(Script::json(200, &json!({"input_tokens": 42})));
    let body = json!({"model": MODEL, "messages": [{"role": "user", "content": "hi"}]});
    let client = gateway.client().with_header("anthropic-version", "2023-06-01");
    let counted = client.post("/v1/messages/count_tokens", &body).await;
    assert_eq!(counted.json(), json!({"input_tokens": 42}));
    assert_eq!(first.request(0).await.path, "/v1/messages/count_tokens");
    first.refuse().await;
    let estimated = client.post("/v1/messages/count_tokens", &body).await;
    assert_eq!(estimated.header("x-weir-usage-source"), "estimated");
    assert!(estimated.json()["input_tokens"].as_u64() > Some(0));
    assert!(second.requests().is_empty());
    for line in gateway.access_log(2).await {
        assert_eq!((&line["usage_source"], line.get("cost")), (&json!("none"), None), "{line}");
    }
}
