//! Clients that do not read, that flood, or that are too many cost themselves, and nobody else.

use serde_json::{Value, json};
use std::time::Instant;
use weir_tests::client::{Client, chat};
use weir_tests::frames::{self, flag, frame, kind};
use weir_tests::gateway::Gateway;
use weir_tests::manifests::{file, open_route, provider};
use weir_tests::process::own_cpu;
use weir_tests::provider::{Provider, Record, Script, Signal, Usage, chunk};
use weir_tests::raw::Raw;
use weir_tests::tls::Authority;
use weir_tests::wait::{self, PATIENCE};

const MODEL: &str = "gpt-test";
const PATH: &str = "/v1/chat/completions";

fn manifests(upstream: &Provider) -> String {
    file(&[
        provider("default", "upstream", &upstream.url(), MODEL),
        open_route("default", "chat", MODEL, &["upstream"]),
    ])
}

/// A gateway whose upstream streams without end, over HTTP/2 or over HTTP/1.1.
async fn endless(h2: bool) -> (Provider, Gateway) {
    let text = json!([{"index": 0, "delta": {"content": "x".repeat(16 * 1024)}, "finish_reason": null}]);
    let script = Script::stream([""; 0]).endless(chunk(MODEL, &text, &Value::Null));
    if !h2 {
        let upstream = Provider::start().await;
        upstream.always(script);
        let gateway = Gateway::up(&manifests(&upstream)).await;
        return (upstream, gateway);
    }
    let authority = Authority::default();
    let upstream = Provider::start_tls(&authority, &["localhost"]).await;
    upstream.always(script);
    let gateway = Gateway::up(&weir_tests::manifests::over_tls(&upstream, &authority, MODEL)).await;
    (upstream, gateway)
}

fn asking() -> String {
    let mut body = chat(MODEL);
    body["stream"] = json!(true);
    body.to_string()
}

/// Asks over HTTP/1.1 and reads nothing.
async fn unread_h1(gateway: &Gateway) -> Raw {
    let mut client = Raw::connect(gateway.listen()).await;
    let body = asking();
    let head = format!("POST {PATH} HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
    client.send(head + &body).await.expect("it is read");
    client
}

/// Asks over HTTP/2 and gives the stream no more room than it begins with.
async fn unread_h2(gateway: &Gateway) -> Raw {
    let mut client = Raw::connect(gateway.listen()).await;
    client.send(opening()).await.expect("it is read");
    client.send(head(1, "POST", PATH, flag::NONE)).await.expect("it is read");
    client.send(frame(kind::DATA, flag::END_STREAM, 1, asking().as_bytes())).await.expect("it is read");
    client
}

fn opening() -> Vec<u8> {
    [frames::PREFACE, &frame(kind::SETTINGS, flag::NONE, 0, b"")].concat()
}

/// A head; `end` = without a body.
fn head(stream: u32, method: &str, path: &str, end: u8) -> Vec<u8> {
    let fields = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "a")];
    frame(kind::HEADERS, flag::END_HEADERS | end, stream, &frames::headers(&fields))
}

/// Waits until the upstream can send no more, and says how much it sent in all.
async fn backed_up(upstream: &Provider, streams: usize) -> u64 {
    let sent = || upstream.requests().iter().map(|request| request.sent()).sum::<u64>();
    let mut last = (0, 0);
    wait::until("the streams back up to the upstream", || {
        let now = sent();
        last = if upstream.requests().len() == streams && now == last.0 { (now, last.1 + 1) } else { (now, 0) };
        let still = last.1 >= 10;
        async move { still.then_some(now) }
    })
    .await
}

#[tokio::test]
async fn f31_a_client_that_stops_reading_holds_its_upstream_back_and_after_thirty_seconds_loses_it() {
    let ((h1, first), (h2, second)) = tokio::join!(endless(false), endless(true));
    let began = Instant::now();
    let mut clients = Vec::new();
    for gateway in [&first, &second] {
        clients.push(unread_h1(gateway).await);
        clients.push(unread_h2(gateway).await);
    }
    for upstream in [&h1, &h2] {
        println!("{} KiB left the upstream for two clients that read nothing", backed_up(upstream, 2).await / 1024);
        assert!(upstream.requests().iter().all(|request| request.gone().is_none()), "they are held back, not cut off");
    }
    for upstream in [&h1, &h2] {
        for request in upstream.requests() {
            println!("cut off after {:?}", request.gone_after(began).await);
        }
    }
    for gateway in [&first, &second] {
        let lines = gateway.access_log(2).await;
        assert_eq!(lines.len(), 2, "each is settled once");
        assert!(
            lines.iter().all(|line| line["usage_source"] == "estimated" && line["output_tokens"].as_u64() > Some(0))
        );
    }
}

