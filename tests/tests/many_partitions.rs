//! Limits that are divided by what clients choose: their many partitions neither keep a pod from its leader nor take the
//! room of others.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use weir_tests::client::{self, Client};
use weir_tests::fleet::{Fleet, OTHER_TEAM, TEAM};
use weir_tests::helm::NAMESPACE;
use weir_tests::manifests::{budget, cent, open_route};
use weir_tests::till::Till;
use weir_tests::wait;

/// Partitions that one limit gets; `WEIR_TESTS_PARTITIONS` sets another number.
const PARTITIONS: usize = 8_500;
/// Connections that fill them side by side, to each pod.
const CONNECTIONS: usize = 16;
/// A pod is with its leader again within that time of the leader's end.
const BACK: Duration = Duration::from_secs(30);

fn partitions() -> usize {
    std::env::var("WEIR_TESTS_PARTITIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(PARTITIONS)
}

/// Asks once for each of the values of a header, over kept connections; how many were answered with each status.
async fn fill(clients: &[Client], header: &str, values: Vec<String>) -> Vec<(u16, usize)> {
    let values = std::sync::Arc::new(std::sync::Mutex::new(values));
    let mut asking = Vec::new();
    for client in clients.iter().cycle().take(clients.len() * CONNECTIONS) {
        let (client, values, header) = (client.clone(), std::sync::Arc::clone(&values), header.to_owned());
        asking.push(tokio::spawn(async move {
            let mut statuses = std::collections::BTreeMap::new();
            let mut connection = client.connect().await.expect("a connection");
            loop {
                let Some(value) = values.lock().expect("no holder panics").pop() else { return statuses };
                let body = Bytes::from(client::chat("m").to_string());
                let request = client.with_header(&header, &value).request(Method::POST, "/v1/chat/completions", body);
                let answer = connection.send(request).await.expect("an answer begins");
                *statuses.entry(answer.status().as_u16()).or_insert(0) += 1;
                let _: Bytes = http_body_util::BodyExt::collect(answer.into_body()).await.expect("it ends").to_bytes();
            }
        }));
    }
    let mut sums = std::collections::BTreeMap::new();
    for asked in asking {
        for (status, count) in asked.await.expect("a client does not panic") {
            *sums.entry(status).or_insert(0) += count;
        }
    }
    sums.into_iter().collect()
}

/// Values of which no two begin alike only.
fn values(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{}{n:08}", "v".repeat(242))).collect()
}

fn at(host: &str, mut route: Value) -> Value {
    route["spec"]["hostnames"] = json!([host]);
    route
}

/// A tenant's route with a rate by a header, and another tenant's with a hard Budget; callers of both at each pod.
async fn tenants(fleet: &Fleet) -> (Vec<Client>, Vec<Client>) {
    let mut rated = at("greedy.test", open_route(TEAM, "greedy", "m", &["cent"]));
    let by_tag =
        json!({"name": "by-tag", "requests": 1_000, "per": "1m", "partitionBy": ["Header"], "header": "x-tag"});
    rated["spec"]["rateLimits"] = json!([by_tag]);
    let mut covers = budget(NAMESPACE, "all", "100000");
    covers["spec"]["selector"]["routes"] = json!([{"namespace": OTHER_TEAM, "name": "modest"}]);
    fleet.apply(&[
        cent(TEAM, "cent"),
        rated,
        cent(OTHER_TEAM, "cent"),
        at("modest.test", open_route(OTHER_TEAM, "modest", "m", &["cent"])),
        covers,
    ]);
    fleet.wait_ready("llmroute/greedy", TEAM);
    fleet.wait_ready("llmroute/modest", OTHER_TEAM);
    fleet.wait_ready("budget/all", NAMESPACE);
    let of = |host: &str| fleet.clients().iter().map(|client| client.with_header("host", host)).collect::<Vec<_>>();
    (of("greedy.test"), of("modest.test"))
}

async fn connected(fleet: &Fleet) -> bool {
    for dataplane in &fleet.dataplanes {
        if dataplane.admin().metric("weir_ledger_connected").await != 1.0 {
            return false;
        }
    }
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_with_thousands_of_partitions_come_back_to_a_leader_and_other_tenants_spend_on() {
    let mut fleet = Fleet::start().await;
    let (greedy, modest) = tenants(&fleet).await;
    let (till, began) = (Till::default(), Instant::now());
    till.race(&modest, 20).await;
    let filled = fill(&greedy, "x-tag", values(partitions())).await;
    println!("{} partitions within {:?}: {filled:?}", partitions(), began.elapsed());
    assert_eq!(filled, [(200, partitions())]);

    let (leader, killed) = (fleet.leader().await, Instant::now());
    fleet.operators[leader].process.kill();
    fleet.start_operator(leader).await;
    wait::until_true("another one leads", || async {
        for operator in &fleet.operators {
            if operator.admin().metric("weir_operator_ledger_starts").await == fleet.dataplanes.len() as f64 {
                return true;
            }
        }
        false
    })
    .await;
    assert!(connected(&fleet).await);
    assert!(killed.elapsed() < BACK, "{:?}", killed.elapsed());
    println!("all pods are back {:?} after the leader's end", killed.elapsed());
    let till = Till::default();
    till.race(&modest, 100).await;
    assert_eq!(till.answered(), 100, "{:?}", till.counts());
}
