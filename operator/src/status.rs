//! What became of each object, written into its status and told as Events.
//!
//! Status is an outcome only: nothing of it but the time of a transition is ever read back.

mod alarm;
mod budget;
mod change;
mod conditions;
mod draft;
mod fleet;
mod provider;
mod report;
mod route;
mod spending;
#[cfg(test)]
mod tests;

pub(crate) use report::Reporter;
pub(crate) use spending::{Caveat, Spending, Spent, SpentOfLimit, SpentOfPartition};
