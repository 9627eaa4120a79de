//! Prometheus metrics. Labels are names from the configuration, never a client's strings.
//!
//! Names follow OpenTelemetry's GenAI conventions where they have one, `weir_*` elsewhere.

use super::gauges::Gauges;
use super::ledger;
use super::lines::Lines;
use super::load;
use super::registered::keep;
use super::series::{Cache, Vectors};
use crate::record::Record;
use prometheus::{
    CounterVec, Encoder as _, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};
use weir_policy::{Millis, Table};

const REQUEST: &[&str] = &["namespace", "route", "provider", "model"];
/// What was used is told apart by these as well, as far as they are of the configuration.
const WHOSE: &[&str] = &["team", "project"];

/// All of them.
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) in_flight: IntGauge,
    pub(crate) panics: IntCounter,
    pub(crate) load: load::Meters,
    pub(crate) merged_costs: IntCounter,
    pub(crate) ledger: ledger::Meters,
    vectors: Vectors,
    series: Cache,
    unpriced: IntCounterVec,
    loss: IntCounterVec,
    failed_attempts: IntCounterVec,
    routes: IntGauge,
    config_age: IntGauge,
    config_applied: IntCounter,
    gauges: Gauges,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let registry = Registry::new();
        let gauge = |name: &str, help: &str| keep(&registry, IntGauge::new(name, help));
        let counter = |name: &str, help: &str| keep(&registry, IntCounter::new(name, help));
        let counters = |name: &str, help: &str, more: &[&str]| {
            keep(&registry, IntCounterVec::new(Opts::new(name, help), &[REQUEST, more].concat()))
        };
        let histogram = |name: &str, help: &str, more: &[&str]| {
            let buckets =
                vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0];
            keep(
                &registry,
                HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets), &[REQUEST, more].concat()),
            )
        };
        Self {
            in_flight: gauge("weir_requests_in_flight", "Requests that are being served"),
            panics: counter("weir_panics_total", "Requests that were lost to a panic"),
            load: load::Meters::new(&registry),
            merged_costs: counter(
                "weir_merged_costs_total",
                "Requests whose cost is summed under fewer names than they have, of which there are too many",
            ),
            ledger: ledger::Meters::new(&registry),
            vectors: Vectors {
                requests: counters("weir_requests_total", "Requests by their outcome", &["status", "error_type"]),
                duration: histogram(
                    "gen_ai_server_request_duration_seconds",
                    "From a request's arrival to its answer's end",
                    &[],
                ),
                first_token: histogram(
                    "gen_ai_server_time_to_first_token_seconds",
                    "From a request's arrival to its first content",
                    &[],
                ),
                cost: keep(
                    &registry,
                    CounterVec::new(
                        Opts::new("weir_cost_total", "Money spent, in units of the currency"),
                        &[REQUEST, WHOSE, &["currency"]].concat(),
                    ),
                ),
                tokens: counters(
                    "weir_tokens_total",
                    "Tokens used, in classes that do not overlap",
                    &[WHOSE, &["token_type", "usage_source"]].concat(),
                ),
            },
            series: Cache::default(),
            unpriced: counters("weir_unpriced_requests_total", "Requests answered by a model that has no price", &[]),
            loss: counters(
                "weir_translation_loss_total",
                "Requests of which something could not be carried to the provider's dialect or back, by what",
                &["field"],
            ),
            failed_attempts: counters(
                "weir_failed_attempts_total",
                "Attempts that gave no answer, the client's request notwithstanding",
                &["error_type"],
            ),
            routes: gauge("weir_config_routes", "Routes that are served"),
            config_age: gauge("weir_config_age_seconds", "Time since config was last applied"),
            config_applied: counter("weir_config_applied_total", "Times that config was applied"),
            gauges: Gauges::new(&registry),
            registry,
        }
        .with_process()
    }

    fn with_process(self) -> Self {
        let process = prometheus::process_collector::ProcessCollector::for_self();
        if let Err(e) = self.registry.register(Box::new(process)) {
            tracing::error!(error = %e, "process metrics cannot be registered");
        }
        if let Err(e) = self.registry.register(Box::new(Lines::of_process().dropped().clone())) {
            tracing::error!(error = %e, "the metric of dropped log lines cannot be registered");
        }
        self
    }

    pub(crate) fn config_applied(&self, routes: usize) {
        self.config_applied.inc();
        self.routes.set(i64::try_from(routes).unwrap_or(i64::MAX));
    }

    pub(super) fn settled(&self, record: &Record) {
        self.in_flight.dec();
        let series = self.series.of(record);
        let plain = record.status == 200 && record.error_type.is_none();
        match &series {
            Some(series) if plain => series.succeeded(&self.vectors),
            _ => self.failed(record),
        }
        let Some(series) = series else { return };
        let [namespace, route, provider, model] = series.labels();
        let with = |more: &'_ str| [namespace, route, provider, model, more].map(str::to_owned);
        for failed in &record.failed_attempts {
            self.failed_attempts.with_label_values(&with(failed.error)).inc();
        }
        for field in record.loss.labels() {
            self.loss.with_label_values(&with(field)).inc();
        }
        if record.attempts == 0 {
            return;
        }
        series.took(&self.vectors, seconds(record.duration_us));
        if let Some(us) = record.time_to_first_token_us {
            series.began_after(&self.vectors, seconds(us));
        }
        let usage = record.usage;
        for (class, tokens) in [
            ("input", usage.input_tokens),
            ("cache_read", usage.cache_read_tokens),
            ("cache_write", usage.cache_write_tokens),
            ("output", usage.output_tokens),
            ("reasoning", usage.reasoning_tokens),
        ] {
            if tokens > 0 {
                series.used(&self.vectors, class, usage.usage_source, tokens);
            }
        }
        if let Some(cost) = &record.cost {
            series.cost(&self.vectors, *cost);
        }
        if record.unpriced {
            self.unpriced.with_label_values(&series.labels()).inc();
        }
    }

    /// One more request that was refused, or whose answer broke off.
    fn failed(&self, record: &Record) {
        let (namespace, route) =
            record.route.as_ref().map_or(("", ""), |route| (&*route.id.namespace, &*route.id.name));
        let provider = record.provider.as_ref().map(|provider| provider.id.to_string()).unwrap_or_default();
        let (status, error) = (record.status.to_string(), record.error_type.as_deref().map_or("", known_error));
        let labels = [namespace, route, &*provider, &*record.model_label, &*status, error];
        self.vectors.requests.with_label_values(&labels).inc();
    }

    /// The exposition text.
    pub(crate) fn text(&self, table: &Table, config_age_ms: u64, now: Millis) -> String {
        self.gauges.read(table, now);
        self.config_age.set(i64::try_from(config_age_ms / 1_000).unwrap_or(i64::MAX));
        let mut text = Vec::new();
        match TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            Ok(()) => String::from_utf8(text).unwrap_or_default(),
            Err(e) => format!("# {e}\n"),
        }
    }
}

