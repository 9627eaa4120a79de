//! A leader that alone lost the API server knows that another one may lead; its pods go to that one, and no money is
//! refused, lost or spent twice.

use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use weir_tests::client::Client;
use weir_tests::fleet::Fleet;
use weir_tests::helm::NAMESPACE;
use weir_tests::manifests::{budget, cent, open_route};
use weir_tests::till::Till;
use weir_tests::wait;

/// Between two requests to each pod.
const PACE: Duration = Duration::from_millis(50);
/// The Lease runs out after 15 s, the standby looks every 2 s and reads the ledger, pods look every 2 s; and time for
/// busy cores.
const IN_TIME: Duration = Duration::from_secs(25);

/// Spends in an even flow until it is told to stop.
async fn spend(till: Till, clients: Vec<Client>, goes_on: Arc<AtomicBool>) {
    let mut pace = tokio::time::interval(PACE);
    while goes_on.load(Ordering::Relaxed) {
        pace.tick().await;
        till.race(&clients, clients.len()).await;
    }
}

async fn until_answered(till: &Till, more: usize) {
    let goal = till.answered() + more;
    wait::until_true("requests are answered", || async { till.answered() >= goal }).await;
}

async fn until_metric(fleet: &Fleet, operator: usize, metric: &str, value: f64) {
    let admin = fleet.operators[operator].admin();
    let metric = format!("weir_operator_{metric}");
    wait::until_true(&format!("{metric} is {value}"), || async { admin.metric(&metric).await == value }).await;
}

async fn assert_connected(fleet: &Fleet) {
    for dataplane in &fleet.dataplanes {
        assert_eq!(dataplane.admin().metric("weir_ledger_connected").await, 1.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_leave_a_leader_that_is_cut_off_for_its_successor_and_every_cent_is_told() {
    let fleet = Fleet::start_behind_fronts().await;
    let route = open_route(NAMESPACE, "chat", "m", &["cent"]);
    fleet.apply(&[cent(NAMESPACE, "cent"), route, budget(NAMESPACE, "team", "1000")]);
    fleet.wait_ready("budget/team", NAMESPACE);
    fleet.wait_ready("llmroute/chat", NAMESPACE);
    let (till, goes_on) = (Till::default(), Arc::new(AtomicBool::new(true)));
    let spending = tokio::spawn(spend(till.clone(), fleet.clients(), Arc::clone(&goes_on)));
    until_answered(&till, 100).await;

    let old = fleet.leader().await;
    let new = 1 - old;
    let cut = Instant::now();
    fleet.front_of(old).cut();
    until_metric(&fleet, old, "ledger_adrift", 1.0).await;
    println!("adrift after {:?}", cut.elapsed());
    assert_connected(&fleet).await;
    until_metric(&fleet, new, "ledger_starts", 2.0).await;
    let moved = cut.elapsed();
    println!("moved after {moved:?}, with {:?}", till.counts());
    assert!(moved < IN_TIME, "{moved:?}");
    until_metric(&fleet, old, "ledger_starts", 0.0).await;
    assert_eq!(fleet.operators[old].admin().metric("weir_operator_leader").await, 1.0, "it heard of no other");

    let refused = till.counts().values().sum::<usize>() - till.answered();
    until_answered(&till, 200).await;
    fleet.front_of(old).heal();
    until_metric(&fleet, old, "leader", 0.0).await;
    until_metric(&fleet, old, "ledger_epoch", 0.0).await;
    until_answered(&till, 100).await;
    assert_eq!(fleet.leader().await, new, "who comes back is a standby");
    assert_connected(&fleet).await;
    goes_on.store(false, Ordering::Relaxed);
    spending.await.expect("the load does not panic");
    let counts = till.counts();
    println!("in the end {counts:?}");
    assert_eq!(
        counts.values().sum::<usize>() - till.answered(),
        refused,
        "nothing is refused after the move: {counts:?}"
    );
    wait::until_true("what was answered is spent, to the cent", || async {
        let status = fleet.stored("budget/team", NAMESPACE)["status"].clone();
        let spent: f64 = status["spent"].as_str().and_then(|text| text.parse().ok()).unwrap_or_default();
        (spent * 100.0).round() as usize == till.answered() && status["unaccounted"] == json!("0")
    })
    .await;
}
