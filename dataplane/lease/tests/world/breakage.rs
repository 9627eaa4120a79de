//! What breaks: processes, streams, leaders, the way to the API server, the store.

use super::World;
use super::office::Time;
use std::collections::BTreeSet;
use weir_snapshot::ledger::{self, Shard};

/// A pod notices within that time that a leader answers no more.
const KEEP_ALIVE_MS: u64 = 40_000;

impl World {
    pub(super) fn break_something(&mut self) {
        let pod = self.chance.usize(..self.pods.len());
        let newest = self.offices.len() - 1;
        let (mono, leads) = (self.mono, self.offices[newest].time == Time::Leads);
        let what = if self.plan.cuts && self.chance.u8(..4) > 0 { 9 } else { self.chance.u8(..11) };
        self.tell(|| format!("breakage {what} at {}", self.pods[pod].name));
        match what {
            // Where pods alone know what was spent, none of them is killed.
            0 | 1 if self.frail_since.is_none() => self.restart(pod),
            2 | 3 => {
                let redial_at = mono + self.chance.u64(1..4_000);
                self.disconnect(pod, redial_at);
            }
            // The leader dies. Most of its pods notice at once.
            4 if leads => {
                self.offices[newest].time = Time::Over;
                self.leave_hanging(newest, 3_000);
            }
            // It stands still, and goes on as if nothing were.
            5 if leads => {
                self.offices[newest].paused = Some(mono + self.chance.u64(1..KEEP_ALIVE_MS));
                self.leave_hanging(newest, KEEP_ALIVE_MS);
            }
            6 => {
                for office in self.offices.iter_mut().filter(|office| office.paused.is_some()) {
                    office.paused = Some(mono);
                }
            }
            7 => self.copies.push((self.store.clone(), self.lease)),
            // It is told to stop, and gives the Lease up, if it can.
            8 if leads && self.offices[newest].paused.is_none() => {
                self.end(newest);
                if !self.offices[newest].is_cut_off(mono) && self.chance.u8(..5) > 0 {
                    self.give_up_lease(newest);
                }
            }
            // It reaches no API server; some of its pods still reach it. What it grants then must be known to the store.
            9 if leads && self.frail_since.is_none() => {
                self.offices[newest].cut_until = mono + self.chance.u64(1..60_000);
                self.leave_hanging(newest, KEEP_ALIVE_MS);
            }
            10 => self.break_store(),
            _ => {}
        }
    }

    /// A store that was broken knows again what was spent once a leader that has heard it of all has written it.
    pub(super) fn watch_store(&mut self) {
        let Some(since) = self.frail_since else { return };
        let written = |part: &usize| self.store.get(part).filter(|(version, _)| *version > since).map(|(_, body)| body);
        let knows = |body: &Shard| {
            let of_leader = |told: &ledger::Total| told.epoch == body.epoch;
            let known = body.pots.iter().filter(|pot| pot.told.as_ref().is_some_and(of_leader));
            known.filter_map(|pot| pot.pot.clone()).map(|pot| pot.partition).collect::<Vec<_>>()
        };
        let known: BTreeSet<String> = self.store.keys().filter_map(written).flat_map(knows).collect();
        let spent = self.spent.iter().map(|(_, partition, _)| self.name_of(*partition));
        let held = self.pods.iter().flat_map(|pod| pod.wallet.counters());
        let granted =
            held.filter(|(.., counters)| counters.granted > 0).map(|(_, partition, ..)| partition.to_string());
        if written(&0).is_some() && !known.is_empty() && spent.chain(granted).all(|name| known.contains(&name)) {
            self.frail_since = None;
        }
    }

    /// The pods of a leader hear of it no more; each notices in its time.
    fn leave_hanging(&mut self, office: usize, soon: u64) {
        for pod in 0..self.pods.len() {
            let stays = self.offices[office].acts() && self.chance.bool();
            if self.pods[pod].leader == Some(office) && !stays {
                let within = if self.chance.u8(..5) > 0 { soon } else { KEEP_ALIVE_MS };
                self.pods[pod].hangs_up_at = Some(self.mono + self.chance.u64(1..within));
            }
        }
    }

    /// The store comes back empty or from an old copy, and mostly its leader dies with it. What holds the store may hold
    /// the Lease as well.
    fn break_store(&mut self) {
        // Without a pod that still runs since then, nobody could know what was spent.
        if self.lost_starts > 0 {
            return;
        }
        let (store, lease) = if self.copies.is_empty() {
            Default::default()
        } else {
            let copy = self.chance.usize(..self.copies.len());
            self.copies.swap_remove(copy)
        };
        self.store = store;
        if self.chance.bool() {
            self.lease = lease;
        }
        self.frail_since = Some(self.version);
        let newest = self.offices.len() - 1;
        if self.offices[newest].time == Time::Leads && self.chance.u8(..4) == 0 {
            return;
        }
        self.offices[newest].time = Time::Over;
        self.close_streams(newest);
    }
}
