//! What one tenant's partitions take of the ledger, and what they leave to others.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::sync::Arc;
use weir_lease::{
    Bounds, Claim, Greeting, LEASE_MS, Leader, Limit, Nature, Now, Outcome, Reserved, Settings, Terms, Turn, Wallet,
};
use weir_snapshot::FailureMode;
use weir_snapshot::ledger::refused::Why;
use weir_snapshot::ledger::{Answer, Ask, FromPod, Hello, Want, from_pod, to_pod};

const UNIX: i64 = 1_795_780_800_000;
const RATE_MS: u64 = 600_000;

fn at(ms: u64) -> Now {
    Now { mono: 1_000 + ms, unix: UNIX + i64::try_from(ms).unwrap() }
}

fn rate() -> Limit {
    let nature = Nature::Rate { amount: 60, per_ms: 60_000 };
    Limit { nature, amount: 60, durable: false, overrides: vec![], turn: Turn::every(RATE_MS) }
}

fn money() -> Limit {
    Limit { nature: Nature::Window, amount: 1_000, durable: true, overrides: vec![], turn: Turn::never() }
}

/// A leader of these limits, with a pod that has said hello.
fn leader(settings: Settings, limits: impl IntoIterator<Item = (String, Limit)>) -> Leader {
    let mut leader = Leader::new(settings, vec![], &BTreeSet::new(), at(0));
    leader.set_limits(limits.into_iter().map(|(name, limit)| (name.into(), limit)));
    let hello = Hello { incarnation: "s".into(), ..Hello::default() };
    leader.take("s", "pod", FromPod { kind: Some(from_pod::Kind::Hello(hello)) }, at(0));
    write(&mut leader, 1);
    leader
}

/// The store takes what there is to write.
fn write(leader: &mut Leader, ms: u64) {
    for write in leader.writes(at(ms)) {
        assert!(leader.written(write.shard, write.body.sequence, Outcome::Stored, at(ms)));
    }
}

fn answers(leader: &mut Leader) -> Vec<Answer> {
    let answers = leader.outgoing().into_iter().filter_map(|(_, message)| match message.kind {
        Some(to_pod::Kind::Answer(answer)) => Some(answer),
        _ => None,
    });
    answers.collect()
}

fn say(leader: &mut Leader, wants: Vec<Want>, ms: u64) {
    leader.take("s", "pod", FromPod { kind: Some(from_pod::Kind::Ask(Ask { id: 1, wants })) }, at(ms));
}

fn want(limit: &str, partition: &str, need: u64) -> Want {
    Want { limit: limit.into(), partition: partition.into(), need, ahead: 0 }
}

/// Asks for one of a partition, with the store at hand; why there is none.
fn ask(leader: &mut Leader, limit: &str, partition: &str, ms: u64) -> Option<Why> {
    say(leader, vec![want(limit, partition, 1)], ms);
    write(leader, ms);
    leader.tick(at(ms));
    answers(leader).pop().expect("an answer").refused.map(|refused| refused.why())
}

#[test]
fn one_tenants_names_of_a_rate_leave_room_for_new_callers_of_others_and_for_providers() {
    let settings = Settings { passing: 2_000, ..Settings::new(1, 1, 1, 1 << 20, false) };
    let names = ["LLMRoute/greedy/r/tag", "LLMRoute/modest/r/user", "Provider/modest/p/requestsPerMinute"];
    let mut leader = leader(settings, names.map(|name| (name.to_owned(), rate())));
    let greedy: Vec<_> = (0..5_000).map(|n| ask(&mut leader, names[0], &format!("tag-{n}"), 10)).collect();
    let granted = greedy.iter().filter(|why| why.is_none()).count();
    assert!((900..1_500).contains(&granted), "{granted}");
    assert!(greedy[granted..].iter().all(|why| *why == Some(Why::TooManyPartitions)));
    assert!(leader.view(at(11)).limits[names[0]].full);
    for n in 0..200 {
        assert_eq!(ask(&mut leader, names[1], &format!("user-{n}"), 12), None);
    }
    assert_eq!(ask(&mut leader, names[2], "", 12), None);
    assert!(!leader.view(at(13)).limits[names[1]].full, "it says so of the one alone that is over its share");
    // A new window turns while the names of the one before are still there.
    assert_eq!(ask(&mut leader, names[1], "user-1", RATE_MS + 10), None);
    assert_eq!(ask(&mut leader, names[2], "", RATE_MS + 10), None);
    // The pod never reported: they are let go of by time.
    leader.tick(at(RATE_MS + 2 * LEASE_MS + 60_000));
    assert!(leader.pots() < 10, "{}", leader.pots());
    assert_eq!(ask(&mut leader, names[0], "tag-new", RATE_MS + 2 * LEASE_MS + 60_001), None);
}

