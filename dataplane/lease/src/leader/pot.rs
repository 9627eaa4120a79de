//! One pot: what was granted of it to whom, and what must be taken as granted.

use super::member::Members;
use super::share::Share;
use crate::{Counters, Millis, Nature, Now};
use std::collections::VecDeque;
use weir_snapshot::ledger::{self, Bucket, StoredHeld, StoredPot};

/// A rolling window ages in so many steps.
const BUCKETS: u64 = 60;
/// A mark grants so long after it was stored.
const CHUNK_MS: Millis = 15 * 60_000;

#[derive(Debug, Default)]
pub(super) struct Pot {
    /// What starts that are closed took.
    base: u64,
    /// The part of it that nobody can tell the fate of.
    pub(super) unaccounted: u64,
    pub(super) shares: Vec<Share>,
    /// No durable grant goes beyond it: the store has it.
    pub(super) mark: u64,
    marked_at: Millis,
    /// What the store is to have.
    pub(super) mark_wanted: u64,
    /// What counts as taken until all is heard.
    floor: u64,
    /// The highest total that pods were told by other leaders.
    told: (u64, u64, u64),
    pub(super) sequence: u64,
    /// What no longer counts, of a rolling window or a rate.
    aged: u64,
    /// When a rate last filled up.
    aged_at: Millis,
    rest: u64,
    buckets: VecDeque<(u64, u64)>,
    /// Unix milliseconds at which its window ends.
    pub(super) ends: Option<i64>,
    /// Parts of the store that it is in, a bit each: one, or two where an earlier leader put it elsewhere.
    pub(super) parts: u64,
    /// Requests without a price, of starts that are closed.
    unpriced: u64,
}

impl Pot {
    /// One of which so much is taken already: that of a rate is what the window before had not got back.
    pub(super) fn new(ends: Option<i64>, base: u64, now: Now) -> Self {
        Self { ends, base, aged_at: now.mono, ..Self::default() }
    }

    /// What was taken of it as far as that is known, ever.
    pub(super) fn taken(&self) -> u64 {
        self.shares.iter().fold(self.base, |sum, share| sum.saturating_add(share.counters.taken()))
    }

    /// What was spent of it, ever.
    fn settled(&self) -> u64 {
        let base = self.base.saturating_sub(self.unaccounted);
        self.shares.iter().fold(base, |sum, share| sum.saturating_add(share.counters.settled))
    }

    /// What is spent of it now.
    pub(super) fn spent(&self) -> u64 {
        self.settled().saturating_sub(self.aged_now())
    }

    /// What running requests have reserved.
    pub(super) fn outstanding(&self) -> u64 {
        self.shares.iter().fold(0, |sum: u64, share| sum.saturating_add(share.counters.outstanding))
    }

    /// Requests whose price nobody knew.
    pub(super) fn unpriced(&self) -> u64 {
        self.shares.iter().fold(self.unpriced, |sum, share| sum.saturating_add(share.counters.unpriced))
    }

    /// Spent, leased, or unknown and so taken as spent.
    pub(super) fn committed(&self) -> u64 {
        self.presumed().saturating_sub(self.aged_now())
    }

    /// What was taken of it ever, the unknown included.
    fn presumed(&self) -> u64 {
        self.taken().max(self.floor)
    }

    /// What all but one hold idle, as far as they told it. That one counts its own before it asks.
    pub(super) fn idle(&self, except: usize) -> u64 {
        let others = self.shares.iter().filter(|share| share.member != except);
        others.fold(0, |sum: u64, share| sum.saturating_add(share.idle))
    }

    /// The part of `committed` of which nobody knows whether it was granted.
    pub(super) fn unknown(&self) -> u64 {
        self.floor.saturating_sub(self.taken())
    }

    /// All that was ever granted.
    pub(super) fn total(&self) -> u64 {
        self.shares.iter().fold(self.base, |sum, share| sum.saturating_add(share.counters.granted))
    }

    /// What can be granted by the mark now.
    pub(super) fn below_mark(&self, now: Now) -> u64 {
        if now.mono.saturating_sub(self.marked_at) > CHUNK_MS { 0 } else { self.mark.saturating_sub(self.presumed()) }
    }

