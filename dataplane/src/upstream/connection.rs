//! One connection to an upstream, once its bytes flow: HTTP/1.1 or HTTP/2 over it.

use super::pieces::Pieces;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// Read at once over HTTP/1.1, and the bound on an answer's head. What waits for a slow client keeps alive all
/// that was read with it.
const READ: usize = 16 * 1024;
/// What of an answer may wait over HTTP/2 for a client that is slow to read.
const STREAM_WINDOW: u32 = 64 * 1024;
/// Room for that of every stream that a server is likely to take at once, so that no number of slow clients
/// holds up the others of their connection.
const CONNECTION_WINDOW: u32 = 256 * STREAM_WINDOW;
/// Streams begun before the server says how many it takes; more would queue where it takes few.
const STREAMS_BEFORE_SETTINGS: usize = 10;
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// A request that got no answer, with itself where the server surely did not see it.
pub(super) type Unsent = TrySendError<Request<Pieces>>;

/// The sending side of a connection.
pub(super) enum Sender {
    H1(Box<Http1>),
    /// With the number of streams that the server takes at once.
    H2(http2::SendRequest<Pieces>, Arc<AtomicUsize>),
}

/// An HTTP/1.1 connection. It has no task of its own: the request that it serves drives it, which saves each
/// piece of an answer a wake-up and a switch, and lets what came in one read go on in one write.
pub(super) struct Http1 {
    sender: http1::SendRequest<Pieces>,
    connection: http1::Connection<TokioIo<Box<dyn Wire>>, Pieces>,
    ended: bool,
}

/// What a connection's bytes go over.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Wire for S {}

impl Http1 {
    /// Sends the request and waits for the answer's head.
    pub(super) async fn send(&mut self, request: Request<Pieces>) -> Result<Response<Incoming>, Unsent> {
        let mut answer = std::pin::pin!(self.sender.try_send_request(request));
        std::future::poll_fn(|cx| {
            drive(&mut self.connection, &mut self.ended, cx);
            answer.as_mut().poll(cx)
        })
        .await
    }

    /// Reads and writes what can be read and written now.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        drive(&mut self.connection, &mut self.ended, cx);
    }

    /// Whether another request may be sent; the server may have closed in the meantime.
    pub(super) fn is_ready(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        !self.ended && self.sender.is_ready()
    }
}

fn drive<C: Future + Unpin>(connection: &mut C, ended: &mut bool, cx: &mut Context<'_>) {
    // How it ended is told to the request.
    *ended = *ended || Pin::new(connection).poll(cx).is_ready();
}

pub(super) async fn http1<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) -> hyper::Result<Sender> {
    let stream: Box<dyn Wire> = Box::new(stream);
    let (sender, connection) = http1::Builder::new().max_buf_size(READ).handshake(TokioIo::new(stream)).await?;
    Ok(Sender::H1(Box::new(Http1 { sender, connection, ended: false })))
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

/// Whether the server ends the connection without having begun the stream.
pub(super) fn is_left_out(error: &hyper::Error) -> bool {
    of_http2(error).is_some_and(|e| e.is_go_away() && e.is_remote())
}

/// What HTTP/2 says of an error.
pub(super) fn of_http2(error: &hyper::Error) -> Option<&h2::Error> {
    std::error::Error::source(error)?.downcast_ref()
}
