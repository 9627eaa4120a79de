//! The store's parts: which must be written, and when.

use super::settings::Settings;
use crate::{Millis, Now};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Between two writes of one part that nobody waits for.
const SPACING_MS: Millis = 5_000;
/// Writes a second over all parts, and how many at once.
const WRITES_PER_S: u64 = 5;
const WRITES_BURST: u64 = 20;
/// Where writes are spaced, a limit's pots share so many parts: each takes one write for all that are new in it.
const PARTS_OF_A_LIMIT: u64 = 4;
/// A write that nobody tells the outcome of is made again.
const LOST_MS: Millis = 10_000;
/// A write that failed is made again after that; nobody learns anything by asking a store that is away at once.
const RETRY_MS: Millis = 200;

#[derive(Debug, Clone, Default)]
pub(super) struct Part {
    /// Something in it changed.
    dirty: bool,
    /// A request waits for it.
    urgent: bool,
    /// The write under way: its sequence and when it began.
    under_way: Option<(u64, Millis)>,
    written_at: Option<Millis>,
    /// Not written again before, since the last write failed.
    rests_until: Millis,
    /// The last write that the store took.
    stored: Option<u64>,
    pub(super) sequence: u64,
    /// The size of its last write.
    pub(super) bytes: usize,
}

#[derive(Debug)]
pub(super) struct Shards {
    pub(super) parts: Vec<Part>,
    settings: Settings,
    /// Thousandths of a write.
    tokens: u64,
    filled_at: Millis,
}

impl Shards {
    pub(super) fn new(settings: Settings) -> Self {
        let parts = vec![Part::default(); settings.shards.max(1)];
        Self { parts, settings, tokens: WRITES_BURST * 1_000, filled_at: 0 }
    }

    /// In which part a pot is.
    pub(super) fn of(&self, limit: &str, partition: &str) -> usize {
        let parts = self.parts.len() as u64;
        let apart = if self.settings.spaced { PARTS_OF_A_LIMIT.min(parts) } else { parts };
        let part = hash(limit) % parts + hash(partition) % apart;
        usize::try_from(part % parts).unwrap_or(0)
    }

    pub(super) fn touch(&mut self, shard: usize, urgent: bool) {
        if let Some(part) = self.parts.get_mut(shard) {
            part.dirty = true;
            part.urgent |= urgent;
        }
    }

    /// Whether another pot fits.
    pub(super) fn has_room(&self, shard: usize) -> bool {
        self.parts.get(shard).is_some_and(|part| part.bytes < self.settings.shard_bytes)
    }

    /// The parts to write now; each is under way from here on.
    pub(super) fn due(&mut self, now: Now) -> Vec<usize> {
        let passed = now.mono.saturating_sub(self.filled_at);
        self.tokens = self.tokens.saturating_add(passed.saturating_mul(WRITES_PER_S)).min(WRITES_BURST * 1_000);
        self.filled_at = now.mono;
        let mut due = Vec::new();
        let (spaced, mut tokens) = (self.settings.spaced, self.tokens);
        let mut order: Vec<usize> = (0..self.parts.len()).collect();
        order.sort_by_key(|shard| self.parts.get(*shard).is_none_or(|part| !part.urgent));
        for shard in order {
            let Some(part) = self.parts.get_mut(shard) else { continue };
            if part.under_way.is_some_and(|(_, since)| now.mono.saturating_sub(since) < LOST_MS) || !part.dirty {
                continue;
            }
            if now.mono < part.rests_until {
                continue;
            }
            let rested = part.written_at.is_none_or(|at| now.mono.saturating_sub(at) >= SPACING_MS);
            if spaced && (!(part.urgent || rested) || tokens < 1_000) {
                continue;
            }
            tokens = tokens.saturating_sub(1_000);
            part.sequence += 1;
            part.under_way = Some((part.sequence, now.mono));
            part.written_at = Some(now.mono);
            (part.dirty, part.urgent) = (false, false);
            due.push(shard);
        }
        self.tokens = tokens;
        due
    }

    /// What became of a write; when it was asked for, if it is the one under way.
    pub(super) fn done(&mut self, shard: usize, sequence: u64, stored: bool) -> Option<Millis> {
        let part = self.parts.get_mut(shard)?;
        let (_, asked_at) = part.under_way.filter(|(held, _)| *held == sequence)?;
        part.under_way = None;
        if !stored {
            (part.dirty, part.urgent) = (true, true);
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

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
