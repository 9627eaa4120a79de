//! What a request is charged is what its provider counts, whichever way an answer comes and however it ends.

use serde_json::{Value, json};
use weir_tests::gateway::Gateway;
use weir_tests::manifests::{budget, file, open_route, provider};
use weir_tests::provider::{Provider, Script, Step};
use weir_tests::vendor::Dialect;

const TEXTS: usize = 200;

/// A provider of the model `m` that costs a dollar for a million tokens of input and ten for output, and fast ten times
/// as much, behind a gateway.
struct Till {
    upstream: Provider,
    gateway: Gateway,
    of: Dialect,
    requests: usize,
}

fn rates(input: &str, output: &str) -> Value {
    json!({"currency": "USD", "input": input, "output": output})
}

fn priced(of: Dialect, upstream: &Provider) -> Value {
    let mut object = provider("default", "upstream", &upstream.url(), "m");
    if of == Dialect::Anthropic {
        object["spec"]["type"] = json!("Anthropic");
        object["spec"]["endpoint"]["url"] = json!(format!("http://{}", upstream.address()));
    }
    let mut pricing = rates("1", "10");
    let mut fast = rates("10", "100");
    fast.as_object_mut().expect("an object").remove("currency");
    fast["name"] = json!("fast");
    pricing["serviceTiers"] = json!([fast]);
    object["spec"]["models"][0]["pricing"] = pricing;
    object
}

impl Till {
    async fn open(of: Dialect) -> Self {
        Self::with(of, |_| Vec::new()).await
    }

    /// The same with further objects, and a Provider that is changed.
    async fn with(of: Dialect, change: impl Fn(&mut Value) -> Vec<Value>) -> Self {
        let upstream = Provider::start().await;
        let mut object = priced(of, &upstream);
        let mut objects = change(&mut object);
        objects.extend([object, open_route("default", "chat", "m", &["upstream"])]);
        Self { gateway: Gateway::up(&file(&objects)).await, upstream, of, requests: 0 }
    }

    /// The line of the access log of the request that came last.
    async fn line(&mut self) -> Value {
        self.requests += 1;
        self.gateway.access_log(self.requests).await.swap_remove(self.requests - 1)
    }

    /// Asks once; the body of a whole answer, or the events of a stream, and the line of the log.
    async fn ask(&mut self, client: Dialect, body: &Value) -> (Vec<Value>, Value) {
        let stream = self.gateway.client().stream(path(client), body).await;
        assert_eq!(stream.status, 200, "{body}");
        let told = if body["stream"] == json!(true) {
            let events = stream.events().await.0;
            let data = events.iter().filter_map(|event| event.split_once("data: ")).map(|(_, data)| data.to_owned());
            data.filter_map(|data| serde_json::from_str(&data).ok()).collect()
        } else {
            vec![stream.whole().await.json()]
        };
        (told, self.line().await)
    }
}

fn path(client: Dialect) -> &'static str {
    match client {
        Dialect::OpenAI => "/v1/chat/completions",
        Dialect::Anthropic => "/v1/messages",
    }
}

fn asking(stream: bool) -> Value {
    let mut body = json!({"model": "m", "max_tokens": 4_000, "stream": stream,
        "messages": [{"role": "user", "content": "Say hello."}]});
    if stream {
        body["stream_options"] = json!({"include_usage": true});
    }
    body
}

/// The same of an Anthropic client, which has no such options.
fn asked_by(client: Dialect, stream: bool) -> Value {
    let mut body = asking(stream);
    if client == Dialect::Anthropic {
        body.as_object_mut().expect("an object").remove("stream_options");
    }
    body
}

fn whole(of: Dialect, usage: &Value) -> Value {
    match of {
        Dialect::OpenAI => json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "usage": usage,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}]}),
        Dialect::Anthropic => {
            json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "usage": usage,
            "content": [{"type": "text", "text": "Hello"}], "stop_reason": "end_turn", "stop_sequence": null})
        }
    }
}

