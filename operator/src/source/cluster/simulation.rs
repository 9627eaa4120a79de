//! The watches and caches as they are, before a simulated API server on virtual time: whatever it does to lists and
//! watches, the end is the snapshot of what it holds (F44).
//!
//! `WEIR_SIMULATIONS=100000` runs more seeds; a failure names its seed, and `WEIR_SEED=n` runs that one alone.

mod server;

use super::{Cluster, Given, View};
use crate::brake::Brake;
use crate::telemetry::Metrics;
use fastrand::Rng;
use k8s_openapi::ByteString;
use serde_json::{Value, json};
use server::Server;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use weir_snapshot::{Digest, Name, ResourceId, Settings};

const SEEDS: u64 = 2_000;
/// Changes of one run.
const CHANGES: usize = 40;
/// Longer than any pause after a failure, and than a watch that died without a word.
const SETTLED: Duration = Duration::from_secs(60);
const NAMESPACES: [&str; 2] = ["team-a", "team-b"];
/// Never touched again once it is there, so it is in everything that is ever compiled.
const PILLAR: &str = "pillar";

fn given() -> Given {
    Given {
        settings: Settings { platform_namespace: "platform".to_owned(), ..Settings::default() },
        allow_plaintext_namespaces: BTreeSet::new(),
        secret_namespaces: BTreeSet::from(["team-a".to_owned()]),
        prices: Name::new("weir", "prices"),
        namespace: "weir".to_owned(),
        operator_account: "weir:operator".to_owned(),
        dataplane_selector: "app=dataplane".to_owned(),
        gateway_services: BTreeSet::new(),
    }
}

fn cluster(server: &Server) -> Arc<Cluster> {
    let metrics = Arc::new(Metrics::new().unwrap());
    Cluster::watch(&server.client(), given(), &Arc::new(Brake::new(Arc::clone(&metrics))), &metrics)
}

/// What would be published now, and whether anything is still unknown.
fn published(cluster: &Cluster) -> Option<(BTreeMap<ResourceId, Digest>, bool)> {
    let View { objects, unknown } = cluster.view(Instant::now().into_std())?;
    let snapshot = weir_compile::compile(&objects).snapshot;
    let digests = snapshot.resources.iter().map(|(id, sealed)| (id.clone(), sealed.digest));
    Some((digests.collect(), unknown.is_empty()))
}

/// One object, drawn from few, so that the same ones come, change and go again and again.
fn put(server: &Server, rng: &mut Rng) {
    let namespace = *rng.choice(&NAMESPACES).unwrap();
    let (name, number) = (format!("o{}", rng.u8(..4)), rng.u8(1..200));
    let metadata = json!({"namespace": namespace, "name": name});
    match rng.u8(..9) {
        0 | 1 => server.put("providers", provider(namespace, &name, rng)),
        2 | 3 => server.put("llmroutes", route(namespace, &name, &format!("o{}", rng.u8(..4)), number)),
        4 => server.put("secrets", secret(namespace, number)),
        5 => server.put("endpointslices", slice(namespace, &name, number)),
        7 => server.put("budgets", budget(namespace, &name, &format!("o{}", rng.u8(..4)), number)),
        6 => server.put(
            "configmaps",
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": namespace, "name": "ca"},
                "data": {"ca.crt": format!("no certificate {number}")}}),
        ),
        _ => server.put("serviceaccounts", json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})),
    }
}

fn provider(namespace: &str, name: &str, rng: &mut Rng) -> Value {
    let url = json!({"url": format!("https://llm-{}.example/v1", rng.u8(..))});
    let spec = match rng.u8(..4) {
        0 => json!({"type": "OpenAICompatible", "endpoint": url}),
        1 => json!({"type": "OpenAICompatible", "endpoint": {"service": {"name": "pods", "port": 80}}}),
        2 => json!({"type": "OpenAICompatible", "endpoint": url, "tls": {"caConfigMapRef": {"name": "ca"}}}),
        _ => json!({"type": "OpenAI", "credentials": [{"name": "main", "secretRef": {"name": "key"}}]}),
    };
    json!({"apiVersion": "weir.dev/v1alpha1", "kind": "Provider", "metadata": {"namespace": namespace, "name": name}, "spec": spec})
}

