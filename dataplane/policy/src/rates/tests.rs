//! What is mirrored of rates, by the hour and by chance.

use super::*;
use proptest::prelude::*;

const NEEDS: Needed = [1, 150, 100, 50];
const HUGE: Needed = [1, u64::MAX, 10, u64::MAX];
const DAY_MS: u64 = 86_400_000;

fn requests(limit: Option<u64>, left: u64, full_in_ms: u64) -> [Option<Left>; UNITS] {
    [Some(Left { limit, left, full_in_ms }), None, None, None]
}

fn tokens(limit: u64, left: u64, full_in_ms: u64) -> [Option<Left>; UNITS] {
    [None, Some(Left { limit: Some(limit), left, full_in_ms }), None, None]
}

/// One request is answered so.
fn told(rates: &Rates, said: &[Option<Left>; UNITS], now: Millis) {
    rates.take("a", &NEEDS, now).learn(said, true, now);
}

#[test]
fn what_is_used_up_is_waited_for_as_long_as_one_more_takes_to_come_back() {
    let rates = Rates::default();
    let mut taken = rates.take("a", &NEEDS, 1_000);
    assert_eq!(taken.wait_ms, 0, "nothing was said yet");
    taken.learn(&requests(Some(60), 0, 60_000), true, 1_000);
    assert_eq!((rates.wait("a", &NEEDS, 1_000), rates.wait("b", &NEEDS, 1_000)), (1_000, 0));
    assert_eq!(rates.wait("a", &[0; UNITS], 1_000), 0);
    let taken: Vec<_> = (0..3).map(|_| rates.take("a", &NEEDS, 1_500)).collect();
    let waits: Vec<_> = taken.iter().map(|taken| taken.wait_ms).collect();
    assert_eq!(waits, [500, 1_500, 2_500], "each waits behind those before it");
    assert_eq!(rates.wait("a", &NEEDS, 200_000), 0, "it is full again");
}

#[test]
fn what_was_sent_since_is_not_there_though_the_answer_says_so() {
    let rates = Rates::default();
    let mut first = rates.take("a", &NEEDS, 0);
    let _second = rates.take("a", &NEEDS, 0);
    first.learn(&requests(None, 2, 10_000), true, 100);
    let third = rates.take("a", &NEEDS, 100);
    assert_eq!(third.wait_ms, 0);
    assert_eq!(rates.wait("a", &NEEDS, 100), 10_000, "without a limit nothing is known until it is full");
    assert_eq!(rates.wait("a", &NEEDS, 10_100), 0);
}

#[test]
fn tokens_count_by_what_the_request_is_sure_to_need_and_no_wait_is_endless() {
    let rates = Rates::default();
    told(&rates, &tokens(1_000, 150, DAY_MS), 0);
    assert_eq!(rates.wait("a", &NEEDS, 0), 0);
    told(&rates, &tokens(1_000, 149, DAY_MS), 0);
    assert_eq!(rates.wait("a", &[1, 51, 1, 50], 0), 0, "a smaller one fits");
    assert_eq!(rates.wait("a", &NEEDS, 0), DAY_MS.div_ceil(851));
    told(&rates, &tokens(1_000, 0, DAY_MS), 0);
    assert_eq!(rates.wait("a", &NEEDS, 0), MOST_WAIT_MS);
}

#[test]
fn one_request_however_large_shuts_nothing_for_others() {
    let rates = Rates::default();
    let first = rates.take("a", &HUGE, 0);
    told(&rates, &tokens(1_000, 900, 60_000), 0);
    drop(first);
    assert_eq!(rates.wait("a", &NEEDS, 0), 0);
    let huge: Vec<_> = (0..100).map(|_| rates.take("a", &HUGE, 1)).collect();
    assert!(huge.iter().all(|taken| taken.wait_ms == 0), "what never fits is the upstream's to refuse");
    assert_eq!(rates.wait("a", &NEEDS, 1), 0);
    told(&rates, &tokens(1_000, 900, 60_000), 2);
    assert_eq!(rates.wait("a", &NEEDS, 2), 0, "nor do other answers count it");
}

#[test]
fn what_ends_without_telling_comes_back_and_what_was_answered_does_not() {
    let rates = Rates::default();
    told(&rates, &tokens(1_000, 200, 60_000), 0);
    let mut refused = rates.take("a", &NEEDS, 0);
    assert!(rates.wait("a", &NEEDS, 0) > 0);
    refused.learn(&[None; UNITS], false, 0);
    assert!(rates.wait("a", &NEEDS, 0) > 0, "it is not over yet");
    drop(refused);
    assert_eq!(rates.wait("a", &NEEDS, 0), 0);
    rates.take("a", &NEEDS, 0).learn(&[None; UNITS], true, 0);
    assert!(rates.wait("a", &NEEDS, 0) > 0, "an answer that says nothing was counted all the same");
    let left = rates.left(0);
    assert_eq!(left, [("a".to_owned(), "tokens", 50)]);
}

