//! A coding agent's whole conversation in each dialect at providers of each dialect, whole and streamed: thirty turns with
//! marked system blocks, forty tools, parallel calls, images, thinking, a failover, a compaction, an abort and a resume.
//!
//! A provider answers with what it understood. In its client's own dialect each body and each answer are the same bytes on
//! both sides; in another the meaning is.

use serde_json::{Value, json};
use weir_tests::client::Client;
use weir_tests::gateway::Gateway;
use weir_tests::manifests::{file, open_route};
use weir_tests::provider::{Provider, Script, Step};
use weir_tests::vendor::{self, Dialect};

const MODEL: &str = "claude-sonnet-4-5";
const TURNS: usize = 30;
const FAILOVERS: [usize; 2] = [9, 13];
const COMPACTION: usize = 18;
const ABORT: usize = 22;
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const WEATHER: &str = "The weather in Bern and in Basel?";
const CITIES: [&str; 2] = ["Bern", "Basel"];

/// An agent amid its conversation.
struct Agent {
    client: Client,
    dialect: Dialect,
    streamed: bool,
    /// The conversation, in the agent's dialect.
    history: Vec<Value>,
    /// The same, as a provider understands it; its own thinking is not in it.
    understood: Vec<String>,
}

/// An answer, in no dialect's form.
struct Answer {
    /// What goes into the history.
    message: Value,
    text: String,
    /// Ids and cities of the calls.
    calls: Vec<(String, Value)>,
    thought: bool,
}

impl Agent {
    fn path(&self) -> &'static str {
        if self.dialect == Dialect::Anthropic { "/v1/messages" } else { "/v1/chat/completions" }
    }

    fn body(&self) -> Value {
        let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
        let names = (0..39).map(|n| format!("tool_{n}")).chain(["weather".to_owned()]);
        let mark = json!({"type": "ephemeral"});
        match self.dialect {
            Dialect::Anthropic => {
                let mut tools: Vec<_> =
                    names.map(|name| json!({"name": name, "description": "d", "input_schema": schema})).collect();
                tools[39]["cache_control"] = mark.clone();
                json!({"model": MODEL, "max_tokens": 4_000, "stream": self.streamed, "messages": self.history,
                    "system": [{"type": "text", "text": "You are an agent."},
                        {"type": "text", "text": "The repository.", "cache_control": mark}],
                    "tools": tools, "thinking": {"type": "enabled", "budget_tokens": 2_000}})
            }
            Dialect::OpenAI => {
                let tools: Vec<_> = names
                    .map(|name| json!({"type": "function", "function": {"name": name, "description": "d", "parameters": schema}}))
                    .collect();
                let system =
                    ["You are an agent.", "The repository."].map(|text| json!({"role": "system", "content": text}));
                let messages: Vec<_> = system.into_iter().chain(self.history.iter().cloned()).collect();
                let mut body = json!({"model": MODEL, "max_completion_tokens": 4_000, "stream": self.streamed,
                    "messages": messages, "tools": tools, "reasoning_effort": "low"});
                if self.streamed {
                    body["stream_options"] = json!({"include_usage": true});
                }
                body
            }
        }
    }

    fn says(&mut self, text: &str, image: bool) {
        self.understood.push(format!("user: {text}"));
        if image {
            self.understood.push(format!("image: image/png {PNG}"));
        }
        let content = match (self.dialect, image) {
            (_, false) => json!(text),
            (Dialect::Anthropic, true) => json!([{"type": "text", "text": text},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}]),
            (Dialect::OpenAI, true) => json!([{"type": "text", "text": text},
                {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PNG}")}}]),
        };
        self.history.push(json!({"role": "user", "content": content}));
    }

    fn remembers(&mut self, answer: &Answer, text: Option<&str>) {
        let mut message = answer.message.clone();
        if let Some(text) = text {
            // The provider told all that it understood; the agent keeps a word of that.
            self.understood.push(format!("assistant: {text}"));
            match self.dialect {
                Dialect::OpenAI => message["content"] = json!(text),
                Dialect::Anthropic => {
                    let blocks = message["content"].as_array_mut().expect("blocks");
                    let said = blocks.iter_mut().find(|block| block["type"] == "text").expect("a text");
                    said["text"] = json!(text);
                }
            }
        }
        self.history.push(message);
    }

    /// Answers both calls of a turn.
    fn runs(&mut self, answer: &Answer) {
        self.remembers(answer, None);
        self.understood.extend(answer.calls.iter().map(|(_, input)| format!("call: weather {input}")));
        let results = answer
            .calls
            .iter()
            .map(|(id, input)| (id, format!("sunny in {}", input["city"].as_str().expect("a city"))));
        self.understood.extend(results.clone().map(|(_, text)| format!("result: {text}")));
        match self.dialect {
            Dialect::Anthropic => {
                let blocks: Vec<_> = results
                    .map(|(id, text)| json!({"type": "tool_result", "tool_use_id": id, "content": [{"type": "text", "text": text}]}))
                    .collect();
                self.history.push(json!({"role": "user", "content": blocks}));
            }
            Dialect::OpenAI => self
                .history
                .extend(results.map(|(id, text)| json!({"role": "tool", "tool_call_id": id, "content": text}))),
        }
    }

    /// Puts a summary in the place of the conversation.
    fn compacts(&mut self) {
        self.history.clear();
        self.understood.clear();
        self.says("Summary: all went well.", false);
        let text = "I go on.";
        self.understood.push(format!("assistant: {text}"));
        self.history.push(json!({"role": "assistant", "content": text}));
    }
}

