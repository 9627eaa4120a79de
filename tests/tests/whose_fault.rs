//! A provider's refusal is the matter of whom it is about: of one request, of one model, or of the gateway's account.

use serde_json::{Value, json};
use weir_tests::client::{Client, Reply, chat};
use weir_tests::gateway::Gateway;
use weir_tests::manifests::{api_key, file, open_route, provider, route, secret};
use weir_tests::provider::{Provider, Record, Script, Usage};
use weir_tests::wait;

const MODEL: &str = "gpt-test";
const OTHER: &str = "gpt-other";
const KEY: &str = "sk-upstream-key-of-the-gateway";

/// A Provider of two models with one credential.
fn keyed(name: &str, upstream: &Provider) -> Value {
    let mut object = provider("default", name, &upstream.url(), MODEL);
    object["spec"]["models"] = json!([{"name": MODEL}, {"name": OTHER}]);
    object["spec"]["credentials"] = json!([{"name": "main", "secretRef": {"name": "upstream"}}]);
    object
}

/// Two open routes to such a Provider, one of each model.
async fn gateway(upstream: &Provider) -> Gateway {
    let objects = [
        keyed("only", upstream),
        secret("default", "upstream", "apiKey", KEY),
        open_route("default", "chat", MODEL, &["only"]),
        open_route("default", "other", OTHER, &["only"]),
    ];
    Gateway::up(&file(&objects)).await
}

fn hello() -> Script {
    Script::chat("Hello", Usage::of(7, 3))
}

fn is_evil(record: &Record) -> bool {
    record.json()["messages"].to_string().contains("evil")
}

