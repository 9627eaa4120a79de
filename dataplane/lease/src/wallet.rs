//! A pod's end: it spends its leases without a round trip, asks for more, and gives the rest back.
//!
//! Every reservation is settled exactly once, since settling takes it.

mod outcome;
mod slot;

pub use outcome::{Refusal, Standing};

use crate::{Counters, LEASE_MS, Millis};
use foldhash::fast::RandomState;
use outcome::Lack;
use slot::{Lease, Slot};
use std::collections::HashMap;
use std::sync::Arc;
use weir_snapshot::FailureMode;
use weir_snapshot::ledger::{
    self, Answer, Ask, Held, Hello, Refused, Report, Round, State, ToPod, Total, Want, to_pod,
};

/// Totals of other pods that are kept for them.
const TOTALS: usize = 20_000;
/// How long a refusal of the leader is believed.
const BELIEVED_MS: Millis = 500;

/// What a request wants of one limit.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Name of the limit in the ledger.
    pub limit: Arc<str>,
    /// Which of its partitions; empty where it has none.
    pub partition: Arc<str>,
    /// How much is reserved, in the limit's smallest parts.
    pub amount: u64,
    /// How much of the limit must be left beside it, over all pods: each leaves its part.
    pub leave: u64,
    /// What holds where there is no lease.
    pub terms: Terms,
}

impl AsRef<Self> for Claim {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// What holds where no lease covers a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terms {
    /// No request beyond the lease, but for what the mode says while no leader answers.
    Hard(FailureMode),
    /// While no leader answers, this pod's share.
    Rate {
        /// How much comes back over all pods.
        amount: u64,
        /// In which time, in milliseconds.
        per_ms: u64,
        /// How much may be used at once over all pods.
        burst: u64,
    },
    /// While no leader answers, this pod's share.
    Gauge {
        /// How much at once over all pods.
        most: u64,
    },
    /// It is counted alone.
    Soft,
}

/// What a request holds until it is settled.
#[derive(Debug, Default)]
#[must_use = "what is reserved must be settled"]
pub struct Reservation {
    parts: Vec<Part>,
    /// Which start of the wallet it is of.
    of: u64,
    /// Whether a limit was kept by this pod's share alone, since no leader answers.
    pub local: bool,
}

#[derive(Debug)]
struct Part {
    slot: usize,
    window: u64,
    amount: u64,
}

/// The outcome of an attempt to reserve.
#[derive(Debug)]
pub enum Reserved {
    /// All of it.
    Held(Reservation),
    /// Nothing; ask for this and try again.
    Short(Vec<Want>),
    /// Nothing, and asking is of no use now.
    Refused(Refusal),
}

/// What a message of the leader changed.
#[derive(Debug, Default)]
pub struct Taken {
    /// The ask that is answered, and why it got nothing.
    pub answered: Option<(u64, Option<Refused>)>,
    /// Whether a report is due at once.
    pub report: bool,
    /// Whether this start was given up by the leader.
    pub closed: bool,
}

/// By limit, or by partition: each request looks up several.
type Named<T> = HashMap<Arc<str>, T, RandomState>;

/// What one start of a pod's process may spend.
#[derive(Debug)]
pub struct Wallet {
    incarnation: String,
    starts: u64,
    by_limit: Named<Named<usize>>,
    /// Places of those that were forgotten are taken again.
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    totals: HashMap<ledger::Pot, Total>,
    epoch: u64,
    /// Leases admit requests until then.
    valid_until: Millis,
    /// Whether a leader is being spoken to.
    connected: bool,
    pods: u64,
    asks: u64,
    rounds: u64,
    reported_at: Millis,
}

impl Wallet {
    /// Of a process that starts under that name.
    pub fn new(incarnation: impl Into<String>) -> Self {
        Self {
            incarnation: incarnation.into(),
            starts: 0,
            by_limit: HashMap::default(),
            slots: Vec::new(),
            free: Vec::new(),
            totals: HashMap::new(),
            epoch: 0,
            valid_until: 0,
            connected: false,
            pods: 1,
            asks: 0,
            rounds: 0,
            reported_at: 0,
        }
    }