#[test]
fn dozens_of_budgets_with_many_users_leave_room_in_every_part_of_the_store() {
    for spaced in [true, false] {
        let settings = Settings::new(1, 1, 64, 16 * 1024, spaced);
        let greedy: Vec<String> = (0..40).map(|n| format!("Budget/greedy/b-{n}/USD")).collect();
        let modest: Vec<String> = (0..40).map(|n| format!("Budget/modest/b-{n}/USD")).collect();
        let limits = greedy.iter().chain(&modest).map(|name| (name.clone(), money()));
        let mut leader = leader(settings, limits);
        let mut ms = 10;
        let mut refused = 0;
        for (n, name) in (0..12_000).map(|n| (n, &greedy[n % greedy.len()])) {
            ms += 250;
            refused += usize::from(ask(&mut leader, name, &format!("user-{n}"), ms) == Some(Why::TooManyPartitions));
        }
        assert!(refused > 3_000, "{refused} of 12,000 are over the share");
        for name in &modest {
            ms += 1_000;
            assert_eq!(ask(&mut leader, name, "", ms), None, "{name}");
            assert_eq!(ask(&mut leader, name, "ada", ms + 300), None, "{name}");
            ms += 300;
        }
    }
}

#[test]
fn a_want_ahead_of_need_that_finds_no_place_stands_in_no_other_limits_way() {
    let settings = Settings { passing: 100, ..Settings::new(1, 1, 1, 1 << 20, false) };
    let (greedy, modest) = ("LLMRoute/greedy/r/tag", "LLMRoute/modest/r/user");
    let mut leader = leader(settings, [(greedy.to_owned(), rate()), (modest.to_owned(), rate())]);
    (0..100).for_each(|n| _ = ask(&mut leader, greedy, &format!("tag-{n}"), 5));
    say(&mut leader, vec![want(greedy, "more", 0), want(modest, "ada", 0)], 10);
    let answer = answers(&mut leader).pop().unwrap();
    assert_eq!((answer.refused, answer.states.len(), answer.left_out.len()), (None, 1, 1));
    assert_eq!(answer.left_out[0].why(), Why::TooManyPartitions);
    say(&mut leader, vec![want(greedy, "more", 0)], 11);
    assert!(
        answers(&mut leader).pop().unwrap().refused.is_some(),
        "a pod of the release before knows of no other word"
    );
}

#[test]
fn writes_that_one_namespace_waits_for_all_the_time_hold_nobody_up() {
    let settings = Settings::new(1, 1, 64, 1 << 20, true);
    let greedy: Vec<String> = (0..40).map(|n| format!("Budget/greedy/b-{n}/USD")).collect();
    let modest = "Budget/modest/b/USD";
    let limits = greedy.iter().map(|name| (name.clone(), money())).chain([(modest.to_owned(), money())]);
    let mut leader = leader(settings, limits);
    for turn in 0..400u64 {
        for name in &greedy {
            say(&mut leader, vec![want(name, &format!("user-{turn}"), 1)], 100 + turn * 50);
        }
        write(&mut leader, 100 + turn * 50);
        leader.tick(at(100 + turn * 50));
        leader.outgoing();
    }
    let now = 100 + 400 * 50;
    assert_eq!(ask(&mut leader, modest, "", now), None, "its write is the next one");
}

fn claim(limit: &str, partition: &str, terms: Terms) -> Claim {
    Claim { limit: limit.into(), partition: partition.into(), amount: 1, leave: 0, terms }
}

fn is_crowded(reserved: &Reserved) -> bool {
    matches!(reserved, Reserved::Refused(refusal) if refusal.crowded)
}

#[test]
fn a_pod_holds_a_share_of_partitions_for_each_namespace_and_counts_no_further_ones() {
    let mut wallet = Wallet::bounded("s", Bounds { partitions: 1_000, ..Bounds::default() });
    let (hard, greedy) = (Terms::Hard(FailureMode::LeasedOnly), "Budget/greedy/b/USD");
    let all: Vec<bool> =
        (0..2_000).map(|n| is_crowded(&wallet.reserve(&[claim(greedy, &format!("u-{n}"), hard)], 1_000))).collect();
    assert!(all[1_500..].iter().all(|crowded| *crowded), "those beyond the share are refused as such");
    assert!(wallet.partitions() < 700, "{}", wallet.partitions());
    assert!(!is_crowded(&wallet.reserve(&[claim("Budget/modest/b/USD", "ada", hard)], 1_000)));
    assert!(!is_crowded(&wallet.reserve(&[claim(greedy, "", hard)], 1_000)), "without partitions there is room");
    let soft = wallet.reserve(&[claim(greedy, "u-5000", Terms::Soft)], 1_000);
    let Reserved::Held(held) = soft else { panic!("what is only counted refuses nothing: {soft:?}") };
    wallet.settle(held, &[Some(1)], 1_001);
    // None of them holds anything.
    wallet.tidy(3_000);
    assert_eq!(wallet.partitions(), 0);
}

