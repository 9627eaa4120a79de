//! The store's parts: which must be written, and when.

use super::settings::Settings;
use crate::room::Room;
use crate::{Millis, Now};
use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Between two writes of one part that nobody waits for, where writes are spaced.
const SPACING_MS: Millis = 5_000;
/// The same where they are not: so long, and a millisecond more for so many bytes of the part, since it is written as
/// a whole. All parts come to 15 MB a second at most, however many pots change.
const CLOSE_SPACING_MS: Millis = 500;
const BYTES_A_MS: u64 = 256;
/// Writes a second over all parts, and how many at once.
const WRITES_PER_S: u64 = 5;
const WRITES_BURST: u64 = 20;
/// So many of them are left to namespaces that were not served within that time.
const WRITES_KEPT: u64 = 5;
const SERVED_MS: Millis = 1_000;
/// A limit's pots share so many parts: each takes one write for all that are new in it. Where these have no room, as
/// many others follow; where writes are spaced, up to so many times: half of the store.
const PARTS_OF_A_LIMIT: usize = 4;
const SPACED_GROUPS: usize = 8;
/// A write that nobody tells the outcome of is made again.
const LOST_MS: Millis = 10_000;
/// A write that failed is made again after that; nobody learns anything by asking a store that is away at once.
const RETRY_MS: Millis = 200;

#[derive(Debug, Clone, Default)]
pub(super) struct Part {
    /// Something in it changed.
    dirty: bool,
    /// Namespaces whose requests wait for it.
    waiting: BTreeSet<Box<str>>,
    /// The write under way: its sequence and when it began.
    under_way: Option<(u64, Millis)>,
    written_at: Option<Millis>,
    /// Not written again before, since the last write failed.
    rests_until: Millis,
    /// The last write that the store took.
    stored: Option<u64>,
    pub(super) sequence: u64,
}

#[derive(Debug)]
pub(super) struct Shards {
    pub(super) parts: Vec<Part>,
    /// Who holds how many bytes of each part.
    rooms: Vec<Room>,
    /// When a namespace's requests were last served by a write.
    served: HashMap<Box<str>, Millis>,
    settings: Settings,
    /// Thousandths of a write.
    tokens: u64,
    filled_at: Millis,
}

impl Shards {
    pub(super) fn new(settings: Settings) -> Self {
        let count = settings.shards.clamp(1, 64);
        let rooms = (0..count).map(|_| Room::default()).collect();
        let (tokens, filled_at, served) = (WRITES_BURST * 1_000, 0, HashMap::new());
        Self { parts: vec![Part::default(); count], rooms, served, settings, tokens, filled_at }
    }

    /// The parts where a pot may be, in the order in which they are tried.
    fn candidates(&self, limit: &str, partition: &str) -> impl Iterator<Item = usize> {
        let (parts, limit, partition) = (self.parts.len(), hash(limit), hash(partition));
        let apart = PARTS_OF_A_LIMIT.min(parts);
        let groups = if self.settings.spaced { SPACED_GROUPS.min(parts / apart) } else { parts.div_ceil(apart) };
        (0..groups).map(move |group| (limit % parts + group * apart + partition % apart) % parts)
    }

    /// In which part a pot is where nothing stands against it.
    pub(super) fn first(&self, limit: &str, partition: &str) -> usize {
        self.candidates(limit, partition).next().unwrap_or(0)
    }

    /// In which part there is room for a further pot of a limit; none where it or its namespace holds its share of each.
    pub(super) fn place(&self, limit: &str, partition: &str) -> Option<usize> {
        let (most, divided) = (self.settings.shard_bytes, !partition.is_empty());
        let size = super::pot::new_size(limit, partition);
        let has_room = |part: &usize| self.rooms.get(*part).is_some_and(|room| room.admits(most, limit, divided, size));
        self.candidates(limit, partition).find(has_room)
    }

    /// A pot takes room of a part.
    pub(super) fn take(&mut self, part: usize, limit: &str, size: u64) {
        if let Some(room) = self.rooms.get_mut(part) {
            room.take(limit, size);
        }
    }