fn route(namespace: &str, name: &str, provider: &str, weight: u8) -> Value {
    json!({"apiVersion": "weir.dev/v1alpha1", "kind": "LLMRoute", "metadata": {"namespace": namespace, "name": name},
        "spec": {"models": [{"name": name}], "access": {"serviceAccounts": [{"namespace": namespace, "name": "o1"}]},
            "rules": [{"targets": [
                {"name": "t", "providerRef": {"name": provider}, "model": "m", "weight": weight},
                {"name": "p", "providerRef": {"name": PILLAR}, "model": "m"}]}]}})
}

fn budget(namespace: &str, name: &str, parent: &str, number: u8) -> Value {
    json!({"apiVersion": "weir.dev/v1alpha1", "kind": "Budget", "metadata": {"namespace": namespace, "name": name},
        "spec": {"limits": [{"unit": "USD", "amount": number.to_string()}], "window": {"total": {}},
            "parentRef": {"name": parent}, "selector": {"apiKeys": {"selector": {}}}}})
}

fn secret(namespace: &str, number: u8) -> Value {
    let value = ByteString(format!("sk-{number}").into_bytes());
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": namespace, "name": "key"}, "data": {"apiKey": value}})
}

fn slice(namespace: &str, name: &str, number: u8) -> Value {
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"namespace": namespace, "name": name, "labels": {"kubernetes.io/service-name": "pods"}},
        "endpoints": [{"addresses": [format!("10.0.0.{number}")], "targetRef": {"kind": "Pod", "namespace": namespace, "name": "p"}}],
        "ports": [{"port": 80}]})
}

fn change(server: &Server, rng: &mut Rng) {
    if rng.u8(..4) > 0 {
        return put(server, rng);
    }
    let plurals = ["providers", "llmroutes", "budgets", "secrets", "endpointslices", "configmaps", "serviceaccounts"];
    let (plural, namespace) = (*rng.choice(&plurals).unwrap(), *rng.choice(&NAMESPACES).unwrap());
    match plural {
        "secrets" => server.delete(plural, namespace, "key"),
        "configmaps" => server.delete(plural, namespace, "ca"),
        _ => server.delete(plural, namespace, &format!("o{}", rng.u8(..4))),
    }
}

/// What is published once nothing goes on any more; what objects name is watched from the first look on.
async fn settled(cluster: &Cluster) -> Option<(BTreeMap<ResourceId, Digest>, bool)> {
    sleep(SETTLED).await;
    published(cluster);
    sleep(SETTLED).await;
    published(cluster)
}

