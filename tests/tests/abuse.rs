//! One tenant does everything that it should not, for a minute, and the other is served as before.
//!
//! Real processes: an API server, an operator, a data plane. `--nocapture` shows the figures.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use weir_tests::client::{Client, chat};
use weir_tests::fleet::{Fleet, OTHER_TEAM, TEAM};
use weir_tests::manifests::{api_key, budget, provider, route};
use weir_tests::provider::{Provider, Script, Usage, chunk};
use weir_tests::raw::Raw;
use weir_tests::wait;

const MODEL: &str = "gpt-test";
/// Clients of the tenant that does harm, in eight kinds.
const CLIENTS: usize = 64;
/// How long it goes on.
const ABUSE: Duration = Duration::from_secs(60);
/// How long the other tenant is measured alone.
const ALONE: Duration = Duration::from_secs(10);
/// Requests of the other tenant, a second.
const RATE: u32 = 50;
/// Four fifths of the limits that the chart sets, in KiB.
const DATAPLANE_KIB: u64 = 1_024 * 1_024 / 5 * 4;
const OPERATOR_KIB: u64 = 512 * 1_024 / 5 * 4;
/// Pieces of a stream that is broken off by its client.
const PIECES: usize = 40;

/// What the abuse came to.
#[derive(Default)]
struct Count {
    over: AtomicBool,
    requests: AtomicU64,
    /// Pieces of text that the harmful tenant's clients read before they left.
    passed: AtomicU64,
}

fn shared(upstream: &Provider) -> Value {
    let mut object = provider(OTHER_TEAM, "shared", &upstream.url(), MODEL);
    object["spec"]["allowedNamespaces"] = json!({"from": "All"});
    object["spec"]["models"][0]["pricing"] = json!({"currency": "USD", "input": "1", "output": "10"});
    object
}

/// A route of the namespace to the shared Provider.
fn to_shared(namespace: &str) -> Value {
    let mut route = route(namespace, "chat", MODEL, &["shared"]);
    route["spec"]["rules"][0]["targets"][0]["providerRef"]["namespace"] = json!(OTHER_TEAM);
    route
}

/// The answer of the upstream: it names its rates, as real ones do, and takes its time.
fn answer(streamed: bool) -> Script {
    if !streamed {
        return Script::chat("Hello", Usage::of(7, 3));
    }
    let piece = |text: &str| {
        chunk(MODEL, &json!([{"index": 0, "delta": {"content": text}, "finish_reason": null}]), &Value::Null)
    };
    let script = Script::stream((0..PIECES).map(|_| piece("word ")));
    let end = chunk(MODEL, &json!([{"index": 0, "delta": {}, "finish_reason": "stop"}]), &Value::Null);
    script.body(end).body("data: [DONE]\n\n")
}

/// One request of that kind.
async fn abuse(kind: usize, number: u64, client: &Client, count: &Count) {
    let path = "/v1/chat/completions";
    match kind {
        // A large body that has to be translated, or cannot be.
        0 => {
            let mut body = chat(MODEL);
            body["messages"][0]["content"] = json!("words ".repeat(200_000));
            let _ = client.post(path, &body).await;
        }
        // A partition of its own for each request.
        1 => {
            let _ = client.with_header("x-tenant", &format!("{number}-{}", "p".repeat(200))).chat("limited").await;
        }
        // A stream that is left after some of it.
        2 => {
            let mut stream = client.chat_stream(MODEL).await;
            for _ in 0..PIECES / 2 {
                match stream.event().await {
                    Ok(Some(event)) => {
                        let words = event.matches("word").count() as u64;
                        count.passed.fetch_add(words, Ordering::Relaxed);
                    }
                    _ => break,
                }
            }
        }
        // A Provider whose name is no name.
        3 => {
            let _ = client.chat("nowhere").await;
        }
        // More output than there is.
        4 => {
            let mut body = chat(MODEL);
            body["max_tokens"] = json!([u64::MAX, 1_000_000_000_000, 100_000_000][(number % 3) as usize]);
            let _ = client.post(path, &body).await;
        }
        // A Provider that leads back to the gateway.
        5 => {
            let _ = client.chat("loop").await;
        }
        // A body that does not come.
        6 => {
            let mut raw = Raw::connect(client.address()).await;
            let _ = raw.send(format!("POST {path} HTTP/1.1\r\nhost: weir\r\ncontent-length: 8000000\r\n\r\n{{")).await;
            let _ = tokio::time::timeout(Duration::from_secs(2), raw.read()).await;
        }
        // Many short-lived lists of an array that is no request.
        _ => {
            let body =
                format!("{{\"model\":\"{MODEL}\",\"messages\":[],\"stop\":[{}]}}", vec!["\"\""; 100_000].join(","));
            let _ = client.send(Method::POST, path, Bytes::from(body)).await.whole().await;
        }
    }
    count.requests.fetch_add(1, Ordering::Relaxed);
}

