//! A resource that all callers use at once, such as memory or connections: nobody gets more of it than is left free.
//!
//! One holder alone can have half, two can have a third each, and so on. What is left is there for a newcomer, so that a
//! greedy holder meets its own bound before anybody else does. No list of shares has to be configured.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hash};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

/// What there is of the resource, and who holds how much.
#[derive(Debug)]
pub struct Shares {
    total: u64,
    state: Mutex<State>,
}

/// A holder's name, hashed with the process's own seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Holder(u64);

impl Holder {
    /// The holder of that name.
    pub fn of(name: &(impl Hash + ?Sized)) -> Self {
        static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self(SEED.hash_one(name))
    }

    /// A number that tells it apart.
    pub(crate) const fn number(self) -> u64 {
        self.0
    }
}

/// One of a resource, until it is dropped.
#[derive(Debug)]
pub struct Place {
    shares: Arc<Shares>,
    holder: Holder,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shares.give(self.holder, 1);
    }
}

#[derive(Debug, Default)]
struct State {
    held: u64,
    by_holder: HashMap<Holder, u64>,
}

impl Shares {
    /// So much of a resource, of which nobody holds any yet.
    pub fn of(total: u64) -> Self {
        Self { total, state: Mutex::default() }
    }

    /// The most that one holder can ever have.
    pub(crate) const fn most(&self) -> u64 {
        self.total / 2
    }

    /// Takes more for a holder. False, and nothing is taken, if the holder would then have more than is left free.
    pub(crate) fn take(&self, holder: Holder, amount: u64) -> bool {
        let mut state = self.lock();
        let held = state.held.saturating_add(amount);
        let own = state.by_holder.get(&holder).copied().unwrap_or(0).saturating_add(amount);
        let fits = own <= self.total.saturating_sub(held);
        if fits && amount > 0 {
            state.held = held;
            state.by_holder.insert(holder, own);
        }
        fits
    }

    /// Gives back what was taken.
    pub(crate) fn give(&self, holder: Holder, amount: u64) {
        let mut state = self.lock();
        state.held = state.held.saturating_sub(amount);
        if let Some(own) = state.by_holder.get_mut(&holder) {
            *own = own.saturating_sub(amount);
            if *own == 0 {
                state.by_holder.remove(&holder);
            }
        }
    }

    /// One of the resource for a holder, until the place is dropped; `None` if the holder has as many as are free.
    pub fn place(shares: &Arc<Self>, holder: Holder) -> Option<Place> {
        shares.take(holder, 1).then(|| Place { shares: Arc::clone(shares), holder })
    }

    /// How much is held, by all.
    pub(crate) fn held(&self) -> u64 {
        self.lock().held
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(shares: &Shares, name: &str) -> u64 {
        let holder = Holder::of(name);
        (0..).take_while(|_| shares.take(holder, 1)).count() as u64
    }

    #[test]
    fn a_greedy_holder_leaves_as_much_as_it_has_and_several_leave_a_part() {
        let shares = Shares::of(120);
        assert_eq!((take_all(&shares, "a"), take_all(&shares, "b"), take_all(&shares, "c")), (60, 30, 15));
        assert_eq!(shares.held(), 105);
        assert!(shares.take(Holder::of("d"), 7), "a newcomer still finds room");
        assert!(!shares.take(Holder::of("a"), 1), "who has more than is free gets no more");
    }

    #[test]
    fn what_is_given_back_is_there_again_and_leaves_no_trace() {
        let shares = Shares::of(100);
        let holder = Holder::of("a");
        assert!(shares.take(holder, 50) && !shares.take(holder, 1));
        shares.give(holder, 20);
        assert!(shares.take(holder, 20));
        shares.give(holder, 50);
        assert_eq!((shares.held(), shares.lock().by_holder.len()), (0, 0));
    }

    #[test]
    fn no_amount_overflows() {
        let shares = Shares::of(u64::MAX);
        let holder = Holder::of("a");
        assert!(!shares.take(holder, u64::MAX) && shares.take(holder, u64::MAX / 2));
        assert!(!shares.take(holder, u64::MAX));
    }
}
