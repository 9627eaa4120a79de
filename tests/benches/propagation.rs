//! How long from a write at the API server until each pod serves by it, and what an idle pod weighs.
//!
//! `tests/run cargo bench --profile quick -p weir-tests --bench propagation`. Prints figures, asserts none.

use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use weir_crds::LLMRoute;
use weir_tests::client::{Client, Sender};
use weir_tests::fleet::{Fleet, TEAM};
use weir_tests::manifests::{open_route, provider};
use weir_tests::provider::Provider;

const MODEL: &str = "gpt-test";
const WRITES: usize = 60;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure());
}

async fn measure() {
    let upstream = Provider::start().await;
    let fleet = Fleet::start().await;
    let mut any = provider(TEAM, "upstream", &upstream.url(), MODEL);
    any["spec"]["modelPolicy"] = json!("Any");
    fleet.apply(&[any, open_route(TEAM, "chat", MODEL, &["upstream"])]);
    fleet.wait_ready("llmroute/chat", TEAM);
    for dataplane in &fleet.dataplanes {
        println!("idle {}: {} kB resident", dataplane.name, resident_kb(dataplane.process.id()));
    }
    report("1 route", &fleet).await;
    let many: Vec<Value> =
        (0..1_000).map(|n| open_route(TEAM, &format!("r{n}"), &format!("m{n}"), &["upstream"])).collect();
    for part in many.chunks(100) {
        fleet.apply(part);
    }
    weir_tests::fleet::until_status(&fleet.clients(), "m999", 200).await;
    report("1,001 routes", &fleet).await;
    for dataplane in &fleet.dataplanes {
        println!("1,001 routes {}: {} kB resident", dataplane.name, resident_kb(dataplane.process.id()));
    }
}

/// Writes, and prints how long they took to be served and what they cost each process.
async fn report(what: &str, fleet: &Fleet) {
    let pods = fleet.dataplanes.iter().map(|dataplane| (&dataplane.name, dataplane.process.id()));
    let operators = fleet.operators.iter().map(|operator| (&operator.name, operator.process.id()));
    let processes: Vec<_> = operators.chain(pods).map(|(name, pid)| (name, pid, cpu_ticks(pid))).collect();
    println!("{}", figures(what, &writes(fleet, WRITES).await));
    for (name, pid, before) in processes {
        // A tick is 10 ms on every Linux.
        let spent = (cpu_ticks(pid) - before) as f64 * 10.0 / WRITES as f64;
        println!("CPU a write, {what}: {name} {spent:.1} ms");
    }
}

/// Time from the answered write until the slowest pod serves by it, for each of so many writes.
async fn writes(fleet: &Fleet, count: usize) -> Vec<Duration> {
    let routes: Api<LLMRoute> = Api::namespaced(fleet.api.admin().await, TEAM);
    let mut pods = Vec::new();
    for client in fleet.clients() {
        let sender = client.connect().await.expect("a pod accepts a connection");
        pods.push((client, sender));
    }
    let mut taken = Vec::with_capacity(count);
    // Pushes refill at ten a second; a faster writer would measure that.
    let mut pace = tokio::time::interval(Duration::from_millis(150));
    for n in 0..count {
        pace.tick().await;
        let alias = format!("alias-{n}-{}", taken.len());
        let models = json!({"spec": {"models": [{"name": MODEL, "aliases": [alias]}]}});
        routes.patch("chat", &PatchParams::default(), &Patch::Merge(models)).await.expect("the route is written");
        let written = Instant::now();
        for (client, sender) in &mut pods {
            served(client, sender, &alias).await;
        }
        taken.push(written.elapsed());
    }
    taken.sort();
    taken
}

async fn served(client: &Client, sender: &mut Sender, model: &str) {
    loop {
        let request = client.request(http::Method::GET, &format!("/v1/models/{model}"), bytes::Bytes::new());
        let answer = sender.send(request).await.expect("an answer");
        let status = answer.status();
        http_body_util::BodyExt::collect(answer.into_body()).await.expect("a whole answer");
        if status == 200 {
            return;
        }
    }
}

fn figures(what: &str, sorted: &[Duration]) -> String {
    let at = |percent: usize| sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)].as_secs_f64() * 1e3;
    format!("write to served, {what}: p50 {:.1} ms, p99 {:.1} ms over {} writes", at(50), at(99), sorted.len())
}

fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    // User and system time, fields 14 and 15 of the line, of which the name is the second.
    after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
}

fn resident_kb(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}