#[tokio::test]
async fn f32_hundreds_of_clients_that_do_not_read_cost_little_each_and_the_others_nothing() {
    const STREAMS: usize = 300;
    for h2 in [false, true] {
        let (upstream, gateway) = endless(h2).await;
        let mut clients = vec![unread_h1(&gateway).await, unread_h2(&gateway).await];
        backed_up(&upstream, clients.len()).await;
        let before = gateway.process().memory("VmRSS");
        for n in 0..STREAMS {
            clients.push(if n % 2 == 0 { unread_h1(&gateway).await } else { unread_h2(&gateway).await });
        }
        backed_up(&upstream, clients.len()).await;
        let each = (gateway.process().memory("VmRSS") - before) / STREAMS as u64;
        println!("upstream over HTTP/{}: {each} KiB a stream, of {STREAMS}", if h2 { 2 } else { 1 });
        assert!(each <= 320, "{each} KiB a stream, of which 256 may wait to be read");
        upstream.next(Script::chat("Hello", Usage::of(7, 3)));
        assert_eq!(gateway.client().chat(MODEL).await.text(), "Hello", "HTTP/2 upstream: {h2}");
        drop(clients);
        let left: Vec<std::sync::Arc<Record>> = upstream.requests().into_iter().take(STREAMS + 2).collect();
        for request in left {
            request.until_gone().await;
        }
    }
}

