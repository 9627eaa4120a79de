//! A bounded room that namespaces share: whoever uses much of it leaves room for the others.
//!
//! What a namespace may hold depends on what is free, so that nothing has to be configured: one alone gets two thirds,
//! a second one two thirds of the rest. Limits share what their namespace may hold in the same way. What is not divided
//! into partitions has a part of the room for itself, since configuration bounds how much there is of it.

use foldhash::fast::RandomState;
use std::collections::HashMap;

/// Of so many parts one is kept for what is not divided.
const UNDIVIDED: u64 = 8;
/// A namespace holds so many times of what is left free at most.
const OF_FREE: u64 = 2;
/// A limit holds so many times of what is left free of its namespace's share at most.
const OF_SHARE: u64 = 7;
/// So many parts make the whole; one of them is little, and is given to whoever holds no more while there is room.
const LITTLE: u64 = 256;

/// The namespace of the object that a limit is of, by the limit's name in the ledger.
pub(crate) fn namespace(limit: &str) -> &str {
    limit.split('/').nth(1).unwrap_or(limit)
}

/// Who holds how much.
#[derive(Debug, Default)]
pub(crate) struct Room {
    used: u64,
    by_namespace: HashMap<Box<str>, u64, RandomState>,
    by_limit: HashMap<Box<str>, u64, RandomState>,
}

impl Room {
    /// Whether a limit may take `size` more of a room of `most`; `divided` says whether it has partitions.
    pub(crate) fn admits(&self, most: u64, limit: &str, divided: bool, size: u64) -> bool {
        let then = self.used.saturating_add(size);
        if !divided {
            return then <= most;
        }
        let little = most / LITTLE;
        let for_divided = most - most / UNDIVIDED;
        let of_namespace = held(&self.by_namespace, namespace(limit)).saturating_add(size);
        let of_limit = held(&self.by_limit, limit).saturating_add(size);
        if of_namespace <= little && then <= most - most / UNDIVIDED / 2 {
            return true;
        }
        let share = for_divided.saturating_sub(then).saturating_mul(OF_FREE);
        let rest = share.saturating_sub(of_namespace).saturating_mul(OF_SHARE);
        then <= for_divided && of_namespace <= share && of_limit <= rest.max(little)
    }

    /// What is held of it.
    pub(crate) const fn used(&self) -> u64 {
        self.used
    }

    /// A limit takes so much.
    pub(crate) fn take(&mut self, limit: &str, size: u64) {
        self.used = self.used.saturating_add(size);
        add(&mut self.by_namespace, namespace(limit), size);
        add(&mut self.by_limit, limit, size);
    }

    /// A limit gives so much back.
    pub(crate) fn give_back(&mut self, limit: &str, size: u64) {
        self.used = self.used.saturating_sub(size);
        sub(&mut self.by_namespace, namespace(limit), size);
        sub(&mut self.by_limit, limit, size);
    }

    /// Nobody holds anything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn held(of: &HashMap<Box<str>, u64, RandomState>, name: &str) -> u64 {
    of.get(name).copied().unwrap_or(0)
}

fn add(of: &mut HashMap<Box<str>, u64, RandomState>, name: &str, size: u64) {
    match of.get_mut(name) {
        Some(held) => *held = held.saturating_add(size),
        None => drop(of.insert(name.into(), size)),
    }
}

fn sub(of: &mut HashMap<Box<str>, u64, RandomState>, name: &str, size: u64) {
    if let Some(held) = of.get_mut(name) {
        *held = held.saturating_sub(size);
        if *held == 0 {
            of.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u64 = 10_000;

    /// Takes one by one for as long as it is admitted; how much that was.
    fn fill(room: &mut Room, limit: &str) -> u64 {
        let mut taken = 0;
        while room.admits(MOST, limit, true, 1) {
            room.take(limit, 1);
            taken += 1;
        }
        taken
    }

    #[test]
    fn whoever_takes_much_leaves_room_for_others() {
        let mut room = Room::default();
        let first = fill(&mut room, "Budget/a/users/USD");
        assert!((5_000..6_000).contains(&first), "{first}");
        let other_limit = fill(&mut room, "LLMRoute/a/chat/rate");
        assert!(other_limit >= 100, "another limit of the same namespace: {other_limit}");
        let second = fill(&mut room, "Budget/b/users/USD");
        assert!(second >= 1_000, "{second}");
        for n in 0..20 {
            fill(&mut room, &format!("Budget/greedy-{n}/users/USD"));
        }
        assert!(!room.admits(MOST, "Budget/a/users/USD", true, 1));
        for n in 0..100 {
            let limit = format!("Budget/c-{n}/all/USD");
            assert!(room.admits(MOST, &limit, false, 1), "what is not divided has room");
            room.take(&limit, 1);
        }
    }

    #[test]
    fn a_namespace_that_holds_little_is_let_in_where_greedy_ones_are_not() {
        let mut room = Room::default();
        for n in 0..8 {
            fill(&mut room, &format!("Budget/greedy-{n}/users/USD"));
        }
        assert!(fill(&mut room, "LLMRoute/modest/chat/rate") >= MOST / LITTLE);
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let mut room = Room::default();
        let taken = fill(&mut room, "Budget/a/users/USD");
        room.give_back("Budget/a/users/USD", taken);
        assert_eq!((room.used, room.by_namespace.len(), room.by_limit.len()), (0, 0, 0));
        assert_eq!(fill(&mut room, "Budget/a/users/USD"), taken);
    }
}
