//! Traffic never fails while the control plane does: operator killed, leader moved, API server away, pod restarted.

use bytes::Bytes;
use http::Method;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use weir_tests::client::{Client, chat};
use weir_tests::fleet::{Fleet, TEAM};
use weir_tests::manifests::{aliased_route, open_route, provider};
use weir_tests::provider::{Provider, Script, Step, Usage};
use weir_tests::wait;

const MODEL: &str = "gpt-test";

/// Between two requests of one caller: the load is there to notice failures, not to starve what it watches.
const PACE: Duration = Duration::from_millis(10);

/// Bytes of a prompt that takes a pod a while.
const LARGE: usize = 8 * 1024 * 1024;

/// Requests until it is stopped; every failure is kept.
struct Load {
    running: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    tasks: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Load {
    fn on(clients: Vec<Client>) -> Self {
        let (running, done) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
        let tasks =
            clients.into_iter().map(|client| tokio::spawn(ask(client, Arc::clone(&running), Arc::clone(&done))));
        let tasks = tasks.collect();
        Self { running, done, tasks }
    }

    /// Waits until so many more requests are answered.
    async fn answers(&self, more: usize) {
        let goal = self.done.load(Ordering::Relaxed) + more;
        wait::until_true("requests are answered", || async { self.done.load(Ordering::Relaxed) >= goal }).await;
    }

    /// Ends it; panics where any request failed.
    async fn none_failed(self) {
        self.running.store(false, Ordering::Relaxed);
        for task in self.tasks {
            let failures = task.await.expect("the load does not panic");
            assert!(failures.is_empty(), "{} failed, the first with {}", failures.len(), failures[0]);
        }
    }
}

async fn ask(client: Client, running: Arc<AtomicBool>, done: Arc<AtomicUsize>) -> Vec<String> {
    let mut failures = Vec::new();
    let mut pace = tokio::time::interval(PACE);
    while running.load(Ordering::Relaxed) {
        pace.tick().await;
        let reply = client.chat(MODEL).await;
        if reply.status != 200 {
            failures.push(format!("{} {}", reply.status, String::from_utf8_lossy(&reply.body)));
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
    failures
}

async fn serving(upstream: &Provider) -> Fleet {
    let fleet = Fleet::start().await;
    fleet.apply(&[provider(TEAM, "upstream", &upstream.url(), MODEL), open_route(TEAM, "chat", MODEL, &["upstream"])]);
    fleet.wait_ready("llmroute/chat", TEAM);
    fleet
}

fn load(fleet: &Fleet) -> Load {
    Load::on(fleet.clients())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_operator_leads_when_the_leader_is_killed() {
    let upstream = Provider::start().await;
    let fleet = serving(&upstream).await;
    let load = load(&fleet);
    let first = fleet.leader().await;
    fleet.operators[first].process.kill();
    load.answers(20).await;
    fleet.apply(&[aliased_route(TEAM, "later", "upstream", MODEL)]);
    assert_ne!(fleet.leader().await, first);
    fleet.wait_ready("llmroute/later", TEAM);
    load.answers(20).await;
    load.none_failed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_serve_on_without_api_server_and_operators() {
    let upstream = Provider::start().await;
    let mut fleet = serving(&upstream).await;
    let running = load(&fleet);
    fleet.api.stop();
    running.answers(50).await;
    for operator in &fleet.operators {
        operator.process.kill();
    }
    running.answers(50).await;
    fleet.api.resume().await;
    for number in 0..2 {
        fleet.start_operator(number).await;
    }
    running.answers(50).await;
    running.none_failed().await;
    assert!(fleet.condition("llmroute/chat", TEAM, "Ready").status == "True", "nothing was concluded from the outage");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_pod_serves_from_its_own_copy_without_an_operator() {
    let upstream = Provider::start().await;
    let mut fleet = serving(&upstream).await;
    for operator in &fleet.operators {
        operator.process.kill();
    }
    fleet.dataplanes[0].process.kill();
    fleet.restart_dataplane(0).await;
    assert_eq!(fleet.dataplanes[0].client().chat(MODEL).await.text(), "Hello");
}

/// A chat whose prompt is large.
fn large_chat() -> Bytes {
    let mut body = chat(MODEL);
    body["messages"][0]["content"] = json!("x".repeat(LARGE));
    Bytes::from(body.to_string())
}

/// Sends a request whose body stops half-way; the connection must be kept.
async fn half_sent(client: &Client) -> TcpStream {
    let body = large_chat();
    let length = body.len();
    let head = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: weir\r\ncontent-length: {length}\r\n\r\n");
    let mut socket = TcpStream::connect(client.address()).await.expect("the pod accepts a connection");
    socket.write_all(head.as_bytes()).await.expect("the pod reads");
    socket.write_all(&body[..length / 2]).await.expect("the pod reads");
    socket
}

#[tokio::test(flavor = "multi_thread")]
async fn f38_a_pod_killed_amid_large_bodies_harms_no_other_and_comes_back_by_itself() {
    const BODIES: usize = 4;
    let upstream = Provider::start().await;
    let mut fleet = serving(&upstream).await;
    upstream.respond(|asked| match asked.body.len() {
        LARGE.. => Script::default().step(Step::Stall),
        _ => Script::chat("Hello", Usage::of(7, 3)),
    });
    let (doomed, other) = (fleet.dataplanes[0].client(), fleet.dataplanes[1].client());
    let running = Load::on(vec![other]);
    let (mut halves, mut wholes) = (Vec::new(), Vec::new());
    for _ in 0..BODIES {
        halves.push(half_sent(&doomed).await);
        let client = doomed.clone();
        wholes.push(tokio::spawn(async move {
            let mut sender = client.connect().await?;
            let request = client.request(Method::POST, "/v1/chat/completions", large_chat());
            sender.send(request).await.map_err(std::io::Error::other)
        }));
    }
    wait::until_true("large bodies are at the provider", || async {
        upstream.requests().iter().filter(|asked| asked.body.len() >= LARGE).count() == BODIES
    })
    .await;
    for operator in &fleet.operators {
        operator.process.kill();
    }
    running.answers(20).await;
    fleet.dataplanes[0].process.kill();
    for whole in wholes {
        assert!(whole.await.expect("a client does not panic").is_err(), "what was in flight is lost");
    }
    running.answers(50).await;
    let restarted = Instant::now();
    fleet.restart_dataplane(0).await;
    println!("ready again after {:?}, without an operator", restarted.elapsed());
    assert_eq!(fleet.dataplanes[0].client().chat(MODEL).await.text(), "Hello");
    running.answers(50).await;
    running.none_failed().await;
    drop(halves);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_changes_fail_no_request_of_an_unchanged_route() {
    let upstream = Provider::start().await;
    let fleet = serving(&upstream).await;
    let load = load(&fleet);
    for change in 0..200 {
        let mut other = aliased_route(TEAM, "other", "upstream", MODEL);
        other["spec"]["rules"][0]["targets"][0]["weight"] = json!(1 + change);
        fleet.apply(&[other]);
    }
    fleet.wait_ready("llmroute/other", TEAM);
    load.none_failed().await;
}