#[test]
fn leases_of_a_rate_are_let_go_of_without_a_leader_and_those_of_a_budget_are_not() {
    let (of_rate, of_budget) = ("LLMRoute/a/r/tag", "Budget/a/b/USD");
    let settings = Settings::new(1, 1, 1, 1 << 20, false);
    let mut leader = leader(settings, [(of_rate.to_owned(), rate()), (of_budget.to_owned(), money())]);
    let mut wallet = Wallet::new("s");
    let hello = wallet.hello(&mut Greeting::default());
    leader.take("s", "pod", FromPod { kind: Some(from_pod::Kind::Hello(hello)) }, at(0));
    let hear = |leader: &mut Leader, wallet: &mut Wallet| {
        leader.outgoing().into_iter().for_each(|(_, message)| _ = wallet.take(message, at(1).mono));
    };
    hear(&mut leader, &mut wallet);
    wallet.set_connected(true);
    let rates = Terms::Rate { amount: 60, per_ms: 60_000, burst: 60 };
    let claims: Vec<_> = (0..100).map(|n| claim(of_rate, &format!("t-{n}"), rates)).collect();
    let hard = claim(of_budget, "ada", Terms::Hard(FailureMode::LeasedOnly));
    for claim in claims.iter().chain([&hard]) {
        let Reserved::Short(wants) = wallet.reserve(std::slice::from_ref(claim), at(1).mono) else { panic!("it asks") };
        say(&mut leader, wants, 1);
        write(&mut leader, 1);
        hear(&mut leader, &mut wallet);
        let Reserved::Held(held) = wallet.reserve(std::slice::from_ref(claim), at(1).mono) else { panic!("it holds") };
        wallet.settle(held, &[Some(1)], at(1).mono);
    }
    assert_eq!(wallet.partitions(), 101);
    wallet.set_connected(false);
    let later = at(RATE_MS + LEASE_MS + 61_000).mono;
    (0..2).for_each(|n| wallet.tidy(later + n));
    assert_eq!(wallet.partitions(), 1, "no leader has heard what was spent of the Budget");
    let hello = wallet.hello(&mut Greeting::default());
    assert_eq!((hello.held.len(), hello.held[0].settled), (1, 1));
}

#[test]
fn what_a_pod_holds_is_told_in_parts_that_a_streams_end_may_cut_off() {
    const USERS: u64 = 50;
    let limit = "Budget/a/b/USD";
    let mut before = leader(Settings::new(1, 1, 4, 1 << 20, false), [(limit.to_owned(), money())]);
    let mut wallet = Wallet::bounded("s", Bounds { part_bytes: 1_000, ..Bounds::default() });
    for n in 0..USERS {
        say(&mut before, vec![want(limit, &format!("u-{n}"), 1)], n);
        write(&mut before, n);
    }
    before.outgoing().into_iter().for_each(|(_, message)| _ = wallet.take(message, at(100).mono));
    // Another leader, of a store that has forgotten everything.
    let settings = Settings { part_bytes: 1_000, ..Settings::new(2, 2, 4, 1 << 20, false) };
    let mut next = Leader::new(settings, vec![], &BTreeSet::from(["pod".to_owned()]), at(200));
    next.set_limits([(Arc::from(limit), money())]);
    let mut greeting = Greeting::default();
    let first = wallet.hello(&mut greeting);
    assert!(first.more && first.held.len() < 10);
    let hello = |leader: &mut Leader, hello: Hello, ms| {
        leader.take("s", "pod", FromPod { kind: Some(from_pod::Kind::Hello(hello)) }, at(ms));
    };
    hello(&mut next, first, 201);
    write(&mut next, 201);
    next.left("s");
    assert_eq!(next.telling().len(), 0, "it is answered once it has said all");
    assert_eq!(next.outgoing().len(), 0);
    let health = next.view(at(202)).health;
    assert_eq!(health, weir_lease::Health::Recovering, "what was not said yet counts as not heard");
    let mut greeting = Greeting::default();
    let mut parts = 0;
    loop {
        let part = wallet.hello(&mut greeting);
        let more = part.more;
        hello(&mut next, part, 203);
        parts += 1;
        if !more {
            break;
        }
    }
    write(&mut next, 204);
    let mut rounds = next.outgoing();
    while next.tell_more("s", at(205)) {
        rounds.extend(next.outgoing());
    }
    assert!(parts > 5 && rounds.len() > 5, "{parts} parts, {} rounds", rounds.len());
    let view = next.view(at(206));
    assert_eq!((view.limits[limit].partitions as u64, view.health), (USERS, weir_lease::Health::Exact));
}
