//! Where objects come from.

/// Name of the ConfigMap with prices that come before those of the catalogue, where nobody says another.
pub(crate) const PRICES: &str = "weir-prices";

pub(crate) mod cluster;
pub(crate) mod files;
