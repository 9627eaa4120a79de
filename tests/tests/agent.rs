//! What a coding agent needs of a gateway, as Anthropic writes it down for Claude Code ("Gateway protocol reference"), and what
//! an admin sees of an agent that asks in vain.

use http::Method;
use serde_json::{Value, json};
use weir_tests::client::{Client, chat};
use weir_tests::gateway::{Gateway, binary};
use weir_tests::manifests::{api_key, file, open_route, provider, route};
use weir_tests::provider::{Provider, Script, Usage};
use weir_tests::raw::{self, Raw};
use weir_tests::vendor::{self, Dialect};
use weir_tests::wait;

const MODEL: &str = "claude-sonnet-4-5";
const BETAS: &str = "claude-code-20250219,interleaved-thinking-2025-05-14,a-beta-that-nobody-knows-2031-01-01";

/// A gateway with an open route to a provider of that dialect, whose model has that name.
async fn before(upstream: &Provider, dialect: Dialect) -> Gateway {
    let mut route = open_route("default", "agent", MODEL, &["only"]);
    route["spec"]["retry"] = json!({"maxAttempts": 1});
    Gateway::up(&file(&[vendor::manifest("only", dialect, upstream), vendor::secret(), route])).await
}

fn path(dialect: Dialect) -> &'static str {
    if dialect == Dialect::Anthropic { "/v1/messages?beta=true" } else { "/v1/chat/completions" }
}

