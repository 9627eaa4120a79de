//! What configuration weighs in a pod: idle, with 1,000 routes and 10,000 API keys, and with 10,000 keys and 1,000 Budgets.
//!
//! `tests/run cargo bench --profile quick -p weir-tests --bench held`. Prints figures, asserts none.

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PostParams};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;
use std::time::Duration;
use weir_crds::{Budget, LLMRoute};
use weir_tests::fleet::{Fleet, TEAM};
use weir_tests::manifests::{api_key, budget, provider, route};
use weir_tests::provider::Provider;
use weir_tests::wait;

const MODEL: &str = "gpt-test";
const KEYS: usize = 10_000;
const THOUSAND: usize = 1_000;
/// After which an allocator has given back what a load took.
const SETTLED: Duration = Duration::from_secs(5);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        measure("1,000 routes and 10,000 keys", THOUSAND, 0).await;
        measure("10,000 keys and 1,000 Budgets", 0, THOUSAND).await;
    });
}

async fn measure(what: &str, routes: usize, budgets: usize) {
    let upstream = Provider::start().await;
    let mut fleet = Fleet::of(1).await;
    let mut any = provider(TEAM, "upstream", &upstream.url(), MODEL);
    any["spec"]["modelPolicy"] = json!("Any");
    fleet.apply(&[any, route(TEAM, "chat", MODEL, &["upstream"])]);
    fleet.wait_ready("llmroute/chat", TEAM);
    tokio::time::sleep(SETTLED).await;
    let idle = fleet.dataplanes[0].process.memory("VmRSS");
    println!("{what}: idle {idle} kB");

    let all = (0..routes).map(|n| route(TEAM, &format!("r{n}"), &format!("m{n}"), &["upstream"]));
    create::<LLMRoute>(&fleet, all).await;
    create::<Budget>(&fleet, (0..budgets).map(of_a_team)).await;
    let keys: Vec<(String, Value)> = (0..KEYS).map(|n| api_key(TEAM, &letters(n), &json!({}))).collect();
    create::<Secret>(&fleet, keys.iter().map(|(_, secret)| secret.clone())).await;
    if budgets > 0 {
        fleet.wait_ready(&format!("budget/b{}", budgets - 1), TEAM);
    }
    for number in 0..2 {
        for (token, _) in keys.iter().step_by(KEYS / 4).chain(keys.last()) {
            let client = fleet.dataplanes[0].client().with_credential(token);
            wait::until_true("the key is known", || async { client.get("/v1/models").await.status == 200 }).await;
        }
        tokio::time::sleep(SETTLED).await;
        let process = &fleet.dataplanes[0].process;
        let (now, peak) = (process.memory("VmRSS"), process.memory("VmHWM"));
        let how = if number == 0 { "pushed one by one" } else { "started with all of it" };
        println!("{what}, {how}: {now} kB, {} over idle; at most {peak} kB", now.saturating_sub(idle));
        if number == 0 {
            fleet.restart_dataplane(0).await;
        }
    }
}

/// A Budget of one team, since a request may meet 32 at most.
fn of_a_team(n: usize) -> Value {
    let mut budget = budget(TEAM, &format!("b{n}"), "5");
    budget["spec"]["selector"]["teams"] = json!([format!("t{n}")]);
    budget
}

/// A name whose letters alone are its own, since the harness makes a key's id of them.
fn letters(n: usize) -> String {
    [n / 26 / 26 / 26, n / 26 / 26, n / 26, n]
        .map(|n| char::from(b'a' + u8::try_from(n % 26).expect("a letter")))
        .iter()
        .collect()
}

/// Writes objects, a few at a time.
async fn create<K>(fleet: &Fleet, objects: impl Iterator<Item = Value>)
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + DeserializeOwned
        + serde::Serialize
        + Clone
        + Debug,
{
    let api: Api<K> = Api::namespaced(fleet.api.admin().await, TEAM);
    let writes = objects.map(|object| {
        let api = api.clone();
        async move {
            let object = serde_json::from_value(object).expect("an object of this kind");
            api.create(&PostParams::default(), &object).await.expect("it is accepted");
        }
    });
    futures_util::stream::iter(writes).buffer_unordered(32).collect::<Vec<()>>().await;
}
