//! Accepting: listener, TLS, connections with their bounds, and what a panic costs.
//!
//! No connection is accepted that has no file left for its upstream.

use crate::account::new_request_id;
use crate::body::Body;
use crate::config::{Limits, StartError};
use crate::gateway::Gateway;
use crate::shares::{Holder, Shares};
use crate::surface::dialect_of;
use crate::telemetry::{Lines, Telemetry};
use crate::turn_away::{note_unread_head, turn_away};
use crate::{memory, open_files, pipeline, refusal};
use futures_util::FutureExt as _;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use weir_dialect::{Dialect, ErrorType, Refusal};
use weir_policy::Certificate;

mod activity;
mod patience;
mod screen;
mod tls;

use activity::Activity;
pub(crate) use patience::Patient;
use patience::{Streams, Told};
use screen::{Screened, Version};

/// Connections that may wait to be accepted; hundreds opened at once overflow the usual 128.
const BACKLOG: i32 = 4_096;
/// Pause after an accept failed for want of file descriptors.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 2 * 1024 * 1024;
/// What a connection may take besides the bytes that are counted: a head, and buffers of both directions.
const CONNECTION_BYTES: u64 = 64 * 1024;
/// Connections that are served however little memory there is.
const FEWEST: usize = 64;
/// An HTTP/2 connection without a stream is closed after so long, also if its client answers pings.
const IDLE: Duration = Duration::from_secs(180);
/// Bytes of one stream, HTTP/2 or the connection's own, that wait here for a client to read.
const UNSENT: usize = 32 * 1024;

/// Listens for requests; the task ends when the drain is over.
pub(crate) fn start(gateway: &Arc<Gateway>) -> Result<(SocketAddr, JoinHandle<()>), StartError> {
    let address = gateway.config.listen;
    let listener = listen(address).and_then(TcpListener::from_std).map_err(|e| StartError::Listen(address, e))?;
    let bound = listener.local_addr().map_err(|e| StartError::Listen(address, e))?;
    let tls = gateway.config.tls_dir.as_deref().map(tls::acceptor).transpose().map_err(StartError::Tls)?;
    Ok((bound, tokio::spawn(accept(Arc::clone(gateway), listener, tls))))
}