    /// Begins anew under another name, as a leader asks that gave this start up. What running requests have reserved
    /// was taken as spent by that leader.
    pub fn restart(&mut self, incarnation: impl Into<String>) {
        let (starts, epoch, totals) = (self.starts + 1, self.epoch, std::mem::take(&mut self.totals));
        *self = Self { starts, epoch, totals, ..Self::new(incarnation) };
    }

    /// A stream to a leader begins or has ended.
    pub fn set_connected(&mut self, connected: bool) {
        self.connected = connected;
        if !connected {
            self.all().for_each(|slot| slot.asking = false);
        }
    }

    /// Reserves all claims or none.
    pub fn reserve<C: AsRef<Claim>>(&mut self, claims: &[C], now: Millis) -> Reserved {
        let mut wants = Vec::new();
        let mut parts = Vec::with_capacity(claims.len());
        for (place, claim) in claims.iter().map(AsRef::as_ref).enumerate() {
            let slot = self.slot(&claim.limit, &claim.partition);
            let amount = if claim.terms == Terms::Soft { 0 } else { claim.amount };
            parts.push(Part { slot, window: 0, amount });
            match self.lacks(slot, claim, now) {
                Lack::Nothing => {}
                Lack::Room(need) => wants.push(self.want(slot, need)),
                Lack::Refused(refusal) => {
                    return Reserved::Refused(Refusal { claim: Some(place), ..refusal });
                }
            }
        }
        if !wants.is_empty() {
            return Reserved::Short(wants);
        }
        let (leader_away, mut local) = (!self.connected, false);
        for (part, claim) in parts.iter_mut().zip(claims) {
            let Some(slot) = self.at(part.slot) else { continue };
            slot.holders += 1;
            if leader_away && matches!(claim.as_ref().terms, Terms::Rate { .. } | Terms::Gauge { .. }) {
                local = true;
                slot.local.take(part.amount);
            }
            let lease = slot.current(now);
            lease.counters.reserve(part.amount);
            (lease.used_at, lease.changed) = (now, true);
            part.window = lease.window;
        }
        Reserved::Held(Reservation { parts, of: self.starts, local })
    }

    /// Settles what each claim came to, in the order of the claims, and frees the rest; `None` = nobody knows the price,
    /// and all of it is kept.
    pub fn settle(&mut self, reservation: Reservation, spent: &[Option<u64>], now: Millis) {
        let of_now = reservation.of == self.starts;
        for (part, spent) in reservation.parts.into_iter().zip(spent).filter(|_| of_now) {
            let Some(slot) = self.at(part.slot) else { continue };
            slot.holders -= 1;
            let lease = slot.of_window(part.window, now);
            lease.counters.settle(part.amount, *spent);
            (lease.used_at, lease.changed) = (now, true);
            let spent = spent.unwrap_or(part.amount);
            slot.local.give_back(part.amount.saturating_sub(spent));
            slot.demand.add(spent);
        }
    }

    /// What a pot is at, as far as this pod knows.
    pub fn standing(&self, limit: &str, partition: &str, now: Millis) -> Option<Standing> {
        let index = *self.by_limit.get(limit)?.get(partition)?;
        self.slots.get(index)?.as_ref()?.standing(now)
    }

    /// An ask for these wants; its id comes back in the answer.
    pub fn ask(&mut self, wants: Vec<Want>) -> Ask {
        self.asks += 1;
        Ask { id: self.asks, wants }
    }

    /// An ask for leases that run low, before a request has to wait for it.
    pub fn ask_ahead(&mut self, now: Millis) -> Option<Ask> {
        let wants: Vec<Want> = self.all().filter_map(|slot| slot.refill(now)).collect();
        (self.connected && !wants.is_empty()).then(|| self.ask(wants))
    }

    /// A leader of that epoch will be told what is held here, and counts on it: no older one grants anything any more.
    pub fn meet(&mut self, epoch: u64) {
        self.epoch = self.epoch.max(epoch);
    }

    /// The first message of a stream, but for the pod's token.
    pub fn hello(&mut self) -> Hello {
        let mut totals: Vec<Total> = self.totals.values().cloned().collect();
        totals.extend(self.slots.iter().flatten().flat_map(Slot::totals));
        let held = self.all().flat_map(Slot::all).collect();
        Hello { token: String::new(), incarnation: self.incarnation.clone(), highest_epoch: self.epoch, held, totals }
    }

