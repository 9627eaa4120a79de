//! What a pod has of one partition of a limit: a lease a window, and what it knows of the pot.

use super::outcome::{Lack, Refusal, Standing};
use crate::limit::is_passing;
use crate::{Counters, LEASE_MS, Millis};
use std::sync::Arc;
use weir_snapshot::ledger::{Held, Pot, Refused, State, Total, Want, refused::Why};

/// How long a refusal of the leader is believed.
const BELIEVED_MS: Millis = 500;
/// How long that there is no place for the partition.
const CROWDED_MS: Millis = 10_000;
/// The window of a lease before the leader has named one.
const UNNAMED: u64 = u64::MAX;
/// A lease that nothing was taken from for so long goes back.
const IDLE_MS: Millis = LEASE_MS / 2;
/// So long ahead of need is asked for.
const AHEAD_S: u64 = 30;
/// A lease whose window ended so long ago is forgotten, whoever knows of it: the leader keeps its pot no longer.
const CLOSED_MS: Millis = 24 * 3_600_000;

/// One partition of a limit.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) limit: Arc<str>,
    pub(super) partition: Arc<str>,
    pub(super) leases: Vec<Lease>,
    /// Reservations that are not settled yet.
    pub(super) holders: u32,
    /// The leader's last refusal, believed until then.
    refused: Option<Box<(Millis, Refused)>>,
    /// Whether an ask ahead of need is under way.
    pub(super) asking: bool,
    /// Whether it stands in the list of what may have changed since the last report.
    pub(super) dirty: bool,
    /// Whether nothing of it is spent for good, so that it can be forgotten without a leader.
    pub(super) passing: bool,
    pub(super) local: Local,
    pub(super) demand: Demand,
}

/// What a pod has of one pot.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) window: u64,
    until: Millis,
    pub(super) counters: Counters,
    pub(super) used_at: Millis,
    /// Since the last report.
    pub(super) changed: bool,
    /// The round that it was reported in last; 0 = in the hello.
    reported: Option<u64>,
    /// As the leader told it last.
    told: Told,
    /// When that was, and what had been reported as settled by then.
    told_at: (Millis, u64),
    /// What was settled at the last report, and what of it no lease covered.
    settled_reported: u64,
    overrun_reported: u64,
    /// Epoch, sequence and amount of the newest word on what was granted to all.
    total: (u64, u64, u64),
}

/// What the leader said of a pot.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    limit: u64,
    committed: u64,
    spent: u64,
    ends_in_ms: Option<u64>,
}

impl Lease {
    fn new(window: u64) -> Self {
        Self {
            window,
            until: Millis::MAX,
            counters: Counters::default(),
            used_at: 0,
            changed: false,
            reported: None,
            told: Told::default(),
            told_at: (0, 0),
            settled_reported: 0,
            overrun_reported: 0,
            total: (0, 0, 0),
        }
    }

    fn is_open(&self, now: Millis) -> bool {
        now < self.until
    }
}

impl Slot {
    pub(super) fn new(limit: Arc<str>, partition: Arc<str>) -> Self {
        let passing = is_passing(&limit);
        Self {
            limit,
            partition,
            leases: Vec::new(),
            holders: 0,
            refused: None,
            asking: false,
            dirty: false,
            passing,
            local: Local::default(),
            demand: Demand::default(),
        }
    }

    /// Whether nothing of it is held, awaited or believed.
    pub(super) fn is_idle(&mut self, now: Millis) -> bool {
        self.leases.is_empty()
            && self.holders == 0
            && !self.asking
            && self.believed(now, u64::MAX).is_none()
            && self.local.is_full(now)
    }

    /// The lease of the window that is open.
    pub(super) fn lease(&self, now: Millis) -> Option<&Lease> {
        self.leases.iter().find(|lease| lease.window != UNNAMED && lease.is_open(now))
    }

    /// The same to spend from, or one whose window the leader will name.
    pub(super) fn current(&mut self, now: Millis) -> &mut Lease {
        let window = self.lease(now).map_or(UNNAMED, |lease| lease.window);
        self.named(window)
    }

