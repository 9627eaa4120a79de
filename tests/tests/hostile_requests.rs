//! Requests that are too large, too deep or have two readings are refused, and never become two upstream.

use serde_json::json;
use std::net::SocketAddr;
use std::time::Instant;
use weir_tests::client::chat;
use weir_tests::frames::{self, flag, frame, kind};
use weir_tests::gateway::Gateway;
use weir_tests::manifests::{file, open_route, provider};
use weir_tests::provider::{Provider, Script, Usage};
use weir_tests::raw::{Raw, answers, status};

const MODEL: &str = "gpt-test";
const PATH: &str = "/v1/chat/completions";

async fn setup() -> (Provider, Gateway) {
    let upstream = Provider::start().await;
    upstream.always(Script::chat("Hello", Usage::of(7, 3)));
    let gateway = Gateway::up(&file(&[
        provider("default", "upstream", &upstream.url(), MODEL),
        open_route("default", "chat", MODEL, &["upstream"]),
    ]))
    .await;
    (upstream, gateway)
}

fn post(fields: &str, body: &str) -> String {
    format!("POST {PATH} HTTP/1.1\r\nhost: gateway\r\n{fields}\r\n{body}")
}

/// A request that asks for its connection to be closed, so that its answer has an end.
fn last(body: &str) -> String {
    post(&format!("connection: close\r\ncontent-length: {}\r\n", body.len()), body)
}

/// Resident memory at its highest, in KiB.
fn peak_kib(gateway: &Gateway) -> u64 {
    gateway.process().memory("VmHWM")
}

#[tokio::test]
async fn f59_a_body_over_the_bound_is_refused_before_it_is_read_and_its_sender_hears_why() {
    let (upstream, gateway) = setup().await;
    let before = peak_kib(&gateway);
    let length = 33 * 1024 * 1024;
    // Nothing of the body is sent: the answer does not wait for it.
    let declared = Raw::exchange(gateway.listen(), post(&format!("content-length: {length}\r\n"), "")).await;
    assert_eq!(status(&declared), 413, "{declared}");
    // All of it is sent before the answer is read, as most clients do.
    let whole = post(&format!("content-length: {length}\r\n"), &"x".repeat(length));
    assert_eq!(status(&Raw::exchange(gateway.listen(), whole).await), 413);
    println!("33 MiB declared: {} KiB more at the peak", peak_kib(&gateway) - before);
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 20, "x".repeat(1 << 20));
    let undeclared = post("transfer-encoding: chunked\r\n", &(chunk.repeat(33) + "0\r\n\r\n"));
    assert_eq!(status(&Raw::exchange(gateway.listen(), undeclared).await), 413);
    assert_eq!(gateway.client().chat(MODEL).await.text(), "Hello");
    assert_eq!(upstream.requests().len(), 1, "nothing of them goes upstream");
}

