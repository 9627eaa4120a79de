//! Status.
mod events;
pub(crate) use events::{Events, News};