    /// The lease of a reservation. What was reserved before the window had a name is in the one that got it.
    pub(super) fn of_window(&mut self, window: u64, now: Millis) -> &mut Lease {
        let window = match self.leases.iter().find(|lease| lease.window == window) {
            Some(lease) => lease.window,
            None => self.lease(now).map_or(UNNAMED, |lease| lease.window),
        };
        self.named(window)
    }

    #[expect(clippy::indexing_slicing, reason = "the index is that of the lease that was found or pushed")]
    fn named(&mut self, window: u64) -> &mut Lease {
        let index = self.leases.iter().position(|lease| lease.window == window).unwrap_or_else(|| {
            // Most partitions have one window at a time.
            self.leases.reserve_exact(1);
            self.leases.push(Lease::new(window));
            self.leases.len() - 1
        });
        &mut self.leases[index]
    }

    /// Takes what the leader says of one of its pots.
    pub(super) fn take(&mut self, state: &State, now: Millis) {
        let window = state.pot.as_ref().map_or(0, |pot| pot.window);
        let unnamed = self.leases.iter().position(|lease| lease.window == UNNAMED);
        let unnamed = unnamed.map(|index| self.leases.swap_remove(index).counters);
        let lease = self.named(window);
        if let Some(Counters { settled, overrun, outstanding, unpriced, .. }) = unnamed {
            lease.counters.unpriced += unpriced;
            lease.counters.settled += settled;
            lease.counters.overrun += overrun;
            lease.counters.outstanding += outstanding;
            lease.changed = true;
        }
        lease.counters.granted = lease.counters.granted.max(state.granted);
        lease.until = state.ends_in_ms.map_or(Millis::MAX, |ms| now + ms);
        let State { limit, committed, spent, ends_in_ms, .. } = *state;
        (lease.told, lease.told_at) = (Told { limit, committed, spent, ends_in_ms }, (now, lease.settled_reported));
        // A leader that has not heard everybody yet sends no sequence: its total is none.
        if state.sequence > 0 {
            lease.total = lease.total.max((state.epoch, state.sequence, state.total));
        }
        self.asking = false;
        self.refused = None;
    }

    /// What the pot is at: what the leader said, and what was spent here since.
    pub(super) fn standing(&self, now: Millis) -> Option<Standing> {
        let lease = self.lease(now)?;
        let spent = lease.told.spent + lease.counters.settled.saturating_sub(lease.told_at.1);
        let remaining = lease.told.limit.saturating_sub(lease.told.committed) + lease.counters.free();
        let ends = lease.told.ends_in_ms.map(|ms| (lease.told_at.0 + ms).saturating_sub(now));
        Some(Standing { limit: lease.told.limit, spent, remaining, resets_in_ms: ends })
    }

    /// Takes a refusal of the leader. That there is no place is believed for longer, so that nobody asks again and again.
    pub(super) fn refuse(&mut self, refused: Refused, now: Millis) {
        let most = if is_crowded(&refused) { CROWDED_MS } else { BELIEVED_MS };
        let wait = refused.retry_after_ms.unwrap_or(most).min(most);
        self.asking = false;
        self.refused = Some(Box::new((now + wait, refused)));
    }

    /// The leader's last refusal, as long as it is believed; it says nothing of a smaller need than it was for, unless
    /// there is no place.
    pub(super) fn believed(&self, now: Millis, need: u64) -> Option<Refusal> {
        let (until, refused) = self.refused.as_deref()?;
        let crowded = is_crowded(refused);
        if now >= *until || (need < refused.need && !crowded) {
            return None;
        }
        let standing = self.standing(now).unwrap_or(Standing {
            limit: refused.amount,
            spent: refused.spent,
            remaining: refused.amount.saturating_sub(refused.spent),
            resets_in_ms: refused.retry_after_ms,
        });
        let exhausted = refused.why() == Why::Exhausted;
        let passed = LEASE_MS.min(until.saturating_sub(now));
        let retry_after_ms = refused.retry_after_ms.map(|ms| ms.max(passed));
        Some(Refusal { claim: None, standing, exhausted, crowded, retry_after_ms })
    }