/// How a stream begins, so many pieces of text, and how it ends.
fn pieces(of: Dialect, texts: usize, usage: &Value) -> Vec<String> {
    let data = |value: Value| format!("data: {value}\n\n");
    match of {
        Dialect::OpenAI => {
            let chunk = |delta: Value, finish: Value| {
                data(json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "usage": null,
                    "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}))
            };
            let text = (0..texts).map(|_| chunk(json!({"content": "word "}), Value::Null));
            let end = data(json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
                "choices": [], "usage": usage}));
            let begin = [chunk(json!({"role": "assistant", "content": ""}), Value::Null)].into_iter();
            let end = [chunk(json!({}), json!("stop")), end, "data: [DONE]\n\n".to_owned()];
            begin.chain(text).chain(end).collect()
        }
        Dialect::Anthropic => {
            let mut first = usage.clone();
            first["output_tokens"] = json!(1);
            first.as_object_mut().expect("an object").remove("iterations");
            let text =
                json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "word "}});
            let begin = [
                json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
                    "model": "m", "content": [], "usage": first}}),
                json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            ];
            let end = [
                json!({"type": "content_block_stop", "index": 0}),
                json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": usage}),
                json!({"type": "message_stop"}),
            ];
            let all = begin.into_iter().chain((0..texts).map(|_| text.clone())).chain(end);
            all.map(|event| format!("event: {}\n{}", event["type"].as_str().unwrap_or_default(), data(event.clone())))
                .collect()
        }
    }
}

fn figures(line: &Value) -> [u64; 5] {
    ["input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens"]
        .map(|name| line[name].as_u64().unwrap_or_else(|| panic!("{name}: {line}")))
}

/// What a client is told that it used: input and output in all.
fn told(client: Dialect, told: &[Value]) -> (u64, u64) {
    let usages = told.iter().flat_map(|value| [&value["usage"], &value["message"]["usage"]]);
    let mut sum = (0, 0);
    for usage in usages.filter(|usage| usage.is_object()) {
        let of = |name: &str| usage[name].as_u64().unwrap_or(0);
        sum = match client {
            Dialect::OpenAI => (of("prompt_tokens"), of("completion_tokens")),
            Dialect::Anthropic => {
                let input = of("input_tokens") + of("cache_read_input_tokens") + of("cache_creation_input_tokens");
                (input, of("output_tokens"))
            }
        };
    }
    sum
}

