//! What is told of requests: metrics, one log line each, and sums of what they cost; never in a request's way.

mod gauges;
mod ledger;
mod lines;
mod load;
mod metrics;
mod quota;
mod registered;
mod series;

use crate::costs::Costs;
use crate::record::Record;
use quota::Quota;
use std::sync::Arc;
use tokio::time::Instant;
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
    quota: Quota,
    began: Instant,
    pub(crate) costs: Arc<Costs>,
}

impl Telemetry {
    pub(crate) fn start(costs: Arc<Costs>) -> Arc<Self> {
        Arc::new(Self {
            metrics: Metrics::new(),
            lines: Lines::of_process(),
            quota: Quota::new(),
            began: Instant::now(),
            costs,
        })
    }

    /// Takes what an answered request used.
    pub(crate) fn charge(&self, record: &Record, usage: &Usage, quote: Option<Quote<'_>>) {
        if !self.costs.add(record, usage, quote) {
            self.metrics.merged_costs.inc();
        }
    }

    /// Takes one settled request. Those in vain have so many lines a sender, and are counted beyond.
    pub(crate) fn settle(&self, record: &Record) {
        self.metrics.settled(record);
        let now_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        if record.is_in_vain() && !self.quota.take(record.peer, now_ms) {
            return self.metrics.load.lines_left_out.inc();
        }
        let mut line = Vec::with_capacity(LINE);
        weir_dialect::object(&mut line, |o| {
            o.str("log", "access");
            record.write(o);
        });
        line.push(b'\n');
        self.lines.push(line);
    }
}