/// A provider's own error codes are strings of its making: as labels only ours are used.
fn known_error(code: &str) -> &str {
    const OURS: &[&str] = &[
        "invalid_api_key",
        "model_not_found",
        "model_not_allowed",
        "request_too_large",
        "invalid_json",
        "invalid_type",
        "invalid_value",
        "missing_required_parameter",
        "unsupported_parameter",
        "unsupported_by_provider",
        "translation_loss",
        "missing_tool_result",
        "context_length_exceeded",
        "upstream_rate_limited",
        "upstream_quota_exhausted",
        "upstream_overloaded",
        "upstream_timeout",
        "upstream_credential_rejected",
        "upstream_error",
        "upstream_unreachable",
        "request_timeout",
        "no_healthy_target",
        "route_unavailable",
        "gateway_draining",
        "gateway_overloaded",
        "gateway_memory_exhausted",
        "request_loop",
        "request_body_timeout",
        "invalid_request",
        "invalid_body",
        "invalid_head",
        "head_too_large",
        "too_many_headers",
        "uri_too_long",
        "host_mismatch",
        "not_found",
        "method_not_allowed",
        "upgrade_not_supported",
        "unsupported_content_encoding",
        "internal_error",
        "rate_limit_exceeded",
        "rate_limit_unavailable",
        "budget_exceeded",
        "budget_store_unavailable",
        "budget_blocked",
        "too_many_budgets",
        "model_unpriced",
        "service_tier_unpriced",
        "provider_limit",
        "provider_limit_unavailable",
    ];
    if OURS.contains(&code) { code } else { "other" }
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of one request")]
fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}
