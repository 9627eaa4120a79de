//! One Budget holds a pot for each of hundreds of users, and hardly troubles the API server.

use serde_json::json;
use std::collections::BTreeMap;
use std::time::Instant;
use weir_tests::client::Client;
use weir_tests::fleet::Fleet;
use weir_tests::helm::NAMESPACE;
use weir_tests::kubectl;
use weir_tests::manifests::{budget, cent, open_route};
use weir_tests::till::Till;
use weir_tests::wait;

const USERS: usize = 500;
/// Those that ask more than the others.
const HEAVY: usize = 10;
/// What the ledger may write: so many at once, and so many more a second.
const LEDGER_WRITES: (usize, usize) = (20, 5);
/// How often numbers in one status may change, in seconds.
const STATUS_EVERY: usize = 10;

/// How often the API server was asked to write each resource, by its own metrics.
fn writes(fleet: &Fleet) -> BTreeMap<String, usize> {
    let text = kubectl::run(&fleet.api, &["get", "--raw", "/metrics"], "").expect("the API server counts");
    let mut counts = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("apiserver_request_total{")) {
        let label = |name: &str| line.split_once(&format!(",{name}=\""))?.1.split('"').next();
        let (Some(verb), Some(resource)) = (label("verb"), label("resource")) else { continue };
        if ["GET", "LIST", "WATCH"].contains(&verb) {
            continue;
        }
        let count: f64 = line.rsplit(' ').next().and_then(|count| count.parse().ok()).expect("a count");
        *counts.entry(resource.to_owned()).or_default() += count as usize;
    }
    counts
}

/// All of them ask at once, each until it is answered.
async fn each_is_answered(till: &Till, clients: &[Client]) {
    let asks = clients.iter().cloned().map(|client| {
        let till = till.clone();
        tokio::spawn(async move {
            wait::until_true("the user is answered", || async { till.ask(&client).await == 200 }).await;
        })
    });
    for ask in asks.collect::<Vec<_>>() {
        ask.await.expect("a user is answered");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_users_have_a_pot_each_in_one_budget_and_few_writes_tell_of_them() {
    let fleet = Fleet::start().await;
    let mut route = open_route(NAMESPACE, "chat", "m", &["cent"]);
    route["spec"]["trustedHeaders"] = json!({"user": "x-user"});
    let mut team = budget(NAMESPACE, "team", "1");
    team["spec"]["partitionBy"] = json!(["User"]);
    fleet.apply(&[cent(NAMESPACE, "cent"), route, team]);
    fleet.wait_ready("budget/team", NAMESPACE);
    fleet.wait_ready("llmroute/chat", NAMESPACE);
    let pods = fleet.clients();
    let user = |n: usize| pods[n % pods.len()].with_header("x-user", &format!("user-{n:03}"));
    let (users, till): (Vec<_>, _) = ((0..USERS).map(user).collect(), Till::default());

    let (before, began) = (writes(&fleet), Instant::now());
    each_is_answered(&till, &users).await;
    println!("{USERS} users are answered within {:?}: {:?}", began.elapsed(), till.counts());
    for _ in 0..3 {
        each_is_answered(&till, &users).await;
    }
    for _ in 0..5 {
        each_is_answered(&till, &users[..HEAVY]).await;
    }
    let status = wait::until("status tells of all", || async {
        let status = fleet.stored("budget/team", NAMESPACE)["status"].clone();
        let top = status["topPartitions"].as_array().cloned().unwrap_or_default();
        let told = top.len() == HEAVY && top.iter().all(|top| top["spent"] == "0.09");
        (told && status["partitionsTotal"] == USERS).then_some(status)
    })
    .await;
    let (after, seconds) = (writes(&fleet), began.elapsed().as_secs() as usize + 1);
    let wrote = |resource: &str| after.get(resource).copied().unwrap_or(0) - before.get(resource).copied().unwrap_or(0);
    let (ledger, statuses) = (wrote("configmaps"), wrote("budgets"));
    println!("{:?} in {seconds} s: {ledger} writes of the ledger, {statuses} of status", till.counts());
    assert!(ledger <= LEDGER_WRITES.0 + LEDGER_WRITES.1 * seconds, "{ledger} writes of the ledger in {seconds} s");
    assert!(statuses <= 3 + seconds / STATUS_EVERY, "{statuses} writes of status in {seconds} s");

    let size = status.to_string().len();
    println!("the status has {size} bytes");
    assert!(size < 16 * 1024, "{status}");
    let top: Vec<_> = status["topPartitions"].as_array().into_iter().flatten().map(|top| &top["partition"]).collect();
    let heavy: Vec<_> = (0..HEAVY).map(|n| json!(format!("user-{n:03}"))).collect();
    assert_eq!(top, heavy.iter().collect::<Vec<_>>(), "{status}");
    assert_eq!(till.answered(), 4 * USERS + 5 * HEAVY);

    for (n, operator) in fleet.operators.iter().enumerate() {
        let leads = n == fleet.leader().await;
        let admin = operator.admin();
        assert_eq!(admin.metric("weir_operator_ledger_epoch").await > 0.0, leads);
        assert_eq!(admin.metric("weir_operator_ledger_pots").await, if leads { USERS as f64 } else { 0.0 });
        assert_eq!(admin.metric("weir_operator_ledger_starts").await, if leads { pods.len() as f64 } else { 0.0 });
        assert_eq!(admin.metric("weir_operator_ledger_exact").await, f64::from(leads));
        if leads {
            let stored = admin.metric("weir_operator_ledger_writes_total{outcome=\"stored\"}").await;
            assert!(stored > 0.0, "what is granted is stored first");
            assert!(admin.metric("weir_operator_ledger_answers_total{outcome=\"granted\"}").await >= USERS as f64);
        }
    }
    for dataplane in &fleet.dataplanes {
        let admin = dataplane.admin();
        assert_eq!(admin.metric("weir_ledger_connected").await, 1.0);
        assert!(
            admin.metric("weir_ledger_wait_seconds_count").await > 0.0,
            "a user's first request waits for the leader"
        );
    }
}
