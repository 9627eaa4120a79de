//! Webhooks in the form of Standard Webhooks: signed, tried a few times, and then given up.
//!
//! They tell and decide nothing; telling never waits. A URL may be a secret and is never shown.

use crate::events::{Events, News};
use crate::fair::Fair;
use crate::telemetry::Metrics;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use weir_compile::Webhook;
use weir_dataplane::Callout;
use weir_snapshot::{Headers, Settings};

/// Webhooks that wait, of all namespaces; more are dropped and counted.
const QUEUE: usize = 256;
/// Sent side by side.
const AT_ONCE: usize = 16;
/// Of one namespace, so that receivers that do not answer hold up those of their own alone.
const AT_ONCE_EACH: usize = 2;
/// One attempt.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Pauses before further attempts.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30)];
/// A receiver that wants no more.
const GONE: u16 = 410;
/// What a signing key begins with.
const KEY_PREFIX: &str = "whsec_";

/// One message to one receiver.
pub(crate) struct Message {
    /// The object that it is about.
    pub(crate) about: ObjectReference,
    /// The same for every attempt, and whoever sends it, so that a receiver can tell repetitions.
    pub(crate) id: String,
    /// JSON.
    pub(crate) body: String,
    /// Where it goes.
    pub(crate) to: Webhook,
    /// Which addresses may be dialled.
    pub(crate) rules: Settings,
}

/// Where messages go.
#[derive(Clone)]
pub(crate) struct Webhooks {
    queue: Arc<Fair<Message>>,
    metrics: Arc<Metrics>,
}

impl Webhooks {
    /// A queue, and the task that empties it.
    pub(crate) fn new(events: Events, metrics: Arc<Metrics>) -> (Self, impl Future<Output = ()> + Send) {
        let queue: Arc<Fair<Message>> = Arc::new(Fair::new(QUEUE));
        let (callout, counts, messages) = (Callout::default(), Arc::clone(&metrics), Arc::clone(&queue));
        let deliver = async move {
            let under_way: Mutex<BTreeMap<String, usize>> = Mutex::default();
            let held = || under_way.lock().unwrap_or_else(PoisonError::into_inner);
            let few = |namespace: &str| held().get(namespace).is_none_or(|count| *count < AT_ONCE_EACH);
            let sender = async || loop {
                let message = messages.pop(few).await;
                let namespace = message.about.namespace.clone().unwrap_or_default();
                *held().entry(namespace.clone()).or_default() += 1;
                deliver(&callout, message, &events, &counts).await;
                {
                    let mut held = held();
                    let left = held.get_mut(&namespace).map_or(0, |count| {
                        *count -= 1;
                        *count
                    });
                    if left == 0 {
                        held.remove(&namespace);
                    }
                }
                messages.look_again();
            };
            let senders: FuturesUnordered<_> = (0..AT_ONCE).map(|_| sender()).collect();
            senders.for_each(|()| std::future::ready(())).await;
        };
        (Self { queue, metrics }, deliver)
    }

    /// Sends it some time.
    pub(crate) fn send(&self, message: Message) {
        let namespace = message.about.namespace.clone().unwrap_or_default();
        if !self.queue.push(&namespace, message) {
            self.metrics.failed("webhook");
        }
    }
}

async fn deliver(callout: &Callout, message: Message, events: &Events, metrics: &Metrics) {
    let to = &message;
    let Err(failure) = taken(|| attempt(callout, to)).await else { return };
    metrics.failed("webhook");
    tracing::warn!(object = message.about.name, id = message.id, failure, "a webhook was not taken");
    events.tell(News::warning(message.about, "WebhookFailed", format!("a webhook was not taken: {failure}")));
}

/// Tries until the receiver takes it; else what the last attempt met.
async fn taken<F: Future<Output = Result<u16, String>>>(attempt: impl Fn() -> F) -> Result<(), String> {
    let mut failure = String::new();
    for pause in [Duration::ZERO].into_iter().chain(PAUSES) {
        tokio::time::sleep(pause).await;
        match attempt().await {
            Ok(200..300) => return Ok(()),
            Ok(GONE) => return Err("the receiver wants no more (410)".to_owned()),
            Ok(status) => failure = format!("the receiver answered {status}"),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

async fn attempt(callout: &Callout, message: &Message) -> Result<u16, String> {
    let Message { about: _, id, body, to, rules } = message;
    let timestamp = Timestamp::now().as_second().to_string();
    let signature = signature(to.signing_key.expose(), id, &timestamp, body)?;
    let set = [("webhook-id", id.clone()), ("webhook-timestamp", timestamp), ("webhook-signature", signature)];
    let set = set.map(|(name, value)| (name.to_owned(), value)).into();
    let posted = callout.post(to.url.expose(), Headers { set, remove: Vec::new() }, body.clone().into_bytes(), rules);
    let silent = || format!("the receiver did not answer within {} s", TIMEOUT.as_secs());
    tokio::time::timeout(TIMEOUT, posted).await.map_err(|_| silent())?
}

/// `v1,` and the base64 of HMAC-SHA256 over id, timestamp and body.
fn signature(key: &str, id: &str, timestamp: &str, body: &str) -> Result<String, String> {
    let no_key = |_| "the signing key is not whsec_ and base64".to_owned();
    let key = EncodingKey::from_base64_secret(key.strip_prefix(KEY_PREFIX).unwrap_or(key)).map_err(no_key)?;
    let signed = crypto::sign(format!("{id}.{timestamp}.{body}").as_bytes(), &key, Algorithm::HS256);
    let signed = signed.map_err(|error| format!("the message cannot be signed: {error}"))?;
    // 32 bytes have one digit of padding.
    Ok(format!("v1,{}=", signed.replace('-', "+").replace('_', "/")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// How it ends with a receiver that answers so, and how often it is asked.
    async fn ends(answers: &[u16]) -> (Result<(), String>, usize) {
        let asked = Cell::new(0);
        let answer = || {
            let at = asked.replace(asked.get() + 1);
            std::future::ready(answers.get(at).copied().ok_or_else(|| "no answer".to_owned()))
        };
        (taken(answer).await, asked.get())
    }

    #[tokio::test(start_paused = true)]
    async fn a_webhook_is_tried_a_few_times_and_not_where_it_is_not_wanted() {
        assert_eq!(ends(&[204]).await, (Ok(()), 1));
        assert_eq!(ends(&[500, 302, 200]).await, (Ok(()), 3), "a redirect is no receipt");
        assert_eq!(ends(&[410]).await.1, 1);
        assert_eq!(ends(&[]).await, (Err("no answer".to_owned()), 4));
        assert_eq!(ends(&[500; 9]).await, (Err("the receiver answered 500".to_owned()), 4));
    }

    #[test]
    fn a_signature_is_the_one_of_the_specifications_example() {
        let (key, id) = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek");
        let signed = signature(key, id, "1614265330", r#"{"test": 2432232314}"#);
        assert_eq!(signed.as_deref(), Ok("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    }
}
