//! Objects from a cluster.
mod cache;
pub(crate) use cache::{Cache, Seen, name_of};