    /// Raises the mark that is to be stored, so that `amount` can be granted below it.
    pub(super) fn want_mark(&mut self, amount: u64) -> bool {
        let wanted = self.presumed().saturating_add(amount);
        let raised = wanted > self.mark_wanted;
        self.mark_wanted = self.mark_wanted.max(wanted);
        raised
    }

    /// The store has that mark since `asked_at`. It keeps it for as long as it is granted from, an inherited one too.
    pub(super) fn marked(&mut self, mark: u64, asked_at: Millis) {
        if mark >= self.mark {
            (self.mark, self.marked_at) = (mark, asked_at);
            self.mark_wanted = self.mark_wanted.max(mark);
        }
    }

    /// The mark goes down to what is taken: nothing is granted any more.
    pub(super) fn hand_over(&mut self) {
        (self.mark, self.mark_wanted) = (0, self.presumed());
    }

    #[expect(clippy::indexing_slicing, reason = "the index is that of the share that was found or pushed")]
    pub(super) fn share(&mut self, member: usize) -> &mut Share {
        let index = self.shares.iter().position(|share| share.member == member).unwrap_or_else(|| {
            // Most pots are leased by one start or two.
            self.shares.reserve_exact(1);
            self.shares.push(Share { member, ..Share::default() });
            self.shares.len() - 1
        });
        &mut self.shares[index]
    }

    /// Grants a start so much more; also nothing, so that it is told of the pot from then on.
    pub(super) fn grant(&mut self, member: usize, amount: u64) {
        let share = self.share(member);
        if amount == 0 {
            return;
        }
        share.counters.granted = share.counters.granted.saturating_add(amount);
        // What is unknown does not explain what is granted now.
        self.floor = if self.floor > 0 { self.floor.saturating_add(amount) } else { 0 };
        self.sequence += 1;
    }

    /// Takes what a start reports.
    pub(super) fn report(&mut self, member: usize, told: &Counters, nature: Option<Nature>, now: Now) {
        let share = self.share(member);
        let settled = share.counters.settled;
        let knew = told.granted;
        share.counters.merge(told);
        // What was granted since the pod wrote this counts as used.
        let unseen = share.counters.granted.saturating_sub(knew);
        share.idle = share.counters.free().saturating_sub(unseen);
        let spent = share.counters.settled.saturating_sub(settled);
        self.bucket(nature, spent, now);
    }

    fn bucket(&mut self, nature: Option<Nature>, spent: u64, now: Now) {
        let Some(Nature::Rolling { duration_ms }) = nature else { return };
        if spent == 0 {
            return;
        }
        let id = bucket_of(duration_ms, now);
        match self.buckets.back_mut().filter(|(last, _)| *last >= id) {
            Some((_, held)) => *held = held.saturating_add(spent),
            None => self.buckets.push_back((id, spent)),
        }
    }

    /// Lets go of what no longer counts.
    pub(super) fn age(&mut self, nature: Nature, now: Now) {
        match nature {
            Nature::Window | Nature::Gauge => {}
            Nature::Rolling { duration_ms } => {
                let open = bucket_of(duration_ms, now);
                while let Some((id, spent)) = self.buckets.front().copied().filter(|(id, _)| id + BUCKETS < open) {
                    debug_assert!(id < open, "only what is past ages");
                    self.aged = self.aged.saturating_add(spent);
                    self.buckets.pop_front();
                }
            }
            Nature::Rate { amount, per_ms } => {
                let passed = now.mono.saturating_sub(self.aged_at);
                let came = u128::from(passed) * u128::from(amount) + u128::from(self.rest);
                let per = u128::from(per_ms.max(1));
                self.rest = u64::try_from(came % per).unwrap_or(0);
                self.aged_at = now.mono;
                let aged = self.aged.saturating_add(u64::try_from(came / per).unwrap_or(u64::MAX));
                self.aged = aged.min(self.taken());
            }
        }
    }

    /// What no longer counts of what is settled; what is only leased always counts.
    fn aged_now(&self) -> u64 {
        self.aged.min(self.settled().saturating_add(self.unaccounted))
    }