fn read(dialect: Dialect, streamed: bool, bytes: &[u8]) -> Answer {
    let text = std::str::from_utf8(bytes).expect("text");
    match (dialect, streamed) {
        (Dialect::Anthropic, false) => of_message(&serde_json::from_str(text).unwrap_or_else(|_| panic!("{text}"))),
        (Dialect::OpenAI, false) => {
            let whole: Value = serde_json::from_str(text).unwrap_or_else(|_| panic!("{text}"));
            of_choice(whole["choices"][0]["message"].clone())
        }
        (Dialect::Anthropic, true) => of_anthropics_events(text),
        (Dialect::OpenAI, true) => of_openais_chunks(text),
    }
}

/// The answer of a stream of events of Anthropic.
fn of_anthropics_events(text: &str) -> Answer {
    let (mut blocks, mut arguments, mut ended) = (Vec::<Value>::new(), Vec::<String>::new(), false);
    for event in events(text) {
        let at = event["index"].as_u64().and_then(|at| usize::try_from(at).ok()).unwrap_or_default();
        match event["type"].as_str().unwrap_or_default() {
            "content_block_start" => {
                assert_eq!(at, blocks.len(), "blocks come in order: {text}");
                blocks.push(event["content_block"].clone());
                arguments.push(String::new());
            }
            "content_block_delta" => {
                for name in ["text", "thinking", "signature"] {
                    if let Some(more) = event["delta"][name].as_str() {
                        blocks[at][name] = json!(blocks[at][name].as_str().unwrap_or_default().to_owned() + more);
                    }
                }
                arguments[at] += event["delta"]["partial_json"].as_str().unwrap_or_default();
            }
            "message_stop" => ended = true,
            "error" => panic!("{text}"),
            _ => {}
        }
    }
    assert!(ended, "{text}");
    for (block, arguments) in blocks.iter_mut().zip(arguments).filter(|(block, _)| block["type"] == "tool_use") {
        block["input"] = serde_json::from_str(&arguments).expect("arguments are JSON");
    }
    of_message(&json!({"content": blocks}))
}