    /// A want of at least `need`.
    pub(super) fn want(&self, need: u64) -> Want {
        Want {
            limit: self.limit.to_string(),
            partition: self.partition.to_string(),
            need,
            ahead: self.demand.per_second.saturating_mul(AHEAD_S),
        }
    }

    /// What is to be asked for ahead of need.
    pub(super) fn refill(&mut self, now: Millis) -> Option<Want> {
        let ahead = self.demand.per_second.saturating_mul(AHEAD_S);
        let unnamed = self.leases.iter().any(|lease| lease.window == UNNAMED);
        let low = self.lease(now).is_some_and(|lease| lease.counters.granted > 0 && lease.counters.free() < ahead / 4);
        if self.asking || self.believed(now, u64::MAX).is_some() || !(low || unnamed) {
            return None;
        }
        self.asking = true;
        Some(self.want(0))
    }

    /// Gives back what nobody took for long, what outlived its window, and all when the lease is `over`.
    pub(super) fn give_back_idle(&mut self, now: Millis, over: bool) {
        for lease in &mut self.leases {
            let idle = now.saturating_sub(lease.used_at) >= IDLE_MS;
            if (over || idle || now >= lease.until) && lease.counters.give_back() > 0 {
                lease.changed = true;
            }
        }
    }

    /// Gives back what no request has reserved.
    pub(super) fn give_back(&mut self) {
        for lease in &mut self.leases {
            lease.changed |= lease.counters.give_back() > 0;
        }
    }

    /// Whether something of it is to be reported.
    pub(super) fn has_changed(&self) -> bool {
        self.leases.iter().any(|lease| lease.changed)
    }

    /// Whether something was reserved of it whose window the leader has not named yet.
    pub(super) fn is_unnamed(&self) -> bool {
        self.leases.iter().any(|lease| lease.window == UNNAMED)
    }

    /// Whether a request holds some of it.
    pub(super) fn is_reserved(&self) -> bool {
        self.leases.iter().any(|lease| lease.counters.outstanding > 0)
    }

    /// Whether answers cost more than was leased since the last report.
    pub(super) fn owes(&self) -> bool {
        self.leases.iter().any(|lease| lease.window != UNNAMED && lease.counters.overrun > lease.overrun_reported)
    }

    /// What changed since the last report.
    pub(super) fn changed(&mut self, round: u64) -> Vec<Held> {
        let mut held = Vec::new();
        for lease in self.leases.iter_mut().filter(|lease| lease.changed && lease.window != UNNAMED) {
            (lease.changed, lease.reported) = (false, Some(round));
            lease.settled_reported = lease.counters.settled;
            lease.overrun_reported = lease.counters.overrun;
            let (limit, partition) = (self.limit.to_string(), self.partition.to_string());
            held.push(lease.held(Pot { limit, partition, window: lease.window }));
        }
        held
    }

    /// All that is held.
    pub(super) fn all(&mut self) -> Vec<Held> {
        self.leases.iter_mut().for_each(|lease| lease.changed = true);
        self.changed(0)
    }

    /// Forgets leases that are over: what is spent for good once the leader has the report of it, all reports up to
    /// `acknowledged`; what is passing by time alone. Without a window's name it is passing, or there is no place for it.
    pub(super) fn drop_done(&mut self, acknowledged: Option<u64>, now: Millis) {
        let crowded = self.refused.as_deref().is_some_and(|(_, refused)| is_crowded(refused));
        let passing = self.passing;
        let done = |lease: &Lease| {
            if lease.counters.outstanding > 0 {
                return false;
            }
            if lease.window == UNNAMED {
                return (passing || crowded) && now.saturating_sub(lease.used_at) >= LEASE_MS;
            }
            let over_for = now.saturating_sub(lease.until);
            let told = !lease.changed && lease.reported.is_none_or(|round| acknowledged.is_some_and(|to| round <= to));
            (now >= lease.until && told && lease.counters.free() == 0)
                || (over_for >= if passing { LEASE_MS } else { CLOSED_MS })
        };
        self.leases.retain(|lease| !done(lease));
    }

