//! What a provider was asked, and whether whoever asked is still there.

use bytes::Bytes;
use http::{HeaderMap, Method, Version};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// One request as it arrived.
pub struct Record {
    /// Number of its connection, from 1.
    pub connection: u64,
    /// HTTP/1.1 or HTTP/2.
    pub version: Version,
    /// Its method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// All headers, in order.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// When the body was complete.
    pub at: Instant,
    pub(super) gone: watch::Sender<Option<Gone>>,
    pub(super) sent: AtomicU64,
}

/// That a client went away before it had the whole answer.
#[derive(Debug, Clone, Copy)]
pub struct Gone {
    /// When this was seen.
    pub at: Instant,
}

impl Record {
    /// The bearer token, or an empty text.
    pub fn credential(&self) -> &str {
        let value = self.headers.get("authorization").and_then(|value| value.to_str().ok());
        value.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default()
    }

    /// The body, which must be JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the provider is sent JSON")
    }

    /// Bytes of the answer's body that the system or the HTTP/2 library took so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(super) fn took(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Whether the client has gone.
    pub fn gone(&self) -> Option<Gone> {
        *self.gone.borrow()
    }

    /// Waits until the client has gone.
    pub async fn until_gone(&self) -> Gone {
        let mut gone = self.gone.subscribe();
        let seen = tokio::time::timeout(crate::wait::PATIENCE, gone.wait_for(Option::is_some)).await;
        seen.expect("the client goes away").expect("the record holds the sender").expect("it was waited for")
    }

    /// How long after `since` the client went.
    pub async fn gone_after(&self, since: Instant) -> Duration {
        self.until_gone().await.at.saturating_duration_since(since)
    }

    pub(super) fn mark_gone(&self) {
        self.gone.send_if_modified(|gone| {
            let first = gone.is_none();
            gone.get_or_insert(Gone { at: Instant::now() });
            first
        });
    }
}
