//! What the leader of the ledger counts, `weir_operator_ledger_*`.

use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts};
use weir_lease::{Health, Outcome, View};
use weir_snapshot::ledger::Answer;

/// Counts of all terms of this process; gauges of the one that is on, and 0 between them.
#[derive(Clone)]
pub struct Meters {
    epoch: IntGauge,
    starts: IntGauge,
    pots: IntGauge,
    exact: IntGauge,
    adrift: IntGauge,
    answers: IntCounterVec,
    writes: IntCounterVec,
    write_seconds: Histogram,
}

impl Meters {
    /// Makes them; whoever shows them registers [`Self::collectors`].
    pub fn new() -> Result<Self, prometheus::Error> {
        let gauge = |metric: &str, help: &str| IntGauge::new(name(metric), help);
        let counters = |metric: &str, help: &str| IntCounterVec::new(Opts::new(name(metric), help), &["outcome"]);
        let buckets = prometheus::exponential_buckets(0.001, 4.0, 7)?;
        let write = HistogramOpts::new(name("write_seconds"), "Time of a write to the ledger's store").buckets(buckets);
        Ok(Self {
            epoch: gauge("epoch", "Number of the term that this process leads the ledger in; 0 = it does not")?,
            starts: gauge("starts", "Processes of the data plane whose stream to the ledger is open")?,
            pots: gauge("pots", "Partitions of limits that the ledger counts")?,
            exact: gauge("exact", "Whether every count is exact, so that nothing has to be taken as spent")?,
            adrift: gauge(
                "adrift",
                "Whether the Lease was not renewed in time, so that what is stored alone is granted",
            )?,
            answers: counters("answers_total", "Asks of pods for more, by granted and refused")?,
            writes: counters("writes_total", "Writes to the ledger's store, by stored, conflict and failed")?,
            write_seconds: Histogram::with_opts(write)?,
        })
    }

    /// Every metric, to be registered.
    pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.epoch.clone()),
            Box::new(self.starts.clone()),
            Box::new(self.pots.clone()),
            Box::new(self.exact.clone()),
            Box::new(self.adrift.clone()),
            Box::new(self.answers.clone()),
            Box::new(self.writes.clone()),
            Box::new(self.write_seconds.clone()),
        ]
    }

    pub(crate) fn answered(&self, answer: &Answer) {
        let outcome = if answer.refused.is_some() { "refused" } else { "granted" };
        self.answers.with_label_values(&[outcome]).inc();
    }

    pub(crate) fn wrote(&self, outcome: &Outcome, seconds: f64) {
        let outcome = match outcome {
            Outcome::Stored => "stored",
            Outcome::Conflict(_) => "conflict",
            Outcome::Failed => "failed",
        };
        self.writes.with_label_values(&[outcome]).inc();
        self.write_seconds.observe(seconds);
    }
}

/// The term that is on, for as long as it is held.
pub(crate) struct Term(Meters);

impl Term {
    pub(crate) fn begin(meters: Meters, epoch: u64) -> Self {
        meters.epoch.set(i64::try_from(epoch).unwrap_or(i64::MAX));
        Self(meters)
    }

    pub(crate) const fn meters(&self) -> &Meters {
        &self.0
    }

    pub(crate) fn adrift(&self, adrift: bool) {
        self.0.adrift.set(i64::from(adrift));
    }

    pub(crate) fn show(&self, view: &View, starts: usize) {
        let pots: usize = view.limits.values().map(|limit| limit.partitions).sum();
        self.0.pots.set(i64::try_from(pots).unwrap_or(i64::MAX));
        self.0.starts.set(i64::try_from(starts).unwrap_or(i64::MAX));
        self.0.exact.set(i64::from(view.health == Health::Exact));
    }
}

impl Drop for Term {
    fn drop(&mut self) {
        let Meters { epoch, starts, pots, exact, adrift, .. } = &self.0;
        [epoch, starts, pots, exact, adrift].into_iter().for_each(|gauge| gauge.set(0));
    }
}

fn name(metric: &str) -> String {
    format!("weir_operator_ledger_{metric}")
}
