//! Money is spent to the last cent and not beyond, by one process and by many, over every restart.

use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use weir_tests::client::{Client, Reply};
use weir_tests::fleet::Fleet;
use weir_tests::gateway::Gateway;
use weir_tests::helm::NAMESPACE;
use weir_tests::manifests::{budget, cent, file, open_route};
use weir_tests::{kubectl, wait};

const PLATFORM: &str = "weir-system";

/// The Provider `cent`, one at another price, and a route on which that one serves what Budgets move to it alone.
fn with_cheaper(price: &str) -> [Value; 3] {
    let mut cheap = cent("default", "cheap");
    cheap["spec"]["models"][0]["pricing"]["perRequest"] = json!(price);
    let mut route = open_route("default", "chat", "m", &["cent", "cheap"]);
    route["spec"]["rules"][0]["targets"][1]["weight"] = json!(0);
    [cent("default", "cent"), cheap, route]
}

fn manifests(budget: Value) -> String {
    file(&[cent("default", "cent"), open_route("default", "chat", "m", &["cent"]), budget])
}

/// Asks until a request is refused; how many were answered before, and the refusal.
async fn spend(client: &Client, most: usize) -> (usize, Reply) {
    for answered in 0..=most {
        let reply = client.chat("m").await;
        if reply.status != 200 {
            return (answered, reply);
        }
    }
    panic!("{most} requests were answered and more would be");
}

fn error(reply: &Reply) -> Value {
    serde_json::from_slice::<Value>(&reply.body).expect("JSON")["error"].clone()
}

#[tokio::test]
async fn a_budget_is_spent_to_the_last_cent_and_says_what_is_left_also_after_a_restart() {
    let gateway = Gateway::up(&manifests(budget(PLATFORM, "team", "0.25"))).await;
    let (answered, refusal) = spend(&gateway.client(), 25).await;
    assert_eq!((answered, refusal.status.as_u16()), (25, 429));
    assert_eq!(refusal.headers["x-should-retry"], "false");
    assert!(refusal.headers.contains_key("retry-after"));
    let error = error(&refusal);
    assert_eq!(error["code"], "budget_exceeded");
    let message = error["message"].as_str().expect("a message");
    for part in ["weir-system/team", "0.25 USD of 0.25 USD are spent", "0 USD are left"] {
        assert!(message.contains(part), "{message}");
    }
    let gateway = gateway.restart().await;
    assert_eq!(spend(&gateway.client(), 1).await.0, 0, "what was spent stays spent");
    let mut more = budget(PLATFORM, "team", "0.25");
    more["spec"]["overrides"] = json!([{"name": "demo", "unit": "USD", "operation": "Add", "amount": "0.05", "until": "2999-01-01T00:00:00Z", "reason": "a demo"}]);
    gateway.write("weir.yaml", &manifests(more));
    wait::until_true("the override holds", || async { gateway.client().chat("m").await.status == 200 }).await;
    assert_eq!(spend(&gateway.client(), 4).await.0, 4, "five cents more, of which one is spent");
}

#[tokio::test]
async fn a_refused_or_failed_request_costs_nothing() {
    let mut failing = cent("default", "cent");
    failing["spec"]["mock"] = json!({"text": "ok", "errorRate": "1", "errorStatus": 500});
    let objects = [failing, open_route("default", "chat", "m", &["cent"]), budget(PLATFORM, "team", "0.02")];
    let gateway = Gateway::up(&file(&objects)).await;
    for _ in 0..10 {
        assert_ne!(gateway.client().chat("m").await.status, 200);
    }
    gateway.write("weir.yaml", &manifests(budget(PLATFORM, "team", "0.02")));
    wait::until_true("it is well again", || async { gateway.client().chat("m").await.status == 200 }).await;
    assert_eq!(spend(&gateway.client(), 1).await.0, 1, "ten failures were free");
}