    /// Lets go of what nobody needs; due every while, with a leader or without.
    pub fn tidy(&mut self, now: Millis) {
        let over = now >= self.valid_until;
        for slot in self.all() {
            slot.demand.tick(now);
            slot.give_back_idle(now, over);
        }
        self.forget(now);
    }

    /// What changed since the last report. It renews the leases, so that there is one every while even if nothing did.
    pub fn report(&mut self, now: Millis) -> Option<Report> {
        self.tidy(now);
        self.rounds += 1;
        let round = self.rounds;
        let held: Vec<Held> = self.all().flat_map(|slot| slot.changed(round)).collect();
        if held.is_empty() && now.saturating_sub(self.reported_at) < LEASE_MS / 4 {
            return None;
        }
        self.reported_at = now;
        Some(Report { round, held, last: false })
    }

    /// Gives everything back that no request holds: the process ends.
    pub fn last_report(&mut self) -> Report {
        self.rounds += 1;
        self.all().for_each(Slot::give_back);
        let held: Vec<Held> = self.all().flat_map(Slot::all).collect();
        let last = held.iter().all(|held| held.outstanding == 0);
        Report { round: self.rounds, held, last }
    }

    /// Takes a message of a leader. One of an older leader is not taken.
    pub fn take(&mut self, message: ToPod, now: Millis) -> Taken {
        match message.kind {
            Some(to_pod::Kind::Round(round)) => {
                if self.follows(round.epoch, now) {
                    self.round(round, now);
                }
                Taken::default()
            }
            Some(to_pod::Kind::Answer(answer)) if self.follows(answer.epoch, now) => self.answer(answer, now),
            Some(to_pod::Kind::Recall(recall)) => {
                for pot in recall.pots {
                    let slot = self.slot(&pot.limit.into(), &pot.partition.into());
                    self.at(slot).into_iter().for_each(Slot::give_back);
                }
                Taken { report: true, ..Taken::default() }
            }
            Some(to_pod::Kind::Closed(_)) => Taken { closed: true, ..Taken::default() },
            Some(
                to_pod::Kind::Answer(_)
                | to_pod::Kind::NotLeader(_)
                | to_pod::Kind::CostsStored(_)
                | to_pod::Kind::Leads(_)
                | to_pod::Kind::Adrift(_),
            )
            | None => Taken::default(),
        }
    }

    fn follows(&mut self, epoch: u64, now: Millis) -> bool {
        if epoch < self.epoch {
            return false;
        }
        (self.epoch, self.valid_until) = (epoch, now + LEASE_MS);
        true
    }

    fn round(&mut self, round: Round, now: Millis) {
        self.pods = u64::from(round.pods.max(1));
        round.states.iter().for_each(|state| self.state(state, now));
        for total in round.totals {
            let Some(pot) = total.pot.clone() else { continue };
            let newer =
                self.totals.get(&pot).is_none_or(|held| (held.epoch, held.sequence) < (total.epoch, total.sequence));
            if newer && (self.totals.len() < TOTALS || self.totals.contains_key(&pot)) {
                self.totals.insert(pot, total);
            }
        }
        self.all().for_each(|slot| slot.acknowledged(round.round, now));
    }

    fn answer(&mut self, answer: Answer, now: Millis) -> Taken {
        for state in answer.states {
            self.state(&state, now);
        }
        if let Some(refused) = &answer.refused {
            let slot = self.slot(&refused.limit.as_str().into(), &refused.partition.as_str().into());
            if let Some(slot) = self.at(slot) {
                let wait = refused.retry_after_ms.unwrap_or(BELIEVED_MS).min(BELIEVED_MS);
                slot.refused = Some((now + wait, refused.clone()));
                slot.asking = false;
            }
        }
        Taken { answered: Some((answer.id, answer.refused)), ..Taken::default() }
    }

