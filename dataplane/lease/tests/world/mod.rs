//! The simulated parts: pods with requests, leaders that come and go, a store that fails in every way.

mod adrift;
mod breakage;
mod election;
mod heal;
mod office;

use election::{Lease, Standby};
use fastrand::Rng;
use office::Office;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use weir_lease::{
    Bounds, Claim, Greeting, Leader, Limit, Now, Reservation, Reserved, Settings, Terms, Wallet, limits_of_budget,
};
use weir_snapshot::ledger::{FromPod, Shard, ToPod, from_pod, to_pod};
use weir_snapshot::{Budget, BudgetSelector, FailureMode, Name, Period, Unit, Window};

/// What may happen in a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) pods: usize,
    /// Whether anything breaks.
    pub(crate) failures: bool,
    /// Whether it is mostly the leader's way to the API server that breaks, and streams to its successor.
    pub(crate) cuts: bool,
    /// Whether requests may cost more than they reserved.
    pub(crate) overruns: bool,
    /// Whether windows roll and turn, instead of one for ever.
    pub(crate) windows: bool,
    /// Whether the wall clocks of leaders jump.
    pub(crate) jumps: bool,
}

impl Plan {
    pub(crate) const fn anything() -> Self {
        Self { pods: 3, failures: true, cuts: false, overruns: true, windows: false, jumps: false }
    }

    pub(crate) const fn calm() -> Self {
        Self { pods: 3, failures: false, cuts: false, overruns: false, windows: false, jumps: false }
    }
}

struct Request {
    reservation: Reservation,
    partition: usize,
    reserved: u64,
    spends: u64,
    ends: u64,
}

struct Pod {
    uid: String,
    starts: u64,
    name: String,
    wallet: Wallet,
    /// The leader that it speaks to.
    leader: Option<usize>,
    redial_at: u64,
    /// When it notices that the leader answers no more.
    hangs_up_at: Option<u64>,
    /// When it next looks for a newer leader, while its own is adrift.
    looks_at: Option<u64>,
    /// The leader that it has left, until that one notices.
    leaves: Option<(usize, u64)>,
    report_at: u64,
    running: Vec<Request>,
    /// Partitions and amounts that wait for an answer, by the ask.
    waiting: HashMap<u64, (usize, u64)>,
    inbox: Vec<(u64, usize, ToPod)>,
}

/// The parts of the store, each with its version.
type Store = BTreeMap<usize, (u64, Shard)>;

pub(crate) struct World {
    plan: Plan,
    chance: Rng,
    mono: u64,
    epoch: u64,
    /// Most milliseconds of a step.
    pace: u64,
    /// Parts of the store.
    shards: usize,
    pods: Vec<Pod>,
    offices: Vec<Office>,
    lease: Option<Lease>,
    standby: Standby,
    store: Store,
    /// Of the last write.
    version: u64,
    copies: Vec<(Store, Option<Lease>)>,
    budget: Budget,
    limit: u64,
    /// How many pots the limit has.
    partitions: usize,
    /// Bytes of a part of a message: mostly so few that each pot has one for itself.
    part_bytes: usize,
    /// Bytes of a part of the store: in some runs too few for all partitions.
    shard_bytes: u64,
    /// What was spent, when, of which partition.
    spent: Vec<(u64, usize, u64)>,
    overruns: u64,
    /// Whether something was lost that nobody can know: the store and every pod that knew it.
    forgotten: bool,
    /// Since the store was broken, at that version, pods alone know what was spent: until that is stored again none is
    /// killed.
    frail_since: Option<u64>,
    lost_starts: u64,
    /// How often a pod left a leader that lived for a newer one.
    moves: u64,
    /// Whether nothing ever broke.
    calm: bool,
    /// Whether what happens is printed.
    told: bool,
}

const LIMIT: &str = "Budget/a/b/Tokens";
/// An ordinary Friday.
const UNIX: i64 = 1_795_784_400_000;

