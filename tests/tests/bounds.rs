//! What one caller or upstream does stays within its bound, and costs nobody else: memory, connections, name lookups, loops.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::Instant;
use weir_tests::client::{Client, chat};
use weir_tests::gateway::Gateway;
use weir_tests::manifests::{aliased_route, api_key, cent, file, open_route, provider, route};
use weir_tests::provider::{Provider, Script, Usage, chunk};
use weir_tests::raw::{Raw, status};
use weir_tests::wait;

const MODEL: &str = "gpt-test";
const MIB: usize = 1024 * 1024;

/// The head of a request with a body of that length, and so much of the body.
fn request(path: &str, headers: &str, length: usize, sent: usize) -> String {
    let mut text = format!("POST {path} HTTP/1.1\r\nhost: weir\r\ncontent-type: application/json\r\n{headers}");
    write!(text, "content-length: {length}\r\n\r\n{}", " ".repeat(sent)).expect("text can be written");
    text
}

/// A namespace's Provider that answers by itself, its route, and a key of the namespace.
fn tenant(namespace: &str) -> (String, [Value; 3]) {
    let (token, key) = api_key(namespace, &format!("{namespace}key"), &json!({}));
    (token, [cent(namespace, "mock"), route(namespace, "chat", "m", &["mock"]), key])
}

#[tokio::test]
async fn without_a_credential_no_byte_of_a_body_is_read_where_no_route_is_open() {
    let (token, objects) = tenant("a");
    let gateway = Gateway::up(&file(&objects)).await;
    for path in ["/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens"] {
        // The body never comes: the answer does not wait for it.
        let mut client = Raw::connect(gateway.listen()).await;
        client.send(request(path, "", 32 * MIB, 0)).await.expect("the head is taken");
        let answer = client.rest().await;
        assert_eq!(status(&answer), 401, "{path}: {answer}");
        assert!(answer.contains("no credential was sent"), "{path}: {answer}");
    }
    let reply = gateway.client().with_credential(&token).chat("m").await;
    assert_eq!(reply.status, 200, "a key is served as before: {}", reply.text());
}

#[tokio::test]
async fn a_tenant_that_fills_its_share_of_memory_is_told_so_and_the_other_is_served() {
    let ((greedy, objects), (modest, others)) = (tenant("a"), tenant("b"));
    let manifests = file(&[objects, others].concat());
    let gateway = Gateway::up_with(&manifests, &[("WEIR_MAX_HELD_BYTES", "16777216")]).await;
    let mut held = Vec::new();
    let key = format!("authorization: Bearer {greedy}\r\n");
    for _ in 0..24 {
        let mut client = Raw::connect(gateway.listen()).await;
        // All but the last byte, so that the gateway has to hold it.
        client.send(request("/v1/chat/completions", &key, MIB, MIB / 64)).await.expect("it is taken");
        held.push(client);
    }
    wait::until_true("the greedy tenant has all that it may", || async {
        gateway.admin().metric("weir_held_bytes").await >= (8 * MIB) as f64
    })
    .await;
    let refused = gateway.client().with_credential(&greedy);
    let mut body = chat("m");
    body["messages"][0]["content"] = json!("x".repeat(MIB));
    let reply = refused.post("/v1/chat/completions", &body).await;
    assert_eq!(
        (reply.status, reply.json()["error"]["code"].as_str()),
        (http::StatusCode::SERVICE_UNAVAILABLE, Some("gateway_memory_exhausted"))
    );
    assert_eq!(reply.header("retry-after"), "1");
    for _ in 0..20 {
        assert_eq!(gateway.client().with_credential(&modest).chat("m").await.status, 200, "the other has room");
    }
    assert!(gateway.admin().metric("weir_held_bytes").await <= (8 * MIB) as f64, "no more than its share");
    drop(held);
    wait::until_true("everything is given back", || async {
        gateway.admin().metric("weir_held_bytes").await.abs() < f64::EPSILON
    })
    .await;
    assert_eq!(refused.post("/v1/chat/completions", &body).await.status, 200, "and is there again");
}

