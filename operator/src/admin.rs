//! The admin port: probes and metrics, by the data plane's own server of such ports.
//!
//! It shows no object and no secret, and takes no body.

use crate::telemetry::Metrics;
use hyper::StatusCode;
use std::sync::Arc;
use tokio::net::TcpListener;
use weir_dataplane::{AdminAnswer, serve_admin};

/// The content type of all answers.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whether the process can do its work; `Err` says what is missing.
pub(crate) type Readiness = Arc<dyn Fn() -> Result<(), &'static str> + Send + Sync>;

/// Serves for ever.
pub(crate) async fn serve(listener: TcpListener, metrics: Arc<Metrics>, ready: Readiness) {
    serve_admin(listener, move |request| answer(request.path, &metrics, &ready)).await;
}

fn answer(path: &str, metrics: &Metrics, ready: &Readiness) -> AdminAnswer {
    let (status, text) = match path {
        "/healthz" => (StatusCode::OK, "ok".to_owned()),
        "/readyz" => match ready() {
            Ok(()) => (StatusCode::OK, "ok".to_owned()),
            Err(missing) => (StatusCode::SERVICE_UNAVAILABLE, missing.to_owned()),
        },
        "/metrics" => match metrics.render() {
            Ok(metrics) => (StatusCode::OK, metrics),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        },
        _ => (StatusCode::NOT_FOUND, "here are /healthz, /readyz and /metrics".to_owned()),
    };
    (status, TEXT, text)
}
