//! Requests that wait for room at a provider, on one pod: the highest class first, within it the first to come.
//!
//! It wakes the request whose turn it is; whether there is room is the ledger's to say.

use crate::Millis;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use weir_snapshot::Priority;

/// So long after its last request a class is active: lower ones leave room for it.
const ACTIVE_MS: Millis = 60_000;

/// The line at one provider.
#[derive(Default)]
pub struct Line(Mutex<State>);

/// A place in a line; its drop gives it up.
pub struct Place {
    line: Arc<Line>,
    rank: Rank,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// This request's.
    First,
    /// Another's.
    Later,
    /// The place is lost to a request of a higher class.
    Lost,
}

type Rank = (Reverse<Priority>, u64);

#[derive(Default)]
struct State {
    waiting: BTreeMap<Rank, Waiter>,
    arrivals: u64,
    /// When a request of each class came last.
    seen: BTreeMap<Priority, Millis>,
}

#[derive(Default)]
struct Waiter {
    told: bool,
    waker: Option<Waker>,
}

impl Line {
    /// A request of that class wants room.
    pub fn arrives(&self, class: Priority, now: Millis) {
        self.lock().seen.insert(class, now);
    }

    /// Whether a request of that class leaves room for higher ones.
    pub fn yields(&self, class: Priority, now: Millis) -> bool {
        self.lock().seen.iter().any(|(held, at)| *held > class && now.saturating_sub(*at) < ACTIVE_MS)
    }

    /// Whether somebody waits who goes before a newcomer of that class.
    pub fn is_before(&self, class: Priority) -> bool {
        self.lock().waiting.keys().next().is_some_and(|(Reverse(first), _)| *first >= class)
    }

    /// Takes a place in a line of `most`. Where it is full, the newest of the lowest class loses its place to a higher
    /// one.
    pub fn enter(self: &Arc<Self>, class: Priority, most: u32) -> Option<Place> {
        let mut state = self.lock();
        if state.waiting.len() >= most as usize {
            let last = state.waiting.last_entry().filter(|last| last.key().0.0 < class)?;
            last.remove().tell();
        }
        state.arrivals += 1;
        let rank = (Reverse(class), state.arrivals);
        state.waiting.insert(rank, Waiter::default());
        Some(Place { line: Arc::clone(self), rank })
    }

    /// How many wait of each class, the lowest first.
    pub fn waiting(&self) -> [(Priority, usize); 3] {
        let state = self.lock();
        let of = |class| (class, state.waiting.keys().filter(|(Reverse(held), _)| *held == class).count());
        [Priority::Low, Priority::Normal, Priority::High].map(of)
    }

    /// There may be room: the first in line is told.
    pub fn freed(&self) {
        self.lock().tell_first();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Whose turn it is.
    pub fn turn(&self) -> Turn {
        let state = self.line.lock();
        match state.waiting.keys().next() {
            Some(first) if *first == self.rank => Turn::First,
            _ if state.waiting.contains_key(&self.rank) => Turn::Later,
            _ => Turn::Lost,
        }
    }

    /// Ready once something may have changed for it since the last time.
    pub fn poll_news(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.line.lock();
        let Some(waiter) = state.waiting.get_mut(&self.rank) else { return Poll::Ready(()) };
        if std::mem::take(&mut waiter.told) {
            return Poll::Ready(());
        }
        waiter.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.line.lock();
        let was_first = state.waiting.keys().next() == Some(&self.rank);
        state.waiting.remove(&self.rank);
        if was_first {
            state.tell_first();
        }
    }
}

impl State {
    fn tell_first(&mut self) {
        if let Some(mut first) = self.waiting.first_entry() {
            first.get_mut().tell();
        }
    }
}

impl Waiter {
    fn tell(&mut self) {
        self.told = true;
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Priority::{High, Low, Normal};

    fn news(place: &Place) -> bool {
        place.poll_news(&Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn a_higher_class_goes_first_and_within_one_the_first_to_come() {
        let line = Arc::new(Line::default());
        let enter = |class| line.enter(class, 10).unwrap();
        let (batch, first, second, urgent) = (enter(Low), enter(Normal), enter(Normal), enter(High));
        let turns = || [&batch, &first, &second].map(Place::turn);
        assert_eq!(urgent.turn(), Turn::First);
        assert_eq!(turns(), [Turn::Later; 3]);
        assert!(line.is_before(High) && line.is_before(Low));
        drop(urgent);
        assert!(!line.is_before(High), "nobody of its class waits");
        assert!(news(&first) && !news(&second), "who is first now is told");
        assert_eq!(turns(), [Turn::Later, Turn::First, Turn::Later]);
        line.freed();
        assert!(news(&first) && !news(&first) && !news(&batch), "room is told to the first, once");
        drop(first);
        drop(second);
        assert_eq!(batch.turn(), Turn::First);
    }

    #[test]
    fn a_full_line_drops_the_newest_of_the_lowest_class_for_a_higher_one_alone() {
        let line = Arc::new(Line::default());
        let enter = |class| line.enter(class, 3);
        let (first, old, new) = (enter(Normal).unwrap(), enter(Low).unwrap(), enter(Low).unwrap());
        assert!(enter(Low).is_none(), "no room among its like");
        let next = enter(Normal).unwrap();
        assert!(news(&new));
        assert_eq!([&first, &old, &new, &next].map(Place::turn), [Turn::First, Turn::Later, Turn::Lost, Turn::Later]);
        drop(new);
        let urgent = enter(High).unwrap();
        assert_eq!((old.turn(), urgent.turn()), (Turn::Lost, Turn::First));
        assert!(enter(Normal).is_none());
    }

    #[test]
    fn room_is_left_for_higher_classes_for_as_long_as_they_are_active() {
        let line = Line::default();
        line.arrives(Low, 1_000);
        assert!(!line.yields(Low, 1_000), "a batch alone may use everything");
        line.arrives(Normal, 2_000);
        assert!(line.yields(Low, 61_999) && !line.yields(Normal, 2_001));
        assert!(!line.yields(Low, 62_000));
    }
}
