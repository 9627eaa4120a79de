//! Requests as the official SDKs send them, over sockets: what the provider gets of one of each kind, and what the
//! caller is told was lost or refused. All forms are in `dataplane/dialect/tests/forms.json`.

use serde_json::{Value, json};
use tokio::task::block_in_place;
use weir_tests::gateway::Gateway;
use weir_tests::manifests::{file, open_route};
use weir_tests::provider::{Provider, Script, Usage};
use weir_tests::sdk::library::{ANTHROPIC_PYTHON, OPENAI_PYTHON};
use weir_tests::sdk::{Library, Running};
use weir_tests::vendor::{self, Dialect};

const CLAUDES: [&str; 3] = ["claude-opus-4-6", "claude-sonnet-5", "claude-opus-5-5"];
const GPTS: [&str; 2] = ["gpt-4o", "gpt-5"];

/// A gateway before a provider of each vendor, and one SDK that talks to it.
struct World {
    claude: Provider,
    gpt: Provider,
    talk: Running,
    _gateway: Gateway,
}

impl World {
    async fn start(library: Library) -> Self {
        let (claude, gpt) = (Provider::start().await, Provider::start().await);
        let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
            "stop_sequence": null, "content": [{"type": "text", "text": "ok"}], "usage": {"input_tokens": 1, "output_tokens": 1}});
        claude.always(Script::json(200, &message));
        gpt.always(Script::chat("ok", Usage::of(1, 1)));
        let mut objects = vec![
            vendor::secret(),
            vendor::manifest("claude", Dialect::Anthropic, &claude),
            vendor::manifest("gpt", Dialect::OpenAI, &gpt),
        ];
        let routes = CLAUDES.map(|model| (model, "claude")).into_iter().chain(GPTS.map(|model| (model, "gpt")));
        objects.extend(routes.map(|(model, provider)| open_route("default", model, model, &[provider])));
        let gateway = Gateway::up(&file(&objects)).await;
        let talk = library.start(gateway.url().trim_end_matches("/v1"), "placeholder");
        Self { claude, gpt, talk, _gateway: gateway }
    }

    fn send(&mut self, arguments: &Value) -> Value {
        let asked = json!({"case": "send", "model": arguments, "stream": false, "told": true});
        block_in_place(|| self.talk.ask(&asked))
    }
}

fn with(least: Value, more: &Value) -> Value {
    let (Value::Object(mut arguments), Some(more)) = (least, more.as_object()) else { panic!("objects") };
    arguments.extend(more.clone());
    arguments.into()
}

fn tool(parameters: &Value, strict: bool) -> Value {
    json!([{"type": "function", "function": {"name": "f", "parameters": parameters, "strict": strict}}])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openai_sdk_before_claude() {
    let mut world = World::start(OPENAI_PYTHON).await;
    let bounded = json!({"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"], "additionalProperties": false});
    let image = json!([{"type": "image_url", "image_url": {"url": "data:image/jpg;base64,QUJD"}}]);
    let forms = [
        ("claude-opus-4-6", json!({"user": "ann@example.com"}), "/user", Value::Null, Value::Null),
        (
            "claude-opus-4-6",
            json!({"reasoning_effort": "high", "temperature": 0.2}),
            "/temperature",
            Value::Null,
            json!("temperature"),
        ),
        (
            "claude-opus-4-6",
            json!({"reasoning_effort": "high", "tool_choice": "required", "tools": tool(&bounded, false)}),
            "/thinking",
            Value::Null,
            json!("reasoning_effort"),
        ),
        (
            "claude-sonnet-5",
            json!({"tool_choice": "required", "tools": tool(&bounded, false)}),
            "/thinking/type",
            json!("disabled"),
            Value::Null,
        ),
        (
            "claude-opus-4-6",
            json!({"tools": tool(&bounded, true)}),
            "/tools/0/input_schema/properties/n",
            json!({"type": "integer", "description": "minimum: 1"}),
            Value::Null,
        ),
        (
            "claude-opus-4-6",
            json!({"messages": [{"role": "user", "content": image}]}),
            "/messages/0/content/0/source/media_type",
            json!("image/jpeg"),
            Value::Null,
        ),
        (
            "claude-opus-4-6",
            json!({"messages": [{"role": "system", "content": "Say hi"}]}),
            "/messages/0/role",
            json!("user"),
            json!("messages.system"),
        ),
    ];
    for (at, (model, more, place, expected, loss)) in forms.into_iter().enumerate() {
        let least = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
        assert_eq!(world.send(&with(least, &more)), json!({"text": "ok", "loss": loss}), "{more}");
        let sent = world.claude.request(at).await.json();
        assert_eq!(sent.pointer(place).cloned().unwrap_or_default(), expected, "{sent}");
    }
    let id = world.claude.request(0).await.json()["metadata"]["user_id"].as_str().map(str::len);
    assert_eq!(id, Some(64), "a hash in hexadecimal");
    let asked = world.claude.requests().len();
    let map = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object", "additionalProperties": {"type": "integer"}}}});
    for (model, more, named) in [
        ("claude-opus-4-6", json!({"response_format": map}), "`response_format`"),
        ("claude-opus-5-5", json!({"tool_choice": "required", "tools": tool(&bounded, false)}), "`tool_choice`"),
        ("claude-opus-4-6", json!({"messages": [{"role": "user", "content": ""}]}), "`messages`"),
    ] {
        let least = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
        let seen = world.send(&with(least, &more));
        assert_eq!((&seen["raised"], &seen["status"]), (&json!("BadRequestError"), &json!(400)), "{seen}");
        assert!(seen["message"].as_str().is_some_and(|message| message.contains(named)), "{seen}");
    }
    assert_eq!(world.claude.requests().len(), asked, "what is refused is not sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_anthropic_sdk_before_gpt() {
    let mut world = World::start(ANTHROPIC_PYTHON).await;
    let thinking = json!([{"role": "user", "content": "hi"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "s"}]}, {"role": "user", "content": "go on"}]);
    let optional = json!([{"name": "f", "strict": true, "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false}}]);
    let forms = [
        ("gpt-4o", json!({"metadata": {"user_id": "x".repeat(159)}}), "/user", Value::Null, Value::Null),
        ("gpt-5", json!({"stop_sequences": ["a"]}), "/stop", Value::Null, json!("stop_sequences")),
        ("gpt-5", json!({"thinking": {"type": "disabled"}}), "/reasoning_effort", json!("minimal"), json!("thinking")),
        ("gpt-4o", json!({"messages": thinking}), "/messages/1/role", json!("user"), json!("thinking")),
        ("gpt-4o", json!({"tools": optional}), "/tools/0/function/strict", Value::Null, json!("tools.strict")),
    ];
    for (at, (model, more, place, expected, loss)) in forms.into_iter().enumerate() {
        let least = json!({"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]});
        assert_eq!(world.send(&with(least, &more)), json!({"text": "ok", "loss": loss}), "{more}");
        let sent = world.gpt.request(at).await.json();
        assert_eq!(sent.pointer(place).cloned().unwrap_or_default(), expected, "{sent}");
        assert_eq!((&sent["max_completion_tokens"], sent.get("max_tokens")), (&json!(100), None));
    }
    let id = world.gpt.request(0).await.json()["safety_identifier"].as_str().map(str::len);
    assert_eq!(id, Some(64), "a hash in hexadecimal");
}
