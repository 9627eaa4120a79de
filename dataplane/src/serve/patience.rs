//! Patience with clients that do not read: a connection, or one HTTP/2 stream of it, that takes nothing for
//! [`WRITE_STALL`] ends, and what it holds of an upstream with it.
//!
//! Waiting for an upstream is no stall: only what is ready and is not taken counts.

use super::activity::Busy;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// A client that took nothing for so long is gone.
pub(super) const WRITE_STALL: Duration = Duration::from_secs(30);
/// Most bytes that are handed over at once: progress is seen by the piece, and little waits in buffers.
const PIECE: usize = 16 * 1024;

/// Bytes that a connection may hold of a stream over HTTP/1.1 before its socket takes them.
const AHEAD: usize = 32 * 1024;
/// The same, once its socket has stood still.
const AHEAD_OF_SLOW: usize = 4 * 1024;

/// A socket whose writes fail once they stood still for too long.
pub(crate) struct Patient<S> {
    socket: S,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncWrite + Unpin> Patient<S> {
    pub(crate) const fn new(socket: S) -> Self {
        Self { socket, stalled: None }
    }

    fn unless_stalled<T>(&mut self, cx: &mut Context<'_>, wrote: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if wrote.is_ready() {
            self.stalled = None;
            return wrote;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(WRITE_STALL)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.unless_stalled(cx, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.socket).poll_write_vectored(cx, bytes);
        self.unless_stalled(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// What the poll of an HTTP/2 stream's task came to, as told by the parts of it that are ours.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Nothing of ours was polled: whatever is ready waits for the client.
    Untouched,
    /// Something was handed over.
    Moved,
    /// Our part waits, for an upstream or for the request's body.
    Ours,
}

thread_local! {
    /// Of the task that this thread polls.
    static TURN: Cell<Turn> = const { Cell::new(Turn::Untouched) };
}

/// What an HTTP/1.1 connection was handed and its socket has not taken. hyper would take as much as a head may be
/// large, for each client that does not read; this holds the body back, and the upstream with it.
pub(super) struct Unsent {
    bytes: AtomicUsize,
    most: AtomicUsize,
    held_back: AtomicBool,
}

impl Default for Unsent {
    fn default() -> Self {
        Self { bytes: AtomicUsize::new(0), most: AtomicUsize::new(AHEAD), held_back: AtomicBool::new(false) }
    }
}

impl Unsent {
    fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Relaxed);
    }

    /// Whether the body has to wait; if so, its task is woken by the flush.
    fn is_full(&self) -> bool {
        let full = self.bytes.load(Relaxed) >= self.most.load(Relaxed);
        if full {
            self.held_back.store(true, Relaxed);
        }
        full
    }

    /// The socket took nothing.
    pub(super) fn stood_still(&self) {
        self.most.store(AHEAD_OF_SLOW, Relaxed);
    }

    /// The socket has taken everything.
    pub(super) fn flushed(&self, cx: &Context<'_>) {
        self.bytes.store(0, Relaxed);
        if self.held_back.swap(false, Relaxed) {
            cx.waker().wake_by_ref();
        }
    }
}

/// Our part of a stream's task: the answer that is worked on, and then its body.
pub(super) struct Told<T> {
    part: T,
    rest: Bytes,
    /// Of the connection over HTTP/1.1; HTTP/2 asks for what it has room for.
    unsent: Option<Arc<Unsent>>,
    /// Says that the connection serves something.
    _busy: Option<Busy>,
}

impl<T> Told<T> {
    pub(super) const fn new(part: T, unsent: Option<Arc<Unsent>>) -> Self {
        Self { part, rest: Bytes::new(), unsent, _busy: None }
    }

    /// The same, of a request that the connection serves until this value is dropped.
    pub(super) fn while_busy(self, busy: Busy) -> Self {
        Self { _busy: Some(busy), ..self }
    }
}

impl<F: Future + Unpin> Future for Told<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let polled = Pin::new(&mut self.part).poll(cx);
        TURN.set(if polled.is_ready() { Turn::Moved } else { Turn::Ours });
        polled
    }
}

