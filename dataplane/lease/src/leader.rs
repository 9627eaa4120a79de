//! The leader's end: it grants leases out of pots, and never more than they hold.
//!
//! A limit that is `durable` grants only up to a mark that its store is known to have, so that a leader that starts
//! from the store never takes what was granted for free. What is unknown counts as spent.

mod ask;
mod member;
mod pot;
mod shard;
mod view;

pub use view::{Health, LimitView, PotView, View};

use crate::{Counters, Limit, Millis, Nature, Now, Span};
use ask::Pending;
use member::Members;
use pot::Pot;
use shard::Shards;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use weir_snapshot::ledger::{
    self, Closed, FromPod, Hello, Report, Round, Shard, State, ToPod, Total, from_pod, to_pod,
};

/// How long starts that were not heard of hold back grants of durable limits.
const HEARING_MS: Millis = 10_000;
/// No step of time counts for more of it: a process that was paused has not been listening.
const HEARING_STEP_MS: Millis = 250;
/// How long the pots of a window that is over are kept for what is still outstanding.
const CLOSED_MS: i64 = 24 * 3_600_000;
/// Between two looks for pots that nobody needs.
const SWEEP_MS: Millis = 1_000;

/// What a leader is started with.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Above that of every leader before.
    pub epoch: u64,
    /// Of this process.
    pub nonce: u64,
    /// Into how many parts the store is cut.
    pub shards: usize,
    /// How large a part may be, in bytes, before it takes no further pot.
    pub shard_bytes: usize,
    /// Whether writes are spaced, so that the store is not hurt by them.
    pub spaced: bool,
}

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
    /// The store has something else than what was last read or written: this.
    Conflict(Shard),
}

/// How a start of a pod's process left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Its stream broke; it may come back.
    Disconnected,
    /// Its Pod is gone.
    Gone,
}

/// Names a pot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct PotId {
    limit: Arc<str>,
    window: u64,
    partition: Arc<str>,
}

impl PotId {
    fn of(pot: &ledger::Pot) -> Self {
        Self { limit: pot.limit.as_str().into(), window: pot.window, partition: pot.partition.as_str().into() }
    }

    fn wire(&self) -> ledger::Pot {
        ledger::Pot { limit: self.limit.to_string(), partition: self.partition.to_string(), window: self.window }
    }
}

/// Grants the leases of all pods.
#[derive(Debug)]
pub struct Leader {
    settings: Settings,
    limits: HashMap<Arc<str>, LimitState>,
    members: Members,
    shards: Shards,
    /// What the writes under way say of marks and members.
    under_way: HashMap<usize, Promise>,
    /// Orders what is closed and what is written.
    stamp: u64,
    pending: Vec<Pending>,
    out: Vec<(Arc<str>, ToPod)>,
    /// Counts changes of pots.
    changes: u64,
    /// Whether the store was empty although there were leaders before.
    emptied: bool,
    /// Whether what was spent is lost, since no pod knew of it either.
    reset: bool,
    /// Whether all that can be heard was heard, so that nothing is unknown any more.
    settled: bool,
    /// Whether a start was given up before this leader heard of it.
    somebody_is_lost: bool,
    /// Whether the store tells every earlier leader that it leads no more.
    fenced: bool,
    /// How long it has listened.
    listened: Millis,
    ticked_at: Millis,
    swept_at: Millis,
}

/// What a write under way will have told the store.
#[derive(Debug)]
struct Promise {
    marks: Vec<(PotId, u64)>,
    /// How many starts.
    members: usize,
    stamp: u64,
}

#[derive(Debug, Default)]
struct LimitState {
    /// Absent where only the store or pods know it: it grants nothing.
    limit: Option<Limit>,
    pots: BTreeMap<(u64, Arc<str>), Pot>,
    /// The window that is open; its id never goes back.
    open: Option<Span>,
}