/// A request as Claude Code sends it: members that Weir knows and members that it does not.
fn as_claude_code() -> String {
    json!({"model": MODEL, "max_tokens": 64_000, "stream": false,
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
            {"role": "system", "content": "a system turn amid the conversation"},
        ],
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.197; cc_entrypoint=cli;"},
            {"type": "text", "text": "You are an agent.", "cache_control": {"type": "ephemeral", "scope": "global"}},
            {"type": "text", "text": "The repository."},
        ],
        "tools": (0..40).map(|n| json!({"name": format!("t{n}"), "input_schema": {"type": "object"}, "defer_loading": true})).collect::<Vec<_>>(),
        "metadata": {"user_id": "{\"device_id\":\"d\",\"session_id\":\"s\"}"},
        "thinking": {"type": "adaptive"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "high"}, "a_member_of_tomorrow": [1, {"x": null}]})
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_sends_reaches_a_provider_of_its_dialect_as_it_is() {
    let upstream = Provider::start().await;
    let answer = json!({"id": "m", "type": "message", "role": "assistant", "model": MODEL, "content": [], "stop_reason": "end_turn",
        "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1}});
    upstream.always(Script::json(200, &answer));
    let gateway = before(&upstream, Dialect::Anthropic).await;
    let client = gateway
        .client()
        .with_credential("placeholder")
        .with_header("anthropic-version", "2031-12-24")
        .with_header("anthropic-beta", BETAS)
        .with_header("anthropic-beta", "one-more")
        .with_header("x-claude-code-session-id", "s-1");
    let body = as_claude_code();
    let reply = client.send(Method::POST, path(Dialect::Anthropic), body.clone().into()).await.whole().await;
    assert_eq!((reply.status.as_u16(), reply.json()), (200, answer));
    let asked = upstream.request(0).await;
    assert_eq!(String::from_utf8_lossy(&asked.body), body, "byte for byte");
    assert_eq!(asked.headers["anthropic-version"], "2031-12-24");
    let betas: Vec<_> = asked.headers.get_all("anthropic-beta").iter().collect();
    assert_eq!(betas, [BETAS, "one-more"]);
    for own in ["authorization", "x-claude-code-session-id"] {
        assert!(asked.headers.get(own).is_none(), "{own} stays here");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_told_of_no_beta_is_sent_none_of_their_members() {
    let upstream = Provider::start().await;
    vendor::be(&upstream, Dialect::Anthropic, "signature-first");
    let mut plain = vendor::manifest("only", Dialect::Anthropic, &upstream);
    plain["spec"]["headers"] = json!({"remove": ["anthropic-beta"]});
    let mut strict = open_route("default", "strict", "strict", &["only"]);
    strict["spec"]["translation"] = json!({"onLoss": "Refuse"});
    let objects = [plain, vendor::secret(), open_route("default", "agent", MODEL, &["only"]), strict];
    let gateway = Gateway::up(&file(&objects)).await;
    let mut body = chat(MODEL);
    body["max_tokens"] = json!(9);
    body["context_management"] = json!({"edits": []});
    let client = gateway.client().with_header("anthropic-beta", BETAS);
    let told = client.post(path(Dialect::Anthropic), &body).await;
    assert_eq!(told.status, 200, "the provider knows no such member: {:?}", told.body);
    assert_eq!(told.header("x-weir-loss"), "context_management");
    assert!(upstream.request(0).await.headers.get("anthropic-beta").is_none());
    body["model"] = json!("strict");
    let refused = client.post(path(Dialect::Anthropic), &body).await;
    assert_eq!(refused.status, 400, "where nothing may be lost: {:?}", refused.body);
}

/// Errors as Anthropic writes them, with what its client looks for in them.
fn errors() -> Vec<(u16, &'static str, &'static str)> {
    vec![
        (400, "invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum"),
        (400, "invalid_request_error", "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000"),
        (400, "invalid_request_error", "context_management: Extra inputs are not permitted"),
        (404, "not_found_error", "model: claude-of-tomorrow"),
        (413, "request_too_large", "Request exceeds the maximum size"),
        (429, "rate_limit_error", "Number of requests has exceeded the rate limit"),
        (500, "api_error", "Internal server error"),
        (503, "overloaded_error", "Overloaded"),
        (529, "overloaded_error", "Overloaded"),
    ]
}

/// The bodies in which providers of that dialect say it, with blanks and breaks of their own.
fn said(dialect: Dialect, kind: &str, message: &str) -> String {
    match dialect {
        Dialect::Anthropic => format!(
            "{{\"type\":\"error\",\n  \"error\":{{\"details\":null, \"type\":\"{kind}\",\"message\":\"{message}\"}},\"request_id\":\"req_011C\"}}\n"
        ),
        Dialect::OpenAI => {
            format!(
                "{{\n  \"error\": {{\"message\": \"{message}\", \"type\": \"{kind}\", \"param\": null, \"code\": \"c\"}} }}"
            )
        }
    }
}

async fn ask(client: &Client, dialect: Dialect, streamed: bool) -> weir_tests::client::Reply {
    let mut body = chat(MODEL);
    body["max_tokens"] = json!(9);
    body["stream"] = json!(streamed);
    client.post(path(dialect), &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_providers_error_reaches_a_client_of_its_dialect_as_it_is_and_any_other_by_meaning() {
    for upstream_dialect in Dialect::ALL {
        for (status, kind, message) in errors() {
            let upstream = Provider::start().await;
            let body = said(upstream_dialect, kind, message);
            let headers = [("content-type", "application/json"), ("retry-after", "7"), ("x-secret-of-account", "1")];
            upstream.always(Script::whole(status, &headers, &body));
            for client_dialect in Dialect::ALL {
                for streamed in [false, true] {
                    // Each has its own gateway: what is overloaded or limited is left alone afterwards.
                    let gateway = before(&upstream, upstream_dialect).await;
                    let told = ask(&gateway.client(), client_dialect, streamed).await;
                    let text = String::from_utf8_lossy(&told.body).into_owned();
                    let which = format!("{upstream_dialect:?} to {client_dialect:?}, {status}: {} {text}", told.status);
                    assert_eq!((told.header("retry-after"), told.header("content-type")), ("7", "application/json"));
                    assert!(told.headers.get("x-secret-of-account").is_none());
                    let line = gateway.access_log(1).await[0].clone();
                    assert_eq!(line["status"], told.status.as_u16(), "{which}");
                    assert!(!line.to_string().contains(message), "the log quotes no provider: {line}");
                    if client_dialect == upstream_dialect {
                        assert_eq!((told.status.as_u16(), text), (status, body.clone()), "{which}");
                    } else {
                        assert_eq!(told.json()["error"]["message"], message, "{which}");
                        assert_eq!(told.json().get("type").is_some(), client_dialect == Dialect::Anthropic, "{which}");
                        assert!(told.status.as_u16() >= 400, "{which}");
                    }
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_inside_a_stream_reaches_a_client_of_its_dialect_as_it_is() {
    for dialect in Dialect::ALL {
        let upstream = Provider::start().await;
        let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded, truly"}});
        let events = match dialect {
            Dialect::OpenAI => vec![
                format!(
                    "data: {}\n\n",
                    json!({"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": null}]})
                ),
                format!("data: {error}\n\n"),
            ],
            Dialect::Anthropic => vec![
                format!("event: message_start\ndata: {}\n\n", json!({"type": "message_start", "message": {"id": "x"}})),
                format!(
                    "event: content_block_start\ndata: {}\n\n",
                    json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "a"}})
                ),
                format!(
                    "event: content_block_delta\ndata: {}\n\n",
                    json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}})
                ),
                format!("event: error\ndata: {error}\n\n"),
            ],
        };
        let whole = events.concat();
        upstream.always(Script::stream(events));
        let gateway = before(&upstream, dialect).await;
        let told = ask(&gateway.client(), dialect, true).await;
        assert_eq!(String::from_utf8_lossy(&told.body), whole, "{dialect:?}: and no end that is none");
        // One that holds a piece of the gateway's own key is told in other words.
        upstream.always(Script::stream([whole.replace("truly", "sk-upstream")]));
        let gateway = before(&upstream, dialect).await;
        let told = ask(&gateway.client(), dialect, true).await;
        let text = String::from_utf8_lossy(&told.body).into_owned();
        assert!(!text.contains("sk-") && text.contains("the provider is overloaded"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_sibling_is_well_no_providers_error_is_told() {
    for (status, kind, message) in errors().into_iter().filter(|(status, ..)| *status >= 429) {
        let (first, second) = (Provider::start().await, Provider::start().await);
        first.always(Script::whole(
            status,
            &[("content-type", "application/json")],
            said(Dialect::Anthropic, kind, message),
        ));
        vendor::be(&second, Dialect::Anthropic, "signature-second");
        let objects = [
            vendor::manifest("first", Dialect::Anthropic, &first),
            vendor::manifest("second", Dialect::Anthropic, &second),
            vendor::secret(),
            open_route("default", "agent", MODEL, &["first", "second"]),
        ];
        let gateway = Gateway::up(&file(&objects)).await;
        for streamed in [false, true] {
            let told = ask(&gateway.client(), Dialect::Anthropic, streamed).await;
            assert_eq!(told.status, 200, "{status}: {:?}", told.body);
        }
    }
}

/// Asks by bytes, and gives what was answered.
async fn bytes(gateway: &Gateway, head: &str, body: &[u8]) -> String {
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let head = format!("{head}host: a\r\nconnection: close\r\n{length}\r\n");
    Raw::exchange(gateway.listen(), [head.as_bytes(), body].concat()).await
}

/// A gateway for the holders of one key, and a client that says who it is.
async fn in_vain() -> (Provider, Gateway, Client, String) {
    let upstream = Provider::start().await;
    let (key, stored) = api_key("default", "app", &json!({}));
    let objects =
        [provider("default", "only", &upstream.url(), MODEL), route("default", "agent", MODEL, &["only"]), stored];
    let gateway = Gateway::up(&file(&objects)).await;
    let client = gateway.client().with_header("user-agent", "codex_cli_rs/1.2 (an agent)");
    (upstream, gateway, client, key)
}

/// Gives the line of the last of so many answers, each of which has one.
async fn line_of(gateway: &Gateway, answers: &mut usize, what: &str) -> Value {
    *answers += 1;
    let held = gateway.access_log(*answers).await;
    assert_eq!(held.len(), *answers, "{what}: one line an answer");
    held.last().expect("a line").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_in_vain_is_told_at_once_in_its_dialect_and_stands_in_the_log() {
    let (upstream, gateway, client, key) = in_vain().await;
    let mut answers = 0;
    for (method, path, headers, status, anthropic) in [
        (Method::POST, "/v1/responses", None, 404, false),
        (Method::POST, "/v1/embeddings?key=sk-hidden", None, 404, false),
        (Method::GET, "/v1/responses", None, 404, false),
        (Method::POST, "/v1/messages/batches", None, 404, true),
        (Method::GET, "/api/hello", Some(("anthropic-beta", "x")), 404, true),
        (Method::POST, "/", None, 405, false),
        (Method::GET, "/v1/messages", None, 405, true),
        (Method::OPTIONS, "/v1/chat/completions", None, 405, false),
        (Method::DELETE, "/v1/models/x", Some(("anthropic-version", "2023-06-01")), 405, true),
    ] {
        let what = format!("{method} {path}");
        let mut asker = client.with_credential(&key);
        if let Some((name, value)) = headers {
            asker = asker.with_header(name, value);
        }
        let body = if method == Method::POST { vec![b'x'; 200_000] } else { vec![] };
        let told = asker.send(method.clone(), path, body.into()).await.whole().await;
        assert_eq!((told.status.as_u16(), told.json().get("type").is_some()), (status, anthropic), "{what}");
        assert_eq!(told.header("allow").is_empty(), status != 405, "{what}");
        let line = line_of(&gateway, &mut answers, &what).await;
        let (held, _) = path.split_once('?').unwrap_or((path, ""));
        assert_eq!(
            (&line["method"], &line["path"], &line["status"]),
            (&json!(method.as_str()), &json!(held), &json!(status))
        );
        assert_eq!(line["user_agent"], "codex_cli_rs/1.2 (an agent)", "{line}");
        assert_eq!(line["caller"]["name"], "app", "{line}");
        assert_eq!(line["request_id"], told.header("x-weir-request-id"));
        assert!(!line.to_string().contains("sk-hidden"), "a query may hold a key: {line}");
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn looks_lists_upgrades_and_heads_that_cannot_be_read_are_answered_and_logged() {
    let (upstream, gateway, client, key) = in_vain().await;
    let mut answers = 0;
    for (method, path) in [(Method::HEAD, "/"), (Method::GET, "/")] {
        let told = client.send(method.clone(), path, Default::default()).await.whole().await;
        assert_eq!((told.status.as_u16(), told.body.len()), (200, 0));
        let line = line_of(&gateway, &mut answers, "a look").await;
        assert_eq!(
            (&line["method"], &line["path"], &line["status"]),
            (&json!(method.as_str()), &json!("/"), &json!(200))
        );
    }
    for method in [Method::GET, Method::HEAD] {
        let lister = client.with_credential(&key).with_header("anthropic-version", "2023-06-01");
        let told = lister.send(method.clone(), "/v1/models?limit=1000", Default::default()).await.whole().await;
        assert_eq!(told.status, 200);
        if method == Method::GET {
            assert_eq!(told.json()["data"][0]["id"], MODEL, "in Anthropic's form");
            assert_eq!(told.json()["has_more"], false);
        }
        assert_eq!(line_of(&gateway, &mut answers, "a list").await["path"], "/v1/models");
    }
    for path in ["/v1/responses", "/v1/chat/completions"] {
        let upgrade = format!("GET {path} HTTP/1.1\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n");
        let told = bytes(&gateway, &upgrade, b"").await;
        assert_eq!(raw::status(&told), 426, "{told}");
        assert_eq!(line_of(&gateway, &mut answers, "an upgrade").await["error_type"], "upgrade_not_supported");
    }
    let h2c = bytes(&gateway, "GET /v1/models HTTP/1.1\r\nupgrade: h2c\r\n", b"").await;
    assert_eq!(raw::status(&h2c), 200, "an offer that may be passed over: {h2c}");
    line_of(&gateway, &mut answers, "an offer").await;
    for (head, status, kind) in [
        ("GET /x y HTTP/1.1\r\n", 400, "invalid_head"),
        ("GET / HTTP/1.1\r\nbad header\r\n", 400, "invalid_head"),
        ("GET http://other/v1/models HTTP/1.1\r\n", 400, "host_mismatch"),
    ] {
        let told = bytes(&gateway, head, b"").await;
        assert_eq!(raw::status(&told), status, "{head}: {told}");
        let line = line_of(&gateway, &mut answers, head).await;
        assert_eq!((&line["status"], &line["error_type"]), (&json!(status), &json!(kind)), "{line}");
    }
    let many = "GET / HTTP/1.1\r\n".to_owned() + &"a: b\r\n".repeat(101);
    assert_eq!(raw::status(&bytes(&gateway, &many, b"").await), 431);
    assert_eq!(line_of(&gateway, &mut answers, "many headers").await["status"], 431);
    let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(9_000));
    assert_eq!(raw::status(&bytes(&gateway, &long, b"").await), 414);
    let line = line_of(&gateway, &mut answers, "a long target").await;
    assert_eq!((&line["status"], line["path"].as_str().map(str::len)), (&json!(414), Some(128)), "cut: {line}");
    assert!(upstream.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_what_is_not_served_fills_no_disk_and_is_counted() {
    let upstream = Provider::start().await;
    let objects =
        [provider("default", "only", &upstream.url(), MODEL), open_route("default", "agent", MODEL, &["only"])];
    let gateway = Gateway::up(&file(&objects)).await;
    let mut connection = gateway.client().connect().await.expect("a connection");
    let asked = 4_000;
    for _ in 0..asked {
        let request = gateway.client().request(Method::GET, "/nowhere", Default::default());
        let answer = connection.send(request).await.expect("an answer");
        assert_eq!(answer.status(), 404);
        http_body_util::BodyExt::collect(answer.into_body()).await.expect("its body");
    }
    assert_eq!(gateway.client().chat(MODEL).await.text(), "Hello");
    let left_out = gateway.admin().metric("weir_log_lines_left_out_total").await;
    assert!(left_out > 0.0, "a flood is bounded");
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
    let written = asked - left_out as usize;
    let held = gateway.access_log(written + 1).await;
    assert_eq!(held.len(), written + 1, "and what is left out is counted");
    assert_eq!(held.last().expect("a line")["path"], "/v1/chat/completions", "what a route takes has its line");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_never_makes_less_of_its_holder_than_none() {
    let upstream = Provider::start().await;
    let (key, stored) = api_key("tenant", "app", &json!({}));
    let (_, own) = api_key("other", "other", &json!({}));
    let objects = [
        provider("other", "only", &upstream.url(), MODEL),
        open_route("other", "agent", MODEL, &["only"]),
        stored,
        own,
    ];
    let gateway = Gateway::up(&file(&objects)).await;
    let client = gateway.client();
    let bearer = |value: &str| client.with_header("authorization", value);
    let with_key = client.with_header("x-api-key", &key);
    let good = [
        client.clone(),
        bearer("Bearer"),
        bearer("Bearer "),
        bearer("Basic dTpw"),
        bearer("Negotiate abc"),
        bearer("Bearer sk-placeholder"),
        client.with_header("x-api-key", ""),
        client.with_credential(&key),
        with_key.clone(),
        with_key.with_header("authorization", "Bearer "),
        with_key.with_header("authorization", "Basic dTpw"),
        bearer(&format!("bearer   {key}")),
        client.with_header("authorization", "Basic dTpw").with_credential(&key),
    ];
    for (number, caller) in good.iter().enumerate() {
        assert_eq!(caller.chat(MODEL).await.text(), "Hello", "{number}");
        let line = gateway.access_log(number + 1).await.pop().expect("a line");
        let kind = if number < 7 { "anonymous" } else { "api_key" };
        assert_eq!(line["caller"]["kind"], kind, "{number}: {line}");
    }
    for bad in [client.with_credential("weir_nonsense"), with_key.with_header("authorization", "Bearer weir_nonsense")]
    {
        assert_eq!(bad.chat(MODEL).await.status, 401, "a key that is not good is refused, whatever stands beside it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_agents_are_accounted_to_where_the_route_trusts_their_headers() {
    let upstream = Provider::start().await;
    upstream.always(Script::chat("Hello", Usage::of(7, 3)));
    let mut trusting = open_route("default", "trusting", "trusting", &["only"]);
    trusting["spec"]["rules"][0]["targets"][0]["model"] = json!(MODEL);
    trusting["spec"]["trustedHeaders"] =
        json!({"session": "x-claude-code-session-id", "agent": "x-claude-code-agent-id"});
    let mut priced = provider("default", "only", &upstream.url(), MODEL);
    priced["spec"]["models"][0]["pricing"] = json!({"currency": "USD", "input": "1", "output": "1"});
    let objects = [priced, open_route("default", "agent", MODEL, &["only"]), trusting];
    let gateway = Gateway::up(&file(&objects)).await;
    let client =
        gateway.client().with_header("x-claude-code-session-id", "s-1").with_header("x-claude-code-agent-id", "a-7");
    for (number, (model, session, agent)) in
        [(MODEL, Value::Null, Value::Null), ("trusting", json!("s-1"), json!("a-7"))].into_iter().enumerate()
    {
        assert_eq!(client.chat(model).await.text(), "Hello");
        let caller = gateway.access_log(number + 1).await.pop().expect("a line")["caller"].clone();
        assert_eq!((&caller["session"], &caller["agent"]), (&session, &agent), "{model}");
    }
    let tags = wait::until("the costs are stored", || async {
        let mut command = binary("weir-operator");
        command.arg("costs").arg(gateway.folder()).arg("--ledger").arg(gateway.ledger());
        let output = command.args(["--from", "2026-01", "--format", "json"]).output().expect("it runs");
        let rows: Vec<Value> = serde_json::from_slice(&output.stdout).ok()?;
        let tags: Vec<_> =
            rows.into_iter().map(|row| [row["Tags"]["session"].clone(), row["Tags"]["agent"].clone()]).collect();
        (tags.len() == 4).then_some(tags)
    })
    .await;
    let of_session = tags.iter().filter(|tags| **tags == [json!("s-1"), json!("a-7")]);
    assert_eq!((of_session.count(), tags.iter().filter(|tags| tags[0].is_null()).count()), (2, 2), "{tags:?}");
}
