//! What one start of a process has of a pot.

use weir_snapshot::ledger::Held;

/// Counts in the smallest parts of the pot's unit. All but `outstanding` only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Given by leaders.
    pub granted: u64,
    /// Spent.
    pub settled: u64,
    /// Given back.
    pub returned: u64,
    /// Spent above what was granted.
    pub overrun: u64,
    /// Reserved by requests that run.
    pub outstanding: u64,
    /// Requests whose price nobody knew.
    pub unpriced: u64,
}

impl Counters {
    /// What it takes from the pot.
    pub const fn taken(&self) -> u64 {
        self.granted.saturating_add(self.overrun).saturating_sub(self.returned)
    }

    /// What no request has reserved or spent.
    pub const fn free(&self) -> u64 {
        self.taken().saturating_sub(self.settled).saturating_sub(self.outstanding)
    }

    /// Reserves; more than is free is not backed until it is settled.
    pub(crate) const fn reserve(&mut self, amount: u64) {
        self.outstanding = self.outstanding.saturating_add(amount);
    }

    /// Settles what was reserved at what it came to; `None` = nobody knows its price, and what was reserved stays taken.
    /// What the lease does not cover is its overrun.
    pub(crate) fn settle(&mut self, reserved: u64, spent: Option<u64>) {
        self.unpriced += u64::from(spent.is_none());
        let spent = spent.unwrap_or(reserved);
        self.outstanding = self.outstanding.saturating_sub(reserved);
        self.settled = self.settled.saturating_add(spent);
        let used = self.settled.saturating_add(self.outstanding);
        self.overrun = self.overrun.saturating_add(used.saturating_sub(self.taken()));
    }

    /// Gives back what is free; how much that was.
    pub(crate) const fn give_back(&mut self) -> u64 {
        let free = self.free();
        self.returned = self.returned.saturating_add(free);
        free
    }

    /// Takes the later of two messages, whichever came first.
    pub(crate) fn merge(&mut self, told: &Self) {
        self.granted = self.granted.max(told.granted);
        self.settled = self.settled.max(told.settled);
        self.returned = self.returned.max(told.returned);
        self.overrun = self.overrun.max(told.overrun);
        self.unpriced = self.unpriced.max(told.unpriced);
        self.outstanding = told.outstanding;
    }
}

impl From<&Held> for Counters {
    fn from(held: &Held) -> Self {
        let Held { pot: _, granted, settled, returned, overrun, outstanding, unpriced } = *held;
        Self { granted, settled, returned, overrun, outstanding, unpriced }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_price_is_counted_and_keeps_what_it_reserved() {
        let mut counters = Counters { granted: 10, ..Counters::default() };
        counters.reserve(7);
        counters.settle(7, None);
        assert_eq!(counters, Counters { granted: 10, settled: 7, unpriced: 1, ..Counters::default() });
    }
}
