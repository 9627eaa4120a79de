//! What reserving, settling and granting cost: nanoseconds each, the best of several rounds.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark prints, and fails by panicking"
)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;
use weir_lease::{Claim, Leader, Now, Reserved, Settings, Terms, Wallet, limits_of_route};
use weir_snapshot::ledger::{Ask, FromPod, Hello, Want, from_pod};
use weir_snapshot::{Name, RateLimit, Retry, Route, RouteTimeouts, Unit};

const ROUNDS: u32 = 10;
const NOW: Now = Now { mono: 1_000, unix: 1_795_784_400_000 };

fn measure(what: &str, times: u32, mut run: impl FnMut()) {
    let round = |run: &mut dyn FnMut()| {
        let began = Instant::now();
        (0..times).for_each(|_| run());
        began.elapsed().as_nanos() / u128::from(times)
    };
    let best = (0..ROUNDS).map(|_| round(&mut run)).min().unwrap();
    println!("{what:<58} {best:>9} ns, {:>9} a second", 1_000_000_000 / best.max(1));
}

fn route() -> Route {
    Route {
        created_at: 0,
        hostnames: vec![],
        models: vec![],
        rules: vec![],
        refusal: None,
        retry: Retry::default(),
        timeouts: RouteTimeouts::default(),
        on_loss: weir_snapshot::OnLoss::default(),
        rate_limits: vec![RateLimit {
            name: "r".into(),
            unit: Unit::Requests,
            amount: 1 << 40,
            per_ms: 1_000,
            burst: 1 << 40,
            partition_by: vec![],
        }],
        trusted_headers: weir_snapshot::TrustedHeaders::default(),
        explain: false,
    }
}

/// A leader that grants, and a wallet of a pod with one lease a partition.
fn main() {
    let limits = limits_of_route(&Name::new("a", "b"), &route());
    let limit = Arc::clone(&limits.first().unwrap().0);
    let settings = Settings::new(1, 1, 64, 1 << 30, true);
    let mut leader = Leader::new(settings, vec![], &BTreeSet::new(), NOW);
    leader.set_limits(limits);
    let say = |kind| FromPod { kind: Some(kind) };
    for pod in ["p-1", "p-2", "p-3"] {
        let hello = Hello { incarnation: pod.into(), ..Hello::default() };
        leader.take(pod, pod, say(from_pod::Kind::Hello(hello)), NOW);
    }
    let mut wallet = Wallet::new("p-1");
    wallet.set_connected(true);
    let partitions: Vec<Arc<str>> = (0..1_000).map(|n| format!("user-{n}").into()).collect();
    let mut turn = 0;
    measure("leader: one ask, granted", 10_000, || {
        turn += 1;
        let partition = partitions.get(turn % partitions.len()).unwrap().to_string();
        let wants = vec![Want { limit: limit.to_string(), partition, need: 1_000_000, ahead: 0 }];
        leader.take("p-1", "p-1", say(from_pod::Kind::Ask(Ask { id: turn as u64, wants })), NOW);
        for (to, message) in leader.outgoing() {
            if &*to == "p-1" {
                wallet.take(message, NOW.mono);
            }
        }
    });
    let terms = Terms::Rate { amount: 1, per_ms: 1, burst: 1 };
    let claims: Vec<[Claim; 2]> = (0..500)
        .map(|n| {
            let claim = |n: usize| Claim {
                limit: Arc::clone(&limit),
                partition: Arc::clone(partitions.get(n).unwrap()),
                amount: 1,
                leave: 0,
                terms,
            };
            [claim(n), claim(n + 500)]
        })
        .collect();
    measure("pod: two pots reserved and settled", 100_000, || {
        turn += 1;
        match wallet.reserve(claims.get(turn % claims.len()).unwrap(), NOW.mono) {
            Reserved::Held(held) => wallet.settle(held, &[Some(1), Some(1)], NOW.mono),
            short @ (Reserved::Short(_) | Reserved::Refused(_)) => panic!("{short:?}"),
        }
    });
}