/// The other tenant's requests at a steady rate; how long each took.
async fn steady(client: &Client, span: Duration) -> Vec<Duration> {
    let began = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / RATE);
    let mut asked = Vec::new();
    while began.elapsed() < span {
        ticks.tick().await;
        let client = client.clone();
        asked.push(tokio::spawn(async move {
            let asked = Instant::now();
            let reply = client.chat(MODEL).await;
            assert_eq!(reply.status, 200, "the other tenant: {}", String::from_utf8_lossy(&reply.body));
            asked.elapsed()
        }));
    }
    let mut took = Vec::with_capacity(asked.len());
    for one in asked {
        took.push(one.await.expect("every request of the other tenant is answered"));
    }
    took.sort_unstable();
    took
}

fn percentile(took: &[Duration], percent: usize) -> Duration {
    took[(took.len() * percent / 100).min(took.len() - 1)]
}

/// Dollars that a Budget says are spent.
fn spent(fleet: &Fleet, namespace: &str) -> f64 {
    let status = fleet.stored("budget.weir.dev/month", namespace)["status"].clone();
    let text = status["spent"].as_str().unwrap_or("0").to_owned();
    text.split(' ').next().and_then(|amount| amount.parse().ok()).unwrap_or(f64::NAN)
}

/// What both tenants have: keys, routes and Budgets, and what the harmful one has besides.
fn objects(upstream: &Provider, gateway: &str, keys: [Value; 2]) -> Vec<Value> {
    let mut limited = to_shared(TEAM);
    limited["metadata"]["name"] = json!("limited");
    limited["spec"]["models"] = json!([{"name": "limited"}]);
    limited["spec"]["rules"][0]["targets"][0]["model"] = json!(MODEL);
    limited["spec"]["rateLimits"] =
        json!([{"name": "each", "requests": 5, "per": "1m", "partitionBy": ["Header"], "header": "x-tenant"}]);
    // Where this machine is too busy for the ledger's leader to answer in time, it counts all the same.
    let mut ours = budget(OTHER_TEAM, "month", "1000000");
    ours["spec"]["failureMode"] = json!("Open");
    let own = [
        shared(upstream),
        to_shared(TEAM),
        to_shared(OTHER_TEAM),
        limited,
        provider(TEAM, "nowhere", "http://no-such-name.invalid:1", "nowhere"),
        route(TEAM, "nowhere", "nowhere", &["nowhere"]),
        provider(TEAM, "loop", gateway, "loop"),
        route(TEAM, "loop", "loop", &["loop"]),
        budget(TEAM, "month", "1000000"),
        ours,
    ];
    own.into_iter().chain(keys).collect()
}

