//! What is stored, and what became of a write.

/// What is stored apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Part {
    /// A part of the pots.
    Shard(usize),
    /// What requests of a day cost.
    Costs(u64),
}

/// What became of a write.
pub(super) enum Written {
    /// It landed.
    Stored,
    /// Another wrote, or deleted, since it was last read here; what it is now.
    Changed(Option<Vec<u8>>),
}
