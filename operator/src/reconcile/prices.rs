//! The overlay of prices, from its ConfigMap: one with mistakes changes nothing, the last good one stays.

use crate::events::{Events, News};
use crate::source::cluster::{Names, name_of};
use crate::telemetry::Metrics;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Resource as _;
use std::sync::Arc;
use weir_compile::{Objects, Overlay};
use weir_snapshot::Name;

/// What the overlay was when it was last good, and what speaks against it now.
pub(crate) struct Prices {
    name: Name,
    events: Events,
    metrics: Arc<Metrics>,
    /// What was read last, good or not.
    seen: Option<Arc<ConfigMap>>,
    good: Option<Arc<Overlay>>,
    refused: Option<String>,
    /// Whether it was ever known what there is.
    known: bool,
}

impl Prices {
    /// Nothing is known yet.
    pub(crate) fn new(name: Name, events: Events, metrics: Arc<Metrics>) -> Self {
        Self { name, events, metrics, seen: None, good: None, refused: None, known: false }
    }

    /// The overlay that counts, and whether that is known at all.
    pub(crate) fn overlay(&mut self, objects: &Objects, unknown: &Names) -> (Option<Arc<Overlay>>, bool) {
        if !unknown.config_maps.contains(&self.name) {
            let map = objects.config_maps.iter().find(|map| name_of(&***map) == self.name);
            if map.map(Arc::as_ptr) != self.seen.as_ref().map(Arc::as_ptr) {
                self.take(map);
            }
            self.known = true;
        }
        (self.good.clone(), self.known)
    }

    fn take(&mut self, map: Option<&Arc<ConfigMap>>) {
        self.seen = map.cloned();
        match map.map(|map| Overlay::read(map)) {
            Some(Err(why)) => self.refuse(map, why),
            Some(Ok(overlay)) => self.accept(Some(Arc::new(overlay))),
            None => self.accept(None),
        }
    }

    fn accept(&mut self, overlay: Option<Arc<Overlay>>) {
        self.metrics.prices_refused.set(0);
        self.refused = None;
        if self.good != overlay {
            tracing::info!(config_map = %self.name, "the prices are those of the ConfigMap now");
        }
        self.good = overlay;
    }

    fn refuse(&mut self, map: Option<&Arc<ConfigMap>>, why: String) {
        self.metrics.prices_refused.set(1);
        if self.refused.as_ref() == Some(&why) {
            return;
        }
        self.metrics.failed("prices");
        tracing::error!(config_map = %self.name, why, "the prices are refused as a whole; the last good ones stay");
        if let Some(map) = map {
            let note = format!("the prices are refused as a whole and the last good ones stay: {why}");
            self.events.tell(News::warning(map.object_ref(&()), "PricesRefused", note));
        }
        self.refused = Some(why);
    }
}
