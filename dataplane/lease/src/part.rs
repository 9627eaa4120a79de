//! How large the parts of a message are that would else grow with the number of pots.

use weir_snapshot::ledger::Pot;

/// Largest part of a message, in bytes: some thousand pots, which either end decodes and takes in milliseconds. Both
/// ends take messages of several times that size.
pub const PART_BYTES: usize = 256 * 1024;
/// What a pot needs in a message besides its names, at most: ten numbers of ten bytes, and their tags.
const NUMBERS_BYTES: usize = 128;

/// Counts what a message comes to.
#[derive(Debug)]
pub(crate) struct Part {
    most: usize,
    bytes: usize,
}

impl Part {
    /// An empty one.
    pub(crate) const fn new(most: usize) -> Self {
        Self { most, bytes: 0 }
    }

    /// Adds an entry about a pot of these names.
    pub(crate) const fn add(&mut self, limit: &str, partition: &str) {
        self.bytes = self.bytes.saturating_add(limit.len() + partition.len() + NUMBERS_BYTES);
    }

    /// Adds an entry about that pot.
    pub(crate) fn add_pot(&mut self, pot: Option<&Pot>) {
        pot.into_iter().for_each(|pot| self.add(&pot.limit, &pot.partition));
    }

    /// Whether nothing more goes in.
    pub(crate) const fn is_full(&self) -> bool {
        self.bytes >= self.most
    }
}
