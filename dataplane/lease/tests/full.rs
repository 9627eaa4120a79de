//! A ledger whose store takes no further pot says so, to the pod that asks and to whoever looks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use weir_lease::{Greeting, Leader, Now, Settings, Wallet, limits_of_budget};
use weir_snapshot::ledger::refused::Why;
use weir_snapshot::ledger::{Ask, FromPod, Want, from_pod, to_pod};
use weir_snapshot::{
    Budget, BudgetMode, BudgetSelector, Dimension, FailureMode, Limit, Name, OnExceeded, OnUnpriced, Reservation, Unit,
    Window,
};

const LIMIT: &str = "Budget/a/users/Tokens";

fn at(ms: u64) -> Now {
    Now { mono: ms, unix: 1_795_780_800_000 }
}

/// Asks for a token of a partition; why there is none.
fn ask(leader: &mut Leader, id: u64, partition: &str, ms: u64) -> Option<Why> {
    let want = Want { limit: LIMIT.into(), partition: partition.into(), need: 1, ahead: 0 };
    let message = FromPod { kind: Some(from_pod::Kind::Ask(Ask { id, wants: vec![want] })) };
    leader.take("s", "pod", message, at(ms));
    let answers = leader.outgoing().into_iter().filter_map(|(_, message)| match message.kind {
        Some(to_pod::Kind::Answer(answer)) => Some(answer),
        _ => None,
    });
    answers.last().expect("an answer").refused.map(|refused| refused.why())
}

#[test]
fn a_partition_that_finds_no_place_is_refused_as_such_and_shown_for_a_while() {
    let settings = Settings::new(1, 1, 1, 400, false);
    let mut leader = Leader::new(settings, vec![], &BTreeSet::new(), at(0));
    let budget = Budget {
        limits: vec![Limit { unit: Unit::Tokens, amount: 10 }],
        window: Window::Total,
        selector: BudgetSelector::default(),
        partition_by: vec![Dimension::User],
        ancestors: vec![],
        mode: BudgetMode::Warn,
        on_exceeded: OnExceeded::Reject,
        thrift: None,
        reservation: Reservation::UpperBound,
        failure_mode: FailureMode::LeasedOnly,
        on_unpriced: OnUnpriced::Refuse,
        overrides: vec![],
    };
    leader.set_limits(limits_of_budget(&Name::new("a", "users"), &budget));
    let hello = FromPod { kind: Some(from_pod::Kind::Hello(Wallet::new("s").hello(&mut Greeting::whole()))) };
    leader.take("s", "pod", hello, at(0));
    assert_eq!(ask(&mut leader, 1, "ann", 1), None);
    assert!(!leader.view(at(1)).limits[LIMIT].full);
    assert_eq!(ask(&mut leader, 2, "ben", 2), Some(Why::TooManyPartitions));
    assert_eq!(ask(&mut leader, 3, "ann", 3), None, "who has a place keeps it");
    assert!(leader.view(at(4)).limits[LIMIT].full);
    assert!(!leader.view(at(300_002)).limits[LIMIT].full, "nobody was refused since");
}
