//! Starts that are given up, and the end of what is unknown.

use super::pot::size_of;
use super::state::Leader;
use crate::limit::is_passing;
use crate::{LEASE_MS, Millis, Now};
use std::collections::BTreeSet;

/// How long starts that were not heard of hold back grants of durable limits.
const HEARING_MS: Millis = 10_000;
/// No step of time counts for more of it: a process that was paused has not been listening.
const HEARING_STEP_MS: Millis = 250;
/// How long the pots of a window that is over are kept for what is still outstanding.
const CLOSED_MS: i64 = 24 * 3_600_000;
/// So long after the end of its window nobody spends of a lease of a rate.
const LATE_MS: i64 = 2 * LEASE_MS as i64;
/// Between two looks for pots that nobody needs.
const SWEEP_MS: Millis = 1_000;

impl Leader {
    /// Gives a start up: what it held and did not report is never told.
    pub(super) fn lose(&mut self, index: usize, now: Now) {
        let unheard = self.members.get(index).is_some_and(|member| !member.heard);
        self.somebody_is_lost |= unheard;
        self.close(index, now);
    }

    pub(super) fn close(&mut self, index: usize, now: Now) {
        let mut touched = 0;
        for state in self.limits.values_mut() {
            let nature = state.nature();
            for pot in state.pots.values_mut() {
                if pot.shares.iter().any(|share| share.member == index) {
                    pot.fold(index, nature, now);
                    touched |= pot.parts;
                }
            }
        }
        self.shards.touch(touched, None);
        let mut parts = indices(touched);
        // Until all is heard, what it had is known by the marks alone, of any pot.
        if !self.settled {
            parts = indices(self.parts());
        }
        self.pending.retain(|pending| pending.member != index);
        self.stamp += 1;
        self.members.close(index, parts, self.stamp, now);
        self.shards.touch(1, None);
    }

    /// The parts of the store that have pots, a bit each.
    pub(super) fn parts(&self) -> u64 {
        self.limits.values().flat_map(|state| state.pots.values()).fold(0, |parts, pot| parts | pot.parts)
    }

    /// Once all is heard, nothing is unknown any more.
    pub(super) fn hear(&mut self, now: Now) {
        if self.settled || !self.fenced || self.is_hearing() || !self.members.all_heard() {
            return;
        }
        self.settled = true;
        self.reset = self.emptied;
        self.settle(now);
        self.retry(now);
    }

    /// What is unknown of any pot was taken by starts that are lost, or by nobody. Starts that pots alone name are lost:
    /// nobody could tell that their Pod is gone.
    pub(super) fn settle(&mut self, now: Now) {
        for lost in self.members.named_by_pots() {
            self.lose(lost, now);
        }
        for state in self.limits.values_mut() {
            let nature = state.nature();
            state.pots.values_mut().for_each(|pot| pot.settle_floor(self.somebody_is_lost, nature, now));
        }
        self.stamp += 1;
        let parts = self.parts();
        self.members.settled(&indices(parts), self.stamp);
        self.shards.touch(parts, None);
    }

    /// Whether starts and Pods that were not heard of hold back the grants of durable limits.
    pub(super) fn is_hearing(&self) -> bool {
        self.listened < HEARING_MS && (self.members.expects() || !self.members.all_heard())
    }

    /// Lets time pass: asks that waited too long are answered, windows that are over are forgotten.
    pub fn tick(&mut self, now: Now) {
        self.listened += now.mono.saturating_sub(self.ticked_at).min(HEARING_STEP_MS);
        self.ticked_at = now.mono;
        self.hear(now);
        self.expire(now);
        if now.mono.saturating_sub(self.swept_at) < SWEEP_MS {
            return;
        }
        self.swept_at = now.mono;
        self.sweep(now);
    }

    /// Forgets pots that nobody needs, and counts who holds how much room.
    fn sweep(&mut self, now: Now) {
        self.shards.clear_rooms();
        self.passing.clear();
        for (id, state) in &mut self.limits {
            let (open, nature) = (state.opened(now).id, state.nature());
            let passing = nature.map_or(is_passing(id), |nature| !nature.is_stored());
            let mut sizes = [0; 64];
            state.pots.retain(|(window, partition), pot| {
                let ended_for = |ms| pot.ends.is_some_and(|ends| now.unix >= ends.saturating_add(ms));
                let over = ended_for(0) || (*window != open && pot.ends.is_none());
                let (old, late) = (ended_for(CLOSED_MS), passing && (ended_for(LATE_MS) || pot.ends.is_none()));
                let gone = over && (old || (late || pot.is_done()) && pot.is_back(nature, late, now));
                let size = if passing { 1 } else { size_of(id, partition, pot) };
                // One that is in two parts of the store takes room in both.
                let mut parts = if passing { 1 } else { pot.parts };
                while parts != 0 && !gone {
                    if let Some(held) = sizes.get_mut(parts.trailing_zeros() as usize) {
                        *held += size;
                    }
                    parts &= parts - 1;
                }
                !gone
            });
            for (part, size) in sizes.into_iter().enumerate().filter(|(_, size)| *size > 0) {
                match passing {
                    true => self.passing.take(id, size),
                    false => self.shards.take(part, id, size),
                }
            }
        }
        self.limits.retain(|_, state| state.limit.is_some() || !state.pots.is_empty());
    }
}

/// The parts of the store whose bits are set.
fn indices(parts: u64) -> BTreeSet<usize> {
    (0..64).filter(|part| parts & (1 << part) != 0).collect()
}
