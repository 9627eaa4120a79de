//! The admin port of both programs: probes and metrics over plain HTTP/1.1, and of a data plane the config without its secrets.
//!
//! A data plane serves it on a runtime of its own, so that load on requests never fails a probe.

use crate::config::StartError;
use crate::gateway::Gateway;
use crate::serve::{ACCEPT_PAUSE, Patient, listen};
use crate::shares::{Holder, Shares};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use weir_snapshot::{ApiKey, Resource};

/// Connections at once: kubelet, a scraper or two, a person. No peer has more of them than are free, so that a flood of one
/// peer fails no probe.
const CONNECTIONS: u64 = 64;
/// A head takes no longer.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection lives no longer; whoever asks again connects again.
const LIFE: Duration = Duration::from_secs(60);

/// What an admin port answers: its status, content type and text.
pub type AdminAnswer = (StatusCode, &'static str, String);

/// What is asked of an admin port.
#[derive(Debug, Clone, Copy)]
pub struct AdminRequest<'a> {
    /// The path.
    pub path: &'a str,
    /// Who asks.
    pub peer: IpAddr,
    /// The one `host` header.
    pub host: Option<&'a str>,
}

/// Serves an admin port for ever.
pub async fn serve_admin(
    listener: TcpListener,
    answer: impl Fn(AdminRequest<'_>) -> AdminAnswer + Clone + Send + Sync + 'static,
) {
    let connections = Arc::new(Shares::of(CONNECTIONS));
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok((stream, peer)) => (stream, peer.ip()),
            Err(error) => {
                tracing::warn!(%error, "an admin connection cannot be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(place) = Shares::place(&connections, Holder::of(&peer)) else { continue };
        let answer = answer.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = match *request.method() {
                    Method::GET | Method::HEAD => {
                        let mut hosts = request.headers().get_all(HOST).iter();
                        let host = hosts.next().filter(|_| hosts.next().is_none()).and_then(|host| host.to_str().ok());
                        answer(AdminRequest { path: request.uri().path(), peer, host })
                    }
                    _ => (StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET\n".to_owned()),
                };
                async move { Ok::<_, Infallible>(response(answer)) }
            });
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
            let connection = builder.serve_connection(TokioIo::new(Patient::new(stream)), service);
            let _ = tokio::time::timeout(LIFE, connection).await;
            drop(place);
        });
    }
}

/// The content type of a plain answer.
const TEXT: &str = "text/plain";

/// Starts the data plane's on a thread of its own.
pub(crate) fn start(gateway: &Arc<Gateway>) -> Result<SocketAddr, StartError> {
    let address = gateway.config.admin;
    let failed = |e| StartError::Listen(address, e);
    // Before the runtime is there: a runtime that is dropped within another one panics.
    let socket = listen(address).map_err(failed)?;
    let bound = socket.local_addr().map_err(failed)?;
    let gateway = Arc::clone(gateway);
    let serve = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let served = runtime.and_then(|runtime| {
            runtime.block_on(async move {
                serve_admin(TcpListener::from_std(socket)?, move |request| answer(&gateway, request)).await;
                Ok(())
            })
        });
        if let Err(error) = served {
            tracing::error!(%error, "the admin port cannot be served");
        }
    };
    std::thread::Builder::new().name("admin".into()).spawn(serve).map_err(failed)?;
    Ok(bound)
}

