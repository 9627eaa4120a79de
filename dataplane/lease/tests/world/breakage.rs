//! What breaks: processes, streams, leaders, the store.

use super::World;
use std::collections::BTreeMap;
use weir_lease::Health;

impl World {
    pub(super) fn break_something(&mut self) {
        let pod = self.chance.usize(..self.pods.len());
        let newest = self.offices.len() - 1;
        let what = self.chance.u8(..9);
        self.tell(|| format!("breakage {what} at {}", self.pods[pod].name));
        match what {
            0 | 1 if self.is_frail() => {}
            0 | 1 => self.restart(pod),
            2 | 3 => {
                let redial_at = self.mono + self.chance.u64(1..4_000);
                self.disconnect(pod, redial_at);
            }
            // The leader dies; another follows, whose pods come one by one.
            4 => {
                self.offices[newest].dead = true;
                self.follow();
            }
            // The leader pauses, is replaced, and goes on as if nothing were.
            5 => {
                self.offices[newest].paused = true;
                self.follow();
            }
            6 => {
                for office in &mut self.offices {
                    office.paused = false;
                }
            }
            7 => self.copies.push(self.store.clone()),
            _ => self.break_store(),
        }
    }

    fn is_frail(&mut self) -> bool {
        let newest = self.offices.len() - 1;
        let now = self.now(newest);
        let mono = self.mono;
        let heals = self.offices[newest].leader.view(now).health != Health::Recovering;
        match self.frail_until {
            None => false,
            Some(u64::MAX) if heals => {
                self.frail_until = Some(mono + 20_000);
                true
            }
            Some(until) => mono < until,
        }
    }

    fn follow(&mut self) {
        self.elect();
        for pod in 0..self.pods.len() {
            let redial_at = self.mono + self.chance.u64(1..3_000);
            if self.chance.u8(..5) > 0 {
                self.disconnect(pod, redial_at);
            }
        }
    }

    /// The store comes back empty or from an old copy, and mostly with it a new leader.
    fn break_store(&mut self) {
        // Without a pod that still runs since then, nobody could know what was spent.
        if self.lost_starts > 0 {
            return;
        }
        self.store = if self.copies.is_empty() {
            BTreeMap::new()
        } else {
            let copy = self.chance.usize(..self.copies.len());
            self.copies.swap_remove(copy)
        };
        self.frail_until = Some(u64::MAX);
        let newest = self.offices.len() - 1;
        if !self.offices[newest].dead && self.chance.u8(..4) == 0 {
            return;
        }
        self.offices[newest].dead = true;
        self.elect();
        for pod in 0..self.pods.len() {
            let redial_at = self.mono + self.chance.u64(1..1_500);
            self.disconnect(pod, redial_at);
        }
    }
}