#[tokio::test]
async fn a_rate_limit_says_what_is_left_on_success_and_when_to_come_back_on_refusal() {
    let mut route = open_route("default", "chat", "m", &["cent"]);
    route["spec"]["rateLimits"] = json!([{"name": "slow", "requests": 3, "per": "1h"}]);
    let gateway = Gateway::up(&file(&[cent("default", "cent"), route])).await;
    for left in ["2", "1", "0"] {
        let reply = gateway.client().chat("m").await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.headers["x-ratelimit-limit-requests"], "3");
        assert_eq!(reply.headers["x-ratelimit-remaining-requests"], left);
    }
    let refusal = gateway.client().chat("m").await;
    assert_eq!(refusal.status, 429);
    assert_eq!(error(&refusal)["code"], "rate_limit_exceeded");
    assert!(refusal.headers["x-ratelimit-reset-requests"].to_str().expect("text").ends_with('s'));
    let wait: u64 = refusal.headers["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((1_000..=1_200).contains(&wait), "a third of an hour brings one more: {wait}");
}

#[tokio::test]
async fn a_spent_budget_moves_to_its_cheaper_target_and_says_so() {
    let [cent, cheap, route] = with_cheaper("0.01");
    let mut budget = budget(PLATFORM, "team", "0.03");
    budget["spec"]["onExceeded"] = json!({"action": "Degrade", "degrade": {"targetName": "cheap"}});
    let gateway = Gateway::up(&file(&[cent, cheap, route, budget])).await;
    for _ in 0..3 {
        let reply = gateway.client().chat("m").await;
        assert!(reply.headers["x-weir-target"] == "default/cent" && !reply.headers.contains_key("x-weir-degraded-by"));
    }
    let reply = gateway.client().chat("m").await;
    assert_eq!((reply.status.as_u16(), &reply.headers["x-weir-target"]), (200, &"default/cheap".parse().unwrap()));
    assert_eq!(reply.headers["x-weir-degraded-by"], "weir-system/team");
}

#[tokio::test]
async fn a_budget_degrades_from_its_threshold_on_and_refuses_what_even_the_cheaper_target_passes() {
    let [cent, cheap, route] = with_cheaper("0.004");
    let mut budget = budget(PLATFORM, "team", "0.035");
    budget["spec"]["thresholds"] = json!([{"percent": 90, "degrade": true}]);
    budget["spec"]["onExceeded"] = json!({"action": "Reject", "degrade": {"targetName": "cheap"}});
    let gateway = Gateway::up(&file(&[cent, cheap, route, budget])).await;
    for _ in 0..3 {
        let reply = gateway.client().chat("m").await;
        assert_eq!((reply.status.as_u16(), &reply.headers["x-weir-target"]), (200, &"default/cent".parse().unwrap()));
    }
    let moved = gateway.client().chat("m").await;
    assert_eq!(moved.status, 200, "85 % are spent, and the last half cent covers the cheaper target: {:?}", moved.body);
    assert_eq!(moved.headers["x-weir-target"], "default/cheap");
    assert_eq!(moved.headers["x-weir-degraded-by"], "weir-system/team");
    let refusal = gateway.client().chat("m").await;
    assert_eq!((refusal.status.as_u16(), &error(&refusal)["code"]), (429, &json!("budget_exceeded")));
}

#[tokio::test]
async fn a_budget_that_refuses_lets_another_move_the_request_to_where_it_covers_it() {
    let [cent, cheap, route] = with_cheaper("0.005");
    let mut thrift = budget(PLATFORM, "thrift", "0.03");
    thrift["spec"]["onExceeded"] = json!({"action": "Degrade", "degrade": {"targetName": "cheap"}});
    let hard = budget(PLATFORM, "hard", "0.035");
    let gateway = Gateway::up(&file(&[cent, cheap, route, thrift, hard])).await;
    for _ in 0..3 {
        let reply = gateway.client().chat("m").await;
        assert_eq!(reply.status, 200, "{:?}", reply.body);
        assert_eq!(reply.headers["x-weir-target"], "default/cent");
    }
    let moved = gateway.client().chat("m").await;
    assert_eq!((moved.status.as_u16(), &moved.headers["x-weir-target"]), (200, &"default/cheap".parse().unwrap()));
    assert_eq!(moved.headers["x-weir-degraded-by"], "weir-system/thrift");
    let refusal = gateway.client().chat("m").await;
    assert_eq!((refusal.status.as_u16(), &error(&refusal)["code"]), (429, &json!("budget_exceeded")));
    assert!(error(&refusal)["message"].as_str().expect("text").contains("weir-system/hard"), "no target is covered");
}

