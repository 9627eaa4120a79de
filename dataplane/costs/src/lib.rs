//! What requests cost, summed by hour and by who asked for what.
//!
//! A pod's [`Tally`] holds sums that only grow and reports them whole, so that losing, repeating or reordering a
//! report is harmless. The [`Book`] of a day keeps the largest that each pod said and adds up the pods; [`focus`]
//! exports it.
//! Nothing here knows a clock, a network or a store.

mod amounts;
mod book;
pub mod focus;
mod key;
mod period;
mod tally;
mod wire;

pub use amounts::{Amounts, Class, Sum};
pub use book::{Book, Report};
pub use key::{HOURS_A_DAY, Key, KeyRef, OTHER};
pub use period::day;
pub use tally::Tally;