#[tokio::test]
async fn f59_a_bomb_is_refused_unopened_and_depth_by_its_bound() {
    let (upstream, gateway) = setup().await;
    let bomb = "\u{1f}".repeat(32 * 1024);
    let fields = format!("content-encoding: gzip\r\ncontent-length: {}\r\n", bomb.len());
    assert_eq!(status(&Raw::exchange(gateway.listen(), post(&fields, &bomb)).await), 415);
    let before = gateway.process().cpu();
    let depth = 100_000;
    for nested in [["[", "]"], ["{\"a\":", "}"]] {
        let [open, close] = nested.map(|text| text.repeat(depth));
        let body = format!("{{\"model\":\"{MODEL}\",\"messages\":{open}1{close}}}");
        let deep = Raw::exchange(gateway.listen(), last(&body)).await;
        assert_eq!(status(&deep), 400, "{deep}");
        assert!(deep.contains("nested deeper than 128"), "{deep}");
    }
    println!("two bodies of depth {depth}: {:?} of CPU", gateway.process().cpu() - before);
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn f62_too_many_headers_too_large_ones_and_too_long_a_target_leave_a_sane_gateway() {
    let (_upstream, gateway) = setup().await;
    let get = |target: &str, fields: &str| format!("GET {target} HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
    let many: String = (0..100).map(|n| format!("x-{n}: y\r\n")).collect();
    let large = format!("connection: close\r\nx: {}\r\n", "y".repeat(65 * 1024));
    let long = format!("/{}", "x".repeat(9 * 1024));
    for (request, expected) in
        [(get("/v1/models", &many), 431), (get("/v1/models", &large), 431), (get(&long, "connection: close\r\n"), 414)]
    {
        let began = Instant::now();
        let answer = Raw::exchange(gateway.listen(), &request).await;
        println!("{expected} after {:?}", began.elapsed());
        assert_eq!(status(&answer), expected, "{answer}");
        assert_eq!(answers(&answer), 1, "{answer}");
    }
    // Whichever bound it meets first.
    let longer = Raw::exchange(gateway.listen(), get(&"/x".repeat(40 * 1024), "")).await;
    assert!([414, 431].contains(&status(&longer)) && answers(&longer) == 1, "{longer}");
    // The connection itself goes on after a target that is too long, since its request was read whole.
    let both = get(&long, "") + &get("/v1/models", "connection: close\r\n");
    let answer = Raw::exchange(gateway.listen(), both).await;
    assert_eq!((status(&answer), answers(&answer)), (414, 2), "{answer}");
    let client = gateway.client();
    let mut h2 = client.connect_h2().await.expect("it accepts");
    let mut request = client.request(http::Method::POST, PATH, chat(MODEL).to_string().into());
    for n in 0..100 {
        request
            .headers_mut()
            .insert(http::HeaderName::try_from(format!("x-{n}")).expect("a name"), "y".parse().expect("a value"));
    }
    assert_eq!(h2.send(request).await.expect("it answers").status(), 431);
    let request = client.request(http::Method::POST, PATH, chat(MODEL).to_string().into());
    assert_eq!(h2.send(request).await.expect("the connection goes on").status(), 200);
}

/// Fields and bodies that parsers are known to read in two ways; each holds a second request.
fn smuggled() -> Vec<(String, String)> {
    let inner = last(&chat("smuggled").to_string());
    let body = chat(MODEL).to_string();
    let (length, all) = (body.len(), format!("{body}{inner}"));
    let chunked = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    let te = "transfer-encoding: chunked\r\n";
    vec![
        (format!("content-length: {}\r\n{te}", chunked.len()), format!("{chunked}{inner}")),
        (format!("{te}content-length: {length}\r\n"), format!("{chunked}{inner}")),
        (format!("content-length: {length}\r\ncontent-length: {}\r\n", all.len()), all.clone()),
        (format!("content-length: {length}, {}\r\n", all.len()), all.clone()),
        (format!("content-length: +{length}\r\n"), all.clone()),
        (format!("content-length : {length}\r\n"), all.clone()),
        (format!("content-length: {length}\r\n x\r\n"), all.clone()),
        (format!("x: y\r\n\tcontent-length: {length}\r\n"), all.clone()),
        (format!("content-length: {length}\n"), all.clone()),
        (format!("x: y\ncontent-length: {length}\r\n"), all.clone()),
        (format!("x: y\rcontent-length: {length}\r\n"), all.clone()),
        (format!("x: a\0b\r\ncontent-length: {length}\r\n"), all.clone()),
        (format!("host: other\r\ncontent-length: {length}\r\n"), all.clone()),
        ("transfer-encoding : chunked\r\n".into(), format!("{chunked}{inner}")),
        ("transfer-encoding: xchunked\r\n".into(), format!("{chunked}{inner}")),
        ("transfer-encoding: chunked, identity\r\n".into(), format!("{chunked}{inner}")),
        ("transfer-encoding: gzip, chunked\r\n".into(), format!("{chunked}{inner}")),
        ("transfer-encoding:\u{b}chunked\r\n".into(), format!("{chunked}{inner}")),
        (format!("{te}{te}"), format!("{chunked}{inner}")),
        (te.into(), format!("{length:x}\n{body}\r\n0\r\n\r\n{inner}")),
        (te.into(), format!("{length:x} \r\n{body}\r\n0\r\n\r\n{inner}")),
        (te.into(), format!("-1\r\n{body}\r\n0\r\n\r\n{inner}")),
        (te.into(), format!("{length:x}\r\n{body}xx0\r\n\r\n{inner}")),
        (te.into(), format!("ffffffffffffffff1\r\n{body}\r\n0\r\n\r\n{inner}")),
    ]
}

#[tokio::test]
async fn f64_a_message_with_two_ends_is_refused_and_never_two_requests() {
    let (upstream, gateway) = setup().await;
    for (fields, body) in smuggled() {
        let answer = Raw::exchange(gateway.listen(), post(&fields, &body)).await;
        assert!((400..500).contains(&status(&answer)), "{fields:?} {body:?}: {answer}");
        assert_eq!(answers(&answer), 1, "{fields:?} {body:?}: {answer}");
    }
    let body = chat(MODEL).to_string();
    let old = post("transfer-encoding: chunked\r\n", &format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()));
    let old = Raw::exchange(gateway.listen(), old.replacen("HTTP/1.1", "HTTP/1.0", 1)).await;
    assert!(old.contains(" 400 ") && answers(&old) + old.matches("HTTP/1.0 ").count() == 1, "{old}");
    let absolute = last(&body).replacen(PATH, &format!("http://other.example{PATH}"), 1);
    assert_eq!(status(&Raw::exchange(gateway.listen(), absolute).await), 400);
    assert!(upstream.requests().is_empty(), "none of them goes upstream");
    // Two that are well-formed are two, in one packet and cut anywhere.
    let two = post(&format!("content-length: {}\r\n", body.len()), &body) + &last(&body);
    assert_eq!(answers(&Raw::exchange(gateway.listen(), &two).await), 2);
    let mut cut = Raw::connect(gateway.listen()).await;
    for byte in two.as_bytes() {
        cut.send([*byte]).await.expect("it is read");
    }
    assert_eq!(answers(&cut.rest().await), 2);
    assert_eq!(upstream.requests().len(), 4);
}

/// One request over HTTP/2 with exactly these fields: what the stream ends with.
async fn over_h2(gateway: SocketAddr, fields: &[(&str, &str)], body: &str) -> Option<u8> {
    let pseudo = [(":method", "POST"), (":scheme", "http"), (":path", PATH), (":authority", "gateway")];
    let mut socket = Raw::connect(gateway).await;
    let block = frames::headers(&[&pseudo[..], fields].concat());
    let bytes = [
        frames::PREFACE.to_vec(),
        frame(kind::SETTINGS, flag::NONE, 0, b""),
        frame(kind::HEADERS, flag::END_HEADERS, 1, &block),
        frame(kind::DATA, flag::END_STREAM, 1, body.as_bytes()),
    ];
    socket.send(bytes.concat()).await.expect("it is read");
    let mut socket = socket.into_inner();
    let frames = async {
        while let Ok(Some(frame)) = frames::read(&mut socket).await {
            if frame.kind == kind::GOAWAY || (frame.stream == 1 && frame.kind != kind::WINDOW_UPDATE) {
                // An indexed status: 8 is 200, 12 is 400.
                return Some(if frame.kind == kind::HEADERS { frame.payload[0] & 0x7f } else { 0 });
            }
        }
        None
    };
    tokio::time::timeout(weir_tests::wait::PATIENCE, frames).await.expect("the stream ends")
}

#[tokio::test]
async fn f64_http2_carries_no_header_that_would_be_another_message_in_http1() {
    let (upstream, gateway) = setup().await;
    let body = chat(MODEL).to_string();
    assert_eq!(over_h2(gateway.listen(), &[], &body).await, Some(8), "the plain request is answered");
    for field in [
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("keep-alive", "1"),
        ("upgrade", "h2c"),
        ("proxy-connection", "close"),
        ("te", "gzip"),
        ("content-length", "1"),
        ("traceparent", "a\r\nx-injected: y"),
        ("traceparent", "a\nPOST / HTTP/1.1"),
        ("traceparent", "a\0b"),
        ("trace\r\nx-injected", "y"),
        ("Traceparent", "upper"),
        ("trace parent", "x"),
        ("host", "other.example"),
        (":path", "/v1/other"),
    ] {
        assert_ne!(over_h2(gateway.listen(), &[field], &body).await, Some(8), "{field:?} is taken");
    }
    let sent = upstream.requests();
    assert_eq!(sent.len(), 1, "none of them goes upstream");
    assert_eq!(sent[0].json()["model"], json!(MODEL));
}
