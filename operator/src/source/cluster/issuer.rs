//! Who signs ServiceAccount tokens: read from the API server again and again.
//!
//! What was read last stays while it does not answer.

use crate::telemetry::Metrics;
use kube::Client;
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use weir_snapshot::Issuer;

/// Two small requests; so a key that pods do not know yet is known within this time, without their asking.
const READ: Duration = Duration::from_secs(30);
/// Pause after a failure.
const RETRY: Duration = Duration::from_secs(5);
/// Answers are wanted within this time.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
}

/// Reads for ever.
pub(crate) async fn follow(client: Client, issuer: watch::Sender<Option<Issuer>>, metrics: Arc<Metrics>) {
    loop {
        let pause = match tokio::time::timeout(TIMEOUT, read(&client)).await {
            Ok(Ok(now)) => {
                issuer.send_if_modified(|before| {
                    let changed = before.as_ref() != Some(&now);
                    *before = Some(now);
                    changed
                });
                READ
            }
            Ok(Err(error)) => failed(&metrics, &error),
            Err(_) => failed(&metrics, "the API server does not answer in time"),
        };
        tokio::time::sleep(pause).await;
    }
}

fn failed(metrics: &Metrics, error: &str) -> Duration {
    metrics.failed("issuer");
    tracing::warn!(error, "the issuer of ServiceAccount tokens cannot be read");
    RETRY
}

async fn read(client: &Client) -> Result<Issuer, String> {
    let discovery: Discovery = get(client, "/.well-known/openid-configuration").await?;
    let jwks: Value = get(client, "/openid/v1/jwks").await?;
    Ok(Issuer { issuer: discovery.issuer, jwks: ordered(jwks).to_string() })
}

async fn get<T: serde::de::DeserializeOwned>(client: &Client, path: &str) -> Result<T, String> {
    let request = hyper::Request::get(path).body(Vec::new()).map_err(|error| error.to_string())?;
    client.request(request).await.map_err(|error| format!("{path}: {error}"))
}

/// API servers may list the keys in any order; ours does not change with it.
fn ordered(mut jwks: Value) -> Value {
    if let Some(keys) = jwks.get_mut("keys").and_then(Value::as_array_mut) {
        keys.sort_by_cached_key(Value::to_string);
    }
    jwks
}