impl World {
    pub(crate) fn new(plan: Plan, mut chance: Rng, told: bool) -> Self {
        let limit = chance.u64(50..20_000);
        let window = match (plan.windows, chance.u8(..3)) {
            (true, 0) => Window::Rolling { duration_ms: chance.u64(60_000..600_000) },
            (true, _) => Window::Calendar { every: Period::Day, time_zone: "UTC".into() },
            (false, _) => Window::Total,
        };
        let budget = Budget {
            limits: vec![weir_snapshot::Limit { unit: Unit::Tokens, amount: limit }],
            window,
            selector: BudgetSelector::default(),
            partition_by: vec![],
            ancestors: vec![],
            mode: weir_snapshot::BudgetMode::Enforce,
            on_exceeded: weir_snapshot::OnExceeded::Reject,
            thrift: None,
            reservation: weir_snapshot::Reservation::UpperBound,
            failure_mode: FailureMode::LeasedOnly,
            on_unpriced: weir_snapshot::OnUnpriced::Refuse,
            overrides: vec![],
        };
        let mut world = Self {
            plan,
            mono: 1_000,
            epoch: 0,
            pace: if chance.u8(..3) == 0 { 600 } else { 120 },
            shards: chance.usize(1..=8),
            pods: Vec::new(),
            offices: Vec::new(),
            lease: None,
            standby: Standby::default(),
            store: BTreeMap::new(),
            version: 0,
            copies: Vec::new(),
            budget,
            limit,
            partitions: if chance.bool() { 1 } else { chance.usize(2..=6) },
            part_bytes: if chance.u8(..4) > 0 { 1 } else { 400 },
            shard_bytes: if chance.u8(..4) > 0 { 1 << 17 } else { 2_000 },
            spent: Vec::new(),
            overruns: 0,
            forgotten: false,
            frail_since: None,
            lost_starts: 0,
            moves: 0,
            calm: !plan.failures,
            told,
            chance,
        };
        for n in 0..plan.pods {
            let wallet = world.wallet(format!("{n}-1"));
            world.pods.push(Pod {
                uid: format!("uid-{n}"),
                starts: 1,
                name: format!("{n}-1"),
                wallet,
                leader: None,
                redial_at: 0,
                hangs_up_at: None,
                looks_at: None,
                leaves: None,
                report_at: 0,
                running: Vec::new(),
                waiting: HashMap::new(),
                inbox: Vec::new(),
            });
        }
        world.elect();
        world
    }

    /// How often a pod left a leader that lived for a newer one.
    pub(crate) fn run(mut self) -> u64 {
        let steps = self.chance.usize(50..250);
        for _ in 0..steps {
            self.step();
            if self.plan.failures && self.chance.u8(..12) == 0 {
                self.break_something();
            }
            self.check();
        }
        self.heal()
    }

    fn wallet(&self, name: String) -> Wallet {
        Wallet::bounded(name, Bounds { part_bytes: self.part_bytes, ..Bounds::default() })
    }

    /// What a partition is called; one that has others beside it has a name.
    fn name_of(&self, partition: usize) -> String {
        if self.partitions == 1 { String::new() } else { format!("user-{partition}") }
    }

    fn limits(&self) -> Vec<(Arc<str>, Limit)> {
        limits_of_budget(&Name::new("a", "b"), &self.budget)
    }

    fn now_at(&self, skew: i64) -> Now {
        Now { mono: self.mono, unix: UNIX + i64::try_from(self.mono).unwrap() + skew }
    }

    fn tell(&self, what: impl FnOnce() -> String) {
        if self.told {
            println!("{:>8} {}", self.mono, what());
        }
    }

    /// A new leader, from what is stored.
    fn elect(&mut self) {
        self.epoch += 1;
        let settings = Settings::new(self.epoch, self.chance.u64(..), self.shards, self.shard_bytes, true);
        let settings = Settings { part_bytes: self.part_bytes, ..settings };
        let running: BTreeSet<String> = self.pods.iter().map(|pod| pod.uid.clone()).collect();
        let skew = if self.plan.jumps { self.chance.i64(-3_600_000..3_600_000) } else { self.chance.i64(-500..500) };
        let now = self.now_at(skew);
        let stored = self.store.iter().map(|(part, (_, body))| (*part, body.clone())).collect();
        let versions = self.store.iter().map(|(part, (version, _))| (*part, *version)).collect();
        let mut leader = Leader::new(settings, stored, &running, now);
        leader.set_limits(self.limits());
        self.tell(|| format!("leader {} of {:?}", self.epoch, self.store));
        self.offices.push(Office::new(leader, self.epoch, skew, self.mono, versions));
        self.write_lease(Some(self.offices.len() - 1));
        self.standby = Standby::default();
    }

    fn step(&mut self) {
        let most = match self.chance.u8(..40) {
            0 => 20_000,
            _ if self.awaits_leader() => 2_000,
            _ => self.pace,
        };
        self.mono += self.chance.u64(1..most);
        self.hold_elections();
        (0..self.pods.len()).for_each(|pod| self.step_pod(pod));
        (0..self.offices.len()).for_each(|office| self.step_office(office));
        (0..self.pods.len()).for_each(|pod| self.receive(pod));
        self.watch_store();
    }

