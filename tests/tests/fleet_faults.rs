//! An API server that answers by halves and a leader that was asleep take nothing from the pods and tell nothing untrue.

use serde_json::{Value, json};
use weir_tests::fleet::{Fleet, TEAM, until_status};
use weir_tests::front::Break;
use weir_tests::kubectl;
use weir_tests::manifests::{aliased_route, open_route, provider};
use weir_tests::provider::Provider;
use weir_tests::tls::Authority;
use weir_tests::wait;

const MODEL: &str = "gpt-test";
/// Objects a page of a list: routes come in three pages.
const PAGE: usize = 5;
const ROUTES: usize = 12;
/// Broken pages that each prove that both operators list again and again.
const OFTEN: usize = 6;

/// A fleet whose operators list in small pages, with routes of which no page holds all.
async fn fleet(upstream: &Provider) -> Fleet {
    let fleet = Fleet::start_behind_front(PAGE).await;
    let mut objects = vec![provider(TEAM, "upstream", &upstream.url(), MODEL)];
    objects.extend((0..ROUTES).map(|n| aliased_route(TEAM, &format!("r{n}"), "upstream", MODEL)));
    fleet.apply(&objects);
    for n in 0..ROUTES {
        fleet.wait_ready(&format!("llmroute/r{n}"), TEAM);
    }
    fleet
}

/// How often each pod applied config.
async fn applied(fleet: &Fleet) -> Vec<f64> {
    let mut applied = Vec::new();
    for dataplane in &fleet.dataplanes {
        applied.push(dataplane.admin().metric("weir_config_applied_total").await);
    }
    applied
}

async fn until_broken(fleet: &Fleet) {
    wait::until_true("lists break again and again", || async { fleet.front().broken() >= OFTEN }).await;
}

/// Ends the operators in order, so that the next one leads at once.
async fn stop_operators(fleet: &Fleet) {
    let alive =
        || fleet.operators.iter().map(|operator| &operator.process).filter(|process| process.exited().is_none());
    let stopped: Vec<_> = alive().inspect(|process| process.signal("TERM")).collect();
    for process in stopped {
        process.exit().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f41_a_list_that_breaks_after_its_first_page_takes_no_route_from_any_pod() {
    let upstream = Provider::start().await;
    let fleet = fleet(&upstream).await;
    let leader = &fleet.operators[fleet.leader().await];
    for (round, how) in [Break::Refused, Break::Cut].into_iter().enumerate() {
        let (before, count) = (fleet.configs().await, applied(&fleet).await);
        let resources = leader.admin().metric("weir_operator_resources").await;
        fleet.front().break_lists("llmroutes", false, how);
        fleet.front().expire_watches("llmroutes");
        until_broken(&fleet).await;
        assert_eq!(fleet.configs().await, before);
        assert_eq!(applied(&fleet).await, count, "nothing was pushed");
        assert_eq!(leader.admin().metric("weir_operator_resources").await, resources, "nothing less is published");

        // What can be known is published all the same, with the routes as they were.
        let mut changed = provider(TEAM, "upstream", &upstream.url(), MODEL);
        changed["spec"]["models"] = json!([{"name": MODEL}, {"name": format!("new-{round}")}]);
        fleet.apply(&[changed]);
        wait::until_true("the change is on every pod", || async {
            fleet.configs().await.iter().all(|config| config.to_string().contains(&format!("new-{round}")))
        })
        .await;
        let routes = |configs: Vec<Value>| -> Vec<Value> {
            let of = |config: Value| config.as_object().cloned().unwrap_or_default().into_iter();
            configs.into_iter().map(|config| of(config).filter(|(id, _)| id.starts_with("Route ")).collect()).collect()
        };
        assert_eq!(routes(fleet.configs().await), routes(before));
        assert_eq!(leader.admin().metric("weir_operator_resources").await, resources);

        fleet.apply(&[aliased_route(TEAM, &format!("late-{round}"), "upstream", MODEL)]);
        fleet.front().heal();
        fleet.wait_ready(&format!("llmroute/late-{round}"), TEAM);
        for client in fleet.clients() {
            assert_eq!(client.chat(&format!("late-{round}")).await.text(), "Hello");
            assert_eq!(client.chat("r0").await.text(), "Hello");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f41_an_operator_that_starts_publishes_nothing_until_its_lists_are_complete() {
    let upstream = Provider::start().await;
    let mut fleet = fleet(&upstream).await;
    let (before, count) = (fleet.configs().await, applied(&fleet).await);
    stop_operators(&fleet).await;
    fleet.front().break_lists("llmroutes", false, Break::Refused);
    fleet.spawn_operator(0).await;
    let operator = &fleet.operators[0];
    wait::until_true("it leads", || async { operator.admin().metric("weir_operator_leader").await == 1.0 }).await;
    let pods = fleet.dataplanes.len() as f64;
    wait::until_true("the pods follow it", || async {
        operator.admin().metric("weir_operator_pods_connected").await == pods
    })
    .await;
    until_broken(&fleet).await;
    assert!(!operator.is_ready().await);
    assert_eq!(operator.admin().metric("weir_operator_revision").await, 0.0);
    assert_eq!(operator.admin().metric("weir_operator_pushes_total").await, 0.0);
    assert_eq!((fleet.configs().await, applied(&fleet).await), (before, count));

    fleet.apply(&[aliased_route(TEAM, "late", "upstream", MODEL)]);
    fleet.front().heal();
    operator.ready().await;
    fleet.wait_ready("llmroute/late", TEAM);
    for n in 0..ROUTES {
        until_status(&fleet.clients(), &format!("r{n}"), 200).await;
    }
}

/// A Provider of pods behind a Service, over TLS with certificates of its own.
fn in_cluster() -> [Value; 4] {
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"namespace": TEAM, "name": "vllm-1", "labels": {"kubernetes.io/service-name": "vllm"}},
        "endpoints": [{
            "addresses": ["10.9.8.7"], "conditions": {"ready": true},
            "targetRef": {"kind": "Pod", "namespace": TEAM, "name": "vllm-0"},
        }],
        "ports": [{"name": "http", "port": 8000}],
    });
    let bundle = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": TEAM, "name": "ca"},
        "data": {"ca.crt": Authority::default().pem()},
    });
    let mut pods = provider(TEAM, "pods", "", MODEL);
    pods["spec"]["endpoint"] = json!({"service": {"name": "vllm", "port": 8000}});
    let mut signed = provider(TEAM, "signed", "", MODEL);
    signed["spec"]["endpoint"] = json!({"url": "https://llm.example/v1"});
    signed["spec"]["tls"] = json!({"caConfigMapRef": {"name": "ca"}});
    [slice, bundle, pods, signed]
}

