//! What requests under a Budget and a rate notice of a leader that dies and of a store that is away.
//!
//! `tests/run cargo bench --profile quick -p weir-tests --bench outage`. Prints figures, asserts none.

use serde_json::{Value, json};
use std::time::{Duration, Instant};
use weir_tests::client::Client;
use weir_tests::fleet::Fleet;
use weir_tests::helm::NAMESPACE;
use weir_tests::manifests::{budget, cent, open_route, secret};
use weir_tests::redis::Redis;

/// Between two requests to each pod.
const PACE: Duration = Duration::from_millis(5);
/// How long each of the phases lasts.
const PHASE: Duration = Duration::from_secs(15);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure());
}

async fn measure() {
    let mut redis = Redis::start(true);
    let fleet = Fleet::install_with(&json!({"ledger": {"redisSecretName": "ledger"}})).await;
    fleet.apply(&[secret(NAMESPACE, "ledger", "url", &redis.url())]);
    let fleet = fleet.run(2).await;
    let mut route = open_route(NAMESPACE, "chat", "m", &["cent"]);
    route["spec"]["rateLimits"] = json!([{"name": "all", "requests": 100_000, "per": "1m"}]);
    fleet.apply(&[cent(NAMESPACE, "cent"), route, budget(NAMESPACE, "team", "100000")]);
    fleet.wait_ready("budget/team", NAMESPACE);
    fleet.wait_ready("llmroute/chat", NAMESPACE);
    let clients = fleet.clients();
    phase("warming up", &clients).await;
    phase("all is well", &clients).await;
    let leader = fleet.leader().await;
    fleet.operators[leader].process.kill();
    phase("the leader dies", &clients).await;
    phase("another one leads", &clients).await;
    redis.kill();
    phase("the store is away", &clients).await;
    redis.resume();
    phase("it is back", &clients).await;
}

/// An even flow to each pod over one connection; prints how it was answered.
async fn phase(what: &str, clients: &[Client]) {
    let flows = clients.iter().cloned().map(|client| tokio::spawn(flow(client)));
    let mut answers = Vec::new();
    for flow in flows.collect::<Vec<_>>() {
        answers.extend(flow.await.expect("a flow ends"));
    }
    let refused = answers.iter().filter(|(status, _)| *status != 200).count();
    let mut taken: Vec<Duration> = answers.into_iter().map(|(_, taken)| taken).collect();
    taken.sort();
    let at = |per_mille: usize| taken[(taken.len() * per_mille / 1_000).min(taken.len() - 1)].as_secs_f64() * 1e3;
    let [p50, p99, p999] = [500, 990, 999].map(at);
    println!("{what}: p50 {p50:.2} ms, p99 {p99:.2} ms, p99.9 {p999:.2} ms, {refused} of {} refused", taken.len());
}

async fn flow(client: Client) -> Vec<(u16, Duration)> {
    let (mut answers, mut connection) = (Vec::new(), client.connect().await.expect("a pod accepts a connection"));
    let body = bytes::Bytes::from(Value::to_string(&json!({"model": "m", "messages": []})));
    let (end, mut pace) = (Instant::now() + PHASE, tokio::time::interval(PACE));
    while Instant::now() < end {
        pace.tick().await;
        let asked = Instant::now();
        let request = client.request(http::Method::POST, "/v1/chat/completions", body.clone());
        let answer = connection.send(request).await.expect("an answer");
        let status = answer.status().as_u16();
        http_body_util::BodyExt::collect(answer.into_body()).await.expect("a whole answer");
        answers.push((status, asked.elapsed()));
    }
    answers
}