/// A socket that listens, with a long backlog.
pub(crate) fn listen(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

async fn accept(gateway: Arc<Gateway>, listener: TcpListener, tls: Option<Arc<tls::Reloading>>) {
    let most = connections();
    let (room, peers) = (Arc::new(Semaphore::new(most)), Arc::new(Shares::of(most as u64)));
    loop {
        let next = async {
            let place = Arc::clone(&room).acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            next = next => next,
            () = gateway.drain.listeners_close() => break,
        };
        match accepted {
            Ok((stream, address)) => {
                let peer = Holder::of(&network(address.ip()));
                let Some(of_peer) = Shares::place(&peers, peer) else {
                    gateway.telemetry.metrics.load.refused_connections.inc();
                    continue;
                };
                let _ = stream.set_nodelay(true);
                let _ = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT as u32);
                let acceptor = tls.as_ref().map(|tls| tls.acceptor());
                // Boxed, since a future is moved whole, each time that it is wrapped.
                let served = Box::pin(connection(Arc::clone(&gateway), stream, peer, acceptor));
                tokio::spawn(gateway.drain.track(async move {
                    served.await;
                    drop((place, of_peer));
                }));
            }
            Err(e) => {
                tracing::warn!(error = %e, "a connection could not be accepted");
                gateway.live.load().close_idle(Duration::ZERO);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    gateway.drain.finished().await;
    let _ = tokio::task::spawn_blocking(|| Lines::of_process().flush()).await;
}

/// Connections to serve at once: as many as there are files for, and as fit into half of the memory.
fn connections() -> usize {
    let fit = usize::try_from(memory::limit() / 2 / CONNECTION_BYTES).unwrap_or(usize::MAX);
    open_files::connections().min(fit.max(FEWEST))
}

/// Who a peer is: its address, of IPv6 the network that one host has as a rule.
fn network(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => u64::try_from(v6.to_bits() >> 64).unwrap_or(u64::MAX),
    }
}

async fn connection(gateway: Arc<Gateway>, stream: TcpStream, peer: Holder, tls: Option<TlsAcceptor>) {
    let stream = Patient::new(stream);
    match tls {
        None => serve(gateway, stream, peer, None).await,
        // Boxed, since most connections have none.
        Some(acceptor) => Box::pin(over_tls(gateway, stream, peer, acceptor)).await,
    }
}

async fn over_tls(gateway: Arc<Gateway>, stream: Patient<TcpStream>, peer: Holder, acceptor: TlsAcceptor) {
    let accepted = acceptor.accept_with(stream, |session| session.set_buffer_limit(Some(UNSENT)));
    match tokio::time::timeout(Limits::HEAD_TIMEOUT, accepted).await {
        Ok(Ok(stream)) => {
            let chain = stream.get_ref().1.peer_certificates();
            let certificate = chain.and_then(|chain| Certificate::read(chain.first()?)).map(Arc::new);
            serve(gateway, stream, peer, certificate).await;
        }
        Ok(Err(e)) => tracing::debug!(error = %e, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake stood still"),
    }
}

/// Serves a peer's connection; of a certificate TLS found that it is good.
async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    gateway: Arc<Gateway>,
    stream: S,
    peer: Holder,
    certificate: Option<Arc<Certificate>>,
) {
    let mut stream = Screened::new(stream);
    let begun = tokio::select! {
        begun = tokio::time::timeout(Limits::HEAD_TIMEOUT, stream.begin()) => begun,
        () = gateway.drain.listeners_close() => return,
    };
    let Ok(Ok(version)) = begun else { return };
    let mut builder = Builder::new(Streams);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Limits::HEAD_TIMEOUT)
        .max_headers(Limits::HEADERS)
        .max_buf_size(Limits::HEADER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(Limits::STREAMS)
        .max_header_list_size(Limits::HEADER_BYTES as u32)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(UNSENT)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10));
    let activity = Arc::new(Activity::default());
    let service = {
        let gateway = Arc::clone(&gateway);
        let unsent = matches!(version, Version::H1).then(|| stream.unsent());
        let activity = Arc::clone(&activity);
        service_fn(move |mut request: Request<Incoming>| {
            let gateway = Arc::clone(&gateway);
            if let Some(certificate) = &certificate {
                request.extensions_mut().insert(Arc::clone(certificate));
            }
            let (unsent, busy) = (unsent.clone(), activity.busy());
            let answer = async move {
                let answer = answer(gateway, request, peer).await;
                Ok::<_, Infallible>(answer.map(|body| Told::new(body, unsent).while_busy(busy)))
            };
            Told::new(Box::pin(answer), None)
        })
    };
    let builder = match version {
        Version::H1 => builder.http1_only(),
        Version::H2 => builder.http2_only(),
    };
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        // Now and not before: hyper closes idle HTTP/1.1 connections at once.
        () = gateway.drain.listeners_close() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = activity.rested(IDLE), if matches!(version, Version::H2) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(e) = ended {
        tracing::debug!(error = %e, "a connection ended early");
        let unread = e.downcast_ref::<hyper::Error>().filter(|e| e.is_parse() && matches!(version, Version::H1));
        if let Some(e) = unread {
            note_unread_head(&gateway, peer, e.is_parse_too_large());
        }
    }
}

