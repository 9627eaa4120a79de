//! The time series that a plain answer counts in, looked up once for a route, provider, model and whose it is.
//!
//! It makes no series before something counts in it.

use crate::record::Record;
use prometheus::{Counter, CounterVec, Histogram, HistogramVec, IntCounter, IntCounterVec};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use weir_policy::Cost;
use weir_snapshot::{Currency, Name};

/// The vectors that the series are of.
pub(super) struct Vectors {
    pub(super) requests: IntCounterVec,
    pub(super) duration: HistogramVec,
    pub(super) first_token: HistogramVec,
    pub(super) tokens: IntCounterVec,
    pub(super) cost: CounterVec,
}

/// Series of one route, provider, model, team and project.
pub(super) struct Series {
    labels: [String; 4],
    whose: [String; 2],
    succeeded: OnceLock<IntCounter>,
    duration: OnceLock<Histogram>,
    first_token: OnceLock<Histogram>,
    /// Input and output as the provider reported them; other classes are rarer.
    tokens: [OnceLock<IntCounter>; 2],
    /// In the currency that was first paid.
    cost: OnceLock<(Currency, Counter)>,
}

/// By route and provider.
#[derive(Default)]
pub(super) struct Cache(RwLock<HashMap<Name, HashMap<Name, ByModel>>>);

type ByModel = HashMap<String, ByWhose>;
/// By team, then by project.
type ByWhose = HashMap<String, HashMap<String, Arc<Series>>>;

impl Cache {
    /// The series of a record that has a route and a provider.
    pub(super) fn of(&self, record: &Record) -> Option<Arc<Series>> {
        let (route, provider, model) = (&record.route.as_ref()?.id, &record.provider.as_ref()?.id, &record.model_label);
        let caller = record.configured.as_ref();
        let [team, project] = [caller.and_then(|of| of.team.as_deref()), caller.and_then(|of| of.project.as_deref())]
            .map(Option::unwrap_or_default);
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let by_whose = held.get(route).and_then(|by| by.get(provider)).and_then(|by| by.get(model));
        if let Some(series) = by_whose.and_then(|by| by.get(team)).and_then(|by| by.get(project)) {
            return Some(Arc::clone(series));
        }
        drop(held);
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let models = held.entry(route.clone()).or_default().entry(provider.clone()).or_default();
        let labels = [route.namespace.clone(), route.name.clone(), provider.to_string(), model.clone()];
        let whose = [team.to_owned(), project.to_owned()];
        let series = || {
            let (succeeded, duration, first_token, tokens, cost) = Default::default();
            Arc::new(Series { labels, whose, succeeded, duration, first_token, tokens, cost })
        };
        let by_project = models.entry(model.clone()).or_default().entry(team.to_owned()).or_default();
        Some(Arc::clone(by_project.entry(project.to_owned()).or_insert_with(series)))
    }
}

impl Series {
    /// `namespace`, `route`, `provider` and `model`.
    pub(super) fn labels(&self) -> [&str; 4] {
        self.labels.each_ref().map(String::as_str)
    }

    /// One more request that went well.
    pub(super) fn succeeded(&self, vectors: &Vectors) {
        let [namespace, route, provider, model] = self.labels();
        let labels = [namespace, route, provider, model, "200", ""];
        self.succeeded.get_or_init(|| vectors.requests.with_label_values(&labels)).inc();
    }

    pub(super) fn took(&self, vectors: &Vectors, seconds: f64) {
        self.duration.get_or_init(|| vectors.duration.with_label_values(&self.labels())).observe(seconds);
    }

    pub(super) fn began_after(&self, vectors: &Vectors, seconds: f64) {
        self.first_token.get_or_init(|| vectors.first_token.with_label_values(&self.labels())).observe(seconds);
    }

    /// Tokens of one class.
    pub(super) fn used(&self, vectors: &Vectors, class: &str, source: &str, tokens: u64) {
        let ([namespace, route, provider, model], [team, project]) = (self.labels(), &self.whose);
        let labels = [namespace, route, provider, model, team, project, class, source];
        let [input, output] = &self.tokens;
        let counter = match (class, source) {
            ("input", "reported") => input,
            ("output", "reported") => output,
            _ => return vectors.tokens.with_label_values(&labels).inc_by(tokens),
        };
        counter.get_or_init(|| vectors.tokens.with_label_values(&labels)).inc_by(tokens);
    }

    pub(super) fn cost(&self, vectors: &Vectors, cost: Cost) {
        let counter = || {
            let ([namespace, route, provider, model], [team, project]) = (self.labels(), &self.whose);
            vectors.cost.with_label_values(&[namespace, route, provider, model, team, project, cost.currency.as_str()])
        };
        let (first, counted) = self.cost.get_or_init(|| (cost.currency, counter()));
        if *first == cost.currency { counted.inc_by(cost.units()) } else { counter().inc_by(cost.units()) }
    }
}
