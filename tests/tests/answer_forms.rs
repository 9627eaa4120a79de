//! What servers that call themselves compatible really write, read by the official SDKs over real sockets: what they say
//! reaches clients of both dialects, and trouble is never taken for an answer.

#[path = "../../dataplane/dialect/tests/made/mod.rs"]
mod made;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::Method;
use made::{Made, answer};
use serde_json::{Value, json};
use std::io::Write as _;
use tokio::task::block_in_place;
use weir_tests::gateway::Gateway;
use weir_tests::manifests::{file, open_route};
use weir_tests::provider::{Provider, Script};
use weir_tests::sdk::library::{ANTHROPIC_PYTHON, OPENAI_PYTHON};
use weir_tests::vendor::{self, Dialect};

/// Answers that are made and read, each by both SDKs.
const SEEDS: u64 = 300;

/// A provider of that dialect behind a route whose model has that name.
async fn add(objects: &mut Vec<Value>, name: &str, dialect: Dialect) -> Provider {
    let provider = Provider::start().await;
    objects.push(vendor::manifest(name, dialect, &provider));
    objects.push(open_route("default", name, name, &[name]));
    provider
}

fn script(body: &str, streams: bool) -> Script {
    if streams { Script::stream([body]) } else { Script::whole(200, &[("content-type", "application/json")], body) }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_weir_reads_is_what_the_official_sdk_reads() {
    let mut objects = vec![vendor::secret()];
    let provider = add(&mut objects, "m", Dialect::OpenAI).await;
    let gateway = Gateway::up(&file(&objects)).await;
    let base = |url: &str| url.trim_end_matches("/v1").to_owned();
    let mut direct = OPENAI_PYTHON.start(&base(&provider.url()), "unused");
    let mut same = OPENAI_PYTHON.start(&base(&gateway.url()), "unused");
    let mut crossing = ANTHROPIC_PYTHON.start(&base(&gateway.url()), "unused");
    let (mut wrong, mut plain_forms) = (Vec::new(), 0);
    for seed in 0..SEEDS {
        let Made { body, streams, says, plain } = answer(seed);
        provider.always(script(&body, streams));
        let asked = json!({"case": "read", "model": "m", "stream": streams});
        let mut readings = vec![("crossing", &mut crossing)];
        if plain {
            plain_forms += 1;
            readings.extend([("direct", &mut direct), ("same", &mut same)]);
        }
        for (way, talk) in readings {
            let seen = block_in_place(|| talk.ask(&asked));
            if seen != says {
                wrong.push(format!("{seed} {way}: {seen}, not {says}: {body}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
    assert!(plain_forms > SEEDS / 3, "{plain_forms}");
}

/// A form: what a server answers, and what clients of both dialects see.
struct Form {
    name: &'static str,
    upstream: Dialect,
    /// Whether a stream is asked for.
    streams: bool,
    answer: Script,
    openai: Value,
    anthropic: Value,
    /// How often the server is asked by the first client.
    asked: usize,
}

fn events(data: &[&str]) -> String {
    data.iter().map(|data| format!("data: {data}\n\n")).collect()
}

/// The same without usage, which these answers do not have.
fn says(text: &str, finish: &str, calls: &Value) -> Value {
    json!({"text": text, "finish": finish, "calls": calls})
}

fn raised(class: &str, status: u16) -> Value {
    json!({"raised": class, "status": status})
}

const WHOLE: &str =
    r#"{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}]}"#;

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).expect("memory");
    encoder.finish().expect("memory")
}

fn form(name: &'static str, streams: bool, answer: Script, openai: Value, anthropic: Value) -> Form {
    Form { name, upstream: Dialect::OpenAI, streams, answer, openai, anthropic, asked: 1 }
}

/// Forms that say something.
fn readable() -> Vec<Form> {
    let both = [json!(["wx", {"city": "A"}]), json!(["wx", {"city": "B"}])];
    let call = |id: &str, city: &str| {
        json!({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": id, "type": "function",
            "function": {"name": "wx", "arguments": format!("{{\"city\":\"{city}\"}}")}}]}}]})
        .to_string()
    };
    let done = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#;
    let parallel = events(&[&call("c1", "A"), &call("c2", "B"), done, "[DONE]"]);
    let hello = says("Hello", "stop", &json!([]));
    let as_text = |finish: &str| says("par", finish, &json!([]));
    let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
    let stream = events(&[r#"{"choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":"stop"}]}"#, "[DONE]"]);
    let zipped =
        Script::whole(200, &[("content-type", "text/event-stream"), ("content-encoding", "gzip")], gzip(&stream));
    let no_id = r#"{"choices":[{"message":{"content":"","tool_calls":[{"function":{"name":"wx","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}"#;
    let called = says("", "tool_calls", &json!([["wx", {}]]));
    let unfinished = r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"wx","arguments":"{}"}}]}}]}"#;
    let list =
        r#"{"choices":[{"index":0,"delta":{"content":[{"type":"text","text":"Hello"}]},"finish_reason":"stop"}]}"#;
    vec![
        // The SDK of the same dialect puts both into one, as it does without a gateway.
        form(
            "parallel-calls-of-one-index",
            true,
            script(&parallel, true),
            Value::Null,
            says("", "tool_calls", &json!(both)),
        ),
        form("calls-without-ids", false, script(no_id, false), called.clone(), called.clone()),
        form(
            "a-call-without-a-finish-reason",
            true,
            script(&events(&[unfinished, "[DONE]"]), true),
            Value::Null,
            called,
        ),
        form("content-as-a-list", true, script(&events(&[list, "[DONE]"]), true), Value::Null, hello.clone()),
        form("json-to-a-stream-request", true, script(WHOLE, false), hello.clone(), hello.clone()),
        form("gzip", false, Script::whole(200, &headers, gzip(WHOLE)), hello.clone(), hello.clone()),
        form("a-gzip-stream", true, zipped, hello.clone(), hello.clone()),
        form("a-mark-before-the-body", false, script(&format!("\u{feff}{WHOLE}"), false), hello.clone(), hello.clone()),
        form(
            "a-mark-before-the-stream",
            true,
            script(&format!("\u{feff}{stream}"), true),
            hello.clone(),
            hello.clone(),
        ),
        form(
            "an-end-in-other-words",
            true,
            script(
                &events(&[
                    r#"{"choices":[{"index":0,"delta":{"content":"par"},"finish_reason":"MAX_TOKENS"}]}"#,
                    "[DONE] ",
                ]),
                true,
            ),
            as_text("MAX_TOKENS"),
            as_text("length"),
        ),
    ]
}

