//! The official OpenAI SDKs work against the gateway unchanged: answers, streams, tools, and every error as
//! the class that their users catch.

use serde_json::{Value, json};
use weir_tests::gateway::Gateway;
use weir_tests::manifests::{api_key, file, provider, route};
use weir_tests::provider::{Provider, Script, Step, Usage, chunk};
use weir_tests::sdk::{self, Credential, Sdk};

const MODEL: &str = "gpt-test";

/// A gateway before one provider, and the keys of two callers.
struct Setup {
    provider: Provider,
    gateway: Gateway,
    key: String,
    /// May name another model only.
    restricted: String,
}

impl Setup {
    async fn new() -> Self {
        let upstream = Provider::start().await;
        let (key, secret) = api_key("default", "app", &json!({}));
        let (restricted, other_secret) = api_key("default", "restricted", &json!({"weir.dev/models": "other"}));
        let objects = [
            provider("default", "upstream", &upstream.url(), MODEL),
            route("default", "chat", MODEL, &["upstream"]),
            secret,
            other_secret,
        ];
        let gateway = Gateway::up(&file(&objects)).await;
        Self { provider: upstream, gateway, key, restricted }
    }

    async fn call(&self, sdk: Sdk, call: &str) -> Value {
        sdk.call(call, MODEL, &self.gateway.url(), Credential::Key(&self.key)).await
    }
}

fn text_event(text: &str) -> String {
    chunk(MODEL, &json!([{"index": 0, "delta": {"content": text}, "finish_reason": null}]), &Value::Null)
}

#[tokio::test(flavor = "multi_thread")]
async fn chat_and_stream_and_models() {
    let setup = Setup::new().await;
    setup.provider.always(Script::chat("Hello to you", Usage::of(7, 3)));
    for sdk in sdk::ALL {
        assert_eq!(setup.call(sdk, "chat").await, json!({"text": "Hello to you", "tokens": 10}), "{sdk:?}");
        let streamed = json!({"pieces": ["Hello ", "to ", "you"], "tokens": 10});
        assert_eq!(setup.call(sdk, "stream").await, streamed, "{sdk:?}");
        assert_eq!(setup.call(sdk, "models").await, json!({"models": [MODEL]}), "{sdk:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_whole_and_streamed() {
    let setup = Setup::new().await;
    setup.provider.always(Script::tool_call("call_1", "weather", r#"{"city":"Bern"}"#, Usage::of(7, 3)));
    let called = json!({"name": "weather", "arguments": {"city": "Bern"}});
    for sdk in sdk::ALL {
        assert_eq!(setup.call(sdk, "tool").await, called, "{sdk:?}");
        assert_eq!(setup.call(sdk, "tool_stream").await, called, "{sdk:?}");
    }
    assert_eq!(
        setup.provider.request(0).await.json()["tools"][0]["function"]["name"],
        "weather",
        "tools reach the provider"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_caller_is_the_class_for_it() {
    let setup = Setup::new().await;
    for sdk in sdk::ALL {
        let url = setup.gateway.url();
        let stranger = sdk.call("chat", MODEL, &url, Credential::Key("sk-nobody")).await;
        assert_eq!((&stranger["raised"], &stranger["status"]), (&json!("AuthenticationError"), &json!(401)), "{sdk:?}");
        let restricted = sdk.call("chat", MODEL, &url, Credential::Key(&setup.restricted)).await;
        assert_eq!(
            (&restricted["raised"], &restricted["status"]),
            (&json!("PermissionDeniedError"), &json!(403)),
            "{sdk:?}"
        );
        let unknown = sdk.call("chat", "no-such-model", &url, Credential::Key(&setup.key)).await;
        assert_eq!((&unknown["raised"], &unknown["status"]), (&json!("NotFoundError"), &json!(404)), "{sdk:?}");
        assert_eq!(unknown["code"], "model_not_found", "{sdk:?}");
    }
    assert!(setup.provider.requests().is_empty(), "no provider was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_providers_error_is_the_class_for_it_and_the_sdk_does_not_multiply_it() {
    let bad = Script::error(400, "invalid_request_error", Some("bad_tools"), "tools are too many");
    let busy = Script::error(429, "rate_limit_error", Some("rate_limit_exceeded"), "slow down");
    let broken = Script::error(500, "server_error", None, "oops");
    for (answer, raised, status, most_attempts) in
        [(bad, "BadRequestError", 400, 1), (busy, "RateLimitError", 429, 2), (broken, "InternalServerError", 500, 2)]
    {
        for sdk in sdk::ALL {
            let setup = Setup::new().await;
            setup.provider.always(answer.clone());
            let seen = setup.call(sdk, "chat").await;
            assert_eq!((&seen["raised"], &seen["status"]), (&json!(raised), &json!(status)), "{sdk:?}: {seen}");
            let attempts = setup.provider.requests().len();
            assert!(attempts <= most_attempts, "{sdk:?}: {attempts} attempts for {status}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_inside_a_stream_is_raised_after_the_pieces_before_it() {
    let setup = Setup::new().await;
    let error = "data: {\"error\":{\"message\":\"boom\",\"type\":\"server_error\",\"code\":null}}\n\n";
    let in_band = Script::stream([text_event("Hello "), text_event("to "), error.to_owned()]);
    let cut = Script::stream([text_event("Hello "), text_event("to ")]).step(Step::Reset);
    for answer in [in_band, cut] {
        for sdk in sdk::ALL {
            setup.provider.next(answer.clone());
            let seen = setup.call(sdk, "stream_error").await;
            assert_eq!(seen["pieces"], json!(["Hello ", "to "]), "{sdk:?}");
            assert_eq!(seen["raised"], "APIError", "{sdk:?}: {seen}");
        }
    }
}