    fn delay(&mut self) -> u64 {
        self.mono + if self.plan.failures && self.chance.u8(..20) == 0 { self.chance.u64(..2_000) } else { 1 }
    }

    fn step_pod(&mut self, index: usize) {
        let mono = self.mono;
        self.hang_up(index);
        self.move_on(index);
        if self.pods[index].leader.is_none()
            && mono >= self.pods[index].redial_at
            && let Some(office) = self.found_leader()
        {
            self.say_hello(index, office);
        }
        let mut running = std::mem::take(&mut self.pods[index].running);
        running.retain_mut(|request| {
            if mono < request.ends {
                return true;
            }
            self.spent.push((mono, request.partition, request.spends));
            self.overruns += request.spends.saturating_sub(request.reserved);
            let reservation = std::mem::take(&mut request.reservation);
            self.pods[index].wallet.settle(reservation, &[Some(request.spends)], mono);
            false
        });
        self.pods[index].running = running;
        for _ in 0..self.chance.usize(..3) {
            let amount = self.chance.u64(1..=(self.limit / 20).clamp(1, 200));
            let partition = self.chance.usize(..self.partitions);
            self.attempt(index, partition, amount);
        }
        let pod = &mut self.pods[index];
        if pod.leader.is_some() && mono >= pod.report_at {
            pod.report_at = mono + weir_lease::ROUND_MS;
            self.report(index);
            for ask in self.pods[index].wallet.asks_ahead(mono) {
                self.send(index, from_pod::Kind::Ask(ask));
            }
        }
    }

    fn report(&mut self, index: usize) {
        for report in self.pods[index].wallet.reports(self.mono) {
            self.send(index, from_pod::Kind::Report(report));
        }
    }

    /// In parts, of which the stream's end may leave the last ones unheard.
    fn greet(&mut self, index: usize) {
        let mut greeting = Greeting::default();
        loop {
            let hello = self.pods[index].wallet.hello(&mut greeting);
            let more = hello.more;
            self.send(index, from_pod::Kind::Hello(hello));
            if !more {
                break;
            }
        }
        self.pods[index].wallet.set_connected(true);
    }

    fn say_hello(&mut self, index: usize, office: usize) {
        let pod = &mut self.pods[index];
        (pod.leader, pod.looks_at) = (Some(office), None);
        pod.leaves = pod.leaves.filter(|(left, _)| *left != office);
        pod.inbox.clear();
        pod.wallet.meet(self.offices[office].epoch);
        self.greet(index);
    }

    /// The leader that a pod finds: the newest, or one that does not know yet that it is none.
    fn found_leader(&mut self) -> Option<usize> {
        let mut acting = (0..self.offices.len()).filter(|office| self.offices[*office].acts());
        let (oldest, newest) = (acting.next(), acting.next_back());
        newest.filter(|_| self.chance.u8(..if self.plan.cuts { 2 } else { 5 }) > 0).or(oldest)
    }

    /// Leaves a leader that it still does not reach.
    fn hang_up(&mut self, index: usize) {
        let mono = self.mono;
        let pod = &mut self.pods[index];
        let is_away = |office: usize| !self.offices[office].acts() || self.offices[office].is_cut_off(mono);
        if pod.hangs_up_at.take_if(|at| *at <= mono).is_some() && pod.leader.is_some_and(is_away) {
            self.disconnect(index, mono);
        }
    }

    /// A request of that size: sent, asked for, or refused.
    fn attempt(&mut self, index: usize, partition: usize, amount: u64) {
        let (mono, name) = (self.mono, self.name_of(partition));
        let claim = Claim {
            limit: LIMIT.into(),
            partition: name.into(),
            amount,
            leave: 0,
            terms: Terms::Hard(FailureMode::LeasedOnly),
        };
        let pod = &mut self.pods[index];
        match pod.wallet.reserve(&[claim], mono) {
            Reserved::Held(reservation) => {
                let over = self.plan.overruns && self.chance.u8(..10) == 0;
                let spends = self.chance.u64(0..=if over { amount * 2 } else { amount });
                let ends = mono + self.chance.u64(1..5_000);
                self.pods[index].running.push(Request { reservation, partition, reserved: amount, spends, ends });
            }
            Reserved::Short(wants) => {
                if pod.leader.is_some() {
                    let ask = pod.wallet.ask(wants);
                    pod.waiting.insert(ask.id, (partition, amount));
                    self.send(index, from_pod::Kind::Ask(ask));
                }
            }
            Reserved::Refused(_) => {}
        }
    }

