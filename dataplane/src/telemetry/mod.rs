//! What is told of requests: metrics and one log line each, never in a request's way.

mod lines;
mod metrics;
mod series;

use crate::record::Record;
use std::sync::Arc;

pub(crate) use lines::Lines;
pub use lines::LogLine;
pub(crate) use metrics::Metrics;

/// Both of them.
pub(crate) struct Telemetry {
    pub(crate) metrics: Metrics,
    lines: &'static Lines,
}

impl Telemetry {
    pub(crate) fn start() -> Arc<Self> {
        Arc::new(Self { metrics: Metrics::new(), lines: Lines::of_process() })
    }

    /// Takes one settled request.
    pub(crate) fn settle(&self, record: &Record) {
        self.metrics.settled(record);
        let mut line = b"{\"log\":\"access\",".to_vec();
        let at = line.len();
        if serde_json::to_writer(&mut line, record).is_ok() {
            // The record's own opening brace gives way to the mark before it.
            line.remove(at);
            line.push(b'\n');
            self.lines.push(line);
        }
    }
}