    /// Milliseconds until so much more has come back; `None` if it does not by itself.
    pub(super) fn comes_back_in(&self, missing: u64, nature: Nature, now: Now) -> Option<u64> {
        match nature {
            Nature::Window => self.ends.map(|ends| u64::try_from(ends - now.unix).unwrap_or(0)),
            Nature::Gauge => Some(1_000),
            Nature::Rate { amount, per_ms } => {
                let ms = (u128::from(missing) * u128::from(per_ms)).div_ceil(u128::from(amount.max(1)));
                Some(u64::try_from(ms).unwrap_or(u64::MAX).max(1))
            }
            Nature::Rolling { duration_ms } => {
                let step = (duration_ms / BUCKETS).max(1);
                let mut freed = 0u64;
                let enough = self.buckets.iter().find(|(_, spent)| {
                    freed = freed.saturating_add(*spent);
                    freed >= missing
                });
                let (id, _) = enough?;
                let at = (id + BUCKETS + 1).saturating_mul(step);
                Some(at.saturating_sub(u64::try_from(now.unix).unwrap_or(0)).max(1))
            }
        }
    }

    /// Closes the share of a start that spends no more; how much of it nobody can tell the fate of.
    pub(super) fn fold(&mut self, member: usize, nature: Option<Nature>, now: Now) -> u64 {
        let Some(index) = self.shares.iter().position(|share| share.member == member) else { return 0 };
        let Share { counters, .. } = self.shares.swap_remove(index);
        let gauge = matches!(nature, Some(Nature::Gauge));
        let lost = if gauge { 0 } else { counters.taken().saturating_sub(counters.settled) };
        let kept = if gauge { counters.settled } else { counters.taken() };
        // A total that counts its grants counts now what it kept.
        self.told.2 = self.told.2.saturating_sub(counters.granted).saturating_add(kept);
        self.base = self.base.saturating_add(kept);
        self.unpriced = self.unpriced.saturating_add(counters.unpriced);
        self.unaccounted = self.unaccounted.saturating_add(lost);
        self.bucket(nature, lost, now);
        self.sequence += 1;
        lost
    }

    /// Closes the shares of starts that were given up before the pot was known.
    pub(super) fn fold_closed(&mut self, members: &Members, nature: Option<Nature>, now: Now) {
        let is_closed = |member: &usize| members.get(*member).is_some_and(|member| member.closed);
        let closed: Vec<usize> = self.shares.iter().map(|share| share.member).filter(is_closed).collect();
        for member in closed {
            self.fold(member, nature, now);
        }
    }

    /// What pods were told of it by a leader.
    pub(super) fn told(&mut self, total: (u64, u64, u64)) {
        self.told = self.told.max(total);
        self.floor = self.floor.max(self.told.2);
    }

    /// All that can be heard is heard: what is still unexplained was taken by somebody who is gone.
    pub(super) fn settle_floor(&mut self, somebody_is_lost: bool, nature: Option<Nature>, now: Now) {
        let by_totals = self.told.2.saturating_sub(self.total());
        let by_mark = if somebody_is_lost { self.floor.saturating_sub(self.taken()) } else { 0 };
        let lost = by_totals.max(by_mark);
        self.base = self.base.saturating_add(lost);
        self.unaccounted = self.unaccounted.saturating_add(lost);
        self.bucket(nature, lost, now);
        (self.floor, self.sequence) = (0, self.sequence + 1);
    }

    /// Whether nobody needs it any more.
    pub(super) fn is_done(&self) -> bool {
        self.shares.iter().all(Share::is_done)
    }

    /// Whether its window is over and a start holds nothing of it any more, so that it need not be told of it.
    pub(super) fn is_over_for(&self, share: &Share, now: Now) -> bool {
        self.ends.is_some_and(|ends| now.unix >= ends) && share.is_done() && share.counters.outstanding == 0
    }

