//! What outlives a leader: it begins with what is stored, and tells what is to be.

use super::id::PotId;
use super::member::Members;
use super::pot::Pot;
use super::settings::Settings;
use super::shard::Shards;
use super::state::{Leader, Outcome, Promise, Write};
use crate::room::Room;
use crate::{Millis, Now};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use weir_snapshot::ledger::{self, Shard};

/// So many pots are looked at in a fraction of a millisecond. Looks at all of them for what is to be written are so far
/// apart that they take a small part of the time.
const POTS_A_MS: Millis = 4_000;

/// What a part of the store is to have of pots, and their marks in it.
type Body = (Vec<ledger::StoredPot>, Vec<(PotId, u64)>);

impl Leader {
    /// A leader that goes on from what is stored. Until the starts that the store names and the Pods that run are
    /// heard of, durable limits grant nothing.
    pub fn new(settings: Settings, stored: Vec<(usize, Shard)>, running: &BTreeSet<String>, now: Now) -> Self {
        let mut leader = Self {
            settings,
            limits: BTreeMap::new(),
            members: Members::default(),
            shards: Shards::new(settings),
            under_way: HashMap::new(),
            stamp: 0,
            pending: Vec::new(),
            out: Vec::new(),
            passing: Room::default(),
            emptied: stored.is_empty() && settings.epoch > 1,
            reset: false,
            settled: false,
            somebody_is_lost: false,
            fenced: false,
            adrift: false,
            listened: 0,
            ticked_at: now.mono,
            swept_at: now.mono,
            gathers_until: 0,
        };
        leader.members.expect(running);
        stored.into_iter().for_each(|(part, shard)| leader.learn(part, shard, false, now));
        leader.shards.touch(1, Some(""));
        leader
    }

    /// Takes what an earlier leader stored in a part. It may have gone on since this one read it: the higher mark counts.
    /// Of pots this one `knows` better, whatever an old copy of them says.
    pub(super) fn learn(&mut self, part: usize, shard: Shard, knows: bool, now: Now) {
        shard.members.into_iter().for_each(|member| self.members.of_store(member));
        shard.tombstones.into_iter().for_each(|tombstone| self.members.buried(tombstone));
        for stored in shard.pots {
            let Some(id) = stored.pot.as_ref().map(|pot| self.id_of(pot)) else { continue };
            let mut pot = Pot::of_store(stored, &mut self.members);
            pot.parts = 1 << part.min(63);
            // What a start was granted and never heard of, it is told again.
            self.members.owe(&pot.shares, &id);
            let state = self.limits.entry(id.limit).or_default();
            let nature = state.nature();
            match state.pots.entry((id.window, id.partition)) {
                Entry::Occupied(mut held) if knows => held.get_mut().parts |= pot.parts,
                Entry::Occupied(mut held) => held.get_mut().learn(pot, &self.members),
                Entry::Vacant(place) => place.insert(pot).fold_closed(&self.members, nature, now),
            }
        }
    }

    /// The parts of the store to write now: none while it is adrift.
    pub fn writes(&mut self, now: Now) -> Vec<Write> {
        if self.adrift || now.mono < self.gathers_until {
            return Vec::new();
        }
        let due = self.shards.due(now);
        if !due.is_empty() {
            self.gathers_until = now.mono + self.pots() as Millis / POTS_A_MS;
        }
        self.write(&due)
    }

    /// What these parts of the store are to have, by one look at all pots.
    fn write(&mut self, parts: &[usize]) -> Vec<Write> {
        if parts.is_empty() {
            return Vec::new();
        }
        let wanted = parts.iter().fold(0, |wanted: u64, part| wanted | 1 << part);
        let mut bodies: BTreeMap<usize, Body> = BTreeMap::new();
        for (limit, state) in &self.limits {
            for ((window, partition), pot) in state.pots.iter().filter(|(_, pot)| pot.parts & wanted != 0) {
                let id = PotId { limit: Arc::clone(limit), window: *window, partition: Arc::clone(partition) };
                let of = self.settled.then_some(self.settings.epoch);
                for part in parts.iter().filter(|part| pot.parts & (1 << **part) != 0) {
                    let stored = pot.store(id.wire(), &self.members, of);
                    let (pots, marks) = bodies.entry(*part).or_default();
                    marks.push((id.clone(), stored.mark));
                    pots.push(stored);
                }
            }
        }
        let with_body = |part: &usize| (*part, bodies.remove(part).unwrap_or_default());
        let bodies: Vec<_> = parts.iter().map(with_body).collect();
        bodies.into_iter().map(|(part, body)| self.promise(part, body)).collect()
    }

    /// A write, and what the store will have been told by it.
    fn promise(&mut self, shard: usize, (pots, marks): Body) -> Write {
        let (members, tombstones) =
            if shard == 0 { self.members.store(self.settled) } else { (Vec::new(), Vec::new()) };
        let count = if shard == 0 { self.members.len() } else { 0 };
        self.stamp += 1;
        self.under_way.insert(shard, Promise { marks, members: count, stamp: self.stamp });
        let Settings { epoch, nonce, .. } = self.settings;
        let sequence = self.shards.parts.get(shard).map_or(0, |part| part.sequence);
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
                    self.learn(shard, body, self.settled && stored.is_some(), now);
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
        self.shards.touch(parts | 1, Some(""));
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
        self.write(&parts)
    }
}
