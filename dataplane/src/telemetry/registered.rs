//! Metrics and the registry that shows them.

use prometheus::Registry;
use prometheus::core::Collector;

/// A metric that is registered. Names are constants of these files: a wrong one fails the first test.
#[expect(clippy::expect_used, reason = "a constant of these files is wrong, which no run survives")]
pub(super) fn keep<M: Collector + Clone + 'static>(registry: &Registry, metric: prometheus::Result<M>) -> M {
    let metric = metric.expect("the metric's description is valid");
    registry.register(Box::new(metric.clone())).expect("the metric is registered once");
    metric
}
