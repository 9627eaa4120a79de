//! What finance exports is what the ledger was charged, over every end of a process.

use serde_json::{Value, json};
use std::process::Command;
use weir_tests::apiserver;
use weir_tests::client::Client;
use weir_tests::fleet::{Fleet, TEAM};
use weir_tests::gateway::{Gateway, binary};
use weir_tests::helm::NAMESPACE;
use weir_tests::manifests::{api_key, budget, cent, file, open_route, route};
use weir_tests::wait;

/// Rows of the export since before the test, and what was said beside it.
fn export(mut command: Command) -> (Vec<Value>, String) {
    let output = command.args(["--from", "2026-01", "--format", "json"]).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    (serde_json::from_slice(&output.stdout).expect("JSON"), said)
}

fn of_folder(gateway: &Gateway) -> (Vec<Value>, String) {
    let mut command = binary("weir-operator");
    command.arg("costs").arg(gateway.folder()).arg("--ledger").arg(gateway.ledger());
    export(command)
}

/// Cents and requests in rows.
fn sums(rows: &[Value]) -> (u64, u64) {
    let cents = rows.iter().map(|row| row["BilledCost"].as_f64().expect("a number") * 100.0).sum::<f64>();
    let requests = rows.iter().filter(|row| row["ConsumedUnit"] == "Requests");
    (cents.round() as u64, requests.map(|row| row["ConsumedQuantity"].as_u64().expect("a number")).sum())
}

async fn ask(client: &Client, times: usize) {
    for _ in 0..times {
        assert_eq!(client.chat("m").await.status, 200);
    }
}

#[tokio::test]
async fn an_export_is_what_was_charged_over_a_restart() {
    let (token, secret) = api_key("default", "app", &json!({"weir.dev/user": "ann", "weir.dev/team": "reds"}));
    let gateway = Gateway::up(&file(&[
        secret,
        cent("default", "cent"),
        route("default", "chat", "m", &["cent"]),
        budget("weir-system", "all", "0.20"),
    ]))
    .await;
    ask(&gateway.client().with_credential(&token), 7).await;
    let gateway = gateway.restart().await;
    assert_eq!(sums(&of_folder(&gateway).0), (7, 7), "a process that ends in order has said all");
    ask(&gateway.client().with_credential(&token), 5).await;
    let rows = wait::until("the rest is stored", || async {
        let rows = of_folder(&gateway).0;
        (sums(&rows) == (12, 12)).then_some(rows)
    })
    .await;
    let row = &rows[0];
    assert_eq!((&row["Tags"]["user"], &row["Tags"]["team"]), (&json!("ann"), &json!("reds")), "{row}");
    assert_eq!((&row["ProviderName"], &row["SubAccountId"]), (&json!("default/cent"), &json!("default")), "{row}");
    let client = gateway.client().with_credential(&token);
    ask(&client, 8).await;
    assert_eq!(client.chat("m").await.status, 429, "the Budget counted the same twelve cents");
}

#[tokio::test]
async fn requests_without_a_price_are_told_and_in_no_row() {
    let mut unpriced = cent("default", "free");
    unpriced["spec"]["models"] = json!([{"name": "m"}]);
    let gateway = Gateway::up(&file(&[unpriced, open_route("default", "chat", "m", &["free"])])).await;
    ask(&gateway.client(), 3).await;
    wait::until_true("they are told", || async {
        let (rows, said) = of_folder(&gateway);
        assert_eq!(rows, Vec::<Value>::new());
        said == "3 requests of models without a price are in no row\n"
    })
    .await;
}

#[tokio::test]
async fn days_that_are_none_are_refused_with_the_form_that_they_have() {
    for (from, to, why) in [("yesterday", "2026-02", "YYYY-MM-DD"), ("2026-02", "2026-01-31", "must be later")] {
        let mut command = binary("weir-operator");
        let output = command.args(["costs", "--from", from, "--to", to]).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(why), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_of_a_cluster_is_what_status_says_over_the_ends_of_pods_and_of_the_leader() {
    let mut fleet = Fleet::start().await;
    fleet.apply(&[cent(TEAM, "cent"), open_route(TEAM, "chat", "m", &["cent"]), budget(NAMESPACE, "all", "1")]);
    fleet.wait_ready("budget/all", NAMESPACE);
    fleet.wait_ready("llmroute/chat", TEAM);
    for client in fleet.clients() {
        ask(&client, 10).await;
    }
    // A pod that ends in order has said all, also to a leader that takes over at the same time.
    let leader = fleet.leader().await;
    fleet.operators[leader].process.signal("TERM");
    fleet.dataplanes[0].process.signal("TERM");
    fleet.dataplanes[0].process.exit().await;
    fleet.restart_dataplane(0).await;
    for client in fleet.clients() {
        wait::until_true("a leader lends", || async { client.chat("m").await.status == 200 }).await;
    }
    let token = fleet.api.token(NAMESPACE, "weir-operator", apiserver::ISSUER, None).await;
    let kubeconfig = fleet.api.kubeconfig("costs", &token);
    wait::until_true("what is stored is what was answered", || async {
        let mut command = binary("weir-operator");
        command.args(["costs", "--namespace", NAMESPACE]).env("KUBECONFIG", &kubeconfig);
        sums(&export(command).0) == (22, 22)
    })
    .await;
    wait::until_true("status says the same", || async {
        fleet.stored("budget/all", NAMESPACE)["status"]["spent"] == "0.22"
    })
    .await;
}
