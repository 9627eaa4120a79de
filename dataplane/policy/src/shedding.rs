//! How many requests a process that cannot keep up turns away, so that those that it takes stay quick.
//!
//! After `CoDel` (RFC 8289): a queue that empties now and then is only a burst; one that never does is overload.

use crate::Millis;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
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
/// For so long arrivals are counted, to see who sends more than others.
const COUNT_MS: Millis = 100;
/// Senders that are told apart; those beyond are taken for one.
const MOST_SENDERS: usize = 4_096;
/// Some are always taken: without them nobody would learn that the overload is over.
const MOST: u32 = 980;

/// The share of requests that is turned away.
#[derive(Debug, Default)]
pub struct Shedding {
    per_mille: AtomicU32,
    window: Mutex<Window>,
    /// Each request is counted in both: before its credential is looked at, and after.
    by_peer: Mutex<Arrivals>,
    by_namespace: Mutex<Arrivals>,
}

/// Who a request is counted for, by any number that tells those of a kind apart.
#[derive(Debug, Clone, Copy)]
pub enum Sender {
    /// The address that the connection came from.
    Peer(u64),
    /// The caller's namespace.
    Namespace(u64),
}

/// Who sent how much in the last period, and so far in this one. Counted only while some are turned away.
#[derive(Debug, Default)]
struct Arrivals {
    ends: Millis,
    counts: HashMap<u64, u32>,
    before: HashMap<u64, u32>,
    /// A sender of no more than so many in the last period is not turned away.
    fair: f64,
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
    /// of every lower class too, of which more are. Those who send more than others are turned away first, as many as in
    /// all must be.
    pub fn sheds(&self, class: Priority, lot: u32, sender: Sender, now: Millis) -> bool {
        let share = self.per_mille();
        if share == 0 {
            return false;
        }
        let (arrivals, sender) = match sender {
            Sender::Peer(number) => (&self.by_peer, number),
            Sender::Namespace(number) => (&self.by_namespace, number),
        };
        let share = arrivals.lock().unwrap_or_else(PoisonError::into_inner).share_of(sender, share, now);
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

impl Arrivals {
    /// Counts one of a sender; gives the share of its requests that is turned away where `share` of all must be.
    fn share_of(&mut self, sender: u64, share: u32, now: Millis) -> u32 {
        if now >= self.ends {
            // What is from longer ago says nothing of now.
            let stale = now >= self.ends + COUNT_MS;
            self.before = std::mem::take(&mut self.counts);
            if stale {
                self.before.clear();
            }
            self.fair = fair(self.before.values().copied().collect(), share);
            self.ends = now + COUNT_MS;
        }
        let known = self.counts.len() < MOST_SENDERS || self.counts.contains_key(&sender);
        *self.counts.entry(if known { sender } else { 0 }).or_insert(0) += 1;
        if self.before.is_empty() {
            return share;
        }
        let sent = self.before.get(&sender).copied().unwrap_or(0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1,000")]
        let over = (1_000.0 * (1.0 - self.fair / f64::from(sent.max(1))).clamp(0.0, 1.0)) as u32;
        over.min(MOST)
    }
}

/// How many of each sender may stay so that `share` of a thousand go: those of less keep all of theirs.
fn fair(mut counts: Vec<u32>, share: u32) -> f64 {
    counts.sort_unstable();
    let total: f64 = counts.iter().copied().map(f64::from).sum();
    let mut left = total * f64::from(1_000 - share.min(1_000)) / 1_000.0;
    let mut senders = counts.len();
    for count in counts {
        #[expect(clippy::cast_precision_loss, reason = "some thousand at the most")]
        let each = left / senders as f64;
        if f64::from(count) > each {
            return each;
        }
        left -= f64::from(count);
        senders -= 1;
    }
    f64::INFINITY
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(shedding: &Shedding, class: Priority) -> usize {
        (0..1_000).filter(|lot| shedding.sheds(class, *lot, Sender::Peer(0), 0)).count()
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
    fn who_sends_no_more_than_a_fair_part_is_served_while_a_flood_is_turned_away() {
        let (shedding, mut now) = (Shedding::default(), 0);
        look(&shedding, &mut now, 14, 300_000);
        let share = f64::from(shedding.per_mille()) / 1_000.0;
        assert!(share > 0.3, "{share}");
        let mut turned_away = [0_u32; 3];
        for period in 1..=20 {
            let now = now + period * COUNT_MS;
            for lot in 0..1_000 {
                // A flood of nine in ten, and two who send little.
                let sender = if lot % 20 == 0 {
                    1
                } else if lot % 20 == 1 {
                    2
                } else {
                    0
                };
                let away = shedding.sheds(Priority::Normal, lot * 7_919, Sender::Namespace(sender), now);
                // All of them by one peer, such as an ingress.
                shedding.sheds(Priority::High, lot, Sender::Peer(0), now);
                turned_away[usize::try_from(sender).unwrap()] += u32::from(away && period > 1);
            }
        }
        assert_eq!(turned_away[1..], [0, 0]);
        let of_all = f64::from(turned_away[0]) / 19_000.0;
        assert!((of_all - share).abs() < 0.02, "as many in all as must be: {of_all} of {share}");
    }

    #[test]
    fn a_fair_part_is_what_those_who_send_less_leave() {
        assert!((fair(vec![10, 10, 80], 500) - 30.0).abs() < 1e-9);
        assert!((fair(vec![50, 50], 500) - 25.0).abs() < 1e-9);
        assert!((fair(vec![100], 980) - 2.0).abs() < 1e-9);
        assert!(fair(vec![], 500).is_infinite() && fair(vec![1, 2], 0).is_infinite());
    }

    #[test]
    fn senders_without_end_are_taken_for_one() {
        let (shedding, mut now) = (Shedding::default(), 0);
        look(&shedding, &mut now, 14, 300_000);
        let shed = (0..100_000).filter(|peer| shedding.sheds(Priority::Normal, 0, Sender::Peer(*peer), now)).count();
        assert!(shed > 0);
        assert!(shedding.by_peer.lock().unwrap().counts.len() <= MOST_SENDERS + 1);
    }

    #[test]
    fn of_lower_classes_more_are_turned_away() {
        let (shedding, mut now) = (Shedding::default(), 0);
        look(&shedding, &mut now, 8, 300_000);
        let shares = [Priority::High, Priority::Normal, Priority::Low].map(|class| share(&shedding, class));
        assert_eq!(shares, [14, 120, 480]);
    }
}
