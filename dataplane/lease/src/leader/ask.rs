//! Asks: granted at once, after a recall or a write, or refused with the reason.

use super::id::PotId;
use super::pending::Pending;
use super::state::Leader;
use crate::{Millis, Now};
use std::sync::Arc;
use weir_snapshot::ledger::refused::Why;
use weir_snapshot::ledger::{Answer, Ask, Recall, Refused, ToPod, Want, to_pod};

/// How long an ask waits for what other pods hold idle.
const RECALL_MS: Millis = 30;
/// How long it waits for the store, or for pods that were not heard of.
const STORE_MS: Millis = 200;
/// Fewer reservations than that left: no lease goes beyond the asking request.
const SCARCE: u64 = 20;
/// A mark is raised by so many reservations at least.
const CHUNK_RESERVATIONS: u64 = 80;
/// So many times the half minute that a pod asks ahead for is a quarter of an hour.
const CHUNK_AHEADS: u64 = 30;

/// What stands in the way of a want.
enum Obstacle {
    /// Other pods hold it idle.
    Idle(PotId),
    /// They were asked for it, and did not answer yet.
    Silent,
    /// The store must have a higher mark, or the start's name, first; or pods must be heard of.
    Unsure,
    /// Nothing helps.
    Final,
}

impl Leader {
    pub(super) fn ask(&mut self, member: usize, ask: Ask, now: Now) {
        self.consider(
            Pending { member, ask, began: now.mono, until: 0, recalled: false, why: Refused::default() },
            now,
        );
    }

    /// Grants an ask, keeps it waiting, or refuses it.
    fn consider(&mut self, mut pending: Pending, now: Now) {
        let (mut amounts, mut left_out) = (Vec::with_capacity(pending.ask.wants.len()), Vec::new());
        let (mut recalls, mut patience) = (Vec::new(), 0);
        for want in &pending.ask.wants {
            match self.weigh(pending.member, want, pending.recalled, now) {
                Ok(granted) => amounts.push(granted),
                Err(blocked) => {
                    let (obstacle, why) = *blocked;
                    // Nobody waits for what is ahead of need, and it stands in no other limit's way.
                    if want.need == 0 && matches!(obstacle, Obstacle::Final) {
                        left_out.push(why);
                        continue;
                    }
                    pending.why = why;
                    match obstacle {
                        Obstacle::Idle(id) => {
                            patience = patience.max(RECALL_MS);
                            recalls.push(id);
                        }
                        Obstacle::Silent => patience = patience.max(RECALL_MS),
                        Obstacle::Unsure => patience = STORE_MS,
                        Obstacle::Final => return self.refuse(pending),
                    }
                }
            }
        }
        if patience == 0 {
            return self.grant(&pending, amounts, left_out, now);
        }
        pending.until = pending.began + patience;
        if now.mono >= pending.until {
            return self.refuse(pending);
        }
        if !recalls.is_empty() && !pending.recalled {
            pending.recalled = true;
            recalls.iter().for_each(|id| self.recall(pending.member, id));
        }
        self.pending.push(pending);
    }

