//! What a leader knows.

use super::id::PotId;
use super::member::Members;
use super::pending::Pending;
use super::pot::Pot;
use super::settings::Settings;
use super::shard::Shards;
use crate::{Limit, Millis, Nature, Now, Span, Turn};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use weir_snapshot::ledger::{Shard, State, ToPod};

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
    pub(super) limits: HashMap<Arc<str>, LimitState>,
    pub(super) members: Members,
    pub(super) shards: Shards,
    /// What the writes under way say of marks and members.
    pub(super) under_way: HashMap<usize, Promise>,
    /// Orders what is closed and what is written.
    pub(super) stamp: u64,
    pub(super) pending: Vec<Pending>,
    pub(super) out: Vec<(Arc<str>, ToPod)>,
    /// Counts changes of pots.
    pub(super) changes: u64,
    /// Pots that no store keeps.
    pub(super) passing: usize,
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
        self.limits.values_mut().for_each(|state| state.limit = None);
        for (id, limit) in limits {
            let state = self.limits.entry(id).or_default();
            // The window that is open stays so, unless windows are cut otherwise now.
            state.open = state.open.filter(|_| state.turn.as_ref() == Some(&limit.turn));
            state.turn = Some(limit.turn.clone());
            state.limit = Some(limit);
        }
        self.changes += 1;
        let changes = self.changes;
        self.limits.values_mut().flat_map(|state| state.pots.values_mut()).for_each(|pot| pot.changed = changes);
    }

    pub(super) fn pot(&mut self, id: &PotId, now: Now) -> &mut Pot {
        let state = self.limits.entry(Arc::clone(&id.limit)).or_default();
        let open = state.opened(now);
        let ends = if open.id == id.window { open.ends } else { None };
        let key = (id.window, Arc::clone(&id.partition));
        let base = if state.pots.contains_key(&key) { 0 } else { state.left_over(id, now) };
        state.pots.entry(key).or_insert_with(|| Pot::new(ends, base, now))
    }

    pub(super) fn touch(&mut self, id: &PotId, urgent: bool) {
        let shard = self.shards.of(&id.limit, &id.partition);
        self.shards.touch(shard, urgent);
    }

    /// What a start is told of a pot.
    pub(super) fn state(&mut self, member: usize, id: &PotId, now: Now) -> State {
        let epoch = self.settings.epoch;
        let state = self.limits.entry(Arc::clone(&id.limit)).or_default();
        let limit = state.limit.as_ref().map_or(0, |limit| limit.amount_at(now.unix));
        let Some(pot) = state.pots.get(&(id.window, Arc::clone(&id.partition))) else { return State::default() };
        let share = pot.shares.iter().find(|share| share.member == member);
        State {
            pot: Some(id.wire()),
            granted: share.map_or(0, |share| share.counters.granted),
            epoch,
            sequence: if self.settled { pot.sequence } else { 0 },
            total: pot.total(),
            limit,
            committed: pot.committed(),
            spent: pot.spent(),
            ends_in_ms: pot.ends.map(|ends| u64::try_from(ends - now.unix).unwrap_or(0)),
        }
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
