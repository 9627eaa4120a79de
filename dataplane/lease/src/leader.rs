//! The leader's end: it grants leases out of pots, and never more than they hold.
//!
//! A limit that is `durable` grants only up to a mark that its store is known to have, so that a leader that starts
//! from the store never takes what was granted for free. What is unknown counts as spent.

mod adrift;
mod ask;
mod close;
mod hear;
mod id;
mod keep;
mod member;
mod pending;
mod pot;
mod settings;
mod shard;
mod share;
mod state;
mod tell;
mod view;

pub use settings::Settings;
pub use state::{Leader, Outcome, Write};
pub use view::{Health, LimitView, PotView, TOP, View};
