//! Rates whose partitions clients choose: kept over the turns of their windows, and forgotten once they are whole.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::sync::Arc;
use weir_lease::{
    Claim, Greeting, LEASE_MS, Leader, Limit, Now, Reservation, Reserved, Settings, Terms, Wallet, limits_of_provider,
};
use weir_snapshot::ledger::{FromPod, from_pod};
use weir_snapshot::{Health, Mock, Name, Provider, ProviderLimits, ProviderType, Timeouts, Upstream};

const TURN_MS: u64 = 600_000;
/// Begin of a window.
const UNIX: i64 = 1_795_780_800_000;

/// What a provider with one limit has of it.
fn limit(limits: ProviderLimits) -> (Arc<str>, Limit) {
    let mock = Mock {
        text: String::new(),
        latency_ms: 0,
        token_interval_ms: 0,
        errors_per_mille: 0,
        error_status: 500,
        cut_after_tokens: None,
    };
    let provider = Provider {
        provider_type: ProviderType::Mock,
        upstream: Upstream::Mock(mock),
        ca_pem: None,
        credentials: vec![],
        models: std::collections::BTreeMap::new(),
        any_model: false,
        headers: weir_snapshot::Headers::default(),
        timeouts: Timeouts::default(),
        health: Health::default(),
        limits,
        allowed_request_members: Vec::new(),
    };
    let (_, id, limit) = limits_of_provider(&Name::new("a", "p"), &provider).remove(0);
    (id, limit)
}

/// A pod and its leader, with nothing between them.
struct Pair {
    leader: Leader,
    wallet: Wallet,
    limit: Arc<str>,
}

impl Pair {
    /// Of sixty requests a minute.
    fn new() -> Self {
        Self::of(ProviderLimits { requests_per_minute: Some(60), ..ProviderLimits::default() })
    }

    fn of(limits: ProviderLimits) -> Self {
        let (limit, rate) = limit(limits);
        let settings = Settings::new(1, 1, 1, 1 << 17, false);
        let mut leader = Leader::new(settings, vec![], &BTreeSet::new(), at(0));
        leader.set_limits([(Arc::clone(&limit), rate)]);
        let mut pair = Self { leader, wallet: Wallet::new("s"), limit };
        let hello = pair.wallet.hello(&mut Greeting::whole());
        pair.wallet.set_connected(true);
        pair.say(from_pod::Kind::Hello(hello), 0);
        pair
    }

    fn say(&mut self, kind: from_pod::Kind, ms: u64) {
        self.leader.take("s", "pod", FromPod { kind: Some(kind) }, at(ms));
        self.leader.tick(at(ms));
        for (_, message) in self.leader.outgoing() {
            self.wallet.take(message, at(ms).mono);
        }
    }

    /// Whether a request of that partition is let through; it is settled at once.
    fn lets(&mut self, partition: &str, ms: u64) -> bool {
        let terms = Terms::Rate { amount: 60, per_ms: 60_000, burst: 60 };
        let held = self.reserve(partition, 0, terms, ms);
        held.map(|held| self.wallet.settle(held, &[Some(1)], at(ms).mono)).is_some()
    }

    fn reserve(&mut self, partition: &str, leave: u64, terms: Terms, ms: u64) -> Option<Reservation> {
        let claims = [Claim { limit: Arc::clone(&self.limit), partition: partition.into(), amount: 1, leave, terms }];
        for _ in 0..2 {
            match self.wallet.reserve(&claims, at(ms).mono) {
                Reserved::Held(held) => return Some(held),
                Reserved::Short(wants) => {
                    let ask = self.wallet.ask(wants);
                    self.say(from_pod::Kind::Ask(ask), ms);
                }
                Reserved::Refused(_) => return None,
            }
        }
        None
    }

    fn round(&mut self, ms: u64) {
        for report in self.wallet.reports(at(ms).mono) {
            self.say(from_pod::Kind::Report(report), ms);
        }
    }
}

fn at(ms: u64) -> Now {
    Now { mono: 1_000 + ms, unix: UNIX + i64::try_from(ms).unwrap() }
}

#[test]
fn no_turn_of_a_window_gives_anything_away() {
    let mut pair = Pair::new();
    let before = TURN_MS - 2_000;
    let used = (0..100).filter(|_| pair.lets("ann", before)).count();
    assert_eq!(used, 60);
    pair.round(before);
    let after = TURN_MS + 1_000;
    let used = (0..100).filter(|_| pair.lets("ann", after)).count();
    assert_eq!(used, 3, "three seconds bring three");
}