/// Forms of the Anthropic dialect that say something.
fn readable_of_claude() -> Vec<Form> {
    let hello = says("Hello", "stop", &json!([]));
    let thinking = r#"{"id":"m","type":"message","role":"assistant","model":"m","content":[{"type":"thinking","thinking":"hm"},{"type":"text","text":"Hello"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}"#;
    let named = |data: &str| {
        let kind = serde_json::from_str::<Value>(data).expect("JSON")["type"].clone();
        format!("event: {}\ndata: {data}\n\n", kind.as_str().expect("a type"))
    };
    let interleaved: String = [
        r#"{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t1","name":"f","input":{}}}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t2","name":"g","input":{}}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"x\":1}"}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"y\":2}"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":2}}"#,
        r#"{"type":"message_stop"}"#,
    ]
    .map(named)
    .concat();
    let two = says("", "tool_calls", &json!([["f", {"x": 1}], ["g", {"y": 2}]]));
    let claude = |form: Form| Form { upstream: Dialect::Anthropic, ..form };
    vec![
        claude(form("thinking-without-a-signature", false, script(thinking, false), hello.clone(), hello.clone())),
        claude(form("a-whole-message-to-a-stream-request", true, script(thinking, false), hello.clone(), hello)),
        claude(form("blocks-in-turn", true, script(&interleaved, true), two.clone(), two)),
    ]
}