    fn send(&mut self, index: usize, kind: from_pod::Kind) {
        let at = self.delay();
        let pod = &self.pods[index];
        let Some(office) = pod.leader else { return };
        self.tell(|| format!("{} says {kind:?}", pod.name));
        let message = FromPod { kind: Some(kind) };
        let (name, uid) = (pod.name.clone(), pod.uid.clone());
        // One stream keeps its order.
        let last = self.offices[office].inbox.iter().filter(|(_, held, _, _)| *held == name).map(|(at, ..)| *at).max();
        self.offices[office].inbox.push((at.max(last.unwrap_or(0)), name, uid, message));
    }

    fn receive(&mut self, index: usize) {
        let mono = self.mono;
        let pod = &mut self.pods[index];
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut pod.inbox)
            .into_iter()
            .partition(|(at, office, _)| *at <= mono && pod.leader == Some(*office));
        pod.inbox = later.into_iter().filter(|(_, office, _)| pod.leader == Some(*office)).collect();
        for (_, from, message) in due {
            self.tell(|| format!("{} hears of {} {message:?}", self.pods[index].name, from + 1));
            if let Some(to_pod::Kind::Adrift(word)) = &message.kind {
                self.pods[index].looks_at = word.adrift.then_some(mono);
            }
            let taken = self.pods[index].wallet.take(message, mono);
            if taken.closed {
                self.restart(index);
                return;
            }
            if taken.report {
                self.report(index);
            }
            if let Some((id, None)) = taken.answered
                && let Some((partition, amount)) = self.pods[index].waiting.remove(&id)
            {
                self.attempt(index, partition, amount);
            }
        }
    }

    /// The process of a pod is killed and starts again; what runs is spent, and nobody reports it.
    fn restart(&mut self, index: usize) {
        let mono = self.mono;
        let pod = &mut self.pods[index];
        for request in std::mem::take(&mut pod.running) {
            self.spent.push((mono, request.partition, request.spends));
            self.overruns += request.spends.saturating_sub(request.reserved);
        }
        // An overrun that was not reported dies with the process, as spending above every grant.
        self.overruns += pod.wallet.counters().map(|(_, _, _, counters)| counters.overrun).sum::<u64>();
        self.lost_starts += 1;
        pod.starts += 1;
        pod.name = format!("{}-{}", &pod.uid[4..], pod.starts);
        (pod.leader, pod.redial_at, pod.hangs_up_at) = (None, mono + 100, None);
        (pod.looks_at, pod.leaves) = (None, None);
        pod.waiting.clear();
        pod.inbox.clear();
        self.pods[index].wallet = self.wallet(self.pods[index].name.clone());
    }

    fn disconnect(&mut self, index: usize, redial_at: u64) {
        let pod = &mut self.pods[index];
        pod.wallet.set_connected(false);
        pod.waiting.clear();
        pod.inbox.clear();
        let (name, leader) = (pod.name.clone(), pod.leader.take());
        (pod.redial_at, pod.hangs_up_at, pod.looks_at) = (redial_at, None, None);
        if let Some(office) = leader {
            self.offices[office].inbox.retain(|(_, held, _, _)| *held != name);
            if self.offices[office].acts() {
                self.offices[office].leader.left(&name);
            }
        }
    }

    /// What counts of what was spent of a partition, in the window that is open by that clock.
    fn counted(&self, partition: usize, since: u64) -> u64 {
        let counts = self.spent.iter().filter(|(at, of, _)| *of == partition && *at >= since);
        counts.map(|(_, _, spent)| spent).sum()
    }

    fn check(&self) {
        for pod in &self.pods {
            for (_, _, _, held) in pod.wallet.counters() {
                assert!(held.settled + held.outstanding <= held.granted + held.overrun - held.returned, "{held:?}");
            }
        }
        let since = match self.budget.window {
            Window::Rolling { duration_ms } => self.mono.saturating_sub(duration_ms - 1_000),
            // A run is shorter than a day; clocks that jump may see midnight.
            Window::Calendar { .. } | Window::Total => 0,
        };
        if self.plan.jumps {
            return;
        }
        for partition in 0..self.partitions {
            let runs = self.pods.iter().flat_map(|pod| &pod.running).filter(|request| request.partition == partition);
            let used = self.counted(partition, since) + runs.map(|request| request.reserved).sum::<u64>();
            assert!(used <= self.limit + self.overruns, "{used} of {} and {} overrun", self.limit, self.overruns);
        }
    }
}
