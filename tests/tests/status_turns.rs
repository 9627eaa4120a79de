//! Status of one namespace is written soon, whatever another one's objects do.

use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use weir_tests::fleet::{Fleet, OTHER_TEAM, TEAM};
use weir_tests::kubectl;
use weir_tests::manifests::{cent, open_route};
use weir_tests::wait;

/// Objects whose status changes all the time.
const FLAPPING: usize = 60;
/// A turn of all namespaces and kubectl take no longer.
const SOON: Duration = Duration::from_secs(6);

fn flapping(turn: usize) -> Vec<Value> {
    let route = |n: usize| {
        let mut route = open_route(TEAM, &format!("flaps-{n:02}"), &format!("m-{n}"), &["cent"]);
        route["spec"]["rules"][0]["targets"][0]["weight"] = json!(1 + turn % 50);
        route
    };
    (0..FLAPPING).map(route).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_route_has_its_status_soon_while_another_namespace_keeps_changing_all_of_its_own() {
    let fleet = Fleet::start().await;
    fleet.apply(&[cent(TEAM, "cent"), cent(OTHER_TEAM, "cent")]);
    let (stop, turns) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                kubectl::apply_objects(&fleet.api, &flapping(turns.fetch_add(1, Ordering::Relaxed)));
            }
        });
        let deadline = Instant::now() + wait::PATIENCE;
        while turns.load(Ordering::Relaxed) < 4 {
            assert!(Instant::now() < deadline, "the objects of a namespace change");
            std::thread::yield_now();
        }
        let mut waits = Vec::new();
        for n in 0..3 {
            let (name, began) = (format!("quiet-{n}"), Instant::now());
            fleet.apply(&[open_route(OTHER_TEAM, &name, &format!("q-{n}"), &["cent"])]);
            let told = || !fleet.stored(&format!("llmroute/{name}"), OTHER_TEAM)["status"]["conditions"].is_null();
            while !told() && began.elapsed() < wait::PATIENCE {}
            waits.push(began.elapsed());
        }
        stop.store(true, Ordering::Relaxed);
        println!("{waits:?} over {} turns of {FLAPPING} objects", turns.load(Ordering::Relaxed));
        assert!(waits.iter().all(|waited| *waited < SOON), "{waits:?}");
    });
}
