//! A request goes on only as it was read: no member that servers read differently, one limit of output, and sizes that
//! are those of the prompt.

use serde_json::{Value, json};
use weir_tests::client::Reply;
use weir_tests::gateway::Gateway;
use weir_tests::manifests::{budget, file, open_route, provider};
use weir_tests::provider::{Provider, Script, Usage};

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";

fn anthropic(name: &str, upstream: &Provider) -> Value {
    let mut object = provider("default", name, &format!("http://{}", upstream.address()), "m");
    object["spec"]["type"] = json!("Anthropic");
    object
}

async fn up(objects: Vec<Value>) -> Gateway {
    Gateway::up(&file(&objects)).await
}

async fn compatible(change: impl Fn(&mut Value)) -> (Provider, Gateway) {
    let upstream = Provider::start().await;
    upstream.always(Script::chat("Hello", Usage::of(7, 3)));
    let mut object = provider("default", "upstream", &upstream.url(), "m");
    change(&mut object);
    let gateway = up(vec![object, open_route("default", "chat", "m", &["upstream"])]).await;
    (upstream, gateway)
}

async fn post(gateway: &Gateway, path: &str, body: &str) -> Reply {
    gateway.client().send(http::Method::POST, path, bytes::Bytes::from(body.to_owned())).await.whole().await
}

