//! How this process stands with the ledger's leader.

use super::registered::keep;
use prometheus::{Histogram, HistogramOpts, IntGauge, Registry};

/// Asks to the leader are answered within 0.3 s or given up.
const BUCKETS: [f64; 8] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.3];

/// Kept by the ledger itself.
pub(crate) struct Meters {
    pub(crate) connected: IntGauge,
    pub(crate) pods: IntGauge,
    pub(crate) waits: Histogram,
}

impl Meters {
    pub(super) fn new(registry: &Registry) -> Self {
        let waits = HistogramOpts::new("weir_ledger_wait_seconds", "Waits of requests for more from the leader");
        Self {
            connected: keep(
                registry,
                IntGauge::new("weir_ledger_connected", "Whether the ledger's leader is spoken with"),
            ),
            pods: keep(registry, IntGauge::new("weir_ledger_pods", "Processes that share what is granted")),
            waits: keep(registry, Histogram::with_opts(waits.buckets(BUCKETS.to_vec()))),
        }
    }
}
