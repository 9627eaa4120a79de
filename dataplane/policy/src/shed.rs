//! How many requests a pod that cannot keep up turns away, so that those that it takes stay quick.
//!
//! After `CoDel` (RFC 8289): a queue that empties now and then is only a burst; one that stays is overload.

use std::sync::atomic::{AtomicU32, Ordering};

/// Between two looks at the queue, in milliseconds.
pub const TICK_MS: u64 = 10;
/// Longest wait for a turn that is none.
const TARGET_MS: u64 = 5;
/// Looks in a row that must find a longer wait.
const WINDOW: u32 = 10;
/// How fast the share grows and shrinks with each look.
const MORE: u32 = 80;
const LESS: u32 = 20;
/// Some are always taken: without them nobody would learn that the overload is over.
const MOST: u32 = 950;

/// The share that is turned away.
#[derive(Debug, Default)]
pub struct Shedding {
    per_mille: AtomicU32,
    late: AtomicU32,
}

impl Shedding {
    /// Looks at how long a task that was due had to wait for its turn. One caller alone.
    pub fn waited(&self, ms: u64) {
        let late = if ms > TARGET_MS { self.late.load(Ordering::Relaxed).saturating_add(1) } else { 0 };
        self.late.store(late, Ordering::Relaxed);
        let share = self.per_mille.load(Ordering::Relaxed);
        let next = if late >= WINDOW || (late > 0 && share > 0) {
            share.saturating_add(MORE).min(MOST)
        } else {
            share.saturating_sub(LESS)
        };
        self.per_mille.store(next, Ordering::Relaxed);
    }

    /// Whether a request is turned away; `draw` is any random number.
    pub fn sheds(&self, draw: u32) -> bool {
        let share = self.per_mille.load(Ordering::Relaxed);
        share > 0 && draw % 1_000 < share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(shedding: &Shedding) -> usize {
        (0..1_000).filter(|draw| shedding.sheds(*draw)).count()
    }

    #[test]
    fn a_burst_turns_nobody_away_and_overload_does_until_it_is_over() {
        let shedding = Shedding::default();
        for _ in 0..100 {
            (0..9).for_each(|_| shedding.waited(500));
            shedding.waited(1);
        }
        assert_eq!(share(&shedding), 0);
        (0..11).for_each(|_| shedding.waited(30));
        assert_eq!(share(&shedding), 160);
        (0..100).for_each(|_| shedding.waited(30));
        assert_eq!(share(&shedding), 950, "some are always taken");
        (0..47).for_each(|_| shedding.waited(0));
        assert_eq!(share(&shedding), 10);
        shedding.waited(0);
        assert_eq!(share(&shedding), 0);
    }
}