    /// Nothing takes any room: it is counted anew.
    pub(super) fn clear_rooms(&mut self) {
        self.rooms.iter_mut().for_each(Room::clear);
    }

    /// Something changed in these parts, a bit each; `waits` is the namespace whose request waits for the write.
    pub(super) fn touch(&mut self, parts: u64, waits: Option<&str>) {
        for (index, part) in self.parts.iter_mut().enumerate().filter(|(index, _)| parts & (1 << index) != 0) {
            debug_assert!(index < 64, "a bit each");
            part.dirty = true;
            if let Some(namespace) = waits
                && !part.waiting.contains(namespace)
            {
                part.waiting.insert(namespace.into());
            }
        }
    }

    /// The parts to write now; each is under way from here on. First come those that somebody waits for who was served
    /// the longest ago, so that one namespace's many writes hold nobody else up.
    pub(super) fn due(&mut self, now: Now) -> Vec<usize> {
        let passed = now.mono.saturating_sub(self.filled_at);
        self.tokens = self.tokens.saturating_add(passed.saturating_mul(WRITES_PER_S)).min(WRITES_BURST * 1_000);
        self.filled_at = now.mono;
        self.served.retain(|_, at| now.mono.saturating_sub(*at) < SERVED_MS);
        let mut due = Vec::new();
        let spaced = self.settings.spaced;
        let bytes = |part: usize| self.rooms.get(part).map_or(0, Room::used);
        let spacing = |part| if spaced { SPACING_MS } else { CLOSE_SPACING_MS + bytes(part) / BYTES_A_MS };
        let served = |part: &Part| part.waiting.iter().map(|name| self.served.get(name).copied().unwrap_or(0)).min();
        // When who waits was served last, or nothing where nobody waits; when it was written last.
        let mut order: Vec<(Millis, Millis, usize)> = Vec::new();
        for (index, part) in self.parts.iter().enumerate().filter(|(_, part)| part.dirty) {
            let is_under_way = part.under_way.is_some_and(|(_, since)| now.mono.saturating_sub(since) < LOST_MS);
            let rested = part.written_at.is_none_or(|at| now.mono.saturating_sub(at) >= spacing(index));
            if !is_under_way && now.mono >= part.rests_until && (!part.waiting.is_empty() || rested) {
                order.push((served(part).unwrap_or(Millis::MAX), part.written_at.unwrap_or(0), index));
            }
        }
        order.sort_unstable();
        for (served, _, index) in order {
            let kept = if served == 0 { 0 } else { WRITES_KEPT * 1_000 };
            if spaced && self.tokens < kept + 1_000 {
                continue;
            }
            let Some(part) = self.parts.get_mut(index) else { continue };
            self.tokens = self.tokens.saturating_sub(1_000);
            part.sequence += 1;
            part.under_way = Some((part.sequence, now.mono));
            part.written_at = Some(now.mono);
            part.dirty = false;
            self.served.extend(std::mem::take(&mut part.waiting).into_iter().map(|namespace| (namespace, now.mono)));
            due.push(index);
        }
        due
    }

    /// What became of a write; when it was asked for, if it is the one under way.
    pub(super) fn done(&mut self, shard: usize, sequence: u64, stored: bool) -> Option<Millis> {
        let part = self.parts.get_mut(shard)?;
        let (_, asked_at) = part.under_way.filter(|(held, _)| *held == sequence)?;
        part.under_way = None;
        if !stored {
            part.dirty = true;
            part.waiting.insert(Box::default());
            return None;
        }
        part.stored = Some(sequence);
        Some(asked_at)
    }

    /// A write failed.
    pub(super) fn rest(&mut self, shard: usize, now: Now) {
        if let Some(part) = self.parts.get_mut(shard) {
            part.rests_until = now.mono + RETRY_MS;
        }
    }

    /// The sequence of the last write that the store took of this leader.
    pub(super) fn stored(&self, shard: usize) -> Option<u64> {
        self.parts.get(shard)?.stored
    }
}

fn hash(text: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    usize::try_from(hasher.finish() >> 1).unwrap_or(0)
}
