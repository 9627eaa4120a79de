//! Nobody has to read a gateway's log or its metrics: requests are answered all the same.

use std::time::{Duration, Instant};
use weir_tests::apiserver::free_address;
use weir_tests::client::Client;
use weir_tests::gateway::{Gateway, binary};
use weir_tests::manifests::{file, open_route, provider};
use weir_tests::process::Process;
use weir_tests::provider::{Provider, Script, Usage};
use weir_tests::raw::Raw;
use weir_tests::wait;

const MODEL: &str = "gpt-test";

async fn dropped(admin: &Client) -> u64 {
    let metrics = admin.get("/metrics").await;
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("weir_log_lines_dropped_total "));
    line.and_then(|count| count.parse().ok()).expect("the metric is there")
}

/// So many requests over one connection, each of which is one line; how long the slowest but one of a hundred took.
async fn ask(client: &Client, requests: usize) -> Duration {
    let mut connection = client.connect().await.expect("it accepts");
    let mut took = Vec::new();
    for _ in 0..requests {
        let asked = Instant::now();
        let request = client.request(http::Method::GET, "/v1/models", bytes::Bytes::new());
        let answer = connection.send(request).await.expect("it answers");
        http_body_util::BodyExt::collect(answer.into_body()).await.expect("the answer is whole");
        took.push(asked.elapsed());
    }
    took.sort();
    took[requests * 99 / 100]
}

#[tokio::test]
async fn f80_a_log_that_nobody_reads_holds_no_request_up_and_what_it_loses_is_counted() {
    let upstream = Provider::start().await;
    upstream.always(Script::chat("Hello", Usage::of(7, 3)));
    let gateway = Gateway::up_unread(&file(&[
        provider("default", "upstream", &upstream.url(), MODEL),
        open_route("default", "chat", MODEL, &["upstream"]),
    ]))
    .await;
    println!("p99 while the queue fills: {:?}", ask(&gateway.client(), 2_000).await);
    assert_eq!(dropped(&gateway.admin()).await, 0);
    let mut asked = 2_000;
    while dropped(&gateway.admin()).await == 0 {
        assert!(asked < 50_000, "the queue has no bound");
        ask(&gateway.client(), 1_000).await;
        asked += 1_000;
    }
    println!("p99 while it is full, after {asked}: {:?}", ask(&gateway.client(), 2_000).await);
    assert_eq!(gateway.client().chat(MODEL).await.text(), "Hello");
    let lost = dropped(&gateway.admin()).await;
    gateway.process().read();
    let written = usize::try_from(asked as u64 + 2_001 - lost).expect("a count");
    assert_eq!(gateway.access_log(written).await.len(), written, "what is not counted as lost is written");
    gateway.client().chat(MODEL).await;
    wait::until_true("the log goes on", || async {
        gateway.process().output().last().is_some_and(|line| line.contains("chat/completions"))
    })
    .await;
    assert_eq!(dropped(&gateway.admin()).await, lost);
}

#[tokio::test]
async fn f80_the_processs_own_log_holds_nobody_up_either() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (listen, admin) = (free_address(), free_address());
    let mut command = binary("weir-dataplane");
    command.env("WEIR_LOG", "trace").args(["--operator", "127.0.0.1:1"]);
    command.args(["--listen", &listen.to_string(), "--admin", &admin.to_string()]);
    for flag in ["--operator-ca", "--token-file"] {
        command.arg(flag).arg(folder.path().join(flag));
    }
    let process = Process::spawn_unread("weir-dataplane", &mut command);
    wait::until_true("it listens", || async { Client::new(listen).connect().await.is_ok() }).await;
    let mut asked = 0;
    while dropped(&Client::new(admin)).await == 0 {
        assert!(asked < 50_000, "the queue has no bound");
        ask(&Client::new(listen), 500).await;
        asked += 500;
    }
    println!("full after {asked} requests at the most talkative level");
    ask(&Client::new(listen), 500).await;
    process.read();
    // Whatever is told while the queue is still full is dropped, the last words too.
    wait::until_true("the queue has room again", || async {
        let before = dropped(&Client::new(admin)).await;
        ask(&Client::new(listen), 1).await;
        dropped(&Client::new(admin)).await == before
    })
    .await;
    process.signal("TERM");
    process.line("that it drains", |line| line.contains("\"message\":\"draining\"").then_some(())).await;
}

#[tokio::test]
async fn f80_a_reader_of_metrics_that_does_not_read_holds_nobody_up() {
    let upstream = Provider::start().await;
    upstream.always(Script::chat("Hello", Usage::of(7, 3)));
    let gateway = Gateway::up(&file(&[
        provider("default", "upstream", &upstream.url(), MODEL),
        open_route("default", "chat", MODEL, &["upstream"]),
    ]))
    .await;
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut reader = Raw::connect(gateway.admin_address()).await;
        // Far more answers than its buffers hold.
        let _ = tokio::time::timeout(
            Duration::from_millis(100),
            reader.send("GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n".repeat(20_000)),
        )
        .await;
        slow.push(reader);
    }
    for _ in 0..20 {
        assert_eq!(gateway.client().chat(MODEL).await.text(), "Hello");
        assert_eq!(gateway.admin().get("/metrics").await.status, 200);
        assert_eq!(gateway.admin().get("/readyz").await.status, 200);
    }
}