fn message(reply: &Reply) -> String {
    reply.json()["error"]["message"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn what_servers_read_differently_is_refused_by_both_names() {
    let (upstream, gateway) = compatible(|_| {}).await;
    for (members, names) in [
        (r#""Model":"gpt-5-pro""#, ["`Model`", "`model`"]),
        (r#""MAX_TOKENS":99999"#, ["`MAX_TOKENS`", "`max_tokens`"]),
        (
            r#""stream_options":{"Include_usage":false}"#,
            ["`stream_options.Include_usage`", "`stream_options.include_usage`"],
        ),
        (r#""max_tokens":3000,"max_completion_tokens":1"#, ["`max_tokens`", "`max_completion_tokens`"]),
        (r#""max_output_tokens":9"#, ["`max_output_tokens`", "`max_completion_tokens`"]),
        (r#""api_base":"http://evil""#, ["`api_base`", "remove it"]),
        (r#""extra_body":{"model":"x"}"#, ["`extra_body`", "remove it"]),
        (r#""models":["x"]"#, ["`models`", "`allowedRequestMembers` of the Provider"]),
        (r#""litellm_metadata":{}"#, ["`litellm_metadata`", "allowedRequestMembers"]),
        (r#""seed":00012"#, ["JSON", "byte"]),
        (r#""temperature":1e400"#, ["JSON", "byte"]),
        (r#""x":[1.]"#, ["JSON", "byte"]),
    ] {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}],{members}}}"#);
        let reply = post(&gateway, CHAT, &body).await;
        assert_eq!(reply.status, 400, "{members}: {:?}", reply.body);
        for name in names {
            assert!(message(&reply).contains(name), "{members}: {}", message(&reply));
        }
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn a_provider_is_sent_what_it_allows_and_another_one_is_passed_over() {
    let (plain, router) = (Provider::start().await, Provider::start().await);
    let mut allows = provider("default", "router", &router.url(), "m");
    allows["spec"]["allowedRequestMembers"] = json!(["models", "route"]);
    let objects = vec![
        provider("default", "plain", &plain.url(), "m"),
        allows,
        open_route("default", "chat", "m", &["plain", "router"]),
    ];
    let gateway = up(objects).await;
    let body = json!({"model": "m", "models": ["a"], "messages": [{"role": "user", "content": "hi"}]});
    let reply = gateway.client().post(CHAT, &body).await;
    assert_eq!((reply.status.as_u16(), reply.header("x-weir-target")), (200, "default/router"));
    assert_eq!(router.request(0).await.json()["models"], json!(["a"]));
    let body = json!({"model": "m", "plugins": [], "messages": [{"role": "user", "content": "hi"}]});
    let refusal = gateway.client().post(CHAT, &body).await;
    assert_eq!((refusal.status.as_u16(), &refusal.json()["error"]["param"]), (400, &json!("plugins")));
    assert!(plain.requests().is_empty());
}

#[tokio::test]
async fn the_limit_of_output_goes_upstream_once_and_a_cap_holds_by_either_name() {
    let ask = |members: Value| {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
        body.as_object_mut().expect("an object").extend(members.as_object().expect("an object").clone());
        body
    };
    for (kind, cap, members, sent) in [
        ("OpenAICompatible", None, json!({"max_tokens": 9}), json!({"max_tokens": 9})),
        ("OpenAICompatible", None, json!({"max_completion_tokens": 9}), json!({"max_tokens": 9})),
        ("OpenAICompatible", None, json!({"max_completion_tokens": 9, "max_tokens": 9}), json!({"max_tokens": 9})),
        ("OpenAICompatible", Some(5), json!({"max_completion_tokens": 9}), json!({"max_tokens": 5})),
        ("OpenAICompatible", Some(5), json!({"max_tokens": 9}), json!({"max_tokens": 5})),
        ("OpenAICompatible", Some(5), json!({"max_tokens": 9, "max_completion_tokens": 9}), json!({"max_tokens": 5})),
        ("OpenAICompatible", Some(5), json!({}), json!({"max_tokens": 5})),
        ("OpenAI", None, json!({"max_tokens": 9}), json!({"max_tokens": 9})),
        ("OpenAI", None, json!({"max_tokens": 9, "max_completion_tokens": 9}), json!({"max_completion_tokens": 9})),
        ("OpenAI", Some(5), json!({"max_tokens": 9, "max_completion_tokens": 9}), json!({"max_completion_tokens": 5})),
    ] {
        let upstream = Provider::start().await;
        let mut object = provider("default", "upstream", &upstream.url(), "m");
        object["spec"]["type"] = json!(kind);
        let mut route = open_route("default", "chat", "m", &["upstream"]);
        if let Some(cap) = cap {
            route["spec"]["rules"][0]["targets"][0]["params"] = json!({"caps": {"maxOutputTokens": cap}});
        }
        let gateway = up(vec![object, route]).await;
        let reply = gateway.client().post(CHAT, &ask(members.clone())).await;
        assert_eq!(reply.status, 200, "{:?}", reply.body);
        let body = upstream.request(0).await.json();
        let limits = ["max_tokens", "max_completion_tokens"].map(|name| body.get(name).cloned());
        let expected = ["max_tokens", "max_completion_tokens"].map(|name| sent.get(name).cloned());
        assert_eq!(limits, expected, "{kind} {cap:?} {members}");
    }
    let (upstream, gateway) = compatible(|object| object["spec"]["models"][0]["contextWindow"] = json!(400_000)).await;
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}],"max_tokens":{}}}"#, u64::MAX);
    let reply = post(&gateway, CHAT, &body).await;
    assert_eq!(reply.status, 400, "no sum of it wraps: {:?}", reply.body);
    assert!(upstream.requests().is_empty());
}

/// Parts of a prompt that hold much data and few tokens, by the path that takes them.
fn media(data: &str) -> Vec<(&'static str, Value)> {
    let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}});
    let pdf = json!({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": data}});
    let url = format!("data:image/png;base64,{data}");
    let file = format!("data:application/pdf;base64,{data}");
    vec![
        (CHAT, json!([{"type": "image_url", "image_url": {"url": url}}])),
        (CHAT, json!([{"type": "file", "file": {"filename": "a.pdf", "file_data": file}}])),
        (MESSAGES, json!([image])),
        (MESSAGES, json!([pdf])),
        (MESSAGES, json!([{"type": "tool_result", "tool_use_id": "t", "content": [image, image]}])),
    ]
}

#[tokio::test]
async fn images_and_documents_fit_whatever_their_bytes() {
    let data = "A".repeat(800_000);
    let chat = Provider::start().await;
    chat.always(Script::chat("Hello", Usage::of(7, 3)));
    let messages = Provider::start().await;
    messages.always(Script::json(
        200,
        &json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
        "content": [{"type": "text", "text": "Hello"}], "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": 7, "output_tokens": 3}}),
    ));
    let mut small = provider("default", "chat", &chat.url(), "m");
    let mut claude = anthropic("messages", &messages);
    for object in [&mut small, &mut claude] {
        object["spec"]["models"][0]["contextWindow"] = json!(128_000);
        object["spec"]["models"][0]["maxOutput"] = json!(1_000);
    }
    let mut tokens = budget("weir-system", "team", "1");
    tokens["spec"]["limits"] = json!([{"unit": "Tokens", "amount": "100000"}]);
    for (of, path) in [("chat", CHAT), ("messages", MESSAGES)] {
        let route = open_route("default", "chat", "m", &[of]);
        let mut budget = tokens.clone();
        budget["spec"]["window"] = json!({"rolling": {"duration": "1h"}});
        let gateway = up(vec![small.clone(), claude.clone(), route, budget]).await;
        for (_, content) in media(&data).into_iter().filter(|(of, _)| *of == path) {
            let mut conversation = json!([{"role": "user", "content": content}]);
            if content[0]["type"] == "tool_result" {
                let call = json!([{"type": "tool_use", "id": "t", "name": "f", "input": {}}]);
                conversation = json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": call},
                    {"role": "user", "content": content}]);
            }
            let body = json!({"model": "m", "max_tokens": 100, "messages": conversation});
            let reply = gateway.client().post(path, &body).await;
            assert_eq!(reply.status, 200, "{path} {:.80}: {:?}", content.to_string(), reply.body);
        }
        let text = json!({"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "lorem ipsum ".repeat(100_000)}]});
        let refusal = gateway.client().post(path, &text).await;
        assert!(matches!(refusal.status.as_u16(), 400 | 429), "so much text fits neither the window nor the Budget");
    }
    let counted = up(vec![small, open_route("default", "chat", "m", &["chat"])]).await;
    let image = json!([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}]);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": image}]});
    let reply = counted.client().post("/v1/messages/count_tokens", &body).await;
    assert!(reply.json()["input_tokens"].as_u64().is_some_and(|tokens| tokens < 2_000), "{:?}", reply.body);
}

#[tokio::test]
async fn escapes_and_blanks_are_not_refused_at_a_window_that_may_hold_them() {
    let (upstream, gateway) = compatible(|object| object["spec"]["models"][0]["contextWindow"] = json!(200_000)).await;
    for text in ["\\u4f60".repeat(210_000), " ".repeat(1_250_000), "\\n    ".repeat(200_000)] {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}]}}"#);
        let reply = post(&gateway, CHAT, &body).await;
        assert_eq!(reply.status, 200, "{:?}", reply.body);
    }
    assert_eq!(upstream.requests().len(), 3);
}

