//! Pods, leaders and a store on virtual time, with everything that breaks, against a plain sum of what was spent.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

mod world;

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use world::{Plan, World};

/// Seeds of a run of `tests/run`; `WEIR_SIMULATION_RUNS` sets another number.
const RUNS: u64 = 10_000;

fn runs() -> u64 {
    std::env::var("WEIR_SIMULATION_RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(RUNS)
}

fn one_seed() -> Option<u64> {
    std::env::var("WEIR_SIMULATION_SEED").ok().and_then(|text| text.parse().ok())
}

/// Runs `plan` for every seed; those that fail are named. `WEIR_SIMULATION_SEED` runs one and prints what happens.
/// Says how often a pod left a leader that lived for a newer one.
fn every_seed(runs: u64, plan: impl Fn(&mut fastrand::Rng) -> Plan + Sync) -> u64 {
    let one = one_seed();
    let (first, end) = one.map_or((0, runs), |seed| (seed, seed + 1));
    let moves = AtomicU64::new(0);
    let holds = |seed| {
        let mut chance = fastrand::Rng::with_seed(seed);
        let plan = plan(&mut chance);
        let run = || moves.fetch_add(World::new(plan, chance, one.is_some()).run(), Ordering::Relaxed);
        std::panic::catch_unwind(AssertUnwindSafe(run)).is_ok()
    };
    let next = AtomicU64::new(first);
    let run = || -> Vec<u64> {
        let seeds = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < end));
        seeds.filter(|seed| !holds(*seed)).collect()
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut failed: Vec<u64> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    failed.sort_unstable();
    assert!(failed.is_empty(), "{} seeds fail: {failed:?}", failed.len());
    moves.into_inner()
}

#[test]
fn no_sequence_of_failures_spends_more_than_the_limit_or_loses_what_was_spent() {
    every_seed(runs(), |chance| Plan { pods: chance.usize(1..=8), ..Plan::anything() });
}

#[test]
fn pods_between_a_leader_that_is_cut_off_and_its_successor_never_spend_what_both_grant() {
    let moves = every_seed(runs(), |chance| Plan { pods: chance.usize(1..=4), cuts: true, ..Plan::anything() });
    println!("{moves} times a pod left a leader that lived for a newer one");
    assert!(one_seed().is_some() || moves >= runs(), "they meet two leaders that live");
}

#[test]
fn without_failures_every_unit_can_be_spent_and_the_count_is_exact() {
    every_seed(runs() / 10, |chance| Plan { pods: chance.usize(1..=8), ..Plan::calm() });
}

#[test]
fn fifty_pods_that_race_for_the_last_dollar_never_pass_the_line_f55() {
    every_seed(runs() / 100, |_| Plan { pods: 50, ..Plan::calm() });
}

#[test]
fn rolling_windows_and_turning_calendars_keep_their_limits_over_failures() {
    every_seed(runs() / 5, |chance| Plan { pods: chance.usize(1..=5), windows: true, ..Plan::anything() });
}

#[test]
fn wall_clocks_that_jump_change_nothing_that_was_spent_f56() {
    every_seed(runs() / 10, |chance| Plan {
        pods: chance.usize(1..=5),
        windows: true,
        jumps: true,
        ..Plan::anything()
    });
}