#[test]
fn ten_thousand_names_that_a_client_made_up_are_forgotten_once_they_are_whole() {
    let mut pair = Pair::new();
    for n in 0..10_000 {
        assert!(pair.lets(&format!("name-{n}"), 1_000));
    }
    pair.round(1_500);
    assert_eq!((pair.wallet.partitions(), pair.leader.pots()), (10_000, 10_000));
    for later in [TURN_MS, TURN_MS + 1_000, TURN_MS + LEASE_MS, TURN_MS + 2 * LEASE_MS] {
        pair.round(later);
        pair.leader.tick(at(later + 500));
    }
    pair.round(TURN_MS + 3 * LEASE_MS);
    assert_eq!((pair.wallet.partitions(), pair.leader.pots()), (0, 0));
    assert!(pair.lets("name-1", TURN_MS + 3 * LEASE_MS + 1), "and known again when they come back");
}

#[test]
fn without_a_leader_a_share_is_kept_and_its_names_are_forgotten_too() {
    let mut pair = Pair::new();
    pair.wallet.set_connected(false);
    let used = (0..100).filter(|_| pair.lets("ann", 5_000)).count();
    assert_eq!(used, 60, "the share of the only pod");
    pair.wallet.tidy(at(5_500).mono);
    assert_eq!(pair.wallet.partitions(), 1);
    assert!(!pair.lets("ann", 5_600));
}

#[test]
fn what_is_to_be_left_is_left_and_its_refusal_stands_in_no_other_requests_way() {
    const MOST: u64 = 4;
    for connected in [true, false] {
        let mut pair = Pair::of(ProviderLimits { max_concurrent: Some(MOST), ..ProviderLimits::default() });
        pair.wallet.set_connected(connected);
        let terms = Terms::Gauge { most: MOST };
        let mut held: Vec<_> = (0..MOST).filter_map(|_| pair.reserve("", 1, terms, 1_000)).collect();
        assert_eq!(held.len(), 3, "one of four is left, connected = {connected}");
        held.extend(pair.reserve("", 0, terms, 1_001));
        assert_eq!(held.len(), 4, "for those who need leave nothing");
        assert!(pair.reserve("", 0, terms, 1_002).is_none(), "and no more than all");
        pair.wallet.settle(held.remove(0), &[Some(0)], at(1_003).mono);
        assert!(pair.reserve("", 1, terms, 1_003).is_none());
        assert!(pair.reserve("", 0, terms, 1_003).is_some(), "what comes back goes to them first");
        held.into_iter().for_each(|held| pair.wallet.settle(held, &[Some(0)], at(1_004).mono));
    }
}

#[test]
fn a_refusal_says_nothing_of_a_smaller_need() {
    let mut pair = Pair::of(ProviderLimits { max_concurrent: Some(4), ..ProviderLimits::default() });
    let terms = Terms::Gauge { most: 4 };
    let held: Vec<_> = (0..3).filter_map(|_| pair.reserve("", 0, terms, 1_000)).collect();
    assert!(pair.reserve("", 1, terms, 1_001).is_none(), "the leader has one, and two are needed");
    let last = pair.reserve("", 0, terms, 1_002);
    assert!(last.is_some(), "one is there, whatever the leader said of two");
    held.into_iter().chain(last).for_each(|held| pair.wallet.settle(held, &[Some(0)], at(1_003).mono));
}

#[test]
fn nobody_waits_for_what_it_held_idle_itself_and_has_used_since() {
    let mut pair = Pair::of(ProviderLimits { max_concurrent: Some(4), ..ProviderLimits::default() });
    let terms = Terms::Gauge { most: 4 };
    let mut held: Vec<_> = (0..4).filter_map(|_| pair.reserve("", 0, terms, 1_000)).collect();
    for idle in held.drain(..2) {
        pair.wallet.settle(idle, &[Some(0)], at(1_001).mono);
    }
    pair.round(1_002);
    held.extend((0..2).filter_map(|_| pair.reserve("", 0, terms, 1_003)));
    assert_eq!(held.len(), 4);
    assert!(pair.reserve("", 0, terms, 1_004).is_none());
    assert_eq!(pair.leader.next_due(), None, "it was refused at once");
    held.into_iter().for_each(|held| pair.wallet.settle(held, &[Some(0)], at(1_005).mono));
}
