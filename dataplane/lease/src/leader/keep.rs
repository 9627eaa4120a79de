//! What outlives a leader: it begins with what is stored, and tells what is to be.

use super::id::PotId;
use super::member::Members;
use super::pot::Pot;
use super::settings::Settings;
use super::shard::Shards;
use super::state::{Leader, Outcome, Promise, Write};
use crate::{Nature, Now};
use std::collections::btree_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use weir_snapshot::ledger::{self, Shard};

impl Leader {
    /// A leader that goes on from what is stored. Until the starts that the store names and the Pods that run are
    /// heard of, durable limits grant nothing.
    pub fn new(settings: Settings, stored: Vec<Shard>, running: &BTreeSet<String>, now: Now) -> Self {
        let mut leader = Self {
            settings,
            limits: HashMap::new(),
            members: Members::default(),
            shards: Shards::new(settings),
            under_way: HashMap::new(),
            stamp: 0,
            pending: Vec::new(),
            out: Vec::new(),
            changes: 0,
            passing: 0,
            emptied: stored.is_empty() && settings.epoch > 1,
            reset: false,
            settled: false,
            somebody_is_lost: false,
            fenced: false,
            adrift: false,
            listened: 0,
            ticked_at: now.mono,
            swept_at: now.mono,
        };
        leader.members.expect(running);
        stored.into_iter().for_each(|shard| leader.learn(shard, false, now));
        leader.shards.touch(0, true);
        leader
    }

    /// Takes what an earlier leader stored. It may have gone on since this one read it: the higher mark counts. Of pots
    /// this one `knows` better, whatever an old copy of them says.
    pub(super) fn learn(&mut self, shard: Shard, knows: bool, now: Now) {
        shard.members.into_iter().for_each(|member| self.members.of_store(member));
        shard.tombstones.into_iter().for_each(|tombstone| self.members.buried(tombstone));
        self.changes += 1;
        for stored in shard.pots {
            let Some(id) = stored.pot.as_ref().map(PotId::of) else { continue };
            let mut pot = Pot::of_store(stored, &mut self.members);
            pot.changed = self.changes;
            // What a start was granted and never heard of, it is told again.
            for share in &pot.shares {
                if let Some(member) = self.members.get_mut(share.member) {
                    member.pots.insert(id.clone());
                }
            }
            let state = self.limits.entry(id.limit).or_default();
            let nature = state.nature();
            match state.pots.entry((id.window, id.partition)) {
                Entry::Occupied(_) if knows => {}
                Entry::Occupied(mut held) => held.get_mut().learn(pot, &self.members),
                Entry::Vacant(place) => place.insert(pot).fold_closed(&self.members, nature, now),
            }
        }
    }

    /// The parts of the store to write now: none while it is adrift.
    pub fn writes(&mut self, now: Now) -> Vec<Write> {
        if self.adrift {
            return Vec::new();
        }
        let due = self.shards.due(now);
        due.into_iter().map(|shard| self.write(shard)).collect()
    }

    pub(super) fn write(&mut self, shard: usize) -> Write {
        let (mut pots, mut marks, mut bytes) = (Vec::new(), Vec::new(), 0);
        for (limit, state) in &self.limits {
            for ((window, partition), pot) in &state.pots {
                let kept = state.nature().is_none_or(Nature::is_stored);
                if !kept || self.shards.of(limit, partition) != shard {
                    continue;
                }
                let id = PotId { limit: Arc::clone(limit), window: *window, partition: Arc::clone(partition) };
                let stored = pot.store(id.wire(), &self.members, self.settled.then_some(self.settings.epoch));
                bytes += 48 + limit.len() + partition.len() + stored.held.len() * 56 + stored.buckets.len() * 16;
                marks.push((id, stored.mark));
                pots.push(stored);
            }
        }
        pots.sort_by(|a, b| {
            let key = |stored: &ledger::StoredPot| stored.pot.clone().map(|pot| (pot.limit, pot.partition, pot.window));
            key(a).cmp(&key(b))
        });
        let (members, tombstones) =
            if shard == 0 { self.members.store(self.settled) } else { (Vec::new(), Vec::new()) };
        let count = if shard == 0 { self.members.len() } else { 0 };
        self.stamp += 1;
        self.under_way.insert(shard, Promise { marks, members: count, stamp: self.stamp });
        let Settings { epoch, nonce, .. } = self.settings;
        let sequence = self.shards.parts.get_mut(shard).map_or(0, |part| {
            part.bytes = bytes;
            part.sequence
        });
        Write { shard, body: Shard { epoch, nonce, sequence, pots, members, tombstones } }
    }

    /// What became of a write. Only what is known to be stored is granted from; false = a later leader has written.
    pub fn written(&mut self, shard: usize, sequence: u64, outcome: Outcome, now: Now) -> bool {
        let stored = matches!(outcome, Outcome::Stored);
        let asked_at = self.shards.done(shard, sequence, stored);
        match outcome {
            Outcome::Stored => {}
            Outcome::Failed => {
                self.shards.rest(shard, now);
                return true;
            }
            Outcome::Conflict(body) => {
                let epoch = self.settings.epoch;
                let deposed = body.epoch > epoch;
                let stored = self.shards.stored(shard).map(|sequence| (epoch, sequence));
                if stored.is_some_and(|stored| (body.epoch, body.sequence) < stored) {
                    self.write_all();
                }
                if body.epoch < epoch {
                    // Before it has written a part it grants nothing durable of it, and may learn of it at any time.
                    self.learn(body, self.settled && stored.is_some(), now);
                    for lost in self.members.followed() {
                        self.lose(lost, now);
                    }
                    if self.settled {
                        self.settle(now);
                    }
                }
                return !deposed;
            }
        }
        let Some(asked_at) = asked_at else { return true };
        let Some(Promise { marks, members, stamp }) = self.under_way.remove(&shard) else { return true };
        for (id, mark) in marks {
            let pots = self.limits.get_mut(&id.limit).map(|state| &mut state.pots);
            if let Some(pot) = pots.and_then(|pots| pots.get_mut(&(id.window, id.partition))) {
                pot.marked(mark, asked_at);
            }
        }
        self.members.stored_up_to(members);
        self.members.written(shard, stamp);
        self.fenced |= shard == 0;
        self.hear(now);
        self.retry(now);
        true
    }

    /// The store came back from an old copy or empty: whatever it had is told it again.
    fn write_all(&mut self) {
        let parts = self.parts();
        parts.into_iter().chain([0]).for_each(|part| self.shards.touch(part, false));
    }

    /// Ends in order: grants stop, and the returned parts tell the next leader exactly what is taken. One that is adrift
    /// does not know what a later one has granted since, and tells nothing.
    pub fn hand_over(&mut self) -> Vec<Write> {
        if self.adrift {
            return Vec::new();
        }
        self.limits.values_mut().flat_map(|state| state.pots.values_mut()).for_each(Pot::hand_over);
        let parts = (0..self.shards.parts.len()).filter(|shard| {
            let part = self.shards.parts.get(*shard);
            *shard == 0 || part.is_some_and(|part| part.sequence > 0)
        });
        let parts: Vec<usize> = parts.collect();
        for part in &mut self.shards.parts {
            part.sequence += 1;
        }
        parts.into_iter().map(|shard| self.write(shard)).collect()
    }
}