async fn answer(gateway: Arc<Gateway>, request: Request<Incoming>, peer: Holder) -> Response<Body> {
    let draining = gateway.drain.has_begun() && request.version() <= hyper::Version::HTTP_11;
    let telemetry = Arc::clone(&gateway.telemetry);
    let dialect = dialect_of(request.uri().path(), request.headers());
    let mut response = match amiss(&request) {
        Some(refusal) => turn_away(&gateway, request, &refusal, peer),
        None => contain(&telemetry, dialect, pipeline::answer(gateway, request, peer)).await,
    };
    if draining {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// What is wrong with a head whatever it asks: HTTP/2 bounds the bytes of headers but not their number, hyper's bound
/// over HTTP/1.1 is that of a buffer, and a target may name another host than the `host` header.
fn amiss<B>(request: &Request<B>) -> Option<Refusal> {
    let headers = request.headers();
    if headers.len() > Limits::HEADERS {
        let message = format!("there are more than {} headers", Limits::HEADERS);
        return Some(Refusal::new(431, ErrorType::InvalidRequest, "too_many_headers", message));
    }
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let fields = headers.iter().map(|(name, value)| name.as_str().len() + value.len());
    if target + fields.sum::<usize>() > Limits::HEADER_BYTES {
        let message = format!("the head is over {} bytes", Limits::HEADER_BYTES);
        return Some(Refusal::new(431, ErrorType::InvalidRequest, "head_too_large", message));
    }
    let (target, host) = (request.uri().authority()?, headers.get(HOST)?);
    let same = host.to_str().is_ok_and(|host| host.eq_ignore_ascii_case(target.as_str()));
    (!same).then(|| Refusal::invalid("host_mismatch", None, "the request target and the `host` header name two hosts"))
}

/// A panic costs its own request and nothing else.
async fn contain(
    telemetry: &Telemetry,
    dialect: Dialect,
    answer: impl Future<Output = Response<Body>>,
) -> Response<Body> {
    AssertUnwindSafe(answer).catch_unwind().await.unwrap_or_else(|_| {
        telemetry.metrics.panics.inc();
        refusal::respond(&Refusal::internal(), dialect, &new_request_id())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use bytes::Bytes;
    use clap::Parser as _;
    use hyper_util::rt::TokioExecutor;
    use tokio::time::Instant;

    #[derive(clap::Parser)]
    struct Flags {
        #[command(flatten)]
        config: Config,
    }

    #[tokio::test(start_paused = true)]
    async fn an_http2_connection_without_a_stream_ends_though_its_client_answers_pings() {
        let gateway = Gateway::new(Flags::parse_from(["test"]).config);
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let served = tokio::spawn(serve(gateway, ours, Holder::of("test"), None));
        let began = Instant::now();
        let (mut client, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(theirs)).await.unwrap();
        let connection = tokio::spawn(connection);
        for _ in 0..2 {
            let request = Request::get("http://weir/v1/models").body(Body::whole(Bytes::new())).unwrap();
            drop(client.send_request(request).await.unwrap());
            tokio::time::sleep(IDLE - Duration::from_secs(1)).await;
        }
        served.await.unwrap();
        let lived = began.elapsed();
        assert!(lived > IDLE * 2 - Duration::from_secs(2) && lived < IDLE * 2 + Duration::from_secs(20), "{lived:?}");
        connection.await.unwrap().unwrap();
        assert!(client.is_closed(), "the client is told in order");
    }

    #[test]
    fn a_peer_is_an_address_or_the_network_of_one_host() {
        let network_of = |text: &str| network(text.parse().unwrap());
        assert_eq!(network_of("10.0.0.1"), network_of("::ffff:10.0.0.1"));
        assert_ne!(network_of("10.0.0.1"), network_of("10.0.0.2"));
        assert_eq!(network_of("2001:db8:1:2::1"), network_of("2001:db8:1:2:ffff::9"));
        assert_ne!(network_of("2001:db8:1:2::1"), network_of("2001:db8:1:3::1"));
    }

    #[tokio::test]
    async fn f70_a_panic_costs_one_request_and_is_counted() {
        let telemetry = Telemetry::start(Arc::new(crate::costs::Costs::new()));
        let response = contain(&telemetry, Dialect::OpenAI, async { panic!("a stage failed") }).await;
        assert_eq!(response.status(), 500);
        assert_eq!(telemetry.metrics.panics.get(), 1);
        let next =
            contain(&telemetry, Dialect::OpenAI, async { Response::new(Body::whole(Bytes::from_static(b"ok"))) }).await;
        assert_eq!(next.status(), 200);
    }
}
