//! What comes of an attempt to reserve.

/// Why a claim is not met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The claim's place in the list; absent where the limit is none of this request.
    pub claim: Option<usize>,
    /// What the limit is at, in its smallest parts; zero where that is not known.
    pub standing: Standing,
    /// Whether the limit is used up; else it cannot be told.
    pub exhausted: bool,
    /// When asking again may help; absent = not by waiting.
    pub retry_after_ms: Option<u64>,
}

/// What a pot is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// How much it holds.
    pub limit: u64,
    /// What was spent of it.
    pub spent: u64,
    /// What is left that nobody reserved, leases of other pods counted as reserved.
    pub remaining: u64,
    /// Milliseconds to the end of its window, or until it is full again; absent = never.
    pub resets_in_ms: Option<u64>,
}

/// What a claim lacks.
pub(super) enum Lack {
    Nothing,
    /// So much of a lease.
    Room(u64),
    Refused(Refusal),
}
