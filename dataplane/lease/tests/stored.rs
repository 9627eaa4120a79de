//! What a leader tells a store that is away, and one that came back without what it was told.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use weir_lease::{Health, Leader, Limit, Nature, Now, Outcome, Settings, Turn, Write};
use weir_snapshot::Window;
use weir_snapshot::ledger::{
    Adrift, Ask, FromPod, Hello, Member, Pot, Report, Shard, StoredHeld, StoredPot, Want, from_pod, to_pod,
};

const USERS: usize = 40;
const LIMIT: &str = "Budget/a/b/USD";

fn at(mono: u64) -> Now {
    Now { mono, unix: 1_795_784_400_000 + i64::try_from(mono).unwrap() }
}

/// A leader over that many parts, from what is stored.
fn leader(epoch: u64, shards: usize, stored: Vec<(usize, Shard)>) -> Leader {
    let settings = Settings::new(epoch, 1, shards, 1 << 17, false);
    let mut leader = Leader::new(settings, stored, &BTreeSet::new(), at(1));
    let limit = Limit {
        turn: Turn::of(&Window::Total).unwrap(),
        nature: Nature::Window,
        durable: true,
        amount: 1_000,
        overrides: vec![],
    };
    leader.set_limits([(LIMIT.into(), limit)]);
    leader
}

/// A leader whose pod asked for a lease of each user's pot; the store has not answered yet.
fn asked() -> Leader {
    let mut leader = leader(1, 64, Vec::new());
    let mut say = |kind| leader.take("start", "pod", FromPod { kind: Some(kind) }, at(2));
    say(from_pod::Kind::Hello(Hello { incarnation: "start".into(), ..Hello::default() }));
    for user in 0..USERS {
        let partition = format!("user-{user}");
        let want = Want { limit: LIMIT.into(), partition, need: 10, ..Want::default() };
        say(from_pod::Kind::Ask(Ask { id: user as u64, wants: vec![want] }));
    }
    leader
}

fn parts(writes: &[Write]) -> BTreeSet<usize> {
    writes.iter().map(|write| write.shard).collect()
}

fn all(leader: &mut Leader, writes: Vec<Write>, outcome: &Outcome, now: Now) {
    for write in writes {
        assert!(leader.written(write.shard, write.body.sequence, outcome.clone(), now));
    }
}

#[test]
fn a_store_that_is_away_is_asked_again_after_a_while_and_not_at_once() {
    let mut leader = asked();
    let writes = leader.writes(at(3));
    let wanted = parts(&writes);
    assert!(wanted.len() > 1, "{wanted:?}");
    all(&mut leader, writes, &Outcome::Failed, at(10));
    assert_eq!(parts(&leader.writes(at(11))), BTreeSet::new());
    assert_eq!(parts(&leader.writes(at(210))), wanted);
}

#[test]
fn a_store_that_forgot_one_part_is_told_every_part_again() {
    let mut leader = asked();
    let writes = leader.writes(at(3));
    let told = parts(&writes);
    all(&mut leader, writes, &Outcome::Stored, at(10));
    let later = leader.writes(at(11));
    all(&mut leader, later, &Outcome::Stored, at(12));
    assert_eq!(parts(&leader.writes(at(13))), BTreeSet::new());
    // Another start says hello, which one part alone tells of.
    let hello = from_pod::Kind::Hello(Hello { incarnation: "other".into(), ..Hello::default() });
    leader.take("other", "pod-2", FromPod { kind: Some(hello) }, at(20));
    let writes = leader.writes(at(21));
    assert_eq!(parts(&writes), BTreeSet::from([0]));
    all(&mut leader, writes, &Outcome::Conflict(Shard::default()), at(25));
    assert!(parts(&leader.writes(at(26))).is_superset(&told));
}

#[test]
fn what_the_leader_before_granted_last_its_start_is_told_again() {
    let stored = |sequence, granted| Shard {
        epoch: 1,
        sequence,
        members: vec![Member { incarnation: "start".into(), pod: "pod".into() }],
        pots: vec![StoredPot {
            pot: Some(Pot { limit: LIMIT.into(), ..Pot::default() }),
            mark: 100,
            held: vec![StoredHeld { incarnation: "start".into(), granted, ..StoredHeld::default() }],
            ..StoredPot::default()
        }],
        ..Shard::default()
    };
    let mut leader = leader(2, 1, vec![(0, stored(1, 10))]);
    let hello = from_pod::Kind::Hello(Hello { incarnation: "start".into(), ..Hello::default() });
    leader.take("start", "pod", FromPod { kind: Some(hello) }, at(2));
    leader.outgoing();
    // It handed over after this one had begun, and what it granted then never arrived.
    let writes = leader.writes(at(3));
    all(&mut leader, writes, &Outcome::Conflict(stored(2, 15)), at(4));
    let report = from_pod::Kind::Report(Report { round: 1, ..Report::default() });
    leader.take("start", "pod", FromPod { kind: Some(report) }, at(5));
    let rounds = leader.outgoing().into_iter().filter_map(|(_, message)| match message.kind {
        Some(to_pod::Kind::Round(round)) => Some(round),
        _ => None,
    });
    let granted: Vec<u64> = rounds.flat_map(|round| round.states).map(|state| state.granted).collect();
    assert_eq!(granted, [15]);
}