async fn simulate(seed: u64) {
    fastrand::seed(seed);
    let (server, mut rng) = (Server::new(seed), Rng::with_seed(!seed));
    for name in NAMESPACES.iter().chain(&["weir", "platform"]) {
        server.put("namespaces", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
    }
    for namespace in NAMESPACES {
        let spec = json!({"type": "OpenAICompatible", "endpoint": {"url": "https://pillar.example/v1"}});
        server.put(
            "providers",
            json!({"apiVersion": "weir.dev/v1alpha1", "kind": "Provider", "metadata": {"namespace": namespace, "name": PILLAR}, "spec": spec}),
        );
        server.put("llmroutes", route(namespace, PILLAR, PILLAR, 1));
    }
    (0..CHANGES / 2).for_each(|_| put(&server, &mut rng));

    server.set_faulty(true);
    let watched = cluster(&server);
    for _ in 0..CHANGES {
        change(&server, &mut rng);
        sleep(Duration::from_millis(if rng.u8(..8) == 0 { rng.u64(..20_000) } else { rng.u64(..300) })).await;
        if let Some((digests, _)) = published(&watched) {
            let routes = digests.keys().filter(|id| id.name.name == PILLAR && id.kind == weir_snapshot::Kind::Route);
            assert_eq!(routes.count(), NAMESPACES.len(), "seed {seed}: a list that is not whole was published");
        }
    }
    server.set_faulty(false);
    let never = || panic!("seed {seed}: something was never listed");
    let end = settled(&watched).await.unwrap_or_else(never);
    let truth = settled(&cluster(&server)).await.unwrap_or_else(never);
    assert!(truth.1 && truth.0.len() > 2 * NAMESPACES.len());
    assert!(end == truth, "seed {seed}: {:#?}\nis not\n{:#?}", end.0, truth.0);
}

fn run(seed: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(simulate(seed));
}

#[test]
fn lists_that_break_and_events_that_repeat_mix_or_get_lost_end_in_the_same_snapshot_f44() {
    if let Ok(seed) = std::env::var("WEIR_SEED") {
        return run(seed.parse().expect("WEIR_SEED is a number"));
    }
    let seeds =
        std::env::var("WEIR_SIMULATIONS").map_or(SEEDS, |seeds| seeds.parse().expect("WEIR_SIMULATIONS is a number"));
    let half = |odd: u64| std::thread::spawn(move || (0..seeds).filter(|seed| seed % 2 == odd).for_each(run));
    for thread in [half(0), half(1)] {
        thread.join().expect("every seed ends in the truth");
    }
}

/// How long after its change a neighbour's route was in what is published, while a namespace gives its Providers other
/// names of ConfigMaps and Services so many times a second.
async fn held_up_by(renames_a_second: u32, list: Duration) -> Duration {
    let server = Server::new(1);
    let named = |at: u32, name: &str| {
        let spec = if at.is_multiple_of(2) {
            json!({"type": "OpenAICompatible", "endpoint": {"url": "https://llm.example/v1"},
                "tls": {"caConfigMapRef": {"name": name}}})
        } else {
            json!({"type": "OpenAICompatible", "endpoint": {"service": {"name": name, "port": 80}}})
        };
        json!({"apiVersion": "weir.dev/v1alpha1", "kind": "Provider",
            "metadata": {"namespace": "team-a", "name": format!("o{at}")}, "spec": spec})
    };
    server.put("namespaces", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-b"}}));
    let watched = cluster(&server);
    watched.lead(Instant::now().into_std());
    settled(&watched).await.expect("everything is listed");
    server.set_slow(list);
    let pause = Duration::from_secs(1) / renames_a_second;
    let mut changed = None;
    for renamed in 0..renames_a_second * 5 {
        server.put("providers", named(renamed % 4, &format!("new-{renamed}")));
        if changed.is_none() && renamed > renames_a_second * 2 {
            server.put("llmroutes", route("team-b", "neighbour", "o1", 1));
            changed = Some(Instant::now());
        }
        sleep(pause).await;
        let told = published(&watched).is_some_and(|(held, _)| held.keys().any(|id| id.name.name == "neighbour"));
        if let Some(changed) = changed.filter(|_| told) {
            return changed.elapsed();
        }
    }
    panic!("{renames_a_second} renames a second held up the neighbour to the end");
}

#[tokio::test(start_paused = true)]
async fn who_names_other_objects_again_and_again_holds_up_nobody_elses_changes() {
    for renames in [8, 30, 100] {
        for list in [20, 200, 1_500, 10_000].map(Duration::from_millis) {
            let held_up = held_up_by(renames, list).await;
            assert!(held_up < Duration::from_millis(300), "{renames} a second, lists of {list:?}: {held_up:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_new_leader_waits_for_lists_and_never_for_long() {
    let server = Server::new(1);
    server.put(
        "configmaps",
        json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"namespace": "weir", "name": "prices"}}),
    );
    server.set_slow(Duration::from_millis(500));
    let watched = cluster(&server);
    watched.lead(Instant::now().into_std());
    let first = loop {
        sleep(Duration::from_millis(50)).await;
        if let Some((_, complete)) = published(&watched) {
            break complete;
        }
    };
    assert!(first, "its first word is whole");
    server.set_slow(Duration::from_secs(3600));
    let stuck = cluster(&server);
    let begun = Instant::now();
    stuck.lead(begun.into_std());
    while published(&stuck).is_none() {
        sleep(Duration::from_millis(50)).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(3), "a list that never ends");
}
