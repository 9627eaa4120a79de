//! Where objects come from.

pub(crate) mod cluster;
