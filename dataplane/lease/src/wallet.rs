//! A pod's end: it spends its leases without a round trip, asks for more, and gives the rest back.
//!
//! Every reservation is settled exactly once, since settling takes it.

mod claim;
mod hear;
mod outcome;
mod slot;
mod tell;
mod totals;

pub use claim::{Bounds, Claim, Reservation, Reserved, Taken, Terms};
pub use outcome::{Refusal, Standing};
pub use tell::Greeting;

use crate::room::Room;
use crate::{Counters, Millis};
use claim::Part;
use foldhash::fast::RandomState;
use outcome::Lack;
use slot::{Lease, Slot};
use std::collections::HashMap;
use std::sync::Arc;
use totals::Totals;
use weir_snapshot::FailureMode;
use weir_snapshot::ledger::Want;

/// The place of a partition that found none.
const NOWHERE: usize = usize::MAX;
/// When a partition that found no place may find one, as idle ones are forgotten.
const CROWDED_RETRY_MS: Millis = 60_000;

/// By limit, or by partition: each request looks up several.
type Named<T> = HashMap<Arc<str>, T, RandomState>;

/// What one start of a pod's process may spend.
#[derive(Debug)]
pub struct Wallet {
    incarnation: String,
    starts: u64,
    bounds: Bounds,
    by_limit: Named<Named<usize>>,
    /// Places of those that were forgotten are taken again.
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    /// Who holds how many of them.
    room: Room,
    /// Places of those of which something may have changed since the last report.
    dirty: Vec<usize>,
    /// Places of those that were reported last.
    active: Vec<usize>,
    /// Where the next look for what nobody needs begins.
    swept: usize,
    totals: Totals,
    epoch: u64,
    /// Leases admit requests until then.
    valid_until: Millis,
    /// Whether a leader is being spoken to.
    connected: bool,
    pods: u64,
    asks: u64,
    rounds: u64,
    /// The leader has all reports up to this one; absent until it has all that it is told first.
    acknowledged: Option<u64>,
    reported_at: Millis,
}

impl Wallet {
    /// Of a process that starts under that name.
    pub fn new(incarnation: impl Into<String>) -> Self {
        Self::bounded(incarnation, Bounds::default())
    }

    /// The same, with other bounds.
    pub fn bounded(incarnation: impl Into<String>, bounds: Bounds) -> Self {
        Self {
            incarnation: incarnation.into(),
            starts: 0,
            bounds,
            by_limit: HashMap::default(),
            slots: Vec::new(),
            free: Vec::new(),
            room: Room::default(),
            dirty: Vec::new(),
            active: Vec::new(),
            swept: 0,
            totals: Totals::default(),
            epoch: 0,
            valid_until: 0,
            connected: false,
            pods: 1,
            asks: 0,
            rounds: 0,
            acknowledged: None,
            reported_at: 0,
        }
    }

    /// Begins anew under another name, as a leader asks that gave this start up. What running requests have reserved
    /// was taken as spent by that leader.
    pub fn restart(&mut self, incarnation: impl Into<String>) {
        let (starts, epoch, totals) = (self.starts + 1, self.epoch, std::mem::take(&mut self.totals));
        *self = Self { starts, epoch, totals, ..Self::bounded(incarnation, self.bounds) };
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
            let (slot, soft) = (self.slot(&claim.limit, &claim.partition), claim.terms == Terms::Soft);
            parts.push(Part { slot, window: 0, amount: if soft { 0 } else { claim.amount } });
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
            self.mark(part.slot);
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
            self.mark(part.slot);
        }
    }

    /// What a pot is at, as far as this pod knows.
    pub fn standing(&self, limit: &str, partition: &str, now: Millis) -> Option<Standing> {
        let index = self.find(limit, partition)?;
        self.slots.get(index)?.as_ref()?.standing(now)
    }

    /// A leader of that epoch will be told what is held here, and counts on it: no older one grants anything any more.
    pub fn meet(&mut self, epoch: u64) {
        self.epoch = self.epoch.max(epoch);
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.slots.iter_mut().flatten()
    }

    fn at(&mut self, index: usize) -> Option<&mut Slot> {
        self.slots.get_mut(index)?.as_mut()
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

    /// The place of a partition, if it has one.
    fn find(&self, limit: &str, partition: &str) -> Option<usize> {
        self.by_limit.get(limit)?.get(partition).copied()
    }

    /// The place of a partition; [`NOWHERE`] where its limit or namespace holds its share already.
    fn slot(&mut self, limit: &Arc<str>, partition: &Arc<str>) -> usize {
        match self.find(limit, partition) {
            Some(index) => index,
            None if self.admits(limit, partition) => self.add(limit, partition),
            None => NOWHERE,
        }
    }

    fn admits(&self, limit: &str, partition: &str) -> bool {
        self.room.admits(self.bounds.partitions as u64, limit, !partition.is_empty(), 1)
    }

    fn add(&mut self, limit: &Arc<str>, partition: &Arc<str>) -> usize {
        let slot = Some(Slot::new(Arc::clone(limit), Arc::clone(partition)));
        let index = self.free.pop().unwrap_or(self.slots.len());
        match self.slots.get_mut(index) {
            Some(place) => *place = slot,
            None => self.slots.push(slot),
        }
        self.room.take(limit, 1);
        self.by_limit.entry(Arc::clone(limit)).or_default().insert(Arc::clone(partition), index);
        index
    }

    /// What a claim lacks.
    fn lacks(&mut self, index: usize, claim: &Claim, now: Millis) -> Lack {
        let (valid, connected, pods) = (now < self.valid_until, self.connected, self.pods);
        let need = claim.amount.saturating_add(claim.leave.div_ceil(pods));
        let soft = claim.terms == Terms::Soft;
        let Some(slot) = self.at(index) else {
            // What is only counted refuses nothing; here it is not counted either, and the Budget's status says so.
            let crowded = || Refusal { crowded: true, ..Refusal::unknown(Standing::default(), CROWDED_RETRY_MS) };
            return if soft { Lack::Nothing } else { Lack::Refused(crowded()) };
        };
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
            return Lack::Refused(Refusal::unknown(standing, 1_000));
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
