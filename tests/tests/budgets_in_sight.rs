//! What a platform team sees while money is spent, and what callers get of a rate while nobody leads.

use serde_json::json;
use std::time::Instant;
use weir_tests::fleet::Fleet;
use weir_tests::helm::NAMESPACE;
use weir_tests::manifests::{budget, cent, open_route};
use weir_tests::till::Till;
use weir_tests::{kubectl, wait};

/// The row of a Budget of a dollar: what is spent, how much of it that is, and the state.
fn row(fleet: &Fleet) -> [String; 3] {
    let shown = kubectl::run(&fleet.api, &["get", "llmb", "team", "-n", NAMESPACE, "--no-headers"], "");
    let shown = shown.expect("the Budget is there");
    let columns: Vec<&str> = shown.split_whitespace().collect();
    let [_, _, _, spent, used, ..] = columns[..] else { panic!("{shown}") };
    [spent, used, columns[columns.len() - 2]].map(str::to_owned)
}

async fn until_row(fleet: &Fleet, wanted: [&str; 3]) {
    let began = Instant::now();
    wait::until_true("kubectl shows it", || async { row(fleet) == wanted }).await;
    println!("{wanted:?} {:?} after it was spent", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_follows_what_is_spent_and_waits_for_the_end_of_a_budget() {
    let fleet = Fleet::start().await;
    let mut team = budget(NAMESPACE, "team", "1");
    team["spec"]["thresholds"] = json!([{"percent": 50, "event": true}]);
    fleet.apply(&[cent(NAMESPACE, "cent"), open_route(NAMESPACE, "chat", "m", &["cent"]), team]);
    fleet.wait_ready("budget/team", NAMESPACE);
    fleet.wait_ready("llmroute/chat", NAMESPACE);
    let (clients, till) = (fleet.clients(), Till::default());
    until_row(&fleet, ["0", "0%", "OK"]).await;
    till.race(&clients, 40).await;
    until_row(&fleet, ["0.4", "40%", "OK"]).await;
    till.race(&clients, 20).await;
    until_row(&fleet, ["0.6", "60%", "Warning"]).await;
    let events = || kubectl::run(&fleet.api, &["get", "events", "-n", NAMESPACE], "").expect("Events are listed");
    wait::until_true("the threshold is told", || async { events().contains("ThresholdReached") }).await;
    wait::until_true("all is spent", || async {
        till.race(&clients, clients.len()).await;
        till.answered() == 100
    })
    .await;
    let exhausted = ["wait", "--for=condition=Exhausted", "llmb/team", "-n", NAMESPACE, "--timeout=30s"];
    kubectl::run(&fleet.api, &exhausted, "").expect("the condition comes");
    until_row(&fleet, ["1", "100%", "Exhausted"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nobody_leads_each_of_two_pods_keeps_half_of_a_rate_and_says_so() {
    const RATE: usize = 40;
    let fleet = Fleet::start().await;
    let mut route = open_route(NAMESPACE, "chat", "m", &["cent"]);
    route["spec"]["rateLimits"] = json!([{"name": "all", "requests": RATE, "per": "24h"}]);
    fleet.apply(&[cent(NAMESPACE, "cent"), route]);
    fleet.wait_ready("llmroute/chat", NAMESPACE);
    for dataplane in &fleet.dataplanes {
        let admin = dataplane.admin();
        wait::until_true("it knows of the other", || async { admin.metric("weir_ledger_pods").await == 2.0 }).await;
    }
    fleet.operators.iter().for_each(|operator| operator.process.kill());
    for dataplane in &fleet.dataplanes {
        let admin = dataplane.admin();
        wait::until_true("the leader is gone", || async { admin.metric("weir_ledger_connected").await == 0.0 }).await;
    }
    for client in fleet.clients() {
        for _ in 0..RATE / 2 {
            let reply = client.chat("m").await;
            assert_eq!((reply.status.as_u16(), &reply.headers["x-weir-limit-mode"]), (200, &"local".parse().unwrap()));
        }
        let refusal = client.chat("m").await;
        assert_eq!((refusal.status.as_u16(), &refusal.json()["error"]["code"]), (429, &json!("rate_limit_exceeded")));
    }
}
