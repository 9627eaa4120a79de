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
    /// Whether the limit or its namespace has as many partitions as its share, so that there is none for this one.
    pub crowded: bool,
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

impl Refusal {
    /// It cannot be told, and may be after that time.
    pub(super) const fn unknown(standing: Standing, retry_after_ms: u64) -> Self {
        Self { claim: None, standing, exhausted: false, crowded: false, retry_after_ms: Some(retry_after_ms) }
    }
}

/// What a claim lacks.
pub(super) enum Lack {
    Nothing,
    /// So much of a lease.
    Room(u64),
    Refused(Refusal),
}