/// The answer of a stream of chunks of OpenAI.
fn of_openais_chunks(text: &str) -> Answer {
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    let mut message = json!({"role": "assistant", "content": null});
    let (mut calls, mut details): (Vec<Value>, Vec<Value>) = Default::default();
    for event in events(text) {
        let delta = &event["choices"][0]["delta"];
        for name in ["content", "reasoning_content"] {
            if let Some(more) = delta[name].as_str().filter(|more| !more.is_empty()) {
                message[name] = json!(message[name].as_str().unwrap_or_default().to_owned() + more);
            }
        }
        // Each comes whole; it is sent back as it came.
        details.extend(delta["reasoning_details"].as_array().into_iter().flatten().cloned());
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let at = call["index"].as_u64().and_then(|at| usize::try_from(at).ok()).expect("an index");
            if at == calls.len() {
                let mut call = call.clone();
                call.as_object_mut().expect("a call").remove("index");
                calls.push(call);
            } else {
                let held = &mut calls[at]["function"]["arguments"];
                let more = call["function"]["arguments"].as_str().unwrap_or_default();
                *held = json!(held.as_str().unwrap_or_default().to_owned() + more);
            }
        }
    }
    if !calls.is_empty() {
        message["tool_calls"] = json!(calls);
    }
    if !details.is_empty() {
        message["reasoning_details"] = json!(details);
    }
    of_choice(message)
}

fn events(text: &str) -> impl Iterator<Item = Value> {
    text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
}

fn of_message(message: &Value) -> Answer {
    let blocks = message["content"].as_array().cloned().unwrap_or_default();
    let of = |kind: &'static str| blocks.iter().filter(move |block| block["type"] == kind);
    Answer {
        text: of("text").filter_map(|block| block["text"].as_str()).collect(),
        calls: of("tool_use")
            .map(|block| (block["id"].as_str().unwrap_or_default().to_owned(), block["input"].clone()))
            .collect(),
        thought: of("thinking").next().is_some(),
        message: json!({"role": "assistant", "content": blocks}),
    }
}

fn of_choice(message: Value) -> Answer {
    let call = |call: &Value| {
        let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
        (
            call["id"].as_str().unwrap_or_default().to_owned(),
            serde_json::from_str(arguments).expect("arguments are JSON"),
        )
    };
    Answer {
        text: message["content"].as_str().unwrap_or_default().to_owned(),
        calls: message["tool_calls"].as_array().into_iter().flatten().map(call).collect(),
        thought: message["reasoning_content"].is_string(),
        message,
    }
}

/// Two providers of that dialect, the second for when the first fails, and a gateway before them.
async fn world(dialect: Dialect) -> ([Provider; 2], Gateway) {
    let pair = [Provider::start().await, Provider::start().await];
    vendor::be(&pair[0], dialect, "signature-first");
    vendor::be(&pair[1], dialect, "signature-second");
    let mut route = open_route("default", "agent", MODEL, &["first", "second"]);
    for target in route["spec"]["rules"][0]["targets"].as_array_mut().expect("targets") {
        target.as_object_mut().expect("a target").remove("model");
    }
    let objects = [
        vendor::manifest("first", dialect, &pair[0]),
        vendor::manifest("second", dialect, &pair[1]),
        vendor::secret(),
        route,
    ];
    let gateway = Gateway::up(&file(&objects)).await;
    (pair, gateway)
}

/// Holds what the gateway sent and gave, in the agent's own dialect, against the bytes of both ends.
async fn same_bytes(agent: &Agent, provider: &Provider, body: &[u8], answered: &[u8]) {
    let asked = provider.requests().last().expect("it was asked").clone();
    assert_eq!(String::from_utf8_lossy(&asked.body), String::from_utf8_lossy(body), "the request is the same");
    let direct = Client::new(provider.address());
    let direct = match agent.dialect {
        Dialect::OpenAI => direct.with_credential("sk-upstream"),
        Dialect::Anthropic => {
            direct.with_header("x-api-key", "sk-upstream").with_header("anthropic-version", "2023-06-01")
        }
    };
    let given = direct.send(http::Method::POST, agent.path(), body.to_vec().into()).await.whole().await;
    assert_eq!(String::from_utf8_lossy(answered), String::from_utf8_lossy(&given.body), "and so is the answer");
}

