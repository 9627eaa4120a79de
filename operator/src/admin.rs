//! The admin port: probes and metrics over plain HTTP/1.1.
//!
//! It shows no object and no secret, and takes no body.

use crate::telemetry::Metrics;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Connections at once: kubelet and a scraper or two.
const CONNECTIONS: usize = 64;
/// A head takes no longer.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection lives no longer; whoever asks again connects again.
const LIFE: Duration = Duration::from_secs(60);

/// Whether the process can do its work; `Err` says what is missing.
pub(crate) type Readiness = Arc<dyn Fn() -> Result<(), &'static str> + Send + Sync>;

/// Serves for ever.
pub(crate) async fn serve(listener: TcpListener, metrics: Arc<Metrics>, ready: Readiness) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
        let socket = match listener.accept().await {
            Ok((socket, _)) => socket,
            Err(error) => {
                tracing::warn!(%error, "an admin connection cannot be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (metrics, ready) = (Arc::clone(&metrics), Arc::clone(&ready));
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = answer(&request, &metrics, &ready);
                async move { Ok::<_, Infallible>(answer) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(socket), service);
            let _ = tokio::time::timeout(LIFE, connection).await;
            drop(permit);
        });
    }
}

fn answer(request: &Request<Incoming>, metrics: &Metrics, ready: &Readiness) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET".to_owned());
    }
    match request.uri().path() {
        "/healthz" => text(StatusCode::OK, "ok".to_owned()),
        "/readyz" => match ready() {
            Ok(()) => text(StatusCode::OK, "ok".to_owned()),
            Err(missing) => text(StatusCode::SERVICE_UNAVAILABLE, missing.to_owned()),
        },
        "/metrics" => match metrics.render() {
            Ok(metrics) => text(StatusCode::OK, metrics),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        },
        _ => text(StatusCode::NOT_FOUND, "here are /healthz, /readyz and /metrics".to_owned()),
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let plain = hyper::header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}