    /// How much can be granted of a want, and of which pot; else what stands in the way.
    fn weigh(
        &mut self,
        member: usize,
        want: &Want,
        recalled: bool,
        now: Now,
    ) -> Result<(PotId, u64), Box<(Obstacle, Refused)>> {
        let refused = |why: Why, amount, spent, retry_after_ms| Refused {
            limit: want.limit.clone(),
            partition: want.partition.clone(),
            why: why.into(),
            amount,
            spent,
            retry_after_ms,
            need: want.need,
        };
        let hearing = self.is_hearing();
        let pods = self.members.connected().count().max(1) as u64;
        let named = self.members.get(member).is_some_and(|member| member.stored);
        let limit: Arc<str> = want.limit.as_str().into();
        let Some(state) = self.limits.get_mut(&limit) else {
            return Err(Box::new((Obstacle::Final, refused(Why::Unknown, 0, 0, Some(100)))));
        };
        let span = state.opened(now);
        let Some(known) = state.limit.as_ref() else {
            return Err(Box::new((Obstacle::Final, refused(Why::Unknown, 0, 0, Some(100)))));
        };
        let (nature, durable, most) = (known.nature, known.durable, known.amount_at(now.unix));
        let id = self.id(&limit, span.id, &want.partition);
        if self.find(&id).is_none() && self.place(&id).is_none() {
            self.limits.entry(id.limit).or_default().full_at = Some(now.mono);
            return Err(Box::new((Obstacle::Final, refused(Why::TooManyPartitions, most, 0, Some(60_000)))));
        }
        let pot = self.pot(&id, now);
        pot.age(nature, now);
        let (committed, spent) = (pot.committed(), pot.spent());
        let left = most.saturating_sub(committed);
        if want.need > left {
            let missing = want.need - left;
            let comes_back = pot.comes_back_in(missing, nature, now);
            let idle = pot.idle(member);
            let why = refused(Why::Exhausted, most, spent, comes_back);
            if !recalled && idle >= missing {
                return Err(Box::new((Obstacle::Idle(id), why)));
            }
            if idle.saturating_add(pot.unknown()) < missing {
                return Err(Box::new((Obstacle::Final, why)));
            }
            let obstacle = if recalled && idle > 0 { Obstacle::Silent } else { Obstacle::Unsure };
            return Err(Box::new((obstacle, refused(Why::Unavailable, most, spent, Some(1_000)))));
        }
        let plenty = want.ahead.min(left / (2 * pods));
        let scarce = want.need.saturating_mul(SCARCE) > left;
        let amount = if scarce { want.need } else { want.need.saturating_add(plenty).min(left) };
        if !durable || amount == 0 {
            return Ok((id, amount));
        }
        let below = pot.below_mark(now);
        let chunk =
            want.need.saturating_mul(CHUNK_RESERVATIONS).max((left / 4).min(want.ahead.saturating_mul(CHUNK_AHEADS)));
        let chunk = chunk.max(want.need).min(left);
        let short = below < want.need;
        let raised = (short || below < chunk / 2) && pot.want_mark(chunk);
        if raised || short {
            self.touch(&id, short);
        }
        if short || !named || hearing {
            return Err(Box::new((Obstacle::Unsure, refused(Why::Unavailable, most, spent, Some(1_000)))));
        }
        Ok((id, amount.min(below)))
    }

    fn grant(&mut self, pending: &Pending, amounts: Vec<(PotId, u64)>, mut left_out: Vec<Refused>, now: Now) {
        let member = pending.member;
        for (id, amount) in &amounts {
            self.pot(id, now).grant(member, *amount);
            self.changed(id);
        }
        let states: Vec<_> = amounts.iter().filter_map(|(id, _)| self.state(member, id, now)).collect();
        let keepers = self.members.keepers(member);
        for (id, _) in amounts {
            let durable = self.limits.get(&id.limit).and_then(|state| state.limit.as_ref()).is_some_and(|l| l.durable);
            for keeper in keepers.iter().filter(|_| durable) {
                if let Some(keeper) = self.members.get_mut(*keeper) {
                    keeper.keeps.insert(id.clone());
                }
            }
        }
        // A pod that does not know of wants that are left out is told of the one that it had.
        let refused = if states.is_empty() { left_out.pop() } else { None };
        self.answer(member, Answer { epoch: self.settings.epoch, id: pending.ask.id, states, refused, left_out });
    }

    fn refuse(&mut self, pending: Pending) {
        let Pending { member, ask, why, .. } = pending;
        let (states, left_out) = (Vec::new(), Vec::new());
        self.answer(member, Answer { epoch: self.settings.epoch, id: ask.id, states, refused: Some(why), left_out });
    }

    fn answer(&mut self, member: usize, answer: Answer) {
        let Some(member) = self.members.get(member) else { return };
        let to = Arc::clone(&member.incarnation);
        self.out.push((to, ToPod { kind: Some(to_pod::Kind::Answer(answer)) }));
    }

    /// Calls idle leases of a pot back from all but one.
    fn recall(&mut self, except: usize, id: &PotId) {
        let Some(state) = self.limits.get(&id.limit) else { return };
        let Some(pot) = state.pots.get(&(id.window, Arc::clone(&id.partition))) else { return };
        for share in pot.shares.iter().filter(|share| share.member != except && share.idle > 0) {
            let Some(member) = self.members.get(share.member).filter(|member| member.connected) else { continue };
            let recall = Recall { pots: vec![id.wire()] };
            self.out.push((Arc::clone(&member.incarnation), ToPod { kind: Some(to_pod::Kind::Recall(recall)) }));
        }
    }

    /// Considers the asks that wait once more.
    pub(super) fn retry(&mut self, now: Now) {
        for pending in std::mem::take(&mut self.pending) {
            self.consider(pending, now);
        }
    }

    /// Answers the asks that waited long enough.
    pub(super) fn expire(&mut self, now: Now) {
        if self.pending.iter().any(|pending| now.mono >= pending.until) {
            self.retry(now);
        }
    }

    /// When [`Leader::tick`] is due at the latest for the asks that wait.
    pub fn next_due(&self) -> Option<Millis> {
        self.pending.iter().map(|pending| pending.until).min()
    }
}