#[tokio::test]
async fn classes_that_stand_beside_their_whole_and_passes_beside_the_message_are_charged() {
    for (of, usage, expected, cost) in [
        (
            Dialect::OpenAI,
            json!({"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135,
                "completion_tokens_details": {"reasoning_tokens": 94}}),
            [32, 0, 0, 9, 94],
            "0.001062",
        ),
        (
            Dialect::OpenAI,
            json!({"prompt_tokens": 12, "completion_tokens": 2, "total_tokens": 331,
                "completion_tokens_details": {"reasoning_tokens": 317}}),
            [12, 0, 0, 2, 317],
            "0.003202",
        ),
        (
            Dialect::OpenAI,
            json!({"prompt_tokens": 8, "completion_tokens": 20, "total_tokens": 500}),
            [8, 0, 0, 20, 472],
            "0.004928",
        ),
        (
            Dialect::OpenAI,
            json!({"prompt_tokens": 10, "completion_tokens": 213, "total_tokens": 223,
                "prompt_tokens_details": {"cached_tokens": 161}}),
            [10, 161, 0, 213, 0],
            "0.002301",
        ),
        (
            Dialect::OpenAI,
            json!({"prompt_tokens": 7, "completion_tokens": 20, "total_tokens": 27,
                "prompt_tokens_details": {"cache_write_tokens": 2_161}}),
            [7, 0, 2_161, 20, 0],
            "0.002368",
        ),
        (Dialect::OpenAI, json!({"input_tokens": "7", "output_tokens": 20.0}), [7, 0, 0, 20, 0], "0.000207"),
        (
            Dialect::Anthropic,
            json!({"input_tokens": 23_000, "output_tokens": 1_000, "iterations": [
                {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3_500},
                {"type": "message", "input_tokens": 23_000, "output_tokens": 1_000}]}),
            [203_000, 0, 0, 4_500, 0],
            "0.248",
        ),
    ] {
        let mut till = Till::open(of).await;
        for client in Dialect::ALL {
            for stream in [false, true] {
                let script =
                    if stream { Script::stream(pieces(of, 3, &usage)) } else { Script::json(200, &whole(of, &usage)) };
                till.upstream.next(script);
                let (answer, line) = till.ask(client, &asked_by(client, stream)).await;
                let why = format!("{of:?} to {client:?}, stream {stream}: {line}");
                assert_eq!((figures(&line), &line["usage_source"]), (expected, &json!("reported")), "{why}");
                assert_eq!(line["cost"]["amount"], cost, "{why}");
                if client != of {
                    let [input, read, written, output, reasoning] = expected;
                    assert_eq!(told(client, &answer), (input + read + written, output + reasoning), "{why}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_speed_or_a_place_without_rates_is_unpriced_and_one_with_rates_costs_those() {
    let mut till = Till::with(Dialect::Anthropic, |_| Vec::new()).await;
    for stream in [false, true] {
        for (asked, answered, tier, cost) in [
            (json!({"speed": "fast"}), json!({"speed": "fast"}), Some("fast"), Some("0.11")),
            (json!({"speed": "fast"}), json!({"speed": "standard"}), None, Some("0.011")),
            (json!({"speed": "fast"}), json!({}), Some("fast"), Some("0.11")),
            (json!({}), json!({"speed": "fast"}), Some("fast"), Some("0.11")),
            (json!({}), json!({"speed": "standard", "inference_geo": "global"}), None, Some("0.011")),
            (json!({"inference_geo": "us"}), json!({"inference_geo": "us"}), Some("us"), None),
            (json!({"speed": "fast"}), json!({"speed": "fast", "inference_geo": "us"}), Some("fast-us"), None),
        ] {
            let (mut body, mut usage) =
                (asked_by(Dialect::Anthropic, stream), json!({"input_tokens": 1_000, "output_tokens": 1_000}));
            body.as_object_mut().expect("an object").extend(asked.as_object().expect("an object").clone());
            usage.as_object_mut().expect("an object").extend(answered.as_object().expect("an object").clone());
            let of = Dialect::Anthropic;
            till.upstream.next(if stream {
                Script::stream(pieces(of, 3, &usage))
            } else {
                Script::json(200, &whole(of, &usage))
            });
            let (_, line) = till.ask(of, &body).await;
            assert_eq!(
                (line["service_tier"].as_str(), line["cost"]["amount"].as_str()),
                (tier, cost),
                "{asked} {answered}: {line}"
            );
            assert_eq!(line["unpriced"] == json!(true), cost.is_none(), "{line}");
        }
    }
    let till = Till::with(Dialect::Anthropic, |_| vec![budget("weir-system", "team", "5")]).await;
    for (member, value) in [("speed", "turbo"), ("inference_geo", "us")] {
        let mut body = asked_by(Dialect::Anthropic, false);
        body[member] = json!(value);
        let refusal = till.gateway.client().post(path(Dialect::Anthropic), &body).await;
        let text = String::from_utf8_lossy(&refusal.body).into_owned();
        assert_eq!(refusal.status, 403, "{text}");
        assert!(text.contains(&format!("leave out {member}")) && text.contains(value), "{text}");
    }
    assert!(till.upstream.requests().is_empty());
}

#[tokio::test]
async fn a_stream_that_is_left_or_breaks_is_charged_for_what_passed() {
    for of in Dialect::ALL {
        let mut till = Till::open(of).await;
        let usage = match of {
            Dialect::OpenAI => json!({"prompt_tokens": 9, "completion_tokens": 150}),
            Dialect::Anthropic => json!({"input_tokens": 9, "output_tokens": 150}),
        };
        let all = pieces(of, TEXTS, &usage);
        let cut = |end: Step| {
            let texts = all.iter().filter(|piece| !piece.contains("stop") && !piece.contains("\"choices\":[]"));
            Script::stream(texts).step(end)
        };
        for client in Dialect::ALL {
            for leaves in [true, false] {
                till.upstream.next(cut(if leaves { Step::Stall } else { Step::Close }));
                let mut stream = till.gateway.client().stream(path(client), &asked_by(client, true)).await;
                let mut texts = 0;
                while texts < TEXTS {
                    let event = stream.event().await.ok().flatten().expect("the text passes");
                    texts += usize::from(event.contains("word "));
                }
                if !leaves {
                    while let Ok(Some(_)) = stream.event().await {}
                }
                drop(stream);
                let line = till.line().await;
                let why = format!("{of:?} to {client:?}, leaves {leaves}: {line}");
                assert_eq!(line["usage_source"], "estimated", "{why}");
                let [input, _, _, output, _] = figures(&line);
                assert!((200..=260).contains(&output), "{why}");
                if of == Dialect::Anthropic {
                    assert_eq!(input, 9, "the start told it: {why}");
                } else {
                    assert!((10..60).contains(&input), "{why}");
                }
            }
            // What the end says counts, though less than what passed.
            till.upstream.next(Script::stream(&all));
            let (_, line) = till.ask(client, &asked_by(client, true)).await;
            assert_eq!(
                (figures(&line), &line["usage_source"]),
                ([9, 0, 0, 150, 0], &json!("reported")),
                "{of:?} {client:?}"
            );
        }
    }
}

#[tokio::test]
async fn who_leaves_before_an_answer_pays_for_the_question_and_the_time_and_a_request_that_was_not_sent_is_free() {
    let mut till = Till::open(Dialect::OpenAI).await;
    for (stream, script) in [
        (false, Script::new(vec![Step::Stall])),
        (
            false,
            Script::default().head(200, &[("content-type", "application/json")]).body("{\"id\":").step(Step::Stall),
        ),
        (true, Script::stream([": wait\n\n"]).step(Step::Stall)),
    ] {
        till.upstream.next(script);
        let before = till.upstream.requests().len();
        let client = till.gateway.client();
        let mut connection = client.connect().await.expect("it accepts");
        let body = bytes::Bytes::from(asked_by(Dialect::OpenAI, stream).to_string());
        let request = client.request(http::Method::POST, path(Dialect::OpenAI), body);
        tokio::select! {
            answer = connection.send(request) => assert!(stream, "{:?}", answer.map(|answer| answer.status())),
            _ = till.upstream.request(before) => {}
        }
        drop(connection);
        let line = till.line().await;
        assert_eq!((&line["usage_source"], &line["status"]), (&json!("estimated"), &json!(499)), "{line}");
        assert!(figures(&line)[0] > 9, "{line}");
        assert!(line["cost"]["amount"].as_str().is_some_and(|amount| amount != "0"), "{line}");
    }
    till.upstream.always(Script::new(vec![Step::Reset]));
    assert_eq!(till.gateway.client().chat("m").await.status, 502);
    let line = till.line().await;
    assert_eq!(line["usage_source"], "estimated", "the provider may have worked on it: {line}");
    for status in [400, 429, 500] {
        till.upstream.always(Script::error(status, "error", None, "no"));
        assert_ne!(till.gateway.client().chat("m").await.status, 200);
        let line = till.line().await;
        assert_eq!((&line["usage_source"], line.get("cost")), (&json!("none"), None), "{status}: {line}");
    }
    till.upstream.refuse().await;
    assert_ne!(till.gateway.client().chat("m").await.status, 200);
    assert_eq!(till.line().await["usage_source"], "none", "nobody was reached");
}

#[tokio::test]
async fn usage_that_never_comes_is_estimated_by_the_answer() {
    let arguments = "{\"city\": \"Bern\"}".repeat(20);
    let call = json!({"id": "c1", "type": "function", "function": {"name": "f", "arguments": arguments}});
    for usage in [Value::Null, json!({}), json!({"prompt_tokens": "many"}), json!([])] {
        for (of, mut answer, least) in [
            (Dialect::OpenAI, whole(Dialect::OpenAI, &usage), 500),
            (Dialect::Anthropic, whole(Dialect::Anthropic, &usage), 500),
            (Dialect::OpenAI, whole(Dialect::OpenAI, &usage), 80),
        ] {
            let long = "word ".repeat(400);
            match (of, least) {
                (Dialect::OpenAI, 500) => answer["choices"][0]["message"]["content"] = json!(long),
                (Dialect::OpenAI, _) => answer["choices"][0]["message"]["tool_calls"] = json!([call]),
                (Dialect::Anthropic, _) => answer["content"][0]["text"] = json!(long),
            }
            if usage.is_null() {
                answer.as_object_mut().expect("an object").remove("usage");
            }
            let mut till = Till::open(of).await;
            let text = serde_json::to_string_pretty(&answer).expect("JSON");
            till.upstream.always(Script::whole(200, &[("content-type", "application/json")], text));
            for client in Dialect::ALL {
                let (_, line) = till.ask(client, &asked_by(client, false)).await;
                assert_eq!(line["usage_source"], "estimated", "{line}");
                let [input, _, _, output, _] = figures(&line);
                assert!(input > 9 && (least..least + 40).contains(&output), "{of:?} to {client:?} {usage}: {line}");
            }
        }
    }
}

#[tokio::test]
async fn a_count_that_no_request_can_come_to_is_not_believed_and_is_marked() {
    let absurd = json!({"prompt_tokens": 1e18, "completion_tokens": 1e18, "total_tokens": 2e18});
    for (window, expected) in [(Some(128_000), 128_000), (None, 10_000_000)] {
        let mut till = Till::with(Dialect::OpenAI, |object| {
            if let Some(window) = window {
                object["spec"]["models"][0]["contextWindow"] = json!(window);
            }
            vec![budget("weir-system", "all", "5000")]
        })
        .await;
        for stream in [false, true] {
            let script = if stream {
                Script::stream(pieces(till.of, 3, &absurd))
            } else {
                Script::json(200, &whole(till.of, &absurd))
            };
            till.upstream.next(script);
            let (_, line) = till.ask(Dialect::OpenAI, &asked_by(Dialect::OpenAI, stream)).await;
            assert_eq!((figures(&line)[0], figures(&line)[3]), (expected, expected), "{line}");
            assert_eq!(line["usage_clamped"], json!(true), "{line}");
        }
        till.upstream.always(Script::json(200, &whole(till.of, &json!({"prompt_tokens": 9, "completion_tokens": 1}))));
        let (_, line) = till.ask(Dialect::OpenAI, &asking(false)).await;
        assert_eq!(line.get("usage_clamped"), None, "the Budget has room, and this one is as it says: {line}");
    }
}

#[tokio::test]
async fn every_answer_is_reserved_that_a_request_asks_for() {
    let till = Till::with(Dialect::OpenAI, |_| vec![budget("weir-system", "team", "1")]).await;
    let mut body = asking(false);
    body["n"] = json!(128);
    let refusal = till.gateway.client().post(path(Dialect::OpenAI), &body).await;
    assert_eq!(refusal.status, 429, "128 answers of 4,000 tokens are 5.12 dollars: {:?}", refusal.body);
    for (name, value) in [("n", json!(0)), ("n", json!(129)), ("n", json!(1.5)), ("best_of", json!(1_000))] {
        let mut body = asking(false);
        body[name] = value;
        let refusal = till.gateway.client().post(path(Dialect::OpenAI), &body).await;
        assert_eq!((refusal.status.as_u16(), &refusal.json()["error"]["param"]), (400, &json!(name)));
    }
    body["n"] = json!(2);
    assert_eq!(till.gateway.client().post(path(Dialect::OpenAI), &body).await.status, 200);
    let mut hidden = asking(false);
    hidden["response_format"] =
        json!({"type": "json_schema", "json_schema": {"name": "a", "schema": {"description": "1".repeat(1_200_000)}}});
    let refusal = till.gateway.client().post(path(Dialect::OpenAI), &hidden).await;
    assert_eq!(refusal.status, 429, "it may be over a million tokens: {:?}", refusal.body);
}

#[tokio::test]
async fn counting_tokens_is_bounded_by_rates_room_and_blocks_and_costs_nothing() {
    let count = "/v1/messages/count_tokens";
    let body = asked_by(Dialect::Anthropic, false);
    let upstream = Provider::start().await;
    upstream.always(Script::json(200, &json!({"input_tokens": 9})));
    let mut route = open_route("default", "chat", "m", &["upstream"]);
    route["spec"]["rateLimits"] =
        json!([{"name": "slow", "requests": 5, "per": "1h"}, {"name": "few", "tokens": 1, "per": "1h"}]);
    let objects = [priced(Dialect::Anthropic, &upstream), route, budget("weir-system", "team", "0.000001")];
    let gateway = Gateway::up(&file(&objects)).await;
    for _ in 0..5 {
        let counted = gateway.client().post(count, &body).await;
        assert_eq!(counted.status, 200, "it takes no tokens and no money: {:?}", counted.body);
    }
    let refusal = gateway.client().post(count, &body).await;
    assert_eq!(refusal.status, 429, "{:?}", refusal.body);
    assert_eq!(upstream.requests().len(), 5);
    let lines = gateway.access_log(6).await;
    assert!(lines.iter().all(|line| line["usage_source"] == "none" && line.get("cost").is_none()), "{lines:?}");

    let mut block = budget("weir-system", "team", "1");
    block["spec"]["mode"] = json!("Block");
    let till = Till::with(Dialect::Anthropic, |_| vec![block.clone()]).await;
    let refusal = till.gateway.client().post(count, &body).await;
    assert_eq!(refusal.status, 403, "{:?}", refusal.body);
    assert!(till.upstream.requests().is_empty());

    let till = Till::with(Dialect::Anthropic, |object| {
        object["spec"]["limits"] = json!({"maxConcurrent": 1});
        Vec::new()
    })
    .await;
    till.upstream.next(Script::new(vec![Step::Stall]));
    let client = till.gateway.client();
    let mut connection = client.connect().await.expect("it accepts");
    let request = client.request(http::Method::POST, count, body.to_string().into());
    let mut first = std::pin::pin!(connection.send(request));
    tokio::select! {
        answer = &mut first => panic!("{:?}", answer.map(|answer| answer.status())),
        _ = till.upstream.request(0) => {}
    }
    let refusal = client.post(count, &body).await;
    assert_eq!(refusal.status, 429, "the provider's room is taken: {:?}", refusal.body);
}