#[test]
fn what_the_leader_before_granted_of_a_part_that_was_not_written_since_is_never_free() {
    let named = Member { incarnation: "old".into(), pod: "pod".into() };
    let stored = Shard { epoch: 1, sequence: 1, members: vec![named], ..Shard::default() };
    let mut leader = leader(2, 64, vec![(0, stored)]);
    let writes = leader.writes(at(2));
    all(&mut leader, writes, &Outcome::Stored, at(3));
    let mut say = |kind| leader.take("new", "pod", FromPod { kind: Some(kind) }, at(4));
    say(from_pod::Kind::Hello(Hello { incarnation: "new".into(), ..Hello::default() }));
    let want = Want { limit: LIMIT.into(), need: 200, ..Want::default() };
    say(from_pod::Kind::Ask(Ask { id: 1, wants: vec![want] }));
    assert_eq!(leader.view(at(5)).health, Health::Exact, "the start before is lost, and all is heard");
    // It had been leased 600 by the leader before, beside this one, up to a mark that this one never read.
    let pot = |partition: &str| StoredPot {
        pot: Some(Pot { limit: LIMIT.into(), partition: partition.into(), window: 0 }),
        mark: 900,
        held: vec![StoredHeld { incarnation: "old".into(), granted: 600, settled: 100, ..StoredHeld::default() }],
        ..StoredPot::default()
    };
    let pots = vec![pot(""), pot("nobody asked for it since")];
    let before = Shard { epoch: 1, sequence: 2, pots, ..Shard::default() };
    for write in leader.writes(at(5)) {
        let outcome = if write.shard == 0 { Outcome::Stored } else { Outcome::Conflict(before.clone()) };
        assert!(leader.written(write.shard, write.body.sequence, outcome, at(6)));
    }
    let writes = leader.writes(at(7));
    all(&mut leader, writes, &Outcome::Stored, at(8));
    let top = leader.view(at(9)).limits[LIMIT].top.clone();
    let pots: Vec<_> = top.iter().map(|(name, pot)| (&**name, pot.spent, pot.unaccounted)).collect();
    assert_eq!(pots, [("nobody asked for it since", 100, 800), ("", 0, 900)]);
    assert_eq!(leader.remaining(LIMIT, "", at(9)), Some(100));
}

#[test]
fn a_leader_that_is_adrift_grants_what_is_stored_writes_nothing_and_says_so_on_every_stream() {
    let mut leader = asked();
    let writes = leader.writes(at(3));
    all(&mut leader, writes, &Outcome::Stored, at(4));
    let words = |leader: &mut Leader| -> Vec<(String, Adrift)> {
        let told = leader.outgoing().into_iter().filter_map(|(to, message)| match message.kind {
            Some(to_pod::Kind::Adrift(adrift)) => Some((to.to_string(), adrift)),
            _ => None,
        });
        told.collect()
    };
    assert_eq!(words(&mut leader), []);
    assert!(leader.set_adrift(true) && !leader.set_adrift(true));
    let adrift = |start: &str, adrift| (start.to_owned(), Adrift { epoch: 1, adrift });
    assert_eq!(words(&mut leader), [adrift("start", true)]);
    let hello = from_pod::Kind::Hello(Hello { incarnation: "late".into(), ..Hello::default() });
    leader.take("late", "late", FromPod { kind: Some(hello) }, at(5));
    assert_eq!(words(&mut leader), [adrift("late", true)]);

    let want = |need| vec![Want { limit: LIMIT.into(), partition: "user-1".into(), need, ..Want::default() }];
    for (id, need) in [(100, 10), (101, 900)] {
        let ask = from_pod::Kind::Ask(Ask { id, wants: want(need) });
        leader.take("start", "pod", FromPod { kind: Some(ask) }, at(6));
    }
    leader.tick(at(1_000));
    let answers = leader.outgoing().into_iter().filter_map(|(_, message)| match message.kind {
        Some(to_pod::Kind::Answer(answer)) => Some((answer.id, answer.refused.is_some())),
        _ => None,
    });
    assert_eq!(answers.collect::<Vec<_>>(), [(100, false), (101, true)], "what is beyond the mark is not granted");
    assert_eq!(parts(&leader.writes(at(1_000))), BTreeSet::new());
    assert!(leader.set_adrift(false));
    assert_eq!(words(&mut leader).len(), 2);
    assert!(!leader.writes(at(1_001)).is_empty(), "what waited is written");
}
