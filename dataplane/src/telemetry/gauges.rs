//! What is so at the moment, read when somebody asks: of providers and of nothing else.

use super::registered::keep;
use prometheus::{IntGaugeVec, Opts, Registry};
use weir_policy::{Millis, Table};

/// Labels come and go with the providers of the config.
pub(super) struct Gauges {
    queued: IntGaugeVec,
    left: IntGaugeVec,
}

impl Gauges {
    pub(super) fn new(registry: &Registry) -> Self {
        let gauges =
            |name: &str, help: &str, labels: &[&str]| keep(registry, IntGaugeVec::new(Opts::new(name, help), labels));
        Self {
            queued: gauges(
                "weir_queued_requests",
                "Requests that wait for room at a provider, by class",
                &["provider", "priority"],
            ),
            left: gauges(
                "weir_upstream_rate_left",
                "What is left of a provider's own rate, as its answers say, while it is not full",
                &["provider", "model", "credential", "unit"],
            ),
        }
    }

    /// Reads them anew.
    pub(super) fn read(&self, table: &Table, now: Millis) {
        self.queued.reset();
        for provider in table.providers().filter(|provider| provider.data.limits.queue.is_some()) {
            let name = provider.id.to_string();
            for (class, waiting) in provider.line.waiting() {
                let waiting = i64::try_from(waiting).unwrap_or(i64::MAX);
                self.queued.with_label_values(&[&*name, class.as_str()]).set(waiting);
            }
        }
        self.left.reset();
        for (id, health) in table.health() {
            let provider = id.provider.to_string();
            for (credential, unit, left) in health.rates.left(now) {
                self.left.with_label_values(&[&*provider, &*id.model, &*credential, unit]).set(left);
            }
        }
    }
}