    /// Whether nothing of it counts any more that a rate's next window would have to know. What is only leased counts
    /// unless it is `late`: then whoever has it can spend it no more.
    pub(super) fn is_back(&mut self, nature: Option<Nature>, late: bool, now: Now) -> bool {
        let Some(nature @ Nature::Rate { .. }) = nature else { return true };
        self.age(nature, now);
        self.committed() == 0 || (late && self.spent() == 0)
    }

    pub(super) fn of_store(stored: StoredPot, members: &mut Members) -> Self {
        let share = |held: StoredHeld| {
            let StoredHeld { incarnation, granted, settled, returned, overrun, unpriced } = held;
            let counters = Counters { granted, settled, returned, overrun, outstanding: 0, unpriced };
            Share { member: members.index(&incarnation), counters, idle: 0 }
        };
        Self {
            base: stored.base,
            unpriced: stored.unpriced,
            unaccounted: stored.unaccounted,
            shares: stored.held.into_iter().map(share).collect(),
            floor: stored.mark,
            told: stored.told.map_or((0, 0, 0), |told| (told.epoch, told.sequence, told.granted)),
            aged: stored.aged,
            buckets: stored.buckets.iter().map(|bucket| (bucket.id, bucket.spent)).collect(),
            ends: (stored.ends > 0).then_some(stored.ends),
            ..Self::default()
        }
    }

    /// Takes what an earlier leader stored since this one read it.
    pub(super) fn learn(&mut self, later: Self, members: &Members) {
        self.floor = self.floor.max(later.floor);
        self.told = self.told.max(later.told);
        self.parts |= later.parts;
        if (later.base, later.aged) > (self.base, self.aged) {
            (self.base, self.unaccounted, self.aged, self.buckets) =
                (later.base, later.unaccounted, later.aged, later.buckets);
        }
        let closed = |share: &Share| members.get(share.member).is_some_and(|member| member.closed);
        // What a start had that is closed by now, the floor covers until all is heard.
        for share in later.shares.into_iter().filter(|share| !closed(share)) {
            let outstanding = self.share(share.member).counters.outstanding;
            let held = self.share(share.member);
            held.counters.merge(&Counters { outstanding, ..share.counters });
        }
    }

    pub(super) fn store(&self, id: ledger::Pot, members: &Members, of: Option<u64>) -> StoredPot {
        let (epoch, sequence, granted) = of.map_or(self.told, |epoch| (epoch, self.sequence, self.total()));
        let held = self.shares.iter().filter_map(|share| {
            let Counters { granted, settled, returned, overrun, outstanding: _, unpriced } = share.counters;
            let incarnation = members.get(share.member)?.incarnation.to_string();
            Some(StoredHeld { incarnation, granted, settled, returned, overrun, unpriced })
        });
        StoredPot {
            pot: Some(id),
            mark: self.mark_wanted.max(self.floor),
            base: self.base,
            unaccounted: self.unaccounted,
            aged: self.aged,
            ends: self.ends.unwrap_or(0),
            held: held.collect(),
            buckets: self.buckets.iter().map(|(id, spent)| Bucket { id: *id, spent: *spent }).collect(),
            told: (epoch > 0).then_some(ledger::Total { pot: None, epoch, sequence, granted, ends_in_ms: None }),
            unpriced: self.unpriced,
        }
    }
}

/// What a pot comes to where it is stored, in bytes: names, six numbers, and what each start has of it.
pub(super) fn size_of(limit: &str, partition: &str, pot: &Pot) -> u64 {
    size(limit, partition, pot.shares.len().max(1), pot.buckets.len())
}

/// The same of one that a start has just got a lease of.
pub(super) fn new_size(limit: &str, partition: &str) -> u64 {
    size(limit, partition, 1, 0)
}

const fn size(limit: &str, partition: &str, shares: usize, buckets: usize) -> u64 {
    const POT: usize = 56;
    const SHARE: usize = 68;
    const BUCKET: usize = 16;
    (POT + limit.len() + partition.len() + shares * SHARE + buckets * BUCKET) as u64
}

fn bucket_of(duration_ms: u64, now: Now) -> u64 {
    u64::try_from(now.unix).unwrap_or(0) / (duration_ms / BUCKETS).max(1)
}