    fn state(&mut self, state: &State, now: Millis) {
        let Some(pot) = &state.pot else { return };
        let slot = self.slot(&pot.limit.as_str().into(), &pot.partition.as_str().into());
        if let Some(slot) = self.at(slot) {
            slot.take(state, now);
        }
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.slots.iter_mut().flatten()
    }

    fn at(&mut self, index: usize) -> Option<&mut Slot> {
        self.slots.get_mut(index)?.as_mut()
    }

    /// Forgets partitions of which nothing is held: a client may choose what they are called.
    fn forget(&mut self, now: Millis) {
        for (index, place) in self.slots.iter_mut().enumerate() {
            let Some(slot) = place.take_if(|slot| slot.is_idle(now)) else { continue };
            if let Some(of_limit) = self.by_limit.get_mut(&slot.limit) {
                of_limit.remove(&slot.partition);
            }
            self.free.push(index);
        }
        self.by_limit.retain(|_, partitions| !partitions.is_empty());
    }

    /// Processes that share what is granted, as the leader told it last.
    pub const fn pods(&self) -> u64 {
        self.pods
    }

    /// How many partitions are remembered.
    pub fn partitions(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn want(&self, slot: usize, need: u64) -> Want {
        self.slots.get(slot).and_then(Option::as_ref).map_or_else(Want::default, |slot| slot.want(need))
    }

    fn slot(&mut self, limit: &Arc<str>, partition: &Arc<str>) -> usize {
        if let Some(index) = self.by_limit.get(limit).and_then(|held| held.get(partition)) {
            return *index;
        }
        let slot = Some(Slot::new(Arc::clone(limit), Arc::clone(partition)));
        let index = self.free.pop().unwrap_or(self.slots.len());
        match self.slots.get_mut(index) {
            Some(place) => *place = slot,
            None => self.slots.push(slot),
        }
        self.by_limit.entry(Arc::clone(limit)).or_default().insert(Arc::clone(partition), index);
        index
    }

    /// What a claim lacks.
    fn lacks(&mut self, index: usize, claim: &Claim, now: Millis) -> Lack {
        let (valid, connected, pods) = (now < self.valid_until, self.connected, self.pods);
        let need = claim.amount.saturating_add(claim.leave.div_ceil(pods));
        let Some(slot) = self.at(index) else { return Lack::Nothing };
        let away = match claim.terms {
            Terms::Soft => {
                return Lack::Nothing;
            }
            Terms::Hard(FailureMode::Open) if !connected => return Lack::Nothing,
            Terms::Hard(FailureMode::Closed) if !connected => true,
            Terms::Hard(_) => !connected,
            Terms::Rate { amount, per_ms, burst } if !connected => {
                slot.local.share(burst.div_ceil(pods), amount.div_ceil(pods), per_ms, now);
                return slot.local.lacks(claim.amount, need);
            }
            Terms::Gauge { most } if !connected => {
                slot.local.share(most.div_ceil(pods), 0, 1, now);
                return slot.local.lacks(claim.amount, need);
            }
            Terms::Rate { .. } | Terms::Gauge { .. } => false,
        };
        let closed = away && claim.terms == Terms::Hard(FailureMode::Closed);
        let free = slot.lease(now).filter(|_| valid && !closed).map_or(0, |lease| lease.counters.free());
        if free >= need {
            return Lack::Nothing;
        }
        let standing = slot.standing(now).unwrap_or_default();
        if away {
            return Lack::Refused(Refusal { claim: None, standing, exhausted: false, retry_after_ms: Some(1_000) });
        }
        let missing = need - free;
        // Requests under a Budget differ in what they need: one that needs a little less is told the same.
        let believed = if matches!(claim.terms, Terms::Hard(_)) { missing.saturating_mul(2) - 1 } else { missing };
        match slot.believed(now, believed) {
            Some(refusal) => Lack::Refused(refusal),
            None => Lack::Room(missing),
        }
    }

    /// Every lease, for those who check the sums.
    pub fn counters(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>, u64, Counters)> {
        self.slots.iter().flatten().flat_map(|slot| {
            let of = |lease: &'_ Lease| (&slot.limit, &slot.partition, lease.window, lease.counters);
            slot.leases.iter().map(of).collect::<Vec<_>>()
        })
    }
}
