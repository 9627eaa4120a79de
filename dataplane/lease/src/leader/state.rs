//! What a leader knows.

use super::id::PotId;
use super::member::Members;
use super::pending::Pending;
use super::pot::{Pot, size_of};
use super::settings::Settings;
use super::shard::Shards;
use crate::limit::is_passing;
use crate::room::{Room, namespace};
use crate::{Limit, Millis, Nature, Now, Span, Turn};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use weir_snapshot::ledger::{self, Shard, State, ToPod};

/// A part to store. The leader is told by [`Leader::written`] what became of it.
#[derive(Debug, Clone)]
pub struct Write {
    /// Which part.
    pub shard: usize,
    /// What it now says.
    pub body: Shard,
}

/// What became of a write.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The store has it.
    Stored,
    /// It failed, or nobody knows.
    Failed,
    /// The store has something else than what was last read or written: this, or nothing, which is an empty part.
    Conflict(Shard),
}

/// Grants the leases of all pods.
#[derive(Debug)]
pub struct Leader {
    pub(super) settings: Settings,
    /// In the order in which a start is told of all its pots.
    pub(super) limits: BTreeMap<Arc<str>, LimitState>,
    pub(super) members: Members,
    pub(super) shards: Shards,
    /// What the writes under way say of marks and members.
    pub(super) under_way: HashMap<usize, Promise>,
    /// Orders what is closed and what is written.
    pub(super) stamp: u64,
    pub(super) pending: Vec<Pending>,
    pub(super) out: Vec<(Arc<str>, ToPod)>,
    /// Who holds how many pots that no store keeps.
    pub(super) passing: Room,
    /// Whether the store was empty although there were leaders before.
    pub(super) emptied: bool,
    /// Whether what was spent is lost, since no pod knew of it either.
    pub(super) reset: bool,
    /// Whether all that can be heard was heard, so that nothing is unknown any more.
    pub(super) settled: bool,
    /// Whether a start was given up before this leader heard of it.
    pub(super) somebody_is_lost: bool,
    /// Whether the store tells every earlier leader that it leads no more.
    pub(super) fenced: bool,
    /// Whether it cannot prove that it still leads.
    pub(super) adrift: bool,
    /// How long it has listened.
    pub(super) listened: Millis,
    pub(super) ticked_at: Millis,
    pub(super) swept_at: Millis,
    /// No writes are made before, so that one look at all pots serves several.
    pub(super) gathers_until: Millis,
}

/// What a write under way will have told the store.
#[derive(Debug)]
pub(super) struct Promise {
    pub(super) marks: Vec<(PotId, u64)>,
    /// How many starts.
    pub(super) members: usize,
    pub(super) stamp: u64,
}

#[derive(Debug, Default)]
pub(super) struct LimitState {
    /// Absent where only the store or pods know it: it grants nothing.
    pub(super) limit: Option<Limit>,
    pub(super) pots: BTreeMap<(u64, Arc<str>), Pot>,
    /// The window that is open; its id never goes back.
    pub(super) open: Option<Span>,
    /// How windows were cut when it opened.
    pub(super) turn: Option<Turn>,
    /// When a partition of it was last refused for want of a place.
    pub(super) full_at: Option<Millis>,
}

/// What is wanted to be the place of a pot.
pub(super) enum Place {
    /// No store keeps it.
    Passing,
    /// In that part of the store.
    Part(usize),
}

impl LimitState {
    pub(super) fn nature(&self) -> Option<Nature> {
        self.limit.as_ref().map(|limit| limit.nature)
    }

    /// The window that is open now.
    pub(super) fn opened(&mut self, now: Now) -> Span {
        let over = |span: &Span| span.ends.is_some_and(|ends| now.unix >= ends);
        if let Some(open) = self.open.filter(|span| !over(span)) {
            return open;
        }
        let found = self.limit.as_ref().map_or(Span::ALWAYS, |limit| limit.turn.at(now.unix));
        let open = self.open.filter(|open| open.id > found.id).unwrap_or(found);
        self.open = Some(open);
        open
    }
}

impl LimitState {
    /// What the windows before a rate's new one have not got back: no turn gives anything away.
    fn left_over(&mut self, id: &PotId, now: Now) -> u64 {
        let Some(nature @ Nature::Rate { .. }) = self.nature() else { return 0 };
        let mut window = id.window;
        while let Some(((before, _), _)) = self.pots.range(..(window, Arc::from(""))).next_back() {
            window = *before;
            if let Some(pot) = self.pots.get_mut(&(window, Arc::clone(&id.partition))) {
                pot.age(nature, now);
                return pot.committed();
            }
        }
        0
    }
}

