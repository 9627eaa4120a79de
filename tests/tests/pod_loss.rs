//! What a pod held that died without a word shows as `unaccounted`, and is spent by nobody else.

use serde_json::{Value, json};
use weir_tests::client::{Client, chat};
use weir_tests::fleet::{Fleet, TEAM};
use weir_tests::helm::NAMESPACE;
use weir_tests::kubectl;
use weir_tests::manifests::{budget, open_route, provider};
use weir_tests::provider::{Provider, Script, Step, Usage};
use weir_tests::till::Till;
use weir_tests::wait;

/// Requests that the provider still works on when the pod dies.
const UNDER_WAY: usize = 10;

/// A fleet with a dollar, and a provider at a cent a request that works for ever on what asks it to.
async fn fleet(upstream: &Provider) -> Fleet {
    upstream.respond(|asked| match asked.json()["messages"][0]["content"].as_str() {
        Some("work") => Script::new(vec![Step::Stall]),
        _ => Script::chat("ok", Usage::of(7, 3)),
    });
    let fleet = Fleet::start().await;
    let mut cent = provider(TEAM, "cent", &upstream.url(), "m");
    cent["spec"]["models"][0]["pricing"] =
        json!({"currency": "USD", "input": "0", "output": "0", "perRequest": "0.01"});
    fleet.apply(&[cent, open_route(TEAM, "chat", "m", &["cent"]), budget(NAMESPACE, "team", "1")]);
    fleet.wait_ready("budget/team", NAMESPACE);
    fleet.wait_ready("llmroute/chat", TEAM);
    fleet
}

fn status(fleet: &Fleet) -> Value {
    fleet.stored("budget/team", NAMESPACE)["status"].clone()
}

/// A decimal of the status in cents.
fn cents(status: &Value, field: &str) -> usize {
    let dollars: f64 = status[field].as_str().and_then(|text| text.parse().ok()).unwrap_or_default();
    (dollars * 100.0).round() as usize
}

/// Kills a data plane with requests under way and others coming in.
async fn kill_amid_load(fleet: &Fleet, upstream: &Provider, till: &Till) {
    let doomed = fleet.dataplanes[0].client();
    till.race(&fleet.clients(), 20).await;
    for _ in 0..UNDER_WAY {
        tokio::spawn(work(doomed.clone()));
    }
    let at_work =
        |asked: &&std::sync::Arc<weir_tests::provider::Record>| asked.body.windows(6).any(|w| w == b"\"work\"");
    wait::until_true("the provider works", || async {
        upstream.requests().iter().filter(at_work).count() == UNDER_WAY
    })
    .await;
    let before = till.answered();
    let kill = async {
        wait::until_true("it serves", || async { till.answered() >= before + 5 }).await;
        fleet.dataplanes[0].process.kill();
    };
    let load = async { while till.ask(&doomed).await != 0 {} };
    tokio::join!(load, kill);
    println!("killed with {UNDER_WAY} under way, after {:?}", till.counts());
}

async fn work(client: Client) {
    let mut body = chat("m");
    body["messages"][0]["content"] = json!("work");
    let Ok(mut connection) = client.connect().await else { return };
    let request = client.request(http::Method::POST, "/v1/chat/completions", body.to_string().into());
    assert!(connection.send(request).await.is_err(), "it is under way until the pod dies");
}

/// What was lost is shown, and the rest is spent to the last cent by the pods that live.
async fn the_rest_is_spent(fleet: &Fleet, till: &Till, living: &[Client]) {
    let shown = wait::until("what the pod held is shown", || async {
        let status = status(fleet);
        (cents(&status, "unaccounted") > 0).then_some(status)
    })
    .await;
    let lost = cents(&shown, "unaccounted");
    assert!(lost >= UNDER_WAY, "{shown}");
    assert!(cents(&shown, "remaining") <= 100 - lost - cents(&shown, "spent"), "{shown}");
    let shown = wait::until("nothing is left", || async {
        till.race(living, 10 * living.len()).await;
        let status = status(fleet);
        (status["state"] == "Exhausted").then_some(status)
    })
    .await;
    println!("in the end {:?}, {} cents spent, {lost} unaccounted", till.counts(), cents(&shown, "spent"));
    assert_eq!((cents(&shown, "spent") + lost, &shown["remaining"]), (100, &json!("0")), "{shown}");
    assert!(till.answered() + UNDER_WAY <= 100, "{:?}", till.counts());
    assert!(till.answered() >= cents(&shown, "spent"), "nothing is spent that nobody got");
    till.race(living, 20).await;
    assert!(till.answered() + UNDER_WAY <= 100, "{:?}", till.counts());
}

#[tokio::test(flavor = "multi_thread")]
async fn f37_a_container_killed_amid_load_starts_again_without_what_it_held() {
    let (upstream, till) = (Provider::start().await, Till::default());
    let mut fleet = fleet(&upstream).await;
    kill_amid_load(&fleet, &upstream, &till).await;
    fleet.restart_dataplane(0).await;
    the_rest_is_spent(&fleet, &till, &fleet.clients()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f37_a_pod_that_is_gone_for_ever_leaves_the_rest_to_the_others() {
    let (upstream, till) = (Provider::start().await, Till::default());
    let fleet = fleet(&upstream).await;
    kill_amid_load(&fleet, &upstream, &till).await;
    let pod = format!("pod/{}", fleet.dataplanes[0].name);
    kubectl::run(&fleet.api, &["delete", &pod, "-n", NAMESPACE, "--force"], "").expect("its node is gone");
    the_rest_is_spent(&fleet, &till, &fleet.clients()[1..]).await;
}
