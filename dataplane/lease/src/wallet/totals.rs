//! What leaders said was granted of other pods' pots, kept for the case that a store forgets it.

use crate::Millis;
use crate::room::Room;
use foldhash::fast::RandomState;
use std::collections::HashMap;
use weir_snapshot::ledger::{Pot, Total};

/// Totals that are kept, of all namespaces: 5 MB. One that finds no place has two other keepers.
const MOST: u64 = 20_000;
/// Between two looks for windows that are over.
const SWEEP_MS: Millis = 10_000;

#[derive(Debug, Default)]
pub(super) struct Totals {
    all: HashMap<Pot, Kept, RandomState>,
    room: Room,
    swept_at: Millis,
}

#[derive(Debug, Clone, Copy)]
struct Kept {
    /// Epoch, sequence and amount.
    word: (u64, u64, u64),
    until: Millis,
}

impl Totals {
    /// Takes one; the newest word holds.
    pub(super) fn take(&mut self, total: Total, now: Millis) {
        let Some(pot) = total.pot else { return };
        let until = total.ends_in_ms.map_or(Millis::MAX, |ms| now.saturating_add(ms));
        let word = (total.epoch, total.sequence, total.granted);
        if let Some(kept) = self.all.get_mut(&pot) {
            if (kept.word.0, kept.word.1) < (word.0, word.1) {
                *kept = Kept { word, until };
            }
        } else if self.room.admits(MOST, &pot.limit, !pot.partition.is_empty(), 1) {
            self.room.take(&pot.limit, 1);
            self.all.insert(pot, Kept { word, until });
        }
    }

    /// Forgets those whose window is over.
    pub(super) fn tidy(&mut self, now: Millis) {
        if now.saturating_sub(self.swept_at) < SWEEP_MS {
            return;
        }
        self.swept_at = now;
        let Self { all, room, .. } = self;
        all.retain(|pot, kept| {
            let over = now >= kept.until;
            if over {
                room.give_back(&pot.limit, 1);
            }
            !over
        });
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Total> {
        let total = |(pot, kept): (&Pot, &Kept)| {
            let (epoch, sequence, granted) = kept.word;
            Total { pot: Some(pot.clone()), epoch, sequence, granted, ends_in_ms: None }
        };
        self.all.iter().map(total).collect()
    }
}