    /// What the leader said was granted of its pots to all.
    pub(super) fn totals(&self) -> impl Iterator<Item = Total> {
        let pot = |window| Pot { limit: self.limit.to_string(), partition: self.partition.to_string(), window };
        self.leases.iter().filter(|lease| lease.total.0 > 0).map(move |lease| {
            let (epoch, sequence, granted) = lease.total;
            Total { pot: Some(pot(lease.window)), epoch, sequence, granted, ends_in_ms: None }
        })
    }
}

impl Lease {
    const fn held(&self, pot: Pot) -> Held {
        let Counters { granted, settled, returned, overrun, outstanding, unpriced } = self.counters;
        Held { pot: Some(pot), granted, settled, returned, overrun, outstanding, unpriced }
    }
}

fn is_crowded(refused: &Refused) -> bool {
    refused.why() == Why::TooManyPartitions
}

/// How fast a partition is spent from.
#[derive(Debug, Default)]
pub(super) struct Demand {
    since: Millis,
    spent: u64,
    per_second: u64,
}

impl Demand {
    pub(super) const fn add(&mut self, spent: u64) {
        self.spent = self.spent.saturating_add(spent);
    }

    /// Smooths over about five seconds.
    pub(super) fn tick(&mut self, now: Millis) {
        let passed = now.saturating_sub(self.since);
        if passed < 1_000 {
            return;
        }
        let fresh = self.spent.saturating_mul(1_000) / passed;
        self.per_second = (self.per_second / 5 * 4).saturating_add(fresh / 5);
        (self.since, self.spent) = (now, 0);
    }
}

/// This pod's share of a limit, kept while no leader answers.
#[derive(Debug, Default)]
pub(super) struct Local {
    most: u64,
    /// What comes back in each `per_ms`.
    amount: u64,
    per_ms: u64,
    level: u64,
    at: Millis,
    /// Numerator of what came back but was no whole part.
    rest: u64,
}

impl Local {
    /// The share now: so much at once, so much in each `per_ms`.
    pub(super) fn share(&mut self, most: u64, amount: u64, per_ms: u64, now: Millis) {
        if self.most == 0 {
            (self.level, self.at) = (most, now);
        }
        (self.most, self.amount, self.per_ms) = (most, amount, per_ms);
        self.fill(now);
    }

    fn fill(&mut self, now: Millis) {
        let came = u128::from(now.saturating_sub(self.at)) * u128::from(self.amount) + u128::from(self.rest);
        let per = u128::from(self.per_ms.max(1));
        self.rest = u64::try_from(came % per).unwrap_or(0);
        self.level = self.level.saturating_add(u64::try_from(came / per).unwrap_or(u64::MAX)).min(self.most);
        self.at = now;
    }

    /// Whether nothing of it is used.
    fn is_full(&mut self, now: Millis) -> bool {
        self.fill(now);
        self.level == self.most
    }

    /// What is taken of it may be less than what must be there, which the share may be too small for.
    pub(super) fn lacks(&self, amount: u64, need: u64) -> Lack {
        if self.level >= need.min(self.most).max(amount) {
            return Lack::Nothing;
        }
        let standing =
            Standing { limit: self.most, spent: self.most - self.level, remaining: self.level, resets_in_ms: None };
        Lack::Refused(Refusal { exhausted: true, ..Refusal::unknown(standing, 1_000) })
    }

    pub(super) const fn take(&mut self, amount: u64) {
        self.level = self.level.saturating_sub(amount);
    }

    pub(super) fn give_back(&mut self, amount: u64) {
        self.level = self.level.saturating_add(amount).min(self.most);
    }
}
