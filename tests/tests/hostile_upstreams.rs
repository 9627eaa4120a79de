//! Upstreams that cannot be reached, trusted or waited for cost the client a failover at most.

use serde_json::{Value, json};
use std::time::{Duration, Instant};
use weir_tests::delay::{Badness, Delay};
use weir_tests::fleet::{Fleet, TEAM};
use weir_tests::gateway::Gateway;
use weir_tests::manifests::{file, open_route, provider};
use weir_tests::provider::{Accept, PROTOCOLS, Provider, Script, Usage, chunk};
use weir_tests::tls::{Authority, self_signed_acceptor};
use weir_tests::wait;

const MODEL: &str = "gpt-test";

/// A provider that answers, for when another does not.
async fn second() -> Provider {
    let second = Provider::start().await;
    second.always(Script::chat("from the second", Usage::of(7, 3)));
    second
}

fn trusting(namespace: &str, upstream: &Provider, authority: &Authority) -> [Value; 2] {
    let bundle = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": namespace, "name": "ca"},
        "data": {"ca.crt": authority.pem()},
    });
    let url = upstream.url().replace("127.0.0.1", "localhost");
    let mut first = provider(namespace, "first", &url, MODEL);
    first["spec"]["endpoint"] = json!({"url": url});
    first["spec"]["tls"] = json!({"caConfigMapRef": {"name": "ca"}});
    [bundle, first]
}

/// A gateway before a provider with TLS, edited, and a second one.
async fn over_tls(first: &Provider, authority: &Authority, second: &Provider, edit: impl Fn(&mut Value)) -> Gateway {
    let [bundle, mut object] = trusting("default", first, authority);
    edit(&mut object);
    let objects = [
        bundle,
        object,
        provider("default", "second", &second.url(), MODEL),
        open_route("default", "chat", MODEL, &["first", "second"]),
    ];
    Gateway::up(&file(&objects)).await
}

fn text_event(text: &str) -> String {
    chunk(MODEL, &json!([{"index": 0, "delta": {"content": text}, "finish_reason": null}]), &Value::Null)
}

#[tokio::test]
async fn f02_an_address_that_answers_nothing_is_passed_over_by_the_time_limit_and_then_left_out() {
    // A queue of one that nobody takes from: the kernel drops every further SYN.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a port is free");
    let black_hole = socket.listen(1).expect("it listens");
    let address = black_hole.local_addr().expect("a bound socket has an address");
    let mut filling = Vec::new();
    while let Ok(connected) =
        tokio::time::timeout(Duration::from_millis(300), tokio::net::TcpStream::connect(address)).await
    {
        filling.push(connected.expect("the kernel takes it"));
    }
    let second = second().await;
    let mut first = provider("default", "first", &format!("http://{address}/v1"), MODEL);
    first["spec"]["health"] = json!({"consecutiveFailures": 1});
    let objects = [
        first,
        provider("default", "second", &second.url(), MODEL),
        open_route("default", "chat", MODEL, &["first", "second"]),
    ];
    let gateway = Gateway::up(&file(&objects)).await;
    for attempts in ["2", "1", "1"] {
        let asked = Instant::now();
        let reply = gateway.client().chat(MODEL).await;
        println!("{attempts} attempts: {:?}", asked.elapsed());
        assert_eq!((reply.text().as_str(), reply.header("x-weir-attempts")), ("from the second", attempts));
    }
    let line = &gateway.access_log(1).await[0];
    assert_eq!(line["failed_attempts"][0]["error"], "connect", "{line}");
}

#[tokio::test]
async fn f04_a_certificate_that_is_expired_anothers_or_its_own_gets_no_byte_of_a_request() {
    let authority = Authority::default();
    for (why, acceptor) in [
        ("expired", authority.expired_acceptor(&["localhost"], PROTOCOLS)),
        ("for another name", authority.acceptor(&["other.example"], PROTOCOLS)),
        ("self-signed", self_signed_acceptor(&["localhost"], PROTOCOLS)),
        ("of a stranger", Authority::default().acceptor(&["localhost"], PROTOCOLS)),
    ] {
        let (first, second) = (Provider::start_with(acceptor).await, second().await);
        let gateway = over_tls(&first, &authority, &second, |_| {}).await;
        let attempts = |reply: &weir_tests::client::Reply| reply.header("x-weir-attempts").to_owned();
        let reply = gateway.client().chat(MODEL).await;
        assert_eq!((reply.text().as_str(), &*attempts(&reply)), ("from the second", "2"), "{why}");
        let line = &gateway.access_log(1).await[0];
        assert_eq!(line["failed_attempts"][0]["error"], "certificate", "{why}: {line}");
        assert_eq!(attempts(&gateway.client().chat(MODEL).await), "1", "{why}: left out at once");
        assert_eq!((first.connections(), first.handshakes(), first.requests().len()), (1, 0, 0), "{why}");
    }
}

