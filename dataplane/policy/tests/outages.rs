//! Outages of minutes, in virtual time: how often providers are asked, who is left out, and how soon it ends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod objects;

use objects::{provider, route, table, target};
use std::sync::Arc;
use weir_policy::{Caller, Facts, Failure, FailureKind, Needs, Plan, Standing, Step, Table};
use weir_snapshot::{Health, Resources};

const NEEDS: Needs = Needs { input: 0, max_output: None, max_output_name: "max_completion_tokens", rated: true };
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;

/// Two providers behind one route, and all requests so far.
struct World {
    table: Table,
    seed: u64,
    clients: u64,
    upstream: u64,
    refused: u64,
    ejections: u64,
    out: bool,
}

impl World {
    fn new() -> Self {
        let mut resources = Resources::new();
        provider(&mut resources, "first", &[]);
        provider(&mut resources, "second", &[]);
        route(&mut resources, "app", "chat", "m", vec![target("first", 0), target("second", 1)]);
        Self { table: table(&resources), seed: 7, clients: 0, upstream: 0, refused: 0, ejections: 0, out: false }
    }

    fn draw(&mut self) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.seed >> 16
    }

    fn route(&self) -> Arc<weir_policy::Route> {
        let caller = Caller { namespace: "app".into(), ..Caller::anonymous() };
        let facts = Facts { caller: &caller, hostname: None, model: "m" };
        Arc::clone(self.table.matching(&facts).expect("the route matches"))
    }

    /// One request; `fails` says of a provider whether it answers 503, by a random number.
    fn ask(&mut self, now: u64, fails: impl Fn(&str, u64) -> bool) -> bool {
        let (route, config) = (self.route(), Health::default());
        self.clients += 1;
        let mut plan = Plan::new(&route, "m", NEEDS, None, false, now, now + 10 * MINUTE).expect("it fits");
        let answered = loop {
            match plan.next(now, self.draw()) {
                Step::Refuse(_) => break false,
                Step::Attempt { target, credential, .. } => {
                    self.upstream += 1;
                    let draw = self.draw();
                    if !fails(&target.provider.id.name, draw) {
                        target.health.succeeded("", 0, now);
                        break true;
                    }
                    let failure = Failure { status: Some(503), ..Failure::local(FailureKind::Server, "503") };
                    target.health.failed(&failure, "", 0, &config, now, draw);
                    plan.failed(target, credential, failure, now, draw);
                }
            }
        };
        self.refused += u64::from(!answered);
        let out = route.targets[0].health.standing(0, now) != Standing::Ready;
        self.ejections += u64::from(out && !self.out);
        self.out = out;
        answered
    }
}

#[test]
fn f25_an_outage_of_every_target_is_not_amplified_and_ends_within_ten_seconds() {
    let mut world = World::new();
    for now in SECOND..SECOND + 5 * MINUTE {
        assert!(!world.ask(now, |_, _| true));
        if now == 11 * SECOND {
            assert!(world.upstream <= 2 * world.clients, "{} of {}", world.upstream, world.clients);
        }
    }
    let amplification = world.upstream as f64 / world.clients as f64;
    println!("{} requests, {} attempts: amplification {amplification:.4}", world.clients, world.upstream);
    assert!(amplification <= 1.2, "{amplification}");
    let healed = SECOND + 5 * MINUTE;
    let first = (healed..).find(|now| world.ask(*now, |_, _| false)).expect("it recovers") - healed;
    println!("answers again {first} ms after the end of the outage");
    assert!(first <= 10 * SECOND);
    assert!((1..=SECOND).all(|ms| world.ask(healed + first + ms, |_, _| false)), "and from then on all are answered");
}

#[test]
fn f26_a_target_that_flaps_is_left_out_for_longer_and_its_clients_hardly_notice() {
    let mut world = World::new();
    let span = 10 * MINUTE;
    for now in (SECOND..SECOND + span).step_by(10) {
        let bad = (now / (20 * SECOND)).is_multiple_of(2);
        world.ask(now, |provider, draw| provider == "first" && bad && draw.is_multiple_of(2));
    }
    let errors = world.refused as f64 / world.clients as f64;
    println!("{} ejections in {} s, {:.3} % errors", world.ejections, span / SECOND, errors * 100.0);
    assert!(world.ejections >= 1 && world.ejections <= span / (30 * SECOND), "{} ejections", world.ejections);
    assert!(errors <= 0.02, "{errors}");
    let steady = SECOND + span;
    let served = (0..5 * MINUTE).step_by(10).filter(|ms| world.ask(steady + ms, |_, _| false)).count();
    assert_eq!(served, 30_000);
    assert!(!world.out, "a target that is well again is used again");
}

/// Requests of twenty seconds to one target, so many a second, of which it fails each fiftieth by chance with one of
/// these; how many of them were refused, of how many.
fn rare(kinds: &[FailureKind], a_second: u64, hint: Option<u64>, seed: u64) -> (u64, u64) {
    let mut resources = Resources::new();
    provider(&mut resources, "first", &[]);
    route(&mut resources, "app", "chat", "m", vec![target("first", 0)]);
    let mut world = World { table: table(&resources), seed, ..World::new() };
    let (route, config) = (world.route(), Health::default());
    for now in (SECOND..21 * SECOND).step_by(usize::try_from(SECOND / a_second).unwrap()) {
        world.clients += 1;
        let (mut now, deadline) = (now, now + MINUTE);
        let mut plan = Plan::new(&route, "m", NEEDS, None, false, now, deadline).expect("it fits");
        let answered = loop {
            let Step::Attempt { target, credential, wait_ms, .. } = plan.next(now, world.draw()) else { break false };
            now += wait_ms;
            let draw = world.draw();
            if !draw.is_multiple_of(50) {
                target.health.succeeded("", 0, now);
                break true;
            }
            let kind = kinds[usize::try_from(draw / 50).unwrap() % kinds.len()];
            let failure = Failure { retry_after_ms: hint, ..Failure::local(kind, "x") };
            target.health.failed(&failure, "", 0, &config, now, draw);
            plan.failed(target, credential, failure, now, draw);
        };
        world.refused += u64::from(!answered);
    }
    (world.refused, world.clients)
}

#[test]
fn rare_overload_of_the_only_target_is_no_outage() {
    use FailureKind::{Overloaded, RateLimited, Server};
    let mixes: [&[FailureKind]; 4] = [&[Overloaded], &[RateLimited], &[Server], &[Overloaded, RateLimited, Server]];
    for kinds in mixes {
        for a_second in [10, 20, 100] {
            let runs = (1..=20).map(|seed| rare(kinds, a_second, None, seed * 7_919));
            let (refused, clients) = runs.fold((0, 0), |sum, run| (sum.0 + run.0, sum.1 + run.1));
            println!("{kinds:?} at {a_second} a second: {refused} of {clients} refused");
            assert!(refused * 500 <= clients, "{kinds:?} at {a_second}: {refused} of {clients}, over 0.2 %");
        }
    }
}
