//! Starts that are given up, and the end of what is unknown.

use super::state::{Leader, LimitState};
use crate::{Millis, Now};
use std::collections::BTreeSet;
use std::sync::Arc;

/// How long starts that were not heard of hold back grants of durable limits.
const HEARING_MS: Millis = 10_000;
/// No step of time counts for more of it: a process that was paused has not been listening.
const HEARING_STEP_MS: Millis = 250;
/// How long the pots of a window that is over are kept for what is still outstanding.
const CLOSED_MS: i64 = 24 * 3_600_000;
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
        let mut parts = BTreeSet::new();
        for (limit, state) in &mut self.limits {
            let nature = state.nature();
            for ((_, partition), pot) in &mut state.pots {
                if pot.shares.iter().any(|share| share.member == index) {
                    pot.fold(index, nature, now);
                    let part = self.shards.of(limit, partition);
                    self.shards.touch(part, false);
                    parts.insert(part);
                }
            }
        }
        // Until all is heard, what it had is known by the marks alone, of any pot.
        if !self.settled {
            parts = self.parts();
        }
        self.pending.retain(|pending| pending.member != index);
        self.stamp += 1;
        self.members.close(index, parts, self.stamp, now);
        self.shards.touch(0, false);
    }

    /// The parts of the store that have pots.
    pub(super) fn parts(&self) -> BTreeSet<usize> {
        let of = |(limit, state): (&Arc<str>, &LimitState)| {
            state.pots.keys().map(|(_, partition)| self.shards.of(limit, partition)).collect::<Vec<_>>()
        };
        self.limits.iter().flat_map(of).collect()
    }

    /// Once all is heard, nothing is unknown any more.
    pub(super) fn hear(&mut self, now: Now) {
        if self.settled || !self.fenced || self.is_hearing() || !self.members.all_heard() {
            return;
        }
        self.settled = true;
        self.reset = self.emptied;
        for unknown in self.members.unheard() {
            self.lose(unknown, now);
        }
        self.settle(now);
        self.retry(now);
    }

    /// What is unknown of any pot was taken by starts that are lost, or by nobody.
    pub(super) fn settle(&mut self, now: Now) {
        for state in self.limits.values_mut() {
            let nature = state.nature();
            state.pots.values_mut().for_each(|pot| pot.settle_floor(self.somebody_is_lost, nature, now));
        }
        self.stamp += 1;
        let parts = self.parts();
        self.members.settled(&parts, self.stamp);
        parts.into_iter().for_each(|part| self.shards.touch(part, false));
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
        for state in self.limits.values_mut() {
            let (open, nature) = (state.opened(now).id, state.nature());
            state.pots.retain(|(window, _), pot| {
                let over = pot.ends.is_some_and(|ends| now.unix >= ends) || (*window != open && pot.ends.is_none());
                let old = pot.ends.is_some_and(|ends| now.unix >= ends + CLOSED_MS);
                !(over && (old || pot.is_done() && pot.is_back(nature, now)))
            });
        }
        self.limits.retain(|_, state| state.limit.is_some() || !state.pots.is_empty());
        let passing = self.limits.values().filter(|state| state.nature().is_some_and(|nature| !nature.is_stored()));
        self.passing = passing.map(|state| state.pots.len()).sum();
    }
}