#[tokio::test]
async fn tools_are_bounded_by_openai_alone_and_by_what_they_hold() {
    let tool =
        |n: usize| json!({"type": "function", "function": {"name": format!("f{n}"), "parameters": {"type": "object"}}});
    let plain = |n: usize| json!({"name": format!("f{n}"), "input_schema": {"type": "object"}});
    let messages = json!([{"role": "user", "content": "hi"}]);
    let openai = json!({"model": "m", "messages": messages, "tools": (0..129).map(tool).collect::<Vec<_>>()});
    let claude =
        json!({"model": "m", "max_tokens": 9, "messages": messages, "tools": (0..129).map(plain).collect::<Vec<_>>()});
    let (_upstream, gateway) = compatible(|_| {}).await;
    assert_eq!(gateway.client().post(CHAT, &openai).await.status, 200);
    let crossing = gateway.client().post(MESSAGES, &claude).await;
    assert_eq!(crossing.status, 200, "{:?}", crossing.body);
    let (upstream, gateway) = compatible(|object| object["spec"]["type"] = json!("OpenAI")).await;
    for (path, body) in [(CHAT, &openai), (MESSAGES, &claude)] {
        let refusal = gateway.client().post(path, body).await;
        assert_eq!(refusal.status, 400, "{:?}", refusal.body);
        assert!(message(&refusal).contains("at most 128"), "{}", message(&refusal));
    }
    assert!(upstream.requests().is_empty());
    let messages = Provider::start().await;
    messages.always(Script::json(200, &json!({"input_tokens": 9})));
    let gateway = up(vec![anthropic("messages", &messages), open_route("default", "chat", "m", &["messages"])]).await;
    assert_eq!(gateway.client().post("/v1/messages/count_tokens", &claude).await.status, 200);
}

#[tokio::test]
async fn no_list_of_a_body_multiplies_in_memory() {
    const BYTES: usize = 31 << 20;
    let upstream = Provider::start().await;
    let gateway = up(vec![anthropic("messages", &upstream), open_route("default", "chat", "m", &["messages"])]).await;
    let filled = |head: &str, element: &str, tail: &str| {
        let times = (BYTES - head.len() - tail.len()) / (element.len() + 1);
        format!("{head}{}{tail}", vec![element; times].join(","))
    };
    let long = "x".repeat(200);
    let one = format!(r#"{{"role":"user","content":"{long}"}}"#);
    let part = format!(r#"{{"type":"text","text":"{long}"}}"#);
    for body in [
        filled(r#"{"model":"m","messages":[],"stop":["#, r#""""#, "]}"),
        filled(r#"{"model":"m","messages":["#, "{}", "]}"),
        filled(r#"{"model":"m","messages":["#, r#"{"role":"user","content":""}"#, "]}"),
        filled(r#"{"model":"m","messages":[{"role":"user","content":["#, r#"{"type":"text","text":""}"#, "]}]}"),
        filled(r#"{"model":"m","messages":[],"tools":["#, "{}", "]}"),
        filled(r#"{"model":"m","messages":["#, &one, "]}"),
        filled(r#"{"model":"m","messages":[{"role":"user","content":["#, &part, "]}]}"),
    ] {
        let before = gateway.process().memory("VmHWM");
        let reply = post(&gateway, CHAT, &body).await;
        let more = gateway.process().memory("VmHWM").saturating_sub(before);
        println!("{:.60}: {} and {more} KiB more at the peak", body, reply.status);
        assert!(more <= 5 * 32 * 1024, "{:.60}: {more} KiB", body);
    }
}