/// Forms that say that something went wrong.
fn trouble() -> Vec<Form> {
    let bad = r#"{"error":{"message":"bad image","type":"invalid_request_error","code":"invalid_image"}}"#;
    let refused = || (raised("BadRequestError", 400), raised("BadRequestError", 400));
    let broken = || (raised("InternalServerError", 502), raised("InternalServerError", 502));
    let flat = r#"{"object":"error","message":"engine died","type":"InternalServerError","param":null,"code":500}"#;
    let failed = r#"{"choices":[{"index":0,"message":{"content":"par"},"finish_reason":"error"}]}"#;
    let google = r#"[{"error":{"code":400,"message":"Invalid JSON payload: bad field","status":"INVALID_ARGUMENT"}}]"#;
    let twice = |name, streams, answer, (openai, anthropic)| Form {
        asked: 2,
        ..form(name, streams, answer, openai, anthropic)
    };
    let once = |name, streams, answer, (openai, anthropic)| form(name, streams, answer, openai, anthropic);
    let empty = events(&[
        r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":""}]}"#,
        "[DONE]",
    ]);
    vec![
        once("an-error-to-a-stream-request", true, script(bad, false), refused()),
        once("an-error-in-a-list-under-200", false, script(google, false), refused()),
        once(
            "an-error-in-a-list",
            false,
            Script::whole(400, &[("content-type", "application/json")], google),
            refused(),
        ),
        twice("a-flat-error-in-a-stream", true, script(&events(&[flat, "[DONE]"]), true), broken()),
        twice("a-flat-error", false, script(flat, false), broken()),
        twice("a-finish-reason-that-is-trouble", false, script(failed, false), broken()),
        twice("an-empty-object", false, script("{}", false), broken()),
        twice("html", true, Script::whole(200, &[("content-type", "text/html")], "<html>Welcome</html>"), broken()),
        twice("an-end-without-content", true, script(&empty, true), broken()),
        twice("another-encoding", false, Script::whole(200, &[("content-encoding", "br")], "xx"), broken()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_answer_is_for_each_sdk_what_it_says() {
    let mut objects = vec![vendor::secret()];
    let mut cells = Vec::new();
    for form in readable().into_iter().chain(readable_of_claude()).chain(trouble()) {
        for (library, expected) in [(OPENAI_PYTHON, form.openai.clone()), (ANTHROPIC_PYTHON, form.anthropic.clone())] {
            if expected.is_null() {
                continue;
            }
            let name = format!("{}-{}", form.name, cells.len());
            let provider = add(&mut objects, &name, form.upstream).await;
            provider.always(form.answer.clone());
            cells.push((library, name, provider, expected, form.streams, form.asked));
        }
    }
    let gateway = Gateway::up(&file(&objects)).await;
    let mut wrong = Vec::new();
    for library in [OPENAI_PYTHON, ANTHROPIC_PYTHON] {
        let mut talk = library.start(gateway.url().trim_end_matches("/v1"), "unused");
        for (_, name, provider, expected, streams, asked) in cells.iter().filter(|cell| cell.0 == library) {
            let mut seen = block_in_place(|| talk.ask(&json!({"case": "read", "model": name, "stream": streams})));
            if let Some(members) = seen.as_object_mut() {
                members.remove("usage");
            }
            let calls = provider.requests().len();
            if seen != *expected || calls != *asked {
                wrong.push(format!("{name}: {seen}, not {expected}; asked {calls} times, not {asked}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[tokio::test]
async fn trouble_under_200_goes_to_the_next_target_before_content() {
    let mut objects = vec![vendor::secret()];
    let first = Provider::start().await;
    let second = Provider::start().await;
    second.always(Script::whole(200, &[("content-type", "application/json")], WHOLE));
    objects.push(vendor::manifest("first", Dialect::OpenAI, &first));
    objects.push(vendor::manifest("second", Dialect::OpenAI, &second));
    objects.push(open_route("default", "chat", "m", &["first", "second"]));
    let gateway = Gateway::up(&file(&objects)).await;
    let flat = r#"{"object":"error","message":"engine died","type":"InternalServerError","code":500}"#;
    for answer in [script(flat, false), script("{}", false), script("<html>", false)] {
        first.always(answer);
        let body = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
        for path in ["/v1/chat/completions", "/v1/messages"] {
            let reply = gateway.client().send(Method::POST, path, Bytes::from(body)).await.whole().await;
            let text = String::from_utf8_lossy(&reply.body);
            assert!(reply.status == 200 && text.contains("Hello"), "{text}");
        }
    }
}

/// The signature that Gemini gives with a call comes back to Gemini with that call, over a client that has no place for it.
#[tokio::test]
async fn what_stands_beside_a_call_comes_back_to_its_provider() {
    let mut objects = vec![vendor::secret()];
    let provider = add(&mut objects, "m", Dialect::OpenAI).await;
    let other = add(&mut objects, "other", Dialect::OpenAI).await;
    let gateway = Gateway::up(&file(&objects)).await;
    let call = json!({"id": "c1", "type": "function", "function": {"name": "wx", "arguments": "{\"city\":\"A\"}"},
        "extra_content": {"google": {"thought_signature": "SIG=="}}});
    let answer =
        json!({"choices": [{"message": {"role": "assistant", "tool_calls": [call]}, "finish_reason": "tool_calls"}]});
    provider.always(Script::json(200, &answer));
    let ask = async |model: &str, messages: &Value| {
        let body = json!({"model": model, "max_tokens": 9, "messages": messages,
            "tools": [{"name": "wx", "input_schema": {"type": "object"}}]});
        gateway.client().send(Method::POST, "/v1/messages", Bytes::from(body.to_string())).await.whole().await
    };
    let question = json!({"role": "user", "content": "hi"});
    let reply = ask("m", &json!([question])).await;
    assert!(reply.header("x-weir-loss").is_empty(), "{}", reply.header("x-weir-loss"));
    let content = reply.json()["content"].clone();
    let result = json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "sunny"}]});
    let turns = json!([question, {"role": "assistant", "content": content}, result]);
    let back = ask("m", &turns).await;
    assert_eq!(back.status, 200, "{}", back.json());
    assert_eq!(provider.request(1).await.json()["messages"][1]["tool_calls"], json!([call]));
    // Another provider is not told, and the client hears so.
    other.always(Script::json(200, &answer));
    let elsewhere = ask("other", &turns).await;
    assert_eq!(elsewhere.header("x-weir-loss"), "thinking");
    assert!(!String::from_utf8_lossy(&other.request(0).await.body).contains("SIG"), "it is sealed to its provider");
}