async fn evil(client: &Client) -> Reply {
    let mut body = chat(MODEL);
    body["messages"][0]["content"] = json!("an evil prompt");
    client.post("/v1/chat/completions", &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_about_one_request_is_nobody_elses_matter() {
    let refusals = [
        (403, json!({"error": {"code": 403, "message": "Input flagged", "metadata": {"reasons": ["violence"]}}})),
        (
            402,
            json!({"error": {"code": 402, "message": "This request requires more credits, or fewer max_tokens. You requested up to 65536 tokens, but can only afford 3395."}}),
        ),
        (
            403,
            json!({"error": {"message": "no access to model", "type": "invalid_request_error", "code": "model_not_found"}}),
        ),
        (403, json!({"type": "error", "error": {"type": "permission_error", "message": "no"}})),
        (403, json!("<html>")),
    ];
    for (status, body) in refusals {
        let upstream = Provider::start().await;
        let answer = Script::json(status, &body);
        upstream.respond(move |record| if is_evil(record) { answer.clone() } else { hello() });
        let gateway = gateway(&upstream).await;
        for _ in 0..5 {
            let refused = evil(&gateway.client()).await;
            assert!(matches!(refused.status.as_u16(), 400 | 403 | 404 | 502), "{body}: {:?}", refused.body);
            assert!(!String::from_utf8_lossy(&refused.body).contains("3395"), "{:?}", refused.body);
        }
        assert_eq!(gateway.client().chat(MODEL).await.text(), "Hello", "{body}");
        assert_eq!(gateway.client().chat(OTHER).await.text(), "Hello", "{body}");
    }
    let upstream = Provider::start().await;
    upstream.next(Script::json(
        403,
        &json!({"error": {"code": 403, "message": "Input flagged", "metadata": {"flagged_input": "x"}}}),
    ));
    let told = gateway(&upstream).await.client().chat(MODEL).await;
    assert_eq!((told.status.as_u16(), told.json()["error"]["message"].clone()), (403, json!("Input flagged")));
}

/// What providers say of the gateway's account.
fn of_account() -> Vec<(u16, Value)> {
    let anthropic = |kind: &str, message: &str| json!({"type": "error", "error": {"type": kind, "message": message}});
    vec![
        (400, anthropic("invalid_request_error", "Your credit balance is too low to access the Anthropic API.")),
        (400, anthropic("invalid_request_error", "This organization has been disabled.")),
        (401, anthropic("authentication_error", "invalid x-api-key")),
        (402, anthropic("billing_error", "billing")),
        (
            400,
            json!({"code": "Client specified an invalid argument", "error": "Incorrect API key provided: sk-up***ay."}),
        ),
        (
            400,
            json!([{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT",
            "details": [{"reason": "API_KEY_INVALID"}]}}]),
        ),
        (
            429,
            json!({"error": {"message": "check your billing", "type": "billing_not_active", "code": "billing_not_active"}}),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_account_is_out_of_order_a_sibling_answers_and_the_credential_rests() {
    for (status, body) in of_account() {
        let (first, second) = (Provider::start().await, Provider::start().await);
        first.always(Script::json(status, &body));
        second.always(Script::chat("second", Usage::of(7, 3)));
        let objects = [
            keyed("first", &first),
            secret("default", "upstream", "apiKey", KEY),
            provider("default", "second", &second.url(), MODEL),
            open_route("default", "chat", MODEL, &["first", "second"]),
        ];
        let gateway = Gateway::up(&file(&objects)).await;
        for _ in 0..10 {
            assert_eq!(gateway.client().chat(MODEL).await.text(), "second", "{body}");
        }
        assert_eq!(first.requests().len(), 2, "{body}: it rests once a second request has confirmed it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_word_of_the_account_and_no_piece_of_a_key_is_told_or_logged() {
    for (status, body) in of_account() {
        let upstream = Provider::start().await;
        upstream.always(Script::json(status, &body));
        let gateway = gateway(&upstream).await;
        let refused = gateway.client().chat(MODEL).await;
        let line = gateway.access_log(1).await[0].to_string();
        let heads: String = refused.headers.values().map(|value| format!("{value:?}")).collect();
        for told in [String::from_utf8_lossy(&refused.body).into_owned(), heads, line] {
            for secret in ["sk-", "***", "balance", "has been disabled", "x-api-key", "check your"] {
                assert!(!told.contains(secret), "{body}: {told}");
            }
        }
        assert!(matches!(refused.status.as_u16(), 502 | 503), "{body}: {}", refused.status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_is_told_why_and_its_prompt_is_not_logged() {
    let upstream = Provider::start().await;
    let quoting = "messages.0: unexpected `an evil prompt`";
    let google = json!([{"error": {"code": 400, "message": quoting, "status": "INVALID_ARGUMENT"}}]);
    for body in [json!({"error": {"message": quoting, "code": "bad_value"}}), google, json!({"detail": quoting})] {
        upstream.always(Script::json(400, &body));
        let gateway = gateway(&upstream).await;
        let refused = evil(&gateway.client()).await;
        assert_eq!(
            (refused.status.as_u16(), refused.json()["error"]["message"].clone()),
            (400, json!(quoting)),
            "{body}"
        );
        let line = gateway.access_log(1).await[0].to_string();
        assert!(!line.contains("evil") && line.contains("the provider answered 400"), "{line}");
    }
}

/// A Provider for everybody, and callers of two namespaces, each with a route to the Provider.
async fn two_tenants(upstream: &Provider) -> (Gateway, [Client; 2]) {
    let keys = ["alpha", "bravo"].map(|name| api_key(name, name, &json!({})));
    let mut shared = keyed("only", upstream);
    shared["spec"]["allowedNamespaces"] = json!({"from": "All"});
    let mut objects = vec![shared, secret("default", "upstream", "apiKey", KEY)];
    objects.extend(["alpha", "bravo"].map(|namespace| {
        let mut route = route(namespace, "chat", MODEL, &["only"]);
        route["spec"]["rules"][0]["targets"][0]["providerRef"]["namespace"] = json!("default");
        route
    }));
    objects.extend(keys.iter().map(|(_, manifest)| manifest.clone()));
    let gateway = Gateway::up(&file(&objects)).await;
    let clients = keys.map(|(token, _)| gateway.client().with_credential(&token));
    (gateway, clients)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_caller_whose_requests_make_the_provider_fail_takes_the_target_from_another() {
    for failing in [Script::error(500, "server_error", None, "no"), Script::json(200, &json!("no answer"))] {
        let upstream = Provider::start().await;
        upstream.respond(move |record| if is_evil(record) { failing.clone() } else { hello() });
        let (_gateway, [alpha, bravo]) = two_tenants(&upstream).await;
        for _ in 0..30 {
            assert!(matches!(evil(&alpha).await.status.as_u16(), 500 | 502 | 503));
            assert_eq!(bravo.chat(MODEL).await.text(), "Hello");
        }
        for _ in 0..30 {
            evil(&alpha).await;
        }
        assert_eq!(bravo.chat(MODEL).await.text(), "Hello", "however many failures came to one caller");
        let asked = upstream.requests().len();
        evil(&alpha).await;
        assert_eq!(upstream.requests().len(), asked, "the caller who meets failures alone has to wait");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_caller_takes_the_credential_from_another_and_to_count_tokens_takes_nothing() {
    let upstream = Provider::start().await;
    upstream.respond(|record| {
        if is_evil(record) {
            Script::error(401, "authentication_error", Some("invalid_api_key"), "no")
        } else {
            hello()
        }
    });
    let (_gateway, [alpha, bravo]) = two_tenants(&upstream).await;
    for _ in 0..5 {
        assert!(matches!(evil(&alpha).await.status.as_u16(), 500 | 502 | 503));
        assert_eq!(bravo.chat(MODEL).await.text(), "Hello");
    }
    for _ in 0..5 {
        evil(&alpha).await;
    }
    assert_eq!(bravo.chat(MODEL).await.text(), "Hello", "whatever one caller met alone");
    assert_eq!(alpha.chat(MODEL).await.text(), "Hello", "and a success of anybody ends that");

    let counting = Provider::start().await;
    counting.respond(|record| {
        if record.path.contains("count_tokens") { Script::error(403, "permission_error", None, "no") } else { hello() }
    });
    let mut anthropic = weir_tests::vendor::manifest("only", weir_tests::vendor::Dialect::Anthropic, &counting);
    anthropic["spec"]["health"] = json!({"consecutiveFailures": 1});
    let objects = [anthropic, weir_tests::vendor::secret(), open_route("default", "chat", MODEL, &["only"])];
    let gateway = Gateway::up(&file(&objects)).await;
    for status in [401, 402, 403, 429, 500, 503, 529] {
        counting.always(Script::error(status, "api_error", Some("invalid_api_key"), "no"));
        for _ in 0..6 {
            let asked = counting.requests().len();
            gateway.client().post("/v1/messages/count_tokens", &chat(MODEL)).await;
            assert!(counting.requests().len() > asked, "{status}: neither parked nor ejected");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_works_again_is_soon_noticed() {
    let upstream = Provider::start().await;
    upstream.always(Script::error(401, "authentication_error", Some("invalid_api_key"), "no"));
    let gateway = gateway(&upstream).await;
    for _ in 0..20 {
        assert_ne!(gateway.client().chat(MODEL).await.status, 200);
    }
    assert!(upstream.requests().len() <= 3, "{} requests with a bad key", upstream.requests().len());
    upstream.always(hello());
    wait::until_true("the only credential is probed", || async { gateway.client().chat(MODEL).await.status == 200 })
        .await;
    assert_eq!(gateway.client().chat(MODEL).await.text(), "Hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_to_come_back_is_told_with_its_fraction_and_bounded() {
    let google = json!([{"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.07s"}]}}]);
    type Headers<'h> = &'h [(&'h str, &'h str)];
    let cases: [(Headers<'_>, &Value, &str); 6] = [
        (&[("retry-after", "7.5")], &Value::Null, "7500"),
        (&[("retry-after-ms", "2500.5")], &Value::Null, "2501"),
        (&[("retry-after", "1e300")], &Value::Null, "86400000"),
        (&[("retry-after", "18446744073709551615")], &Value::Null, "86400000"),
        (&[], &google, "34070"),
        (&[("retry-after", "3")], &google, "3000"),
    ];
    for (headers, body, ms) in cases {
        let upstream = Provider::start().await;
        upstream.always(Script::whole(429, headers, body.to_string()));
        let refused = gateway(&upstream).await.client().chat(MODEL).await;
        assert_eq!((refused.status.as_u16(), refused.header("retry-after-ms")), (429, ms), "{headers:?}");
    }
    for nonsense in ["-5", "NaN", "inf", "soon", ""] {
        let upstream = Provider::start().await;
        upstream.next(Script::whole(429, &[("retry-after", nonsense)], ""));
        assert_eq!(gateway(&upstream).await.client().chat(MODEL).await.text(), "Hello", "{nonsense:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_however_large_shuts_the_target_for_nobody() {
    let upstream = Provider::start().await;
    let headers = [
        ("content-type", "application/json"),
        ("x-ratelimit-limit-requests", "500"),
        ("x-ratelimit-remaining-requests", "499"),
        ("x-ratelimit-reset-requests", "120ms"),
        ("x-ratelimit-limit-tokens", "30000"),
        ("x-ratelimit-remaining-tokens", "29000"),
        ("x-ratelimit-reset-tokens", "2s"),
    ];
    let answer = json!({"id": "1", "object": "chat.completion", "created": 1, "model": MODEL, "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}});
    let good = Script::default().head(200, &headers).body(answer.to_string());
    upstream.respond(move |record| match record.json()["max_tokens"].as_u64() {
        Some(most) if most > 100_000 => Script::error(400, "invalid_request_error", None, "max_tokens is too large"),
        _ => good.clone(),
    });
    let gateway = gateway(&upstream).await;
    assert_eq!(gateway.client().chat(MODEL).await.text(), "ok");
    for most in [1_000_000_000_000, u64::MAX] {
        let mut body = chat(MODEL);
        body["max_tokens"] = json!(most);
        assert_eq!(gateway.client().post("/v1/chat/completions", &body).await.status, 400, "its own answer");
        for _ in 0..3 {
            assert_eq!(gateway.client().chat(MODEL).await.text(), "ok");
        }
    }
}