impl Leader {
    /// Replaces the limits. What was spent of one that stays, stays spent, whatever changed of it.
    pub fn set_limits(&mut self, limits: impl IntoIterator<Item = (Arc<str>, Limit)>) {
        let mut before: HashMap<Arc<str>, Limit> = HashMap::new();
        for (id, state) in &mut self.limits {
            before.extend(state.limit.take().map(|limit| (Arc::clone(id), limit)));
        }
        for (id, limit) in limits {
            let state = self.limits.entry(Arc::clone(&id)).or_default();
            // The window that is open stays so, unless windows are cut otherwise now.
            state.open = state.open.filter(|_| state.turn.as_ref() == Some(&limit.turn));
            state.turn = Some(limit.turn.clone());
            let same = before.remove(&id).is_some_and(|before| before == limit);
            state.limit = Some(limit);
            if !same {
                self.tell_of_limit(&id);
            }
        }
        before.into_keys().for_each(|id| self.tell_of_limit(&id));
    }

    /// Every start is told anew of a limit's pots.
    fn tell_of_limit(&mut self, limit: &Arc<str>) {
        let Some(state) = self.limits.get(limit) else { return };
        for ((window, partition), pot) in &state.pots {
            let id = PotId { limit: Arc::clone(limit), window: *window, partition: Arc::clone(partition) };
            self.members.owe(&pot.shares, &id);
        }
    }

    /// The name of a pot; the same text is held once.
    pub(super) fn id(&self, limit: &str, window: u64, partition: &str) -> PotId {
        let partition: Arc<str> = partition.into();
        let Some((limit, state)) = self.limits.get_key_value(limit) else {
            return PotId { limit: limit.into(), window, partition };
        };
        let limit = Arc::clone(limit);
        let key = (window, partition);
        match state.pots.get_key_value(&key) {
            Some(((_, held), _)) => PotId { limit, window, partition: Arc::clone(held) },
            None => PotId { limit, window, partition: key.1 },
        }
    }

    /// The name of a pot that a message is of.
    pub(super) fn id_of(&self, pot: &ledger::Pot) -> PotId {
        self.id(&pot.limit, pot.window, &pot.partition)
    }

    pub(super) fn find(&self, id: &PotId) -> Option<&Pot> {
        self.limits.get(&id.limit)?.pots.get(&(id.window, Arc::clone(&id.partition)))
    }

    /// Where a further pot would be; none where its limit or namespace holds its share already.
    pub(super) fn place(&self, id: &PotId) -> Option<Place> {
        let nature = self.limits.get(&id.limit).and_then(LimitState::nature);
        if nature.map_or(is_passing(&id.limit), |nature| !nature.is_stored()) {
            let admits = self.passing.admits(self.settings.passing, &id.limit, !id.partition.is_empty(), 1);
            return admits.then_some(Place::Passing);
        }
        self.shards.place(&id.limit, &id.partition).map(Place::Part)
    }

    /// The pot of that name. What a pod or the store tells of is taken, whoever holds how much.
    pub(super) fn pot(&mut self, id: &PotId, now: Now) -> &mut Pot {
        let place = if self.find(id).is_none() { Some(self.place(id)) } else { None };
        let state = self.limits.entry(Arc::clone(&id.limit)).or_default();
        let open = state.opened(now);
        let ends = if open.id == id.window { open.ends } else { None };
        let key = (id.window, Arc::clone(&id.partition));
        let base = if place.is_none() { 0 } else { state.left_over(id, now) };
        let stored = state.nature().map_or(!is_passing(&id.limit), Nature::is_stored);
        let pot = state.pots.entry(key).or_insert_with(|| Pot::new(ends, base, now));
        match place {
            None => {}
            Some(_) if !stored => self.passing.take(&id.limit, 1),
            Some(place) => {
                let part = match place {
                    Some(Place::Part(part)) => part,
                    Some(Place::Passing) | None => self.shards.first(&id.limit, &id.partition),
                };
                pot.parts = 1 << part;
                self.shards.take(part, &id.limit, size_of(&id.limit, &id.partition, pot));
            }
        }
        pot
    }

    /// Something of a pot is to be stored.
    pub(super) fn touch(&mut self, id: &PotId, urgent: bool) {
        let parts = self.find(id).map_or(0, |pot| pot.parts);
        self.shards.touch(parts, urgent.then(|| namespace(&id.limit)));
    }

    /// What a start is told of a pot.
    pub(super) fn state(&self, member: usize, id: &PotId, now: Now) -> Option<State> {
        let epoch = self.settings.epoch;
        let state = self.limits.get(&id.limit)?;
        let limit = state.limit.as_ref().map_or(0, |limit| limit.amount_at(now.unix));
        let pot = state.pots.get(&(id.window, Arc::clone(&id.partition)))?;
        let share = pot.shares.iter().find(|share| share.member == member);
        Some(State {
            pot: Some(id.wire()),
            granted: share.map_or(0, |share| share.counters.granted),
            epoch,
            sequence: if self.settled { pot.sequence } else { 0 },
            total: pot.total(),
            limit,
            committed: pot.committed(),
            spent: pot.spent(),
            ends_in_ms: pot.ends.map(|ends| u64::try_from(ends - now.unix).unwrap_or(0)),
        })
    }

    /// How many pots are remembered.
    pub fn pots(&self) -> usize {
        self.limits.values().map(|state| state.pots.len()).sum()
    }

    /// Messages to send, each to the start of that name.
    pub fn outgoing(&mut self) -> Vec<(Arc<str>, ToPod)> {
        std::mem::take(&mut self.out)
    }
}