async fn converse(client: Dialect, upstream: Dialect, streamed: bool) {
    let ([first, second], gateway) = world(upstream).await;
    let mut agent = Agent { client: gateway.client(), dialect: client, streamed, history: vec![], understood: vec![] };
    for turn in 0..TURNS {
        if turn == COMPACTION {
            agent.compacts();
        }
        let works = turn % 3 == 0;
        agent.says(if works { WEATHER } else { "Go on." }, turn % 3 == 1);
        // A turn that works takes two requests: the calls, then their results.
        for part in 0..=usize::from(works) {
            let which = format!("{client:?} at {upstream:?}, streamed: {streamed}, turn {turn}.{part}");
            let body = agent.body().to_string();
            if turn == ABORT && part == 0 {
                // The user stops the agent once something has come; then it asks the same again.
                let mut stream = agent.client.send(http::Method::POST, agent.path(), body.clone().into()).await;
                if streamed {
                    assert!(matches!(stream.event().await, Ok(Some(_))), "{which}");
                }
                drop(stream);
            }
            let fails = FAILOVERS.iter().position(|at| *at == turn && part == 0);
            match fails {
                Some(0) => drop(first.next(upstream.error(529, "overloaded_error", "Overloaded"))),
                Some(_) => drop(first.next(Script::new(vec![Step::Reset]))),
                None => {}
            }
            let reply = agent.client.send(http::Method::POST, agent.path(), body.clone().into()).await.whole().await;
            assert_eq!(reply.status, 200, "{which}: {:?}", reply.body);
            assert_eq!(reply.header("x-weir-attempts"), if fails.is_some() { "2" } else { "1" }, "{which}");
            if client == upstream {
                same_bytes(&agent, if fails.is_some() { &second } else { &first }, body.as_bytes(), &reply.body).await;
            }
            let answer = read(client, streamed, &reply.body);
            // What another provider thought is no good here, and the model cannot think on without it amid a call.
            let unthought = FAILOVERS.contains(&turn) && reply.header("x-weir-loss").contains("reasoning_effort");
            assert!(answer.thought || unthought, "{which}: it says that it thought");
            if works && part == 0 {
                let cities: Vec<_> = answer.calls.iter().map(|(_, input)| input["city"].clone()).collect();
                assert_eq!(cities, CITIES, "{which}");
                assert_ne!(answer.calls[0].0, answer.calls[1].0, "{which}");
                agent.runs(&answer);
                continue;
            }
            let told: Vec<_> = answer.text.split(" | ").filter(|line| !line.starts_with("thinking: ")).collect();
            let expected = ["system: You are an agent.", "system: The repository."].into_iter();
            let expected: Vec<_> = expected.chain(agent.understood.iter().map(String::as_str)).collect();
            assert_eq!(told, expected, "{which}");
            agent.remembers(&answer, Some(&format!("Done {turn}.")));
        }
    }
    let lines = gateway.access_log(TURNS + TURNS / 3).await;
    assert!(lines.iter().all(|line| line["status"] == 200 || line["status"] == 499), "each request has its line");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_anthropic_agent_at_anthropic() {
    converse(Dialect::Anthropic, Dialect::Anthropic, false).await;
    converse(Dialect::Anthropic, Dialect::Anthropic, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_anthropic_agent_at_openai() {
    converse(Dialect::Anthropic, Dialect::OpenAI, false).await;
    converse(Dialect::Anthropic, Dialect::OpenAI, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_openai_agent_at_openai() {
    converse(Dialect::OpenAI, Dialect::OpenAI, false).await;
    converse(Dialect::OpenAI, Dialect::OpenAI, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_openai_agent_at_anthropic() {
    converse(Dialect::OpenAI, Dialect::Anthropic, false).await;
    converse(Dialect::OpenAI, Dialect::Anthropic, true).await;
}
