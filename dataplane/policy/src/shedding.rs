//! How many requests a process that cannot keep up turns away, so that those that it takes stay quick.
//!
//! After `CoDel` (RFC 8289): a queue that empties now and then is only a burst; one that never does is overload.

use crate::Millis;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use weir_snapshot::Priority;

/// Between two looks at the queue.
pub const LOOK_MS: Millis = 10;
/// A wait for a turn that begins to be too long, in microseconds: some hundred milliseconds for a request, which takes about
/// five turns. A thousand that come at once and come again at once wait less.
const BEGIN_US: u64 = 100_000;
/// A wait that is none, which those have that are taken while others are turned away.
const TARGET_US: u64 = 2_000;
/// The shortest wait in so much time tells whether the queue was ever empty.
const WINDOW_MS: Millis = 50;
/// So many windows in a row are no burst. Where some are turned away already, one is none.
const LATE: u32 = 6;
/// What the share grows by with each window that passed: so much for each target waited, up to the most.
const MORE: u32 = 4;
const MOST_MORE: u32 = 40;
/// What it shrinks by.
const LESS: u32 = 10;
/// Some are always taken: without them nobody would learn that the overload is over.
const MOST: u32 = 980;

/// The share of requests that is turned away.
#[derive(Debug, Default)]
pub struct Shedding {
    per_mille: AtomicU32,
    window: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    ends: Millis,
    shortest_us: Option<u64>,
    /// The shortest of the window before.
    before_us: u64,
    late: u32,
}

impl Shedding {
    /// Takes how long a task that could run had to wait for its turn until now.
    pub fn waited(&self, us: u64, now: Millis) {
        let Ok(mut window) = self.window.lock() else { return };
        let shortest = window.shortest_us.map_or(us, |held| held.min(us));
        window.shortest_us = Some(shortest);
        if now < window.ends {
            return;
        }
        let share = self.per_mille();
        let bound = if share == 0 { BEGIN_US } else { TARGET_US };
        let late = if shortest > bound { window.late + 1 } else { 0 };
        let passed = u32::try_from((now - window.ends) / WINDOW_MS).unwrap_or(u32::MAX).saturating_add(1);
        // A queue that gets shorter needs no more.
        let shrinks = shortest < window.before_us / 8 * 7;
        *window = Window { ends: now + WINDOW_MS, shortest_us: None, before_us: shortest, late };
        let next = match late {
            0 => share.saturating_sub(LESS.saturating_mul(passed)),
            1..LATE if share == 0 => share,
            _ if shrinks => share,
            _ => {
                let targets = u32::try_from(shortest / TARGET_US).unwrap_or(u32::MAX);
                let more = MORE.saturating_mul(targets).min(MOST_MORE);
                more.saturating_mul(passed).saturating_add(share).min(MOST)
            }
        };
        self.per_mille.store(next, Ordering::Relaxed);
    }

    /// Whether a request of that class is turned away; its lot is any random number. One that is turned away would be
    /// of every lower class too, of which more are.
    pub fn sheds(&self, class: Priority, lot: u32) -> bool {
        let share = self.per_mille();
        let of_class = match class {
            Priority::Low => (share * 4).min(MOST),
            Priority::Normal => share,
            Priority::High => share * share / 1_000,
        };
        lot % 1_000 < of_class
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
        (0..1_000).filter(|lot| shedding.sheds(class, *lot)).count()
    }

    /// Looks for so many windows, in each of which one wait is `shortest` and the others are long.
    fn look(shedding: &Shedding, now: &mut Millis, windows: u64, shortest: u64) {
        for at in 0..windows * WINDOW_MS / LOOK_MS {
            *now += LOOK_MS;
            shedding.waited(if at % 5 == 2 { shortest } else { 500_000 }, *now);
        }
    }

    #[test]
    fn a_burst_turns_nobody_away_and_overload_does_until_it_is_over() {
        let (shedding, mut now) = (Shedding::default(), 0);
        for _ in 0..100 {
            look(&shedding, &mut now, 4, 300_000);
            look(&shedding, &mut now, 1, 100);
        }
        look(&shedding, &mut now, 100, 90_000);
        assert_eq!(share(&shedding, Priority::Normal), 0, "the queue empties before long, or is short enough");
        look(&shedding, &mut now, 8, 300_000);
        assert_eq!(share(&shedding, Priority::Normal), 80);
        look(&shedding, &mut now, 5, 5_000);
        assert_eq!(
            share(&shedding, Priority::Normal),
            144,
            "a short queue needs little, and one that gets shorter none"
        );
        look(&shedding, &mut now, 100, 300_000);
        assert_eq!(share(&shedding, Priority::Normal), 980, "some are always taken");
        look(&shedding, &mut now, 100, 100);
        assert_eq!(share(&shedding, Priority::Normal), 0);
    }

    #[test]
    fn waits_that_are_longer_than_a_window_count_once_and_then_turn_more_away() {
        let (shedding, mut now) = (Shedding::default(), 0);
        let shares = [400, 400, 400, 400, 400, 400, 400, 10].map(|waited| {
            now += waited;
            shedding.waited(waited * 1_000, now);
            share(&shedding, Priority::Normal)
        });
        assert_eq!(shares, [0, 0, 0, 0, 0, 320, 640, 640]);
    }

    #[test]
    fn of_lower_classes_more_are_turned_away() {
        let (shedding, mut now) = (Shedding::default(), 0);
        look(&shedding, &mut now, 8, 300_000);
        let shares = [Priority::High, Priority::Normal, Priority::Low].map(|class| share(&shedding, class));
        assert_eq!(shares, [14, 120, 480]);
    }
}