#[tokio::test(flavor = "multi_thread")]
async fn f41_endpoints_and_ca_bundles_that_cannot_be_listed_are_not_taken_for_missing() {
    let mut fleet = Fleet::start_behind_front(PAGE).await;
    fleet.apply(&in_cluster());
    fleet.apply(&[open_route(TEAM, "chat", MODEL, &["pods", "signed"])]);
    for object in ["provider.weir.dev/pods", "provider.weir.dev/signed", "llmroute/chat"] {
        fleet.wait_ready(object, TEAM);
    }
    let before = fleet.configs().await;
    assert!(before[0].to_string().contains("10.9.8.7"), "{}", before[0]);
    let conditions = |fleet: &Fleet| {
        ["provider.weir.dev/pods", "provider.weir.dev/signed", "llmroute/chat"]
            .map(|object| fleet.stored(object, TEAM)["status"]["conditions"].clone())
    };
    let told = conditions(&fleet);
    for resource in ["endpointslices", "configmaps"] {
        stop_operators(&fleet).await;
        fleet.front().break_lists(resource, true, Break::Refused);
        fleet.spawn_operator(0).await;
        let operator = &fleet.operators[0];
        // The first push to each pod tells it that it is up to date.
        wait::until_true("it publishes what it knows", || async {
            operator.admin().metric("weir_operator_pushes_total").await >= fleet.dataplanes.len() as f64
        })
        .await;
        fleet.apply(&[aliased_route(TEAM, resource, "other", MODEL)]);
        fleet.until(&format!("llmroute/{resource}"), TEAM, "ResolvedRefs", |found| found.status == "False").await;
        assert!(fleet.front().broken() > 0);
        for (config, before) in fleet.configs().await.iter().zip(&before) {
            for id in ["Settings /", "Provider team-a/pods", "Provider team-a/signed", "Route team-a/chat"] {
                assert_eq!(config[id], before[id], "{id} while {resource} cannot be listed");
            }
        }
        assert_eq!(conditions(&fleet), told, "and nothing is said of them");
        fleet.front().heal();
        fleet.apply(&[aliased_route(TEAM, &format!("{resource}-2"), "signed", MODEL)]);
        fleet.wait_ready(&format!("llmroute/{resource}-2"), TEAM);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f43_a_leader_that_slept_through_its_lease_writes_no_status_any_more() {
    let upstream = Provider::start().await;
    let fleet = Fleet::start_behind_front(PAGE).await;
    let aliased = |alias: &str| {
        let mut route = open_route(TEAM, "chat", MODEL, &["upstream"]);
        route["spec"]["models"][0]["aliases"] = json!([alias]);
        route
    };
    fleet.apply(&[provider(TEAM, "upstream", &upstream.url(), MODEL), aliased("one")]);
    fleet.wait_ready("llmroute/chat", TEAM);
    let first = fleet.leader().await;
    let sleeper = &fleet.operators[first];

    // It falls asleep with a write of status on its way.
    let mut late = fleet.front().hold_next_status();
    fleet.apply(&[aliased("two")]);
    late.caught().await;
    let writes = sleeper.admin().metric("weir_operator_status_writes_total").await;
    sleeper.process.signal("STOP");
    wait::until_true("the other one leads", || async { fleet.leader().await != first }).await;
    fleet.apply(&[aliased("three")]);
    fleet.wait_ready("llmroute/chat", TEAM);
    let told = fleet.stored("llmroute/chat", TEAM);
    assert_eq!(late.release().await, 409, "the API server refuses what is out of date");
    assert_eq!(fleet.stored("llmroute/chat", TEAM), told);

    sleeper.process.signal("CONT");
    wait::until_true("it knows that it slept", || async {
        sleeper.admin().metric("weir_operator_leader").await == 0.0
    })
    .await;
    fleet.apply(&[aliased_route(TEAM, "later", "upstream", MODEL)]);
    fleet.wait_ready("llmroute/later", TEAM);
    until_status(&fleet.clients(), "three", 200).await;
    assert_eq!(sleeper.admin().metric("weir_operator_status_writes_total").await, writes);
    assert_eq!(fleet.stored("llmroute/chat", TEAM), told, "no status came and went");
    kubectl::run(&fleet.api, &["delete", "llmroute/later", "-n", TEAM], "").expect("it is deleted");
    until_status(&fleet.clients(), "later", 404).await;
}
