//! One connection to an upstream, once its bytes flow: HTTP/1.1 or HTTP/2 over it.

use super::pieces::Pieces;
use crate::config::Limits;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// HTTP/2 windows towards upstreams; unequal on purpose, so that one stream cannot use up the connection's.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// Streams begun before the server says how many it takes; more would queue where it takes few.
const STREAMS_BEFORE_SETTINGS: usize = 10;
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// The sending side of a connection.
pub(super) enum Sender {
    H1(http1::SendRequest<Pieces>),
    /// With the number of streams that the server takes at once.
    H2(http2::SendRequest<Pieces>, Arc<AtomicUsize>),
}

pub(super) async fn http1<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) -> hyper::Result<Sender> {
    let (sender, connection) =
        http1::Builder::new().max_buf_size(Limits::HEADER_BYTES).handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(Sender::H1(sender))
}

pub(super) async fn http2<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) -> hyper::Result<Sender> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_max_send_streams(STREAMS_BEFORE_SETTINGS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    let room = Arc::new(AtomicUsize::new(connection.current_max_send_streams()));
    let known = Arc::clone(&room);
    let mut connection = Box::pin(connection);
    tokio::spawn(std::future::poll_fn(move |cx| {
        let ended = connection.as_mut().poll(cx).map(drop);
        known.store(connection.current_max_send_streams(), Ordering::Relaxed);
        ended
    }));
    Ok(Sender::H2(sender, room))
}
