//! What a caller can not do: redirect a request, bring a credential, exceed a bound, read a secret.

use serde_json::{Value, json};
use weir_tests::client::chat;
use weir_tests::gateway::Gateway;
use weir_tests::manifests::{api_key, file, open_route, provider, route, secret};
use weir_tests::provider::{Provider, Script, Usage};

const MODEL: &str = "gpt-test";

async fn setup() -> (Provider, Gateway) {
    let upstream = Provider::start().await;
    upstream.always(Script::chat("Hello", Usage::of(7, 3)));
    let mut keyed = provider("default", "upstream", &upstream.url(), MODEL);
    keyed["spec"]["credentials"] = json!([{"name": "main", "secretRef": {"name": "key"}}]);
    let objects =
        [keyed, secret("default", "key", "apiKey", "sk-ours"), open_route("default", "chat", MODEL, &["upstream"])];
    let gateway = Gateway::up(&file(&objects)).await;
    (upstream, gateway)
}

#[tokio::test]
async fn f67_no_header_and_no_field_moves_a_request_or_its_credential() {
    let (upstream, gateway) = setup().await;
    let mut client = gateway.client();
    for (name, value) in [
        ("x-base-url", "http://evil.example"),
        ("x-weir-target", "evil"),
        ("forwarded", "host=evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("api-key", "sk-theirs"),
        ("x-api-key", "sk-theirs"),
        ("openai-organization", "org-theirs"),
        ("cookie", "a=b"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ] {
        client = client.with_header(name, value);
    }
    assert_eq!(client.with_credential("unused").chat(MODEL).await.text(), "Hello");
    let sent = upstream.request(0).await;
    assert_eq!(sent.credential(), "sk-ours");
    let names: Vec<_> = sent.headers.keys().map(|name| name.as_str()).collect();
    for name in &names {
        let built = [
            "host",
            "content-type",
            "accept",
            "accept-encoding",
            "user-agent",
            "authorization",
            "content-length",
            "traceparent",
            "x-weir-hops",
        ];
        assert!(built.contains(name), "{name} goes upstream");
    }
    assert!(names.contains(&"traceparent"));
    for field in ["api_base", "base_url", "api_key"] {
        let mut body = chat(MODEL);
        body[field] = json!("http://evil.example");
        let reply = gateway.client().post("/v1/chat/completions", &body).await;
        assert_eq!((reply.status.as_u16(), &reply.json()["error"]["param"]), (400, &json!(field)));
    }
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn bounds_are_refused_by_name_and_the_gateway_goes_on() {
    let (_upstream, gateway) = setup().await;
    let client = gateway.client();
    let code =
        |reply: &weir_tests::client::Reply| reply.json()["error"]["code"].as_str().unwrap_or_default().to_owned();
    let mut body = chat(MODEL);
    body["padding"] = Value::from("x".repeat(33 * 1024 * 1024));
    let large = client.with_header("expect-nothing", "1").post("/v1/chat/completions", &body).await;
    assert_eq!((large.status.as_u16(), &*code(&large)), (413, "request_too_large"));
    let deep = format!("{{\"model\":\"{MODEL}\",\"messages\":{}{}}}", "[".repeat(200), "]".repeat(200));
    let deep = client.send(http::Method::POST, "/v1/chat/completions", deep.into()).await.whole().await;
    assert_eq!((deep.status.as_u16(), &*code(&deep)), (400, "invalid_json"));
    let twice = format!("{{\"model\":\"{MODEL}\",\"messages\":[],\"mod\\u0065l\":\"other\"}}");
    let twice = client.send(http::Method::POST, "/v1/chat/completions", twice.into()).await.whole().await;
    assert!(twice.json()["error"]["message"].as_str().is_some_and(|text| text.contains("appears twice")));
    let long = client.get(&format!("/v1/models/{}", "x".repeat(9_000))).await;
    assert_eq!(long.status, 414);
    assert_eq!(client.chat(MODEL).await.text(), "Hello");
}

#[tokio::test]
async fn f68_secrets_are_in_no_output() {
    let upstream = Provider::start().await;
    let canary = "sk-canary-3141592653589793";
    upstream.always(Script::error(401, "authentication_error", Some("invalid_api_key"), &format!("bad key {canary}")));
    let (token, key) = api_key("default", "app", &json!({}));
    let mut keyed = provider("default", "upstream", &upstream.url(), MODEL);
    keyed["spec"]["credentials"] = json!([{"name": "main", "secretRef": {"name": "key"}}]);
    let objects =
        [keyed, secret("default", "key", "apiKey", canary), key, route("default", "chat", MODEL, &["upstream"])];
    let gateway = Gateway::up_with(&file(&objects), &[("WEIR_LOG", "trace"), ("RUST_LOG", "trace")]).await;
    let reply = gateway.client().with_credential(&token).chat(MODEL).await;
    let mut seen = vec![String::from_utf8_lossy(&reply.body).into_owned(), format!("{:?}", reply.headers)];
    for path in ["/metrics", "/config"] {
        seen.push(String::from_utf8_lossy(&gateway.admin().get(path).await.body).into_owned());
    }
    gateway.process().signal("TERM");
    gateway.process().exit().await;
    seen.push(gateway.process().output().join("\n"));
    let secret = token.rsplit('_').next().expect("a secret part");
    for text in &seen {
        assert!(!text.contains(canary), "the provider's credential is shown");
        assert!(!text.contains(secret), "the caller's key is shown");
    }
}
