//! How near the process is to its bounds, and what it turned away for them.

use super::registered::keep;
use prometheus::{Gauge, IntCounter, IntGauge, Registry};

/// The figures.
pub(crate) struct Meters {
    pub(crate) shed_ratio: Gauge,
    pub(crate) unread: IntCounter,
    pub(crate) lines_left_out: IntCounter,
    pub(crate) held_bytes: IntGauge,
    pub(crate) refused_connections: IntCounter,
}

impl Meters {
    pub(super) fn new(registry: &Registry) -> Self {
        let counter = |name: &str, help: &str| keep(registry, IntCounter::new(name, help));
        Self {
            shed_ratio: keep(registry, Gauge::new("weir_shed_ratio", "Share of requests turned away for overload")),
            unread: counter("weir_unread_requests_total", "Requests turned away unread for overload"),
            lines_left_out: counter(
                "weir_log_lines_left_out_total",
                "Requests that no route took and that have no line in the log, since their sender had many",
            ),
            held_bytes: keep(
                registry,
                IntGauge::new("weir_held_bytes", "Bytes of requests and answers that are held at once"),
            ),
            refused_connections: counter(
                "weir_refused_connections_total",
                "Connections closed at once, of peers that have as many as are free",
            ),
        }
    }
}