#[tokio::test]
async fn f04_the_status_says_that_a_certificate_is_not_valid() {
    let authority = Authority::default();
    let upstream = Provider::start_with(authority.expired_acceptor(&["localhost"], PROTOCOLS)).await;
    let mut fleet = Fleet::install().await;
    fleet.start_operator(0).await;
    fleet.start_dataplane(0).await;
    let [bundle, first] = trusting(TEAM, &upstream, &authority);
    fleet.apply(&[bundle, first, open_route(TEAM, "chat", MODEL, &["first"])]);
    fleet.wait_ready("llmroute/chat", TEAM);
    let asked = Instant::now();
    assert_eq!(fleet.clients()[0].chat(MODEL).await.status, 502);
    let said = fleet.until("provider.weir.dev/first", TEAM, "Healthy", |is| is.status == "False").await;
    println!("in the status {:?} after the first request", asked.elapsed());
    assert_eq!(said.reason, "CertificateInvalid", "{said:?}");
    assert!(said.message.contains("Expired"), "{said:?}");
}

#[tokio::test]
async fn f05_a_tls_handshake_that_stands_still_is_given_up_and_the_next_target_answers() {
    let authority = Authority::default();
    let (first, second) = (Provider::start_tls(&authority, &["localhost"]).await, second().await);
    first.always(Script::chat("from the first", Usage::of(7, 3)));
    let gateway = over_tls(&first, &authority, &second, |first| {
        first["spec"]["timeouts"] = json!({"connect": "300ms"});
        first["spec"]["health"] = json!({"consecutiveFailures": 100});
    })
    .await;
    for stall in [Accept::Silent, Accept::HalfShaken] {
        first.next_connection(stall);
        let asked = Instant::now();
        let reply = gateway.client().chat(MODEL).await;
        println!("{stall:?}: {:?}", asked.elapsed());
        assert_eq!((reply.text().as_str(), reply.header("x-weir-attempts")), ("from the second", "2"), "{stall:?}");
    }
    assert_eq!(gateway.client().chat(MODEL).await.text(), "from the first", "the next handshake is a new one");
    assert_eq!((first.connections(), first.handshakes()), (3, 1));
}

#[tokio::test]
async fn f10_bytes_without_content_end_at_the_first_tokens_time_however_many_they_are() {
    for pings in [": ping\n\n", "data: \n\n", ": "] {
        let (first, second) = (Provider::start().await, second().await);
        let mut slow = provider("default", "first", &first.url(), MODEL);
        slow["spec"]["timeouts"] = json!({"firstToken": "300ms"});
        let objects = [
            slow,
            provider("default", "second", &second.url(), MODEL),
            open_route("default", "chat", MODEL, &["first", "second"]),
        ];
        let gateway = Gateway::up(&file(&objects)).await;
        first.next(Script::stream([""; 0]).endless(pings));
        assert_eq!(gateway.client().chat_stream(MODEL).await.text().await, "from the second", "{pings:?}");
        first.request(0).await.until_gone().await;
    }
}

