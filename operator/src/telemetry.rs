//! What the operator counts: one registry, handed to whoever counts.
//!
//! No label holds the name of an object, so the number of series is fixed.

use prometheus::core::Collector;
use prometheus::{
    Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use weir_ledger::Meters;

/// The operator's metrics, `weir_operator_*`.
pub(crate) struct Metrics {
    registry: Registry,
    /// 1 while this process leads.
    pub(crate) leader: IntGauge,
    /// Pods with a proven stream.
    pub(crate) pods_connected: IntGauge,
    /// Revision that is published.
    pub(crate) revision: IntGauge,
    /// Resources of that revision.
    pub(crate) resources: IntGauge,
    /// Objects to bytes, all of them.
    pub(crate) compile_seconds: Histogram,
    /// Commits sent to pods.
    pub(crate) pushes: IntCounter,
    /// Resources that pods refused.
    pub(crate) rejections: IntCounter,
    /// Streams refused for want of a proof.
    pub(crate) refused_streams: IntCounter,
    /// 1 while the brake holds deletes back.
    pub(crate) brake_held: IntGauge,
    /// 1 while the overlay of prices is refused and the last good one stays.
    pub(crate) prices_refused: IntGauge,
    /// Writes of status.
    pub(crate) status_writes: IntCounter,
    /// What the leader of the ledger counts.
    pub(crate) ledger: Meters,
    /// Unix seconds at which the leaf certificate of the stream expires.
    pub(crate) certificate_expiry: Gauge,
    errors: IntCounterVec,
}

impl Metrics {
    /// Makes and registers them.
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let buckets = prometheus::exponential_buckets(0.000_25, 4.0, 9)?;
        let compile = HistogramOpts::new(name("compile_seconds"), "Time to compile all objects").buckets(buckets);
        let errors = Opts::new(name("errors_total"), "Failures, by what was tried");
        let metrics = Self {
            leader: kept(&registry, gauge("leader", "Whether this process leads"))?,
            pods_connected: kept(&registry, gauge("pods_connected", "Data-plane pods with a proven stream"))?,
            revision: kept(&registry, gauge("revision", "Revision of the published config"))?,
            resources: kept(&registry, gauge("resources", "Resources of the published config"))?,
            compile_seconds: kept(&registry, Histogram::with_opts(compile))?,
            pushes: kept(&registry, counter("pushes_total", "Commits sent to pods"))?,
            rejections: kept(&registry, counter("rejections_total", "Resources that pods refused"))?,
            refused_streams: kept(&registry, counter("refused_streams_total", "Streams without a valid proof"))?,
            brake_held: kept(&registry, gauge("brake_held", "Whether the brake holds deletes back"))?,
            prices_refused: kept(&registry, gauge("prices_refused", "Whether the ConfigMap of prices is refused"))?,
            status_writes: kept(&registry, counter("status_writes_total", "Writes of status"))?,
            certificate_expiry: kept(
                &registry,
                Gauge::new(name("certificate_expiry_timestamp_seconds"), "When the stream's certificate expires"),
            )?,
            errors: kept(&registry, IntCounterVec::new(errors, &["what"]))?,
            ledger: Meters::new()?,
            registry,
        };
        metrics.tell_of(weir_compile::Catalogue::built_in())?;
        metrics.ledger.collectors().into_iter().try_for_each(|collector| metrics.registry.register(collector))?;
        #[cfg(target_os = "linux")]
        metrics.registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(metrics)
    }

    /// Where the prices that are compiled in come from.
    fn tell_of(&self, catalogue: &weir_compile::Catalogue) -> Result<(), prometheus::Error> {
        let info = Opts::new(name("catalogue_info"), "The catalogue of prices that is built in");
        let info = kept(&self.registry, IntGaugeVec::new(info, &["source", "version", "date"]))?;
        info.with_label_values(&[&*catalogue.source, &*catalogue.version, &*catalogue.date]).set(1);
        Ok(())
    }

    /// Counts a failure of `what`.
    pub(crate) fn failed(&self, what: &'static str) {
        self.errors.with_label_values(&[what]).inc();
    }

    /// All of them in Prometheus' text format.
    pub(crate) fn render(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

fn name(metric: &str) -> String {
    format!("weir_operator_{metric}")
}

fn gauge(metric: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
    IntGauge::new(name(metric), help)
}

fn counter(metric: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
    IntCounter::new(name(metric), help)
}

fn kept<C: Collector + Clone + 'static>(
    registry: &Registry,
    made: Result<C, prometheus::Error>,
) -> Result<C, prometheus::Error> {
    let collector = made?;
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
