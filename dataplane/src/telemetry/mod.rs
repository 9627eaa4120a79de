//! What is told of requests: metrics and one log line each, never in a request's way.

mod access_log;
mod metrics;
mod series;

use crate::record::Record;
use std::sync::Arc;

pub(crate) use metrics::Metrics;

/// Both of them.
pub(crate) struct Telemetry {
    pub(crate) metrics: Metrics,
    log: access_log::AccessLog,
}

impl Telemetry {
    pub(crate) fn start() -> Arc<Self> {
        Arc::new(Self { metrics: Metrics::new(), log: access_log::AccessLog::start() })
    }

    /// Takes one settled request.
    pub(crate) fn settle(&self, record: &Record) {
        self.metrics.settled(record);
        if !self.log.write(record) {
            self.metrics.log_lines_dropped.inc();
        }
    }
}