impl LimitState {
    fn nature(&self) -> Option<Nature> {
        self.limit.as_ref().map(|limit| limit.nature)
    }

    /// The window that is open now.
    fn turn(&mut self, now: Now) -> Span {
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
            emptied: stored.is_empty() && settings.epoch > 1,
            reset: false,
            settled: false,
            somebody_is_lost: false,
            fenced: false,
            listened: 0,
            ticked_at: now.mono,
            swept_at: now.mono,
        };
        leader.members.expect(running);
        stored.into_iter().for_each(|shard| leader.learn(shard));
        leader.shards.touch(0, true);
        leader
    }

    /// Takes what an earlier leader stored. It may have gone on since this one read it: the higher mark counts.
    fn learn(&mut self, shard: Shard) {
        shard.members.into_iter().for_each(|member| self.members.of_store(member));
        shard.tombstones.into_iter().for_each(|tombstone| self.members.buried(tombstone));
        for stored in shard.pots {
            let Some(id) = stored.pot.as_ref().map(PotId::of) else { continue };
            let pot = Pot::of_store(stored, &mut self.members);
            // What a start was granted and never heard of, it is told again.
            for share in &pot.shares {
                if let Some(member) = self.members.get_mut(share.member) {
                    member.pots.insert(id.clone());
                }
            }
            let pots = &mut self.limits.entry(id.limit).or_default().pots;
            match pots.entry((id.window, id.partition)) {
                Entry::Occupied(mut held) if !self.settled => held.get_mut().learn(pot, &self.members),
                Entry::Occupied(_) => {}
                Entry::Vacant(place) => drop(place.insert(pot)),
            }
        }
    }

    /// Replaces the limits. What was spent of one that stays, stays spent, whatever changed of it.
    pub fn set_limits(&mut self, limits: impl IntoIterator<Item = (Arc<str>, Limit)>) {
        self.limits.values_mut().for_each(|state| state.limit = None);
        for (id, limit) in limits {
            let state = self.limits.entry(id).or_default();
            (state.limit, state.open) = (Some(limit), None);
        }
        self.changes += 1;
        let changes = self.changes;
        self.limits.values_mut().flat_map(|state| state.pots.values_mut()).for_each(|pot| pot.changed = changes);
    }

    /// Takes a message of a start; `pod` is the proven UID of its Pod.
    pub fn take(&mut self, incarnation: &str, pod: &str, message: FromPod, now: Now) {
        match message.kind {
            Some(from_pod::Kind::Hello(hello)) => self.hello(pod, hello, now),
            Some(from_pod::Kind::Report(report)) => self.report(incarnation, &report, now),
            Some(from_pod::Kind::Ask(ask)) => {
                if let Some(member) = self.members.find_open(incarnation) {
                    self.ask(member, ask, now);
                }
            }
            None => {}
        }
    }

    fn hello(&mut self, pod: &str, hello: Hello, now: Now) {
        let Hello { token: _, incarnation, highest_epoch: _, held, ended, totals } = hello;
        if self.members.is_buried(&incarnation) {
            let closed = ToPod { kind: Some(to_pod::Kind::Closed(Closed {})) };
            self.out.push((incarnation.into(), closed));
            return;
        }
        let member = self.members.enter(&incarnation, pod);
        self.shards.touch(0, true);
        self.emptied &= held.is_empty() && totals.is_empty();
        for total in totals {
            let Some(id) = total.pot.as_ref().map(PotId::of) else { continue };
            let limit = self.limits.get(&id.limit).and_then(|state| state.limit.as_ref());
            if self.settled || total.sequence == 0 || limit.is_some_and(|limit| !limit.durable) {
                continue;
            }
            self.pot(&id, now).told((total.epoch, total.sequence, total.granted));
        }
        let mut closed = Vec::new();
        for start in ended {
            closed.push(start.incarnation.clone());
            if self.members.is_buried(&start.incarnation) {
                continue;
            }
            let old = self.members.enter(&start.incarnation, pod);
            self.held(old, &start.held, now);
            self.close(old, now);
        }
        self.held(member, &held, now);
        // A Pod runs one start at a time: what an earlier one held and nobody replayed is lost.
        for lost in self.members.of_pod(pod, Some(member)) {
            self.lose(lost, now);
        }
        self.hear(now);
        self.round(member, 0, closed, now);
    }

    fn report(&mut self, incarnation: &str, report: &Report, now: Now) {
        let Some(member) = self.members.find_open(incarnation) else { return };
        self.held(member, &report.held, now);
        self.retry(now);
        self.round(member, report.round, Vec::new(), now);
        if report.last {
            self.close(member, now);
        }
    }

    fn held(&mut self, member: usize, held: &[ledger::Held], now: Now) {
        self.changes += 1;
        let changes = self.changes;
        for held in held {
            let Some(id) = held.pot.as_ref().map(PotId::of) else { continue };
            let nature = self.limits.get(&id.limit).and_then(LimitState::nature);
            let pot = self.pot(&id, now);
            pot.report(member, &Counters::from(held), nature, now);
            pot.changed = changes;
            self.touch(&id, false);
            if let Some(member) = self.members.get_mut(member) {
                member.pots.insert(id);
            }
        }
    }

    /// A start leaves.
    pub fn left(&mut self, incarnation: &str, how: Left, now: Now) {
        let Some(index) = self.members.find(incarnation) else { return };
        if let Some(member) = self.members.get_mut(index) {
            member.connected = false;
        }
        if how == Left::Gone {
            self.lose(index, now);
        }
        self.pending.retain(|pending| pending.member != index);
        self.hear(now);
    }

    /// A Pod is gone, with all of its starts.
    pub fn gone(&mut self, pod: &str, now: Now) {
        self.members.not_expected(pod);
        for index in self.members.of_pod(pod, None) {
            self.lose(index, now);
        }
        self.hear(now);
    }

    /// The Pods whose starts may hold leases.
    pub fn pods(&self) -> BTreeSet<String> {
        self.members.open().map(|(_, member)| member.pod.clone()).collect()
    }

    /// Gives a start up: what it held and did not report is never told.
    fn lose(&mut self, index: usize, now: Now) {
        let unheard = self.members.get(index).is_some_and(|member| !member.heard);
        self.somebody_is_lost |= unheard;
        self.close(index, now);
    }

    fn close(&mut self, index: usize, now: Now) {
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
    fn parts(&self) -> BTreeSet<usize> {
        let of = |(limit, state): (&Arc<str>, &LimitState)| {
            state.pots.keys().map(|(_, partition)| self.shards.of(limit, partition)).collect::<Vec<_>>()
        };
        self.limits.iter().flat_map(of).collect()
    }

    /// Once all is heard, nothing is unknown any more.
    fn hear(&mut self, now: Now) {
        if self.settled || !self.fenced || self.is_hearing() || !self.members.all_heard() {
            return;
        }
        self.settled = true;
        self.reset = self.emptied;
        for unknown in self.members.unheard() {
            self.lose(unknown, now);
        }
        for state in self.limits.values_mut() {
            let nature = state.nature();
            state.pots.values_mut().for_each(|pot| pot.settle_floor(self.somebody_is_lost, nature, now));
        }
        self.stamp += 1;
        let parts = self.parts();
        self.members.settled(&parts, self.stamp);
        parts.into_iter().for_each(|part| self.shards.touch(part, false));
        self.retry(now);
    }

    /// Whether starts and Pods that were not heard of hold back the grants of durable limits.
    fn is_hearing(&self) -> bool {
        self.listened < HEARING_MS && (self.members.expects() || !self.members.all_heard())
    }

    fn pot(&mut self, id: &PotId, now: Now) -> &mut Pot {
        let state = self.limits.entry(Arc::clone(&id.limit)).or_default();
        let open = state.turn(now);
        let ends = if open.id == id.window { open.ends } else { None };
        state.pots.entry((id.window, Arc::clone(&id.partition))).or_insert_with(|| Pot::new(ends, now))
    }

    fn touch(&mut self, id: &PotId, urgent: bool) {
        let shard = self.shards.of(&id.limit, &id.partition);
        self.shards.touch(shard, urgent);
    }

    /// What a start is told of a pot.
    fn state(&mut self, member: usize, id: &PotId, now: Now) -> State {
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
            begins_in_ms: 0,
            ends_in_ms: pot.ends.map(|ends| u64::try_from(ends - now.unix).unwrap_or(0)),
        }
    }

    /// Answers a report: what changed of the start's pots, and totals to keep for others.
    fn round(&mut self, index: usize, round: u64, closed: Vec<String>, now: Now) {
        let Some(member) = self.members.get_mut(index) else { return };
        let (incarnation, told) = (Arc::clone(&member.incarnation), member.told);
        member.told = self.changes;
        let (pots, keeps) = (member.pots.clone(), std::mem::take(&mut member.keeps));
        let changed = |leader: &Self, id: &PotId| {
            let pots = leader.limits.get(&id.limit).map(|state| &state.pots);
            pots.and_then(|pots| pots.get(&(id.window, Arc::clone(&id.partition)))).map(|pot| pot.changed)
        };
        let mut states = Vec::new();
        for id in pots {
            match changed(self, &id) {
                Some(at) if at > told || round == 0 => states.push(self.state(index, &id, now)),
                Some(_) => {}
                None => {
                    if let Some(member) = self.members.get_mut(index) {
                        member.pots.remove(&id);
                    }
                }
            }
        }
        let totals = keeps.into_iter().map(|id| {
            let State { pot, epoch, sequence, total, .. } = self.state(index, &id, now);
            Total { pot, epoch, sequence, granted: total }
        });
        let totals = totals.filter(|total| total.pot.is_some() && total.sequence > 0).collect();
        let pods = u32::try_from(self.members.connected().count()).unwrap_or(u32::MAX);
        let round = Round { epoch: self.settings.epoch, round, pods, states, totals, closed };
        self.out.push((incarnation, ToPod { kind: Some(to_pod::Kind::Round(round)) }));
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
            let open = state.turn(now).id;
            state.pots.retain(|(window, _), pot| {
                let over = pot.ends.is_some_and(|ends| now.unix >= ends) || (*window != open && pot.ends.is_none());
                let old = pot.ends.is_some_and(|ends| now.unix >= ends + CLOSED_MS);
                !(over && (pot.is_done() || old))
            });
        }
        self.limits.retain(|_, state| state.limit.is_some() || !state.pots.is_empty());
    }

    /// Messages to send, each to the start of that name.
    pub fn outgoing(&mut self) -> Vec<(Arc<str>, ToPod)> {
        std::mem::take(&mut self.out)
    }

    /// The parts of the store to write now.
    pub fn writes(&mut self, now: Now) -> Vec<Write> {
        let due = self.shards.due(now);
        due.into_iter().map(|shard| self.write(shard)).collect()
    }

    fn write(&mut self, shard: usize) -> Write {
        let (mut pots, mut marks, mut bytes) = (Vec::new(), Vec::new(), 0);
        for (limit, state) in &self.limits {
            for ((window, partition), pot) in &state.pots {
                // Rates and gauges begin anew with a leader.
                let kept = !matches!(state.nature(), Some(Nature::Rate { .. } | Nature::Gauge));
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
            Outcome::Failed => return true,
            Outcome::Conflict(body) => {
                let deposed = body.epoch > self.settings.epoch;
                if body.epoch < self.settings.epoch {
                    self.learn(body);
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

    /// Ends in order: grants stop, and the returned parts tell the next leader exactly what is taken.
    pub fn hand_over(&mut self) -> Vec<Write> {
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
