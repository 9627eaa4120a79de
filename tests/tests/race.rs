//! However many ask at once, over however many pods, no more is answered than there is money for, and no less.

use serde_json::json;
use weir_tests::fleet::Fleet;
use weir_tests::helm::NAMESPACE;
use weir_tests::manifests::{budget, cent, open_route};
use weir_tests::till::Till;
use weir_tests::wait;

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_requests_race_one_dollar_over_eight_pods_and_the_leader_dies_amid_them_f50_f55() {
    let fleet = Fleet::of(8).await;
    let route = open_route(NAMESPACE, "chat", "m", &["cent"]);
    fleet.apply(&[cent(NAMESPACE, "cent"), route, budget(NAMESPACE, "team", "1")]);
    fleet.wait_ready("budget/team", NAMESPACE);
    fleet.wait_ready("llmroute/chat", NAMESPACE);
    let (clients, till) = (fleet.clients(), Till::default());
    let leader = &fleet.operators[fleet.leader().await];
    let killer = async {
        wait::until_true("some are answered", || async { till.answered() >= 20 }).await;
        leader.process.kill();
        println!("the leader dies after {:?}", till.counts());
    };
    tokio::join!(till.race(&clients, 2_000), killer);
    println!("of those at once: {:?}", till.counts());
    // What is left is taken to the last cent, wherever it is leased, once another operator leads.
    let status = wait::until("all of it is spent", || async {
        till.race(&clients, clients.len()).await;
        let status = fleet.stored("budget/team", NAMESPACE)["status"].clone();
        (status["spent"] == "1" && status["state"] == "Exhausted").then_some(status)
    })
    .await;
    println!("in the end: {:?}", till.counts());
    assert_eq!(till.answered(), 100, "a dollar is a hundred cents: {:?}", till.counts());
    assert!(till.counts().keys().all(|status| [200, 429, 503].contains(status)), "{:?}", till.counts());
    assert_eq!((&status["remaining"], &status["unaccounted"]), (&json!("0"), &json!("0")), "{status}");
    till.race(&clients, 80).await;
    assert_eq!(till.answered(), 100, "and nothing more");
}