/// A gateway whose first provider streams that for ever, and whose second is well.
async fn before_endless(piece: impl AsRef<[u8]>) -> (Gateway, Provider, Provider) {
    let (endless, second) = (Provider::start().await, Provider::start().await);
    let script = Script::default().head(200, &[("content-type", "text/event-stream")]);
    endless.always(script.endless(piece));
    second.respond(|_| {
        Script::stream([chunk(
            MODEL,
            &json!([{"index": 0, "delta": {"content": "ok"}, "finish_reason": "stop"}]),
            &Value::Null,
        )])
    });
    let mut first = provider("default", "first", &endless.url(), MODEL);
    first["spec"]["timeouts"] = json!({"firstToken": "3s"});
    let objects = [
        first,
        provider("default", "second", &second.url(), MODEL),
        open_route("default", "chat", MODEL, &["first", "second"]),
    ];
    (Gateway::up(&file(&objects)).await, endless, second)
}

#[tokio::test]
async fn comments_without_end_before_any_content_fill_no_memory() {
    let (gateway, _endless, _second) = before_endless(": still here\n\n".repeat(1_000)).await;
    let before = gateway.process().memory("VmHWM");
    let (events, error) = gateway.client().chat_stream(MODEL).await.events().await;
    assert!(error.is_none() && events.iter().any(|event| event.contains("ok")), "{events:?}");
    let grown = gateway.process().memory("VmHWM").saturating_sub(before);
    println!("three seconds of comments: {grown} KiB more at the most");
    assert!(grown < 16 * 1_024, "{grown} KiB");
    let line = &gateway.access_log(1).await[0];
    assert_eq!(line["failed_attempts"][0]["error"], "timeout", "{line}");
}

#[tokio::test]
async fn events_without_content_are_held_up_to_a_bound_and_then_the_next_target_is_asked() {
    let empty = chunk(MODEL, &json!([{"index": 0, "delta": {}, "finish_reason": null}]), &Value::Null);
    let (gateway, _endless, _second) = before_endless(empty.repeat(50)).await;
    let before = gateway.process().memory("VmHWM");
    let (events, error) = gateway.client().chat_stream(MODEL).await.events().await;
    assert!(error.is_none() && events.iter().any(|event| event.contains("ok")), "{events:?}");
    assert!(gateway.process().memory("VmHWM").saturating_sub(before) < 16 * 1_024);
    let line = &gateway.access_log(1).await[0];
    assert_eq!(line["failed_attempts"][0]["error"], "malformed", "{line}");
}

#[tokio::test]
async fn an_event_that_never_ends_is_counted_and_bounded() {
    let endless = Provider::start().await;
    let head = [("content-type", "text/event-stream")];
    endless.always(Script::default().head(200, &head).body("data: {\"x\":\"").endless("x".repeat(64 * 1_024)));
    let objects =
        [provider("default", "first", &endless.url(), MODEL), open_route("default", "chat", MODEL, &["first"])];
    let gateway = Gateway::up_with(&file(&objects), &[("WEIR_MAX_HELD_BYTES", "4194304")]).await;
    let before = gateway.process().memory("VmHWM");
    let streams = (0..8).map(|_| async { gateway.client().chat_stream(MODEL).await.whole().await.status });
    let statuses = futures_util::future::join_all(streams).await;
    assert!(statuses.iter().all(|status| status.is_server_error()), "{statuses:?}");
    let grown = gateway.process().memory("VmHWM").saturating_sub(before);
    assert!(grown < 24 * 1_024, "{grown} KiB for eight events without end");
}

#[tokio::test]
async fn a_provider_that_leads_back_to_the_gateway_ends_after_a_few_rounds() {
    let gateway = Gateway::up(&file(&[cent("default", "mock"), open_route("default", "mock", "m", &["mock"])])).await;
    let looping = [
        provider("default", "loop", &gateway.url(), MODEL),
        open_route("default", "loop", MODEL, &["loop"]),
        provider("default", "chain", &gateway.url(), "m"),
        aliased_route("default", "chained", "chain", "m"),
    ];
    gateway.write("loop.yaml", &file(&looping));
    wait::until_true("the loop is served", || async {
        gateway.client().get(&format!("/v1/models/{MODEL}")).await.status == 200
    })
    .await;
    let began = Instant::now();
    let reply = gateway.client().chat(MODEL).await;
    assert!(reply.status.is_server_error(), "{} {}", reply.status, reply.text());
    println!("a loop ended after {:?}", began.elapsed());
    let lines = gateway.access_log(1).await;
    assert!(lines.len() < 64, "{} requests came of one", lines.len());
    assert!(lines.iter().any(|line| line["error_type"] == "request_loop"), "{lines:?}");
    let chained = gateway.client().chat("chained").await;
    assert_eq!(
        (chained.status, chained.text().as_str()),
        (http::StatusCode::OK, "ok"),
        "a gateway before a gateway is no loop"
    );
}