#[tokio::test]
async fn f10_pings_without_a_pause_do_not_keep_a_stream_from_its_time_limit() {
    let upstream = Provider::start().await;
    let mut route = open_route("default", "chat", MODEL, &["upstream"]);
    route["spec"]["timeouts"] = json!({"request": "1s"});
    let gateway = Gateway::up(&file(&[provider("default", "upstream", &upstream.url(), MODEL), route])).await;
    upstream.next(Script::stream([text_event("Hello ")]).endless(": ping\n\n".repeat(500)));
    let mut stream = gateway.client().chat_stream(MODEL).await;
    let mut last = String::new();
    let ends = async {
        while let Some(event) = stream.event().await.expect("it ends in order") {
            last = event;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ends).await.expect("the stream ends by its limit");
    assert!(last.contains("upstream_timeout"), "{last}");
}

#[tokio::test]
async fn f16_an_event_of_14_mib_passes_and_one_of_17_mib_is_a_broken_answer() {
    const MIB: usize = 1024 * 1024;
    let upstream = Provider::start().await;
    let mut object = provider("default", "upstream", &upstream.url(), MODEL);
    object["spec"]["health"] = json!({"consecutiveFailures": 100});
    let mut route = open_route("default", "chat", MODEL, &["upstream"]);
    route["spec"]["retry"] = json!({"maxAttempts": 1});
    let gateway = Gateway::up(&file(&[object, route])).await;
    let finish = chunk(MODEL, &json!([{"index": 0, "delta": {}, "finish_reason": "stop"}]), &Value::Null);
    let before = gateway.process().memory("VmHWM");
    upstream.next(Script::stream([text_event(&"x".repeat(14 * MIB)), finish, "data: [DONE]\n\n".into()]));
    assert_eq!(gateway.client().chat_stream(MODEL).await.text().await.len(), 14 * MIB);
    let peak = gateway.process().memory("VmHWM") - before;
    println!("14 MiB in one event: {} KiB more at the peak, {:.2} times the event", peak, peak as f64 / 1024.0 / 14.0);
    let large = text_event(&"x".repeat(17 * MIB));
    upstream.next(Script::stream([large.clone()]));
    assert_eq!(gateway.client().chat_stream(MODEL).await.status, 502, "before any content");
    upstream.next(Script::stream([text_event("Hello "), large]));
    let (events, cut) = gateway.client().chat_stream(MODEL).await.events().await;
    assert!(cut.is_none(), "it ends in order");
    assert_eq!(events.len(), 2, "nothing of the large event passes");
    assert!(events[1].contains("\"error\""), "{}", events[1]);
}

#[tokio::test]
async fn f25_an_outage_of_every_target_reaches_them_hardly_amplified_and_heals() {
    let (first, second) = (Provider::start().await, Provider::start().await);
    for upstream in [&first, &second] {
        upstream.always(Script::error(503, "server_error", None, "down"));
    }
    let objects = [
        provider("default", "first", &first.url(), MODEL),
        provider("default", "second", &second.url(), MODEL),
        open_route("default", "chat", MODEL, &["first", "second"]),
    ];
    let gateway = Gateway::up(&file(&objects)).await;
    let asked: Vec<_> = (0..20)
        .map(|_| {
            let client = gateway.client();
            tokio::spawn(async move {
                for _ in 0..25 {
                    let reply = client.chat(MODEL).await;
                    assert!(matches!(reply.status.as_u16(), 502 | 503), "{}", reply.status);
                    assert_eq!(reply.header("x-should-retry"), "false");
                }
            })
        })
        .collect();
    for asked in asked {
        asked.await.expect("each is refused in order");
    }
    let attempts = first.requests().len() + second.requests().len();
    println!("500 requests, {attempts} attempts");
    assert!(attempts <= 600, "{attempts} attempts of 500 requests");
    for upstream in [&first, &second] {
        upstream.always(Script::chat("Hello", Usage::of(7, 3)));
    }
    let healed = Instant::now();
    wait::until_true("it answers again", || async { gateway.client().chat(MODEL).await.status == 200 }).await;
    println!("answers {:?} after the targets do", healed.elapsed());
    for _ in 0..20 {
        assert_eq!(gateway.client().chat(MODEL).await.text(), "Hello", "and from then on always");
    }
}

#[tokio::test]
async fn f82_a_lossy_and_jittery_way_to_an_upstream_ejects_nobody() {
    let (first, second) = (Provider::start().await, second().await);
    first.always(Script::chat("from the first and only it", Usage::of(7, 3)));
    let badness =
        Badness { jitter: Duration::from_millis(200), loss_percent: 5, resent_after: Duration::from_millis(400) };
    let way = Delay::before(first.address(), badness).await;
    let objects = [
        provider("default", "first", &format!("http://{}/v1", way.address()), MODEL),
        provider("default", "second", &second.url(), MODEL),
        open_route("default", "chat", MODEL, &["first", "second"]),
    ];
    let gateway = Gateway::up(&file(&objects)).await;
    let asked: Vec<_> = (0..50)
        .map(|n| {
            let client = gateway.client();
            tokio::spawn(async move {
                for _ in 0..3 {
                    let text = if n % 2 == 0 {
                        client.chat(MODEL).await.text()
                    } else {
                        client.chat_stream(MODEL).await.text().await
                    };
                    assert_eq!(text, "from the first and only it");
                }
            })
        })
        .collect();
    for asked in asked {
        asked.await.expect("each is answered");
    }
    assert!(second.requests().is_empty(), "no attempt failed, and nobody was left out");
}
