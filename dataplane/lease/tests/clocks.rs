//! What the wall clock may decide and what not (F56).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::sync::Arc;
use weir_lease::{Leader, Limit, Nature, Now, Settings, Turn};
use weir_snapshot::ledger::{Ask, FromPod, Hello, ToPod, Want, from_pod, to_pod};
use weir_snapshot::{Period, Window};

const HOUR: i64 = 3_600_000;
const NOON: i64 = 1_795_780_800_000;

fn leader(limit: &Limit, now: Now) -> Leader {
    let settings = Settings::new(1, 1, 1, 1 << 17, false);
    let mut leader = Leader::new(settings, vec![], &BTreeSet::new(), now);
    leader.set_limits([(Arc::from("l"), limit.clone())]);
    let hello = Hello { incarnation: "s".into(), ..Hello::default() };
    leader.take("s", "pod", FromPod { kind: Some(from_pod::Kind::Hello(hello)) }, now);
    leader.outgoing();
    leader
}

/// Asks for so much; the window that it was granted of, if it was.
fn ask(leader: &mut Leader, need: u64, now: Now) -> Option<u64> {
    let want = Want { limit: "l".into(), need, ..Want::default() };
    let ask = Ask { id: 1, wants: vec![want] };
    leader.take("s", "pod", FromPod { kind: Some(from_pod::Kind::Ask(ask)) }, now);
    let messages = leader.outgoing();
    let Some((_, ToPod { kind: Some(to_pod::Kind::Answer(answer)) })) = messages.into_iter().next() else {
        panic!("an answer")
    };
    answer.refused.is_none().then(|| answer.states[0].pot.as_ref().unwrap().window)
}

/// The start spent all that it was granted.
fn spent(leader: &mut Leader, all: u64, now: Now) {
    use weir_snapshot::ledger::{Held, Pot, Report};
    let pot = Some(Pot { limit: "l".into(), ..Pot::default() });
    let held = vec![Held { pot, granted: all, settled: all, ..Held::default() }];
    let report = Report { round: 1, held, last: false };
    leader.take("s", "pod", FromPod { kind: Some(from_pod::Kind::Report(report)) }, now);
    leader.outgoing();
}

fn limit(nature: Nature, turn: Turn) -> Limit {
    Limit { nature, amount: 60, durable: false, overrides: vec![], turn }
}

#[test]
fn a_rate_fills_up_by_the_time_that_passed_whatever_the_wall_clock_says() {
    let rate = limit(Nature::Rate { amount: 60, per_ms: 60_000 }, Turn::never());
    let now = Now { mono: 1_000, unix: NOON };
    let mut leader = leader(&rate, now);
    assert!(ask(&mut leader, 60, now).is_some());
    spent(&mut leader, 60, now);
    assert_eq!(ask(&mut leader, 1, Now { unix: NOON + HOUR, ..now }), None, "an hour ahead brings nothing");
    let later = Now { mono: 2_000, unix: NOON - HOUR };
    assert!(ask(&mut leader, 1, later).is_some(), "a second brings one, with the clock an hour back");
    assert_eq!(ask(&mut leader, 1, later), None);
}

#[test]
fn a_window_that_is_over_opens_no_more_when_the_clock_goes_back_over_a_change_of_limits() {
    let daily = Turn::of(&Window::Calendar { every: Period::Day, time_zone: "UTC".into() }).unwrap();
    let day = limit(Nature::Window, daily);
    let before = Now { mono: 1_000, unix: NOON };
    let mut leader = leader(&day, before);
    let first = ask(&mut leader, 1, before).unwrap();
    let after = Now { mono: 2_000, unix: NOON + 24 * HOUR };
    let second = ask(&mut leader, 1, after).unwrap();
    assert!(second > first);
    let raised = Limit { amount: 90, ..day };
    leader.set_limits([(Arc::from("l"), raised)]);
    assert_eq!(ask(&mut leader, 1, before), Some(second));
}
