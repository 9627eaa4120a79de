//! A Budget on a real API server says what became of it: its place among others, its columns, what it covers.

use serde_json::{Value, json};
use weir_tests::fleet::{Fleet, OTHER_TEAM, TEAM};
use weir_tests::helm::NAMESPACE;
use weir_tests::kubectl;
use weir_tests::manifests::{aliased_route, budget, provider, route};
use weir_tests::provider::Provider;

fn under(mut budget: Value, parent: &str) -> Value {
    budget["spec"]["parentRef"] = json!({"name": parent, "namespace": OTHER_TEAM});
    budget
}

#[tokio::test]
async fn a_parent_counts_by_its_owners_consent_alone_and_a_child_without_it_refuses() {
    let fleet = Fleet::start().await;
    let mut parent = budget(OTHER_TEAM, "parent", "5000");
    fleet.apply(&[
        parent.clone(),
        under(budget(TEAM, "borrows", "100"), "parent"),
        under(budget(TEAM, "dangles", "100"), "missing"),
    ]);
    let refused = |found: &weir_tests::fleet::Condition| found.status == "False";
    let forbidden = fleet.until("budget/borrows", TEAM, "Accepted", refused).await;
    let missing = fleet.until("budget/dangles", TEAM, "Accepted", refused).await;
    assert_eq!(forbidden.reason, "RefNotPermitted");
    assert_eq!(forbidden.message.replace("parent ", "missing "), missing.message, "nobody learns what exists");
    assert_eq!(fleet.condition("budget/borrows", TEAM, "Stalled").status, "True");
    assert_eq!(fleet.stored("budget/borrows", TEAM)["status"]["state"], "Blocked");

    parent["spec"]["allowedNamespaces"] = json!({"from": "All"});
    fleet.apply(&[parent]);
    kubectl::wait_for(&fleet.api, "budget/borrows", TEAM, "Accepted").expect("the owner agreed");
    fleet.wait_ready("budget/borrows", TEAM);
    assert_ne!(fleet.stored("budget/borrows", TEAM)["status"]["state"], "Blocked");
}

#[tokio::test]
async fn kubectl_shows_limit_mode_and_state_and_every_pod_holds_it() {
    let fleet = Fleet::start().await;
    let mut warns = budget(NAMESPACE, "company", "2500.50");
    warns["spec"]["mode"] = json!("Warn");
    let mut off = budget(NAMESPACE, "off", "1");
    off["spec"]["mode"] = json!("Disabled");
    fleet.apply(&[warns, off]);
    fleet.wait_ready("budget/company", NAMESPACE);
    let enforcing = fleet.until("budget/off", NAMESPACE, "Enforcing", |found| found.reason == "Disabled").await;
    assert_eq!(enforcing.status, "False");
    let shown = kubectl::run(&fleet.api, &["get", "llmb", "-n", NAMESPACE], "").expect("the columns are there");
    let rows: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NAME", "LIMIT", "SPENT", "USED", "RESETS", "MODE", "STATE", "AGE"]);
    assert_eq!(rows[1][..3], ["company", "2500.5", "USD"]);
    assert!(rows[1].contains(&"Warn"), "{shown}");
    assert!(rows[2].contains(&"Disabled"), "{shown}");
}

#[tokio::test]
async fn a_tenants_budget_covers_its_own_callers_and_says_so_when_it_asks_for_more() {
    let upstream = Provider::start().await;
    let fleet = Fleet::start().await;
    let mut wide = budget(TEAM, "wide", "100");
    wide["spec"]["selector"] = json!({"callerNamespaces": {"names": [TEAM, OTHER_TEAM]}});
    let mut elsewhere = budget(OTHER_TEAM, "elsewhere", "100");
    elsewhere["spec"]["selector"] = json!({"models": ["other"]});
    fleet.apply(&[
        provider(TEAM, "upstream", &upstream.url(), "m"),
        route(TEAM, "chat", "m", &["upstream"]),
        aliased_route(TEAM, "open", "upstream", "m"),
        budget(NAMESPACE, "company", "5000"),
        wide,
        elsewhere,
    ]);
    let narrowed = fleet.until("budget/wide", TEAM, "Accepted", |found| !found.reason.is_empty()).await;
    assert_eq!((narrowed.status.as_str(), narrowed.reason.as_str()), ("True", "SelectorNarrowed"));
    fleet.until("llmroute/chat", TEAM, "Ready", |found| found.status == "True").await;
    let status = fleet.stored("llmroute/chat", TEAM)["status"].clone();
    assert_eq!(status["budgets"], json!([format!("{TEAM}/wide"), format!("{NAMESPACE}/company")]));
    assert_eq!(status["budgetsTotal"], 2);
    // Nobody who is anonymous has a namespace.
    fleet.until("llmroute/open", TEAM, "Ready", |found| !found.reason.is_empty()).await;
    let open = fleet.stored("llmroute/open", TEAM)["status"]["budgets"].clone();
    assert_eq!(open, json!([format!("{NAMESPACE}/company")]));
}

#[tokio::test]
async fn a_time_zone_that_nobody_knows_is_named() {
    let fleet = Fleet::start().await;
    let mut lost = budget(TEAM, "lost", "100");
    lost["spec"]["window"] = json!({"calendar": {"every": "Day", "timeZone": "Mars/Base"}});
    fleet.apply(&[lost]);
    let refused = fleet.until("budget/lost", TEAM, "Accepted", |found| found.status == "False").await;
    assert_eq!(refused.reason, "UnknownTimeZone");
    assert!(refused.message.contains("Mars/Base"), "{refused:?}");
}