/// Clients that do harm until it is over.
fn clients(harmful: &Client, count: &Arc<Count>) -> Vec<tokio::task::JoinHandle<()>> {
    let client = |client: usize| {
        let (harmful, count) = (harmful.clone(), Arc::clone(count));
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(50));
            for number in (client as u64..).step_by(CLIENTS) {
                if count.over.load(Ordering::Relaxed) {
                    return;
                }
                ticks.tick().await;
                abuse(client % 8, number, &harmful, &count).await;
            }
        })
    };
    (0..CLIENTS).map(client).collect()
}

/// Names another CA bundle that is not there, each second until it is over; how often.
async fn rename(fleet: &Fleet, count: &Count) -> u64 {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    for number in 0.. {
        if count.over.load(Ordering::Relaxed) {
            return number;
        }
        ticks.tick().await;
        let mut renamed = provider(TEAM, "nowhere", "https://no-such-name.invalid", "nowhere");
        renamed["spec"]["endpoint"] = json!({"url": "https://no-such-name.invalid"});
        renamed["spec"]["tls"] = json!({"caConfigMapRef": {"name": format!("ca-{number}")}});
        fleet.apply(&[renamed]);
    }
    0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minute_of_abuse_by_one_tenant_costs_the_other_nothing() {
    let upstream = Provider::start().await;
    upstream.respond(|request| answer(request.json()["stream"] == json!(true)));
    let mut fleet = Fleet::install().await;
    fleet.start_operator(0).await;
    fleet.start_dataplane(0).await;
    let ((harmful, their_key), (quiet, our_key)) =
        (api_key(TEAM, "harmful", &json!({})), api_key(OTHER_TEAM, "quiet", &json!({})));
    let client = fleet.dataplanes[0].client();
    let gateway = format!("http://{}/v1", client.address());
    fleet.apply(&objects(&upstream, &gateway, [their_key, our_key]));
    for namespace in [TEAM, OTHER_TEAM] {
        fleet.wait_ready("llmroute/chat", namespace);
        fleet.wait_ready("budget.weir.dev/month", namespace);
    }
    let (harmful, quiet) = (client.with_credential(&harmful), client.with_credential(&quiet));
    let alone = steady(&quiet, ALONE).await;
    let count = Arc::new(Count::default());
    let clients = clients(&harmful, &count);
    let served = async {
        let amid = steady(&quiet, ABUSE).await;
        count.over.store(true, Ordering::Relaxed);
        amid
    };
    let (renamed, amid) = tokio::join!(rename(&fleet, &count), served);
    for client in clients {
        client.await.expect("an abusive client ends as well");
    }
    let memory = [&fleet.dataplanes[0].process, &fleet.operators[0].process].map(|process| process.memory("VmHWM"));
    let requests = count.requests.load(Ordering::Relaxed);
    println!(
        "{requests} requests of abuse, {renamed} renames; p50 {:?} alone, {:?} amid it; p99 {:?} and {:?}; {memory:?} KiB",
        percentile(&alone, 50),
        percentile(&amid, 50),
        percentile(&alone, 99),
        percentile(&amid, 99),
    );
    assert!(requests > CLIENTS as u64 && renamed > 1, "there was abuse");
    assert!(memory[0] < DATAPLANE_KIB && memory[1] < OPERATOR_KIB, "{memory:?}");
    // Seven tokens in at a dollar a million, three out at ten.
    let expected = (alone.len() + amid.len()) as f64 * 37e-6;
    wait::until_true("the other tenant's Budget has exactly what its answers cost", || async {
        (spent(&fleet, OTHER_TEAM) - expected).abs() < 1e-7
    })
    .await;
    // A word is a token of output at least, whoever left before the end.
    let passed = count.passed.load(Ordering::Relaxed) as f64 * 10e-6;
    assert!(passed > 0.0, "streams were left");
    wait::until_true("what passed to the harmful tenant is charged", || async { spent(&fleet, TEAM) >= passed }).await;
    wait::until_true("nothing is held any more", || async {
        fleet.dataplanes[0].admin().metric("weir_held_bytes").await.abs() < f64::EPSILON
    })
    .await;
}