#[test]
fn what_was_taken_before_an_answer_and_came_back_is_not_counted_by_the_answer() {
    let rates = Rates::default();
    let mut first = rates.take("a", &NEEDS, 0);
    drop(rates.take("a", &NEEDS, 0));
    first.learn(&requests(Some(10), 1, 60_000), true, 0);
    assert_eq!(rates.wait("a", &NEEDS, 0), 0);
}

#[test]
fn an_earlier_answer_that_comes_late_says_nothing() {
    let rates = Rates::default();
    let (mut first, mut second) = (rates.take("a", &NEEDS, 0), rates.take("a", &NEEDS, 0));
    second.learn(&requests(Some(10), 0, 60_000), true, 10);
    first.learn(&requests(Some(10), 9, 1_000), true, 20);
    assert_eq!(rates.wait("a", &NEEDS, 20), 5_990);
}

#[test]
fn after_the_longest_wait_one_request_is_let_through_and_only_one() {
    let rates = Rates::default();
    told(&rates, &requests(Some(1), 0, DAY_MS), 0);
    assert_eq!(rates.wait("a", &NEEDS, MOST_WAIT_MS - 1), 1);
    assert_eq!(rates.wait("a", &NEEDS, MOST_WAIT_MS), 0);
    let probe = rates.take("a", &NEEDS, MOST_WAIT_MS);
    assert_eq!((probe.wait_ms, rates.wait("a", &NEEDS, MOST_WAIT_MS)), (0, MOST_WAIT_MS));
    drop(probe);
    assert_eq!(rates.wait("a", &NEEDS, MOST_WAIT_MS), 0, "one that told nothing was no probe");
}

#[test]
fn what_needs_nothing_takes_and_teaches_nothing_and_the_list_is_bounded() {
    let rates = Rates::default();
    rates.take("a", &[0; UNITS], 0).learn(&requests(Some(1), 0, DAY_MS), true, 0);
    assert_eq!((rates.wait("a", &NEEDS, 0), rates.lock().len()), (0, 0));
    let names: Vec<String> = (0..1_000).map(|n| n.to_string()).collect();
    let held: Vec<_> = (0..).zip(&names).map(|(now, name)| rates.take(name, &NEEDS, now)).collect();
    assert_eq!(rates.lock().len(), MOST_CREDENTIALS);
    drop(held);
    assert_eq!(rates.lock().len(), MOST_CREDENTIALS);
}

/// What may happen to a target's rates.
#[derive(Debug, Clone)]
enum Event {
    /// A request of that size is sent.
    Take(u64, u64),
    /// The answer to one in flight.
    Tell(usize, Option<u64>, u64, u64),
    /// One in flight ends without a word.
    Leave(usize),
    Pass(u64),
}

fn amount() -> impl Strategy<Value = u64> {
    prop_oneof![0_u64..200, any::<u64>(), Just(u64::MAX), Just(1_000_000_000_000)]
}

fn event() -> impl Strategy<Value = Event> {
    let span = prop_oneof![0_u64..100_000, 0..=DAY_MS];
    prop_oneof![
        (amount(), amount()).prop_map(|(input, output)| Event::Take(input, output)),
        (any::<usize>(), proptest::option::of(amount()), amount(), span)
            .prop_map(|(index, limit, left, span)| Event::Tell(index, limit.map(|limit| limit.max(1)), left, span)),
        any::<usize>().prop_map(Event::Leave),
        (0_u64..400_000).prop_map(Event::Pass),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_nothing_is_shut_for_longer_than_it_was_told(events in proptest::collection::vec(event(), 1..60)) {
        let rates = Rates::default();
        let (mut now, mut in_flight, mut longest) = (1_000, Vec::new(), 0);
        for event in events {
            match event {
                Event::Take(input, output) => {
                    in_flight.push(rates.take("a", &[1, input.saturating_add(output), input, output], now));
                }
                Event::Tell(index, limit, left, full_in_ms) if !in_flight.is_empty() => {
                    let mut taken: Taken<'_> = in_flight.swap_remove(index % in_flight.len());
                    let left = limit.map_or(left, |limit| left.min(limit));
                    taken.learn(&[Some(Left { limit, left, full_in_ms }); UNITS], true, now);
                    longest = longest.max(full_in_ms);
                }
                Event::Leave(index) if !in_flight.is_empty() => drop(in_flight.swap_remove(index % in_flight.len())),
                Event::Pass(ms) => now += ms,
                Event::Tell(..) | Event::Leave(_) => {}
            }
            let wait = rates.wait("a", &NEEDS, now);
            prop_assert!(wait <= longest.min(MOST_WAIT_MS), "{wait} of {longest}");
            prop_assert_eq!(rates.wait("a", &NEEDS, now + wait), 0, "who waits as long as told is let through");
            prop_assert_eq!(rates.wait("a", &NEEDS, now + longest), 0, "after the told time it is open");
            prop_assert_eq!(rates.wait("a", &NEEDS, now + MOST_WAIT_MS), 0);
        }
    }
}