/// A connection that floods: what it begins with, and what it then sends again and again, by its turn.
type Flood = (&'static str, fn() -> Vec<u8>, fn(u32) -> Vec<u8>);

const FLOODS: [Flood; 7] = [
    ("rapid reset", opening, |turn| {
        let get = head(2 * turn + 1, "GET", "/v1/models", flag::END_STREAM);
        [get, frame(kind::RST_STREAM, flag::NONE, 2 * turn + 1, &[0, 0, 0, 8])].concat()
    }),
    ("reset by us", opening, |turn| {
        // A window that grows by nothing is an error of its stream, which is then ours to reset.
        let post = head(2 * turn + 1, "POST", PATH, flag::NONE);
        [post, frame(kind::WINDOW_UPDATE, flag::NONE, 2 * turn + 1, &[0; 4])].concat()
    }),
    (
        "CONTINUATION",
        || [opening(), frame(kind::HEADERS, flag::NONE, 1, b"")].concat(),
        |_| frame(kind::CONTINUATION, flag::NONE, 1, &frames::headers(&[("x", "y")])),
    ),
    ("SETTINGS", opening, |_| frame(kind::SETTINGS, flag::NONE, 0, b"")),
    ("PING", opening, |_| frame(kind::PING, flag::NONE, 0, &[0; 8])),
    (
        "empty DATA",
        || [opening(), head(1, "POST", PATH, flag::NONE)].concat(),
        |_| frame(kind::DATA, flag::NONE, 1, b""),
    ),
    ("PRIORITY", opening, |turn| frame(kind::PRIORITY, flag::NONE, 2 * (turn % 1_000) + 1, &[0, 0, 0, 0, 16])),
];

#[tokio::test]
async fn f61_a_flood_costs_its_sender_the_connection_and_the_others_nothing() {
    let upstream = Provider::start().await;
    upstream.always(Script::chat("Hello", Usage::of(7, 3)));
    let gateway = Gateway::up(&manifests(&upstream)).await;
    for (name, begin, again) in FLOODS {
        let (ours, theirs) = (gateway.process().cpu(), own_cpu());
        let mut attacker = Raw::connect(gateway.listen()).await;
        attacker.send(begin()).await.expect("it is read");
        let (mut reader, mut writer) = attacker.into_inner().into_split();
        let flood = tokio::spawn(async move {
            let mut turn = 0;
            loop {
                let batch: Vec<u8> = (0..64).flat_map(|n| again(turn + n)).collect();
                if tokio::io::AsyncWriteExt::write_all(&mut writer, &batch).await.is_err() {
                    return turn;
                }
                turn += 64;
            }
        });
        let served = gateway.client();
        let (frames, reply) = tokio::join!(tokio::time::timeout(PATIENCE, flood), served.chat(MODEL));
        let frames = frames.unwrap_or_else(|_| panic!("{name}: the connection is not closed")).expect("no panic");
        assert_eq!(reply.text(), "Hello", "{name}: others are served");
        let _ = tokio::io::copy(&mut reader, &mut tokio::io::sink()).await;
        let (ours, theirs) = (gateway.process().cpu() - ours, own_cpu() - theirs);
        println!(
            "{name}: closed after at most {frames} turns; {ours:?} of CPU for the gateway, {theirs:?} for the attacker"
        );
    }
    assert_eq!(gateway.client().chat(MODEL).await.text(), "Hello");
    let metrics = gateway.admin().get("/metrics").await;
    assert!(String::from_utf8_lossy(&metrics.body).contains("weir_requests_in_flight 0"), "nothing of them is left");
}

/// One request over a connection that is kept, its answer read.
async fn kept(gateway: &Gateway) -> (Client, weir_tests::client::Sender) {
    let client = gateway.client();
    let mut connection = client.connect().await.expect("the kernel accepts");
    let request = client.request(http::Method::GET, "/v1/models", bytes::Bytes::new());
    assert_eq!(connection.send(request).await.expect("it answers").status(), 200);
    (client, connection)
}

#[tokio::test]
async fn f79_clients_beyond_their_share_of_the_files_are_closed_without_a_spin_and_served_when_one_leaves() {
    let upstream = Provider::start().await;
    upstream.always(Script::chat("Hello", Usage::of(7, 3)));
    let gateway = Gateway::up_within(&manifests(&upstream), 160).await;
    // Of 48 places one address has as many as it leaves free.
    let mut held = Vec::new();
    for _ in 0..24 {
        held.push(kept(&gateway).await);
    }
    let client = gateway.client();
    let cpu = gateway.process().cpu();
    let is_served = || async {
        let Ok(connection) = client.connect().await else { return false };
        client.chat_over(connection, MODEL).await.is_some_and(|reply| reply.text() == "Hello")
    };
    for _ in 0..20 {
        assert!(!is_served().await, "there is no place for it");
    }
    println!("twenty closed at once: {:?} of CPU", gateway.process().cpu() - cpu);
    let (client_within, mut connection) = held.pop().expect("they are held");
    let request = client_within.request(http::Method::POST, PATH, chat(MODEL).to_string().into());
    assert_eq!(connection.send(request).await.expect("who is in is served").status(), 200);
    drop(connection);
    wait::until_true("the next is served when one has left", is_served).await;
}

#[tokio::test]
async fn f79_upstreams_that_took_every_file_are_no_fault_of_theirs_and_accepting_goes_on_after() {
    let upstream = Provider::start().await;
    let go_on = Signal::default();
    let whole = json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}]});
    upstream.always(Script::default().wait(&go_on).head(200, &[]).body(whole.to_string()));
    let gateway = Gateway::up_within(&manifests(&upstream), 96).await;
    let client = gateway.client();
    let mut asked = Vec::new();
    let weir_tests::client::Sender::H2(connection) = client.connect_h2().await.expect("it accepts") else {
        panic!("it is HTTP/2")
    };
    for _ in 0..120 {
        let request = client.request(http::Method::POST, PATH, chat(MODEL).to_string().into());
        let mut connection = connection.clone();
        asked.push(tokio::spawn(async move {
            connection.send_request(request).await.map(|answer| answer.status().as_u16())
        }));
    }
    let refused = wait::until("some find no socket", || async {
        let refused = asked.iter().filter(|asked| asked.is_finished()).count();
        (refused > 0 && refused + upstream.requests().len() >= 120).then_some(refused)
    })
    .await;
    let (began, cpu) = (Instant::now(), gateway.process().cpu());
    let late = gateway.client();
    let late = tokio::spawn(async move { late.chat(MODEL).await.text() });
    gateway.process().line("that accepting failed", |line| line.contains("could not be accepted").then_some(())).await;
    println!("{refused} of 120 found no socket; {:?} of CPU in {:?}", gateway.process().cpu() - cpu, began.elapsed());
    go_on.fire();
    let mut statuses = Vec::new();
    for asked in asked {
        statuses.push(asked.await.expect("no panic").expect("an answer"));
    }
    assert_eq!(statuses.iter().filter(|status| **status == 502).count(), refused, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 200 | 502)), "{statuses:?}");
    assert_eq!(late.await.expect("it ends"), "Hello", "who came meanwhile is served");
    let reply = gateway.client().chat(MODEL).await;
    assert_eq!((reply.text().as_str(), reply.header("x-weir-attempts")), ("Hello", "1"), "the target is not ejected");
}
