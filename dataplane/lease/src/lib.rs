//! The ledger: how a fleet of pods spends from common pots without asking for each request.
//!
//! A pod's [`Wallet`] spends leases and asks ahead of need; the [`Leader`] grants them. Neither knows a clock, a
//! network or a store: time and messages are given, and what is to be sent or stored is taken from them, so that
//! one simulation runs both. Always `settled + outstanding <= granted - returned + overrun`.

mod counters;
mod leader;
mod limit;
mod part;
mod room;
mod wallet;
mod window;

pub use counters::Counters;
pub use leader::{Health, Leader, LimitView, Outcome, PotView, Settings, TOP, View, Write};
pub use limit::{Limit, Nature, limits_of_budget, limits_of_provider, limits_of_route};
pub use part::PART_BYTES;
pub use wallet::{Bounds, Claim, Greeting, Refusal, Reservation, Reserved, Standing, Taken, Terms, Wallet};
pub use window::{Span, Turn};

/// Milliseconds of a monotonic clock of one process.
pub type Millis = u64;

/// What time it is: monotonic for waits, the wall clock for the windows of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Milliseconds of a monotonic clock.
    pub mono: Millis,
    /// Unix milliseconds.
    pub unix: i64,
}

/// How long a lease admits requests after the last word of a leader.
pub const LEASE_MS: Millis = 60_000;
/// Between two reports of a pod.
pub const ROUND_MS: Millis = 500;
