//! Kubernetes Events: one for each change of state, never one for each reconcile.
//!
//! Telling never waits: when the API server does not take them, they are dropped and counted.

use crate::fair::Fair;
use crate::telemetry::Metrics;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube_runtime::events::{Event, EventType, Recorder, Reporter};
use std::sync::Arc;

/// Events that wait, of all namespaces; a reconcile of many objects tells of each.
const QUEUE: usize = 1024;
/// The API server takes notes of up to 1 kB.
const NOTE_BYTES: usize = 1000;

/// Something to tell about an object.
#[derive(Clone)]
pub(crate) struct News {
    about: ObjectReference,
    event: Arc<Event>,
}

impl News {
    /// What somebody must look at.
    pub(crate) fn warning(about: ObjectReference, reason: &str, note: String) -> Self {
        Self::new(about, EventType::Warning, reason, note)
    }

    /// What is as it should be.
    pub(crate) fn normal(about: ObjectReference, reason: &str, note: String) -> Self {
        Self::new(about, EventType::Normal, reason, note)
    }

    fn new(about: ObjectReference, type_: EventType, reason: &str, mut note: String) -> Self {
        note.truncate(note.floor_char_boundary(NOTE_BYTES));
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(note),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        Self { about, event: Arc::new(event) }
    }
}

/// Where news go.
#[derive(Clone)]
pub(crate) struct Events {
    queue: Arc<Fair<News>>,
    metrics: Arc<Metrics>,
}

impl Events {
    /// A queue, and the task that empties it in the name of `instance`.
    pub(crate) fn new(
        client: Client,
        instance: String,
        metrics: Arc<Metrics>,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let queue = Arc::new(Fair::new(QUEUE));
        let news: Arc<Fair<News>> = Arc::clone(&queue);
        let reporter = Reporter { controller: "weir-operator".to_owned(), instance: Some(instance) };
        let recorder = Recorder::new(client, reporter);
        let counts = Arc::clone(&metrics);
        let publish = async move {
            loop {
                let News { about, event } = news.pop(|_| true).await;
                if let Err(error) = recorder.publish(&event, &about).await {
                    counts.failed("event");
                    tracing::debug!(%error, "an Event cannot be written");
                }
            }
        };
        (Self { queue, metrics }, publish)
    }

    /// Tells.
    pub(crate) fn tell(&self, news: News) {
        let namespace = news.about.namespace.clone().unwrap_or_default();
        if !self.queue.push(&namespace, news) {
            self.metrics.failed("event");
        }
    }
}