#[tokio::test]
async fn a_hard_budget_of_money_refuses_a_model_without_a_price() {
    let mut unpriced = cent("default", "cent");
    unpriced["spec"]["models"] = json!([{"name": "m"}]);
    let objects = [unpriced, open_route("default", "chat", "m", &["cent"]), budget(PLATFORM, "team", "1")];
    let gateway = Gateway::up(&file(&objects)).await;
    let refusal = gateway.client().chat("m").await;
    assert_eq!((refusal.status.as_u16(), &error(&refusal)["code"]), (403, &json!("model_unpriced")));
}

/// Sends `requests` at once, spread over the pods; how many were answered.
async fn race(clients: &[Client], requests: usize) -> (usize, Vec<u16>) {
    let asks = (0..requests).map(|n| {
        let client = clients[n % clients.len()].clone();
        tokio::spawn(async move { client.chat("m").await.status.as_u16() })
    });
    let asks: Vec<_> = asks.collect();
    let mut statuses = Vec::new();
    for ask in asks {
        statuses.push(ask.await.expect("it ends"));
    }
    (statuses.iter().filter(|status| **status == 200).count(), statuses)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_requests_race_one_dollar_over_pods_and_over_the_leaders_death_f50_f55() {
    let mut fleet = Fleet::start().await;
    fleet.apply(&[
        cent(NAMESPACE, "cent"),
        open_route(NAMESPACE, "chat", "m", &["cent"]),
        budget(NAMESPACE, "team", "1"),
    ]);
    fleet.wait_ready("budget/team", NAMESPACE);
    fleet.wait_ready("llmroute/chat", NAMESPACE);
    fleet.restart_dataplane(1).await;
    let clients = fleet.clients();
    let fresh = clients[1].chat("m").await;
    assert_eq!(fresh.status, 200, "a pod that is ready can spend: {:?}", fresh.body);
    for client in &clients {
        wait::until_true("the pod speaks with the ledger", || async { client.chat("m").await.status == 200 }).await;
    }
    let (first, statuses) = race(&clients, 60).await;
    assert_eq!(first, 60, "there is a dollar: {statuses:?}");
    let first = first + clients.len() + 1;
    let leader = fleet.leader().await;
    fleet.operators[leader].process.kill();
    let (meanwhile, statuses) = race(&clients, 1_000).await;
    assert!(first + meanwhile <= 100, "{first} + {meanwhile}");
    assert!(statuses.iter().all(|status| [200, 429, 503].contains(status)), "{statuses:?}");
    // What is left is taken to the last cent, wherever it is leased, once another operator leads.
    let answered = AtomicUsize::new(first + meanwhile + race(&clients, 1_000).await.0);
    let shown = wait::until("it is spent, and status says so", || async {
        for client in &clients {
            answered.fetch_add(usize::from(client.chat("m").await.status == 200), Ordering::Relaxed);
        }
        let status = fleet.stored("budget/team", NAMESPACE)["status"].clone();
        (status["spent"] == "1").then_some(status)
    })
    .await;
    assert_eq!(answered.into_inner(), 100, "a dollar is a hundred cents");
    assert_eq!((&shown["state"], &shown["remaining"]), (&json!("Exhausted"), &json!("0")), "{shown}");
    kubectl::wait_for(&fleet.api, "budget/team", NAMESPACE, "Exhausted").expect("kubectl wait tells of it");
}
