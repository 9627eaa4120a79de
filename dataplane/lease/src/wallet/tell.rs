//! What a pod tells a leader: first all that it holds, then what changed, in parts of bounded size.

use super::Wallet;
use crate::part::Part;
use crate::{LEASE_MS, Millis};
use weir_snapshot::ledger::{Ask, Hello, Report, Total, Want};

/// Partitions that are looked at in one go for what nobody needs: some hundred microseconds.
const SWEPT: usize = 8_192;

/// How far a pod has come in telling a leader what it holds.
#[derive(Debug, Default)]
pub struct Greeting {
    /// The next partition.
    at: usize,
    /// What is left of the totals of others, once all partitions are told.
    totals: Option<std::vec::IntoIter<Total>>,
    /// Whether it goes in one message, whatever that comes to.
    whole: bool,
}

impl Greeting {
    /// One message, for a leader that takes no parts.
    pub fn whole() -> Self {
        Self { whole: true, ..Self::default() }
    }
}

impl Wallet {
    /// The next part of the first message of a stream, but for the pod's token. What changes after it was told is
    /// reported later.
    pub fn hello(&mut self, greeting: &mut Greeting) -> Hello {
        if greeting.at == 0 && greeting.totals.is_none() {
            self.acknowledged = None;
        }
        let mut part = Part::new(if greeting.whole { usize::MAX } else { self.bounds.part_bytes });
        let (mut held, mut totals) = (Vec::new(), Vec::new());
        while let Some(place) = self.slots.get_mut(greeting.at).filter(|_| !part.is_full()) {
            greeting.at += 1;
            let Some(slot) = place else { continue };
            let told = slot.all();
            told.iter().for_each(|held| part.add_pot(held.pot.as_ref()));
            held.extend(told);
            totals.extend(slot.totals().inspect(|total| part.add_pot(total.pot.as_ref())));
        }
        if greeting.at >= self.slots.len() {
            let others = greeting.totals.get_or_insert_with(|| self.totals.all().into_iter());
            while !part.is_full()
                && let Some(total) = others.next()
            {
                part.add_pot(total.pot.as_ref());
                totals.push(total);
            }
        }
        let more = greeting.totals.as_ref().is_none_or(|others| others.len() > 0);
        let (incarnation, highest_epoch) = (self.incarnation.clone(), self.epoch);
        Hello { token: String::new(), incarnation, highest_epoch, held, totals, more }
    }

    /// Lets go of what nobody needs; due every while, with a leader or without. Where much is held, a part of it at a
    /// time.
    pub fn tidy(&mut self, now: Millis) {
        self.totals.tidy(now);
        let (over, acknowledged) = (now >= self.valid_until, self.acknowledged);
        for _ in 0..SWEPT.min(self.slots.len()) {
            let index = if self.swept < self.slots.len() { self.swept } else { 0 };
            self.swept = index + 1;
            let Some(slot) = self.slots.get_mut(index).and_then(Option::as_mut) else { continue };
            slot.demand.tick(now);
            slot.give_back_idle(now, over);
            slot.drop_done(acknowledged, now);
            if slot.is_idle(now) {
                self.forget(index);
            } else if slot.has_changed() {
                self.mark(index);
            }
        }
    }

    /// Forgets a partition of which nothing is held: a client may choose what it is called.
    fn forget(&mut self, index: usize) {
        let Some(slot) = self.slots.get_mut(index).and_then(Option::take) else { return };
        if let Some(of_limit) = self.by_limit.get_mut(&slot.limit) {
            of_limit.remove(&slot.partition);
            if of_limit.is_empty() {
                self.by_limit.remove(&slot.limit);
            }
        }
        self.room.give_back(&slot.limit, 1);
        self.free.push(index);
    }

    /// What changed since the last reports. They renew the leases, so that there is one every while even if nothing did.
    pub fn reports(&mut self, now: Millis) -> Vec<Report> {
        self.tidy(now);
        let reports = self.told(now);
        let nothing = reports.iter().all(|report| report.held.is_empty());
        if nothing && now.saturating_sub(self.reported_at) < LEASE_MS / 4 {
            return Vec::new();
        }
        self.reported_at = now;
        reports
    }

    /// What the leader must know before it grants more of these: if answers cost more than was leased, it would grant what
    /// is spent already. Said before the ask.
    pub fn owed(&mut self, wants: &[Want], now: Millis) -> Vec<Report> {
        let slot = |want: &Want| self.slots.get(self.find(&want.limit, &want.partition)?)?.as_ref();
        let owes = wants.iter().any(|want| slot(want).is_some_and(|slot| slot.owes()));
        if owes { self.reports(now) } else { Vec::new() }
    }

    /// One report at least.
    fn told(&mut self, now: Millis) -> Vec<Report> {
        let part_bytes = self.bounds.part_bytes;
        let (mut reports, mut held, mut part) = (Vec::new(), Vec::new(), Part::new(part_bytes));
        self.rounds += 1;
        self.active = std::mem::take(&mut self.dirty);
        for index in &self.active {
            let Some(slot) = self.slots.get_mut(*index).and_then(Option::as_mut) else { continue };
            slot.dirty = false;
            slot.demand.tick(now);
            let changed = slot.changed(self.rounds);
            changed.iter().for_each(|held| part.add_pot(held.pot.as_ref()));
            held.extend(changed);
            if part.is_full() {
                let held = std::mem::take(&mut held);
                reports.push(Report { round: self.rounds, held, last: false });
                part = Part::new(part_bytes);
                self.rounds += 1;
            }
        }
        reports.push(Report { round: self.rounds, held, last: false });
        reports
    }

    /// Gives everything back that no request holds: the process ends.
    pub fn last_reports(&mut self, now: Millis) -> Vec<Report> {
        let mut runs = false;
        for index in 0..self.slots.len() {
            let Some(slot) = self.at(index) else { continue };
            slot.give_back();
            runs |= slot.is_reserved();
            self.mark(index);
        }
        let mut reports = self.told(now);
        reports.iter_mut().next_back().into_iter().for_each(|report| report.last = !runs);
        reports
    }

    /// An ask for these wants; its id comes back in the answer.
    pub fn ask(&mut self, wants: Vec<Want>) -> Ask {
        self.asks += 1;
        Ask { id: self.asks, wants }
    }

    /// Asks for leases that run low, of what changed by the last reports, before a request has to wait for them.
    pub fn asks_ahead(&mut self, now: Millis) -> Vec<Ask> {
        if !self.connected {
            return Vec::new();
        }
        let (mut asks, mut wants, mut part) = (Vec::new(), Vec::new(), Part::new(self.bounds.part_bytes));
        for index in std::mem::take(&mut self.active) {
            let Some(slot) = self.at(index) else { continue };
            let want = slot.refill(now);
            // The window of what was reserved is asked for until the leader has named it.
            if slot.is_unnamed() {
                self.mark(index);
            }
            let Some(want) = want else { continue };
            part.add(&want.limit, &want.partition);
            wants.push(want);
            if part.is_full() {
                let ask = self.ask(std::mem::take(&mut wants));
                asks.push(ask);
                part = Part::new(self.bounds.part_bytes);
            }
        }
        if !wants.is_empty() {
            asks.push(self.ask(wants));
        }
        asks
    }

    /// Notes that something of a partition is to be reported.
    pub(super) fn mark(&mut self, index: usize) {
        if let Some(slot) = self.at(index)
            && !std::mem::replace(&mut slot.dirty, true)
        {
            self.dirty.push(index);
        }
    }
}