impl<B: Body<Data = Bytes, Error = Infallible> + Unpin> Body for Told<B> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            if self.unsent.as_ref().is_some_and(|unsent| unsent.is_full()) {
                return Poll::Pending;
            }
            let Poll::Ready(frame) = Pin::new(&mut self.part).poll_frame(cx) else {
                TURN.set(Turn::Ours);
                return Poll::Pending;
            };
            TURN.set(Turn::Moved);
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => self.rest = data,
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                None => return Poll::Ready(None),
            }
        }
        TURN.set(Turn::Moved);
        let at = self.rest.len().min(PIECE);
        self.unsent.iter().for_each(|unsent| unsent.add(at));
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(at)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.part.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, part) = (self.rest.len() as u64, self.part.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(part.lower() + rest);
        if let Some(upper) = part.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

/// Runs the streams of an HTTP/2 connection; one that is not read is reset.
#[derive(Clone, Copy)]
pub(super) struct Streams;

impl<F> Executor<F> for Streams
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        tokio::spawn(async move {
            let mut stream = std::pin::pin!(stream);
            let mut stalled = std::pin::pin!(tokio::time::sleep(WRITE_STALL));
            std::future::poll_fn(|cx| {
                TURN.set(Turn::Untouched);
                if stream.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                match TURN.get() {
                    Turn::Ours => return Poll::Pending,
                    Turn::Moved => stalled.as_mut().reset(Instant::now() + WRITE_STALL),
                    Turn::Untouched => {}
                }
                stalled.as_mut().poll(cx)
            })
            .await;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test(start_paused = true)]
    async fn f31_a_socket_that_takes_nothing_for_thirty_seconds_fails_and_a_slow_one_does_not() {
        let (ours, mut theirs) = tokio::io::duplex(1_024);
        let mut ours = Patient::new(ours);
        let slow = tokio::spawn(async move {
            for _ in 0..10 {
                tokio::time::sleep(WRITE_STALL - Duration::from_secs(1)).await;
                theirs.read_exact(&mut [0; 1_024]).await.expect("more is written");
            }
            theirs
        });
        ours.write_all(&[0; 11 * 1_024]).await.expect("each read is progress");
        let _theirs = slow.await.expect("it reads");
        let began = Instant::now();
        let failed = ours.write_all(&[0; 4_096]).await.expect_err("nothing is read any more");
        assert_eq!((failed.kind(), began.elapsed()), (io::ErrorKind::TimedOut, WRITE_STALL));
    }

    /// A stream's task: our part first waits an hour for its upstream, then nothing of ours is polled.
    struct Task {
        ours: Option<Told<Pin<Box<Sleep>>>>,
        _held: tokio::sync::oneshot::Sender<()>,
    }

    impl Future for Task {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            if let Some(ours) = &mut self.ours {
                ready!(Pin::new(ours).poll(cx));
                self.ours = None;
            }
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn f31_a_stream_that_is_not_read_ends_after_thirty_seconds_and_waiting_for_an_upstream_is_no_stall() {
        let hour = Duration::from_secs(3_600);
        let (held, ended) = tokio::sync::oneshot::channel();
        let began = Instant::now();
        let ours = Told::new(Box::pin(tokio::time::sleep(hour)), None);
        Streams.execute(Task { ours: Some(ours), _held: held });
        ended.await.expect_err("the task is dropped");
        let stalled = began.elapsed() - hour;
        assert!(stalled >= WRITE_STALL && stalled < WRITE_STALL + Duration::from_millis(5), "{stalled:?}");
    }

    #[tokio::test]
    async fn f31_large_bodies_are_handed_over_in_pieces_and_whole() {
        let bytes = Bytes::from(vec![7; 3 * PIECE + 1]);
        let mut body = Told::new(http_body_util::Full::new(bytes.clone()), None);
        assert_eq!(body.size_hint().exact(), Some(bytes.len() as u64));
        let mut got = Vec::new();
        while !body.is_end_stream() {
            let frame =
                std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await.expect("more").expect("data");
            let data = frame.into_data().expect("data");
            assert!(data.len() <= PIECE);
            got.extend_from_slice(&data);
            assert_eq!(body.size_hint().exact(), Some((bytes.len() - got.len()) as u64));
        }
        assert_eq!(got, bytes);
    }

    /// A body without end, in frames of a KiB.
    struct Endless;

    impl Body for Endless {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[7; 1_024])))))
        }
    }

    #[test]
    fn f32_a_body_waits_for_a_socket_that_takes_nothing_and_longer_for_one_that_has_been_slow() {
        let unsent = Arc::<Unsent>::default();
        let mut body = Told::new(Endless, Some(Arc::clone(&unsent)));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut handed = || (0..).take_while(|_| Pin::new(&mut body).poll_frame(&mut cx).is_ready()).count() * 1_024;
        assert_eq!((handed(), handed()), (AHEAD, 0));
        unsent.stood_still();
        assert_eq!(handed(), 0);
        let cx = Context::from_waker(std::task::Waker::noop());
        unsent.flushed(&cx);
        assert_eq!((handed(), handed()), (AHEAD_OF_SLOW, 0), "what was slow once is not trusted again");
    }
}