#[tokio::test]
async fn a_host_is_the_same_in_any_case_with_a_dot_and_by_either_protocol() {
    let mut hosted = open_route("default", "hosted", MODEL, &["mock"]);
    hosted["spec"]["hostnames"] = json!(["api.example.com"]);
    let mut mock = cent("default", "mock");
    mock["spec"]["models"][0]["name"] = json!(MODEL);
    let gateway = Gateway::up(&file(&[mock, hosted])).await;
    for host in
        ["api.example.com", "API.Example.COM", "api.example.com.", "API.EXAMPLE.com.:8080", "api.example.com:80"]
    {
        for target in ["/v1/models".to_owned(), format!("http://{host}/v1/models")] {
            let answer = Raw::exchange(
                gateway.listen(),
                format!("GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"),
            )
            .await;
            assert!(answer.contains(MODEL), "{target} at {host}: {answer}");
        }
        let mut h2 = gateway.client().connect_h2().await.expect("HTTP/2 is spoken");
        let mut request = gateway.client().request(Method::GET, "/v1/models", Bytes::new());
        *request.uri_mut() = format!("http://{host}/v1/models").parse().expect("a URI");
        request.headers_mut().remove("host");
        let answer = h2.send(request).await.expect("an answer");
        let text = weir_tests::client::Stream::new(answer, h2).whole().await.json().to_string();
        assert!(text.contains(MODEL), "{host} over HTTP/2: {text}");
    }
    let other =
        Raw::exchange(gateway.listen(), "GET /v1/models HTTP/1.1\r\nhost: other\r\nconnection: close\r\n\r\n").await;
    assert!(!other.contains(MODEL), "{other}");
}

#[tokio::test]
async fn a_peer_that_opens_connections_without_end_leaves_room_for_another() {
    let gateway =
        Gateway::up_within(&file(&[cent("default", "mock"), open_route("default", "c", "m", &["mock"])]), 320).await;
    let mut held = Vec::new();
    for _ in 0..200 {
        let Ok(stream) = tokio::net::TcpStream::connect(gateway.listen()).await else { break };
        held.push(stream);
    }
    wait::until_true("some are closed at once", || async {
        gateway.admin().metric("weir_refused_connections_total").await > 0.0
    })
    .await;
    let other = tokio::net::TcpSocket::new_v4().expect("a socket");
    other.bind(([127, 0, 0, 2], 0).into()).expect("a second address of this machine");
    let mut other = Raw::from(other.connect(gateway.listen()).await.expect("it is accepted"));
    other.send("GET /v1/models HTTP/1.1\r\nhost: weir\r\nconnection: close\r\n\r\n").await.expect("it is read");
    assert_eq!(status(&other.rest().await), 200, "another peer is served");
}

#[tokio::test]
async fn an_admin_port_that_is_taken_is_said_in_words() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it is bound").to_string();
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("weir.yaml"), file(&[cent("default", "mock")])).expect("it is written");
    let output = weir_tests::gateway::binary("weir-operator")
        .arg("up")
        .arg(folder.path())
        .args(["--listen", "127.0.0.1:0", "--admin", &address])
        .arg("--ledger")
        .arg(folder.path().join("ledger.redb"))
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(&format!("cannot listen on {address}")), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[tokio::test]
async fn bodies_and_answers_are_given_back_however_a_request_ends() {
    let upstream = Provider::start().await;
    upstream.respond(|_| Script::chat(&"long ".repeat(MIB / 5), Usage::of(7, 3)));
    let objects =
        [provider("default", "first", &upstream.url(), MODEL), open_route("default", "chat", MODEL, &["first"])];
    let gateway = Gateway::up(&file(&objects)).await;
    let client: Client = gateway.client();
    assert_eq!(client.chat(MODEL).await.status, 200);
    let mut crossing = chat(MODEL);
    crossing["max_tokens"] = json!(10);
    assert_eq!(client.post("/v1/messages", &crossing).await.status, 200);
    for _ in 0..20 {
        let mut raw = Raw::connect(gateway.listen()).await;
        let body = chat(MODEL).to_string();
        let head =
            format!("POST /v1/chat/completions HTTP/1.1\r\nhost: weir\r\ncontent-length: {}\r\n\r\n", body.len());
        raw.send(head + &body).await.expect("it is taken");
        let _ = raw.read().await;
    }
    wait::until_true("nothing is held", || async {
        gateway.admin().metric("weir_held_bytes").await.abs() < f64::EPSILON
    })
    .await;
}
