//! What is told of requests: metrics, one log line each, and sums of what they cost; never in a request's way.

mod gauges;
mod ledger;
mod lines;
mod load;
mod metrics;
mod registered;
mod series;

use crate::costs::Costs;
use crate::record::Record;
use std::sync::Arc;
use weir_dialect::Usage;
use weir_snapshot::Quote;

pub(crate) use lines::Lines;
pub use lines::LogLine;
pub(crate) use metrics::Metrics;

/// Room for the line of most requests, in bytes.
const LINE: usize = 1024;

/// All of them.
pub(crate) struct Telemetry {
    pub(crate) metrics: Metrics,
    lines: &'static Lines,
    pub(crate) costs: Arc<Costs>,
}

impl Telemetry {
    pub(crate) fn start(costs: Arc<Costs>) -> Arc<Self> {
        Arc::new(Self { metrics: Metrics::new(), lines: Lines::of_process(), costs })
    }

    /// Takes what an answered request used.
    pub(crate) fn charge(&self, record: &Record, usage: &Usage, quote: Option<Quote<'_>>) {
        if !self.costs.add(record, usage, quote) {
            self.metrics.merged_costs.inc();
        }
    }

    /// Takes one settled request.
    pub(crate) fn settle(&self, record: &Record) {
        self.metrics.settled(record);
        let mut line = Vec::with_capacity(LINE);
        weir_dialect::object(&mut line, |o| {
            o.str("log", "access");
            record.write(o);
        });
        line.push(b'\n');
        self.lines.push(line);
    }
}