fn answer(gateway: &Gateway, AdminRequest { path, peer, host }: AdminRequest<'_>) -> AdminAnswer {
    let unavailable = |text: &str| (StatusCode::SERVICE_UNAVAILABLE, TEXT, text.to_owned());
    match path {
        "/healthz" => (StatusCode::OK, TEXT, "ok\n".to_owned()),
        "/readyz" if gateway.is_ready() => (StatusCode::OK, TEXT, "ready\n".to_owned()),
        "/readyz" if gateway.drain().has_begun() => unavailable("draining\n"),
        "/readyz" if gateway.live.load().loaded => unavailable("the ledger's leader has not spoken yet\n"),
        "/readyz" => unavailable("no config yet\n"),
        "/metrics" => {
            let live = gateway.live.load();
            let (metrics, now) = (&gateway.telemetry.metrics, gateway.clock.now());
            metrics.load.held_bytes.set(i64::try_from(gateway.memory.held()).unwrap_or(i64::MAX));
            let text = metrics.text(&live.table, now.saturating_sub(live.since), now);
            (StatusCode::OK, "text/plain; version=0.0.4", text)
        }
        "/config" if peer.to_canonical().is_loopback() && host.is_some_and(is_local) => {
            (StatusCode::OK, "application/json", dump(gateway))
        }
        "/config" => {
            let text = "the config names every tenant's routes and callers; read it through kubectl port-forward, as localhost\n";
            (StatusCode::FORBIDDEN, TEXT, text.to_owned())
        }
        _ => (StatusCode::NOT_FOUND, TEXT, "/healthz, /readyz, /metrics or /config\n".to_owned()),
    }
}

/// Whether a `host` header names this machine. A page in a browser whose own name was made to lead here names another.
fn is_local(host: &str) -> bool {
    let is_port =
        |port: &str| port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    let names = ["localhost", "127.0.0.1", "[::1]"];
    names.iter().any(|name| {
        let begins = host.get(..name.len()).is_some_and(|held| held.eq_ignore_ascii_case(name));
        begins && host.get(name.len()..).is_some_and(is_port)
    })
}

fn response((status, kind, text): AdminAnswer) -> Response<Full<Bytes>> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use clap::Parser as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpSocket;

    #[derive(clap::Parser)]
    struct Flags {
        #[command(flatten)]
        config: Config,
    }

    async fn status(from: &str, to: SocketAddr) -> Option<String> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
        let mut stream = socket.connect(to).await.unwrap();
        let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text).await;
        text.lines().next().map(str::to_owned)
    }

    #[tokio::test]
    async fn the_config_is_shown_on_the_loopback_address_alone() {
        let gateway = Gateway::new(Flags::parse_from(["test"]).config);
        let asked = |path: &str, peer: &str, host: Option<&str>| {
            answer(&gateway, AdminRequest { path, peer: peer.parse().unwrap(), host }).0
        };
        let status = |path: &str, peer: &str| asked(path, peer, Some("localhost:9090"));
        for peer in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(status("/config", peer), StatusCode::OK, "{peer}");
        }
        for peer in ["10.0.0.1", "2001:db8::1", "::ffff:10.0.0.1"] {
            assert_eq!(status("/config", peer), StatusCode::FORBIDDEN, "{peer}");
            assert_eq!(status("/metrics", peer), StatusCode::OK, "{peer}");
        }
        for host in ["localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:9090", "[::1]", "[::1]:9090"] {
            assert_eq!(asked("/config", "127.0.0.1", Some(host)), StatusCode::OK, "{host}");
        }
        let strangers = [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "localhost:",
            "127.0.0.1:x",
            "",
            "@localhost",
        ];
        for host in strangers.map(Some).into_iter().chain([None]) {
            assert_eq!(
                asked("/config", "127.0.0.1", host),
                StatusCode::FORBIDDEN,
                "{host:?}: no page in a browser reads it"
            );
            assert_eq!(asked("/metrics", "127.0.0.1", host), StatusCode::OK, "{host:?}");
        }
    }

    #[tokio::test]
    async fn a_peer_that_holds_connections_fails_no_probe_of_another() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(serve_admin(listener, |_| (StatusCode::OK, TEXT, "ok".to_owned())));
        let mut held = Vec::new();
        for _ in 0..CONNECTIONS * 2 {
            held.push(tokio::net::TcpStream::connect(address).await.unwrap());
        }
        assert_eq!(status("127.0.0.2", address).await.as_deref(), Some("HTTP/1.1 200 OK"));
        assert_eq!(status("127.0.0.1", address).await, None, "the flood's own peer gets no more");
        server.abort();
    }
}
