//! How many requests a process that cannot keep up turns away, so that those that it takes stay quick.
//!
//! After `CoDel` (RFC 8289): a queue that empties now and then is only a burst; one that stays is overload.

use std::sync::atomic::{AtomicU32, Ordering};
use weir_snapshot::Priority;

/// Between two looks at the queue, in milliseconds.
pub const LOOK_MS: u64 = 10;
/// Longest wait for a turn that is none, in microseconds. A request takes about five turns.
const TARGET_US: u64 = 5_000;
/// So many more looks must have found a longer wait than a shorter one.
const LATE: u32 = 20;
/// How fast the share grows and shrinks with each look.
const MORE: u32 = 20;
const LESS: u32 = 5;
/// Some are always taken: without them nobody would learn that the overload is over.
const MOST: u32 = 950;

/// The share of requests that is turned away.
#[derive(Debug, Default)]
pub struct Shedding {
    per_mille: AtomicU32,
    late: AtomicU32,
}

impl Shedding {
    /// Takes how long a task that could run had to wait for its turn. One caller alone.
    pub fn waited(&self, us: u64) {
        let (held, share) = (self.late.load(Ordering::Relaxed), self.per_mille());
        let is_late = us > TARGET_US;
        let late = if is_late { (held + 1).min(LATE) } else { held.saturating_sub(1) };
        self.late.store(late, Ordering::Relaxed);
        let grows = is_late && (late == LATE || share > 0);
        let next = if grows { (share + MORE).min(MOST) } else { share.saturating_sub(LESS) };
        self.per_mille.store(next, Ordering::Relaxed);
    }

    /// Whether a request of that class is turned away; `draw` is any random number. Of lower classes more are.
    pub fn sheds(&self, class: Priority, draw: u32) -> bool {
        let share = self.per_mille();
        let of_class = match class {
            Priority::Low => (share * 4).min(MOST),
            Priority::Normal => share,
            Priority::High => share / 2,
        };
        draw % 1_000 < of_class
    }

    /// Of a thousand requests of the class normal.
    pub fn per_mille(&self) -> u32 {
        self.per_mille.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(shedding: &Shedding, class: Priority) -> usize {
        (0..1_000).filter(|draw| shedding.sheds(class, *draw)).count()
    }

    fn look(shedding: &Shedding, times: usize, us: u64) {
        (0..times).for_each(|_| shedding.waited(us));
    }

    #[test]
    fn a_burst_turns_nobody_away_and_overload_does_until_it_is_over() {
        let shedding = Shedding::default();
        for _ in 0..100 {
            look(&shedding, 19, 500_000);
            look(&shedding, 19, 100);
        }
        assert_eq!(share(&shedding, Priority::Normal), 0, "half a second late, but never for long");
        look(&shedding, 25, 30_000);
        assert_eq!(share(&shedding, Priority::Normal), 120);
        look(&shedding, 100, 30_000);
        assert_eq!(share(&shedding, Priority::Normal), 950, "some are always taken");
        look(&shedding, 190, 0);
        assert_eq!(share(&shedding, Priority::Normal), 0);
    }

    #[test]
    fn of_lower_classes_more_are_turned_away() {
        let shedding = Shedding::default();
        look(&shedding, 25, 30_000);
        let shares = [Priority::High, Priority::Normal, Priority::Low].map(|class| share(&shedding, class));
        assert_eq!(shares, [60, 120, 480]);
    }
}
