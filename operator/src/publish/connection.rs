//! A connection that counts against the bound until it is closed, and that ends where nobody proves to be a pod on it.
//!
//! It passes bytes on and looks at none.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use tonic::transport::server::Connected;
use weir_dataplane::Place;

/// A connection without a proven stream is open no longer: a hello may take ten seconds, a review five, and a new leader
/// of the ledger two.
pub(super) const UNPROVEN: Duration = Duration::from_secs(20);

/// Whether a pod proved itself on a connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Proof(Arc<AtomicBool>);

impl Proof {
    /// The proof of the connection that a request came by.
    pub(crate) fn of<T>(request: &tonic::Request<T>) -> Self {
        request.extensions().get::<Self>().cloned().unwrap_or_default()
    }

    /// A pod proved itself.
    pub(crate) fn give(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_given(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// An accepted connection after its handshake.
pub(super) struct Connection<S> {
    stream: S,
    proof: Proof,
    deadline: Pin<Box<Sleep>>,
    _counted: Place,
}

impl<S> Connection<S> {
    /// Counts it.
    pub(super) fn new(stream: S, counted: Place) -> Self {
        let deadline = Box::pin(tokio::time::sleep(UNPROVEN));
        Self { stream, proof: Proof::default(), deadline, _counted: counted }
    }
}

impl<S> Connected for Connection<S> {
    type ConnectInfo = Proof;

    fn connect_info(&self) -> Proof {
        self.proof.clone()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.proof.is_given() && self.deadline.as_mut().poll(cx).is_ready() {
            let error = io::Error::new(io::ErrorKind::TimedOut, "nobody proved to be a pod of the data plane");
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use weir_dataplane::{Holder, Shares};

    #[tokio::test(start_paused = true)]
    async fn a_connection_ends_unless_a_pod_proves_itself_on_it() {
        let shares = Arc::new(Shares::of(8));
        let mut places = (0..2).map(|_| Shares::place(&shares, Holder::of("peer")).unwrap());
        let (mut peer, ours) = tokio::io::duplex(64);
        let mut silent = Connection::new(ours, places.next().unwrap());
        let begun = tokio::time::Instant::now();
        let mut byte = [0; 1];
        peer.write_all(b"x").await.unwrap();
        assert_eq!(silent.read(&mut byte).await.unwrap(), 1);
        assert_eq!(silent.read(&mut byte).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed(), UNPROVEN);

        let (mut peer, ours) = tokio::io::duplex(64);
        let mut proven = Connection::new(ours, places.next().unwrap());
        proven.connect_info().give();
        let later = async {
            tokio::time::sleep(UNPROVEN * 3).await;
            peer.write_all(b"y").await.unwrap();
        };
        assert_eq!(tokio::join!(proven.read(&mut byte), later).0.unwrap(), 1);
    }
}
