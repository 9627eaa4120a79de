//! What requests want of limits, and what they get.

use super::outcome::Refusal;
use std::sync::Arc;
use weir_snapshot::FailureMode;
use weir_snapshot::ledger::{Refused, Want};

/// What a request wants of one limit.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Name of the limit in the ledger.
    pub limit: Arc<str>,
    /// Which of its partitions; empty where it has none.
    pub partition: Arc<str>,
    /// How much is reserved, in the limit's smallest parts.
    pub amount: u64,
    /// How much of the limit must be left beside it, over all pods: each leaves its part.
    pub leave: u64,
    /// What holds where there is no lease.
    pub terms: Terms,
}

impl AsRef<Self> for Claim {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// What holds where no lease covers a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terms {
    /// No request beyond the lease, but for what the mode says while no leader answers.
    Hard(FailureMode),
    /// While no leader answers, this pod's share.
    Rate {
        /// How much comes back over all pods.
        amount: u64,
        /// In which time, in milliseconds.
        per_ms: u64,
        /// How much may be used at once over all pods.
        burst: u64,
    },
    /// While no leader answers, this pod's share.
    Gauge {
        /// How much at once over all pods.
        most: u64,
    },
    /// It is counted alone.
    Soft,
}

/// What a request holds until it is settled.
#[derive(Debug, Default)]
#[must_use = "what is reserved must be settled"]
pub struct Reservation {
    pub(super) parts: Vec<Part>,
    /// Which start of the wallet it is of.
    pub(super) of: u64,
    /// Whether a limit was kept by this pod's share alone, since no leader answers.
    pub local: bool,
}

#[derive(Debug)]
pub(super) struct Part {
    /// Past the last one where the partition found no place, and is not counted.
    pub(super) slot: usize,
    pub(super) window: u64,
    pub(super) amount: u64,
}

/// The outcome of an attempt to reserve.
#[derive(Debug)]
pub enum Reserved {
    /// All of it.
    Held(Reservation),
    /// Nothing; ask for this and try again.
    Short(Vec<Want>),
    /// Nothing, and asking is of no use now.
    Refused(Refusal),
}

/// What a message of the leader changed.
#[derive(Debug, Default)]
pub struct Taken {
    /// The ask that is answered, and why it got nothing.
    pub answered: Option<(u64, Option<Refused>)>,
    /// Whether a report is due at once.
    pub report: bool,
    /// Whether this start was given up by the leader.
    pub closed: bool,
}

/// How much a wallet holds and says at once.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Partitions of all limits, some 500 bytes each; the limits of one namespace have a share of them.
    pub partitions: usize,
    /// Bytes of a part of a message.
    pub part_bytes: usize,
}

impl Default for Bounds {
    /// 400,000 partitions, 200 MB: a Budget of 200,000 users fits into its share.
    fn default() -> Self {
        Self { partitions: 400_000, part_bytes: crate::PART_BYTES }
    }
}
