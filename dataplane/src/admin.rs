//! The admin listener: probes, metrics, and the config without its secrets. It has a runtime of its own,
//! so that load on requests never fails a probe.

use crate::config::StartError;
use crate::gateway::Gateway;
use crate::serve::{ACCEPT_PAUSE, Patient, listen};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use weir_snapshot::{ApiKey, Resource};

const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Starts it on a thread of its own.
pub(crate) fn start(gateway: &Arc<Gateway>) -> Result<SocketAddr, StartError> {
    let address = gateway.config.admin;
    let failed = |e| StartError::Listen(address, e);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let listener = {
        let _inside = runtime.enter();
        listen(address).map_err(failed)?
    };
    let bound = listener.local_addr().map_err(failed)?;
    let gateway = Arc::clone(gateway);
    std::thread::Builder::new()
        .name("admin".into())
        .spawn(move || {
            runtime.block_on(async move {
                loop {
                    let Ok((stream, _)) = listener.accept().await else {
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    };
                    let gateway = Arc::clone(&gateway);
                    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                        let answer = answer(&gateway, request.uri().path());
                        async move { Ok::<_, Infallible>(answer) }
                    });
                    let mut builder = hyper::server::conn::http1::Builder::new();
                    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
                    tokio::spawn(builder.serve_connection(TokioIo::new(Patient::new(stream)), service));
                }
            });
        })
        .map_err(failed)?;
    Ok(bound)
}

fn answer(gateway: &Gateway, path: &str) -> Response<Full<Bytes>> {
    let (status, kind, text) = match path {
        "/healthz" => (StatusCode::OK, "text/plain", "ok\n".to_owned()),
        "/readyz" if gateway.is_ready() => (StatusCode::OK, "text/plain", "ready\n".to_owned()),
        "/readyz" if gateway.drain().has_begun() => {
            (StatusCode::SERVICE_UNAVAILABLE, "text/plain", "draining\n".to_owned())
        }
        "/readyz" if gateway.live.load().loaded => {
            (StatusCode::SERVICE_UNAVAILABLE, "text/plain", "the ledger's leader has not spoken yet\n".to_owned())
        }
        "/readyz" => (StatusCode::SERVICE_UNAVAILABLE, "text/plain", "no config yet\n".to_owned()),
        "/metrics" => {
            let live = gateway.live.load();
            let now = gateway.clock.now();
            let age_ms = now.saturating_sub(live.since);
            (StatusCode::OK, "text/plain; version=0.0.4", gateway.telemetry.metrics.text(&live.table, age_ms, now))
        }
        "/config" => (StatusCode::OK, "application/json", dump(gateway)),
        _ => (StatusCode::NOT_FOUND, "text/plain", "/healthz, /readyz, /metrics or /config\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Every resource by its id; of a credential only the fingerprint, of an API key only its id.
fn dump(gateway: &Gateway) -> String {
    let live = gateway.live.load();
    let shown: BTreeMap<String, serde_json::Value> = live
        .resources
        .iter()
        .map(|(id, resource)| {
            let value = if let Resource::Credential(credential) = resource {
                serde_json::json!({"fingerprint": credential.secret.fingerprint()})
            } else if let Resource::ApiKey(key) = resource {
                let ApiKey { id, team, project, cost_center, user, expires_at, .. } = &**key;
                serde_json::json!({"id": id, "team": team, "project": project, "cost_center": cost_center,
                    "user": user, "expires_at": expires_at})
            } else {
                resource.body().ok().and_then(|body| serde_json::from_slice(&body).ok()).unwrap_or_default()
            };
            (id.to_string(), value)
        })
        .collect();
    serde_json::to_string_pretty(&shown).unwrap_or_default()
}
