//! What a client sends is looked at before it is read: HTTP/1.1 framing that another parser might read
//! differently is refused, HTTP/2 control frames are counted.
//!
//! Nothing is rewritten but a head at fault, which ends at the fault and in NUL: no parser takes that.

mod control;
mod framing;

use super::patience::Unsent;
use control::Control;
use framing::{Fault, Framing};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// What an HTTP/2 connection begins with (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What a head at fault ends in: a byte that no head may have, and the end of a head, up to which parsers wait.
const SPOILT: &[u8] = b"\0\n\n";
/// So many bytes of it are no method of HTTP/1.1.
const TELLING: usize = 3;
/// How long a closed connection is still read, so that a client that is sending hears its answer.
const LINGER: Duration = Duration::from_secs(5);

/// A client's byte stream, TLS taken off.
pub(super) struct Screened<S> {
    socket: S,
    /// What was read to tell the version, and how much of it is still to be given.
    begin: [u8; TELLING],
    held: usize,
    unsent: Arc<Unsent>,
    seen: Seen,
    closing: Option<Pin<Box<Sleep>>>,
}

/// What a client speaks.
#[derive(Clone, Copy)]
pub(super) enum Version {
    H1,
    H2,
}

enum Seen {
    /// So many bytes of the preface.
    Preface(usize),
    H1(Framing),
    H2(Control),
    /// A head that is at fault; its end is yet to be given, and its reader answers 400.
    Spoilt,
    /// The same, given: nothing is read any more.
    Refused,
    /// A body or a frame at fault: the connection breaks.
    Broken(&'static str),
}

impl Seen {
    /// Looks at the next bytes. Where one is at fault, says which, and what becomes of the rest.
    fn look(&mut self, bytes: &[u8]) -> Result<(), (usize, Self)> {
        let mut at = 0;
        while let Self::Preface(matched) = *self {
            let Some(byte) = bytes.get(at) else { return Ok(()) };
            if PREFACE.get(matched) == Some(byte) {
                at += 1;
                let all = matched + 1 == PREFACE.len();
                *self = if all { Self::H2(Control::default()) } else { Self::Preface(matched + 1) };
            } else if matched < TELLING {
                let mut framing = Framing::default();
                framing.look(PREFACE.get(..matched).unwrap_or_default()).map_err(|_| (at, Self::Spoilt))?;
                *self = Self::H1(framing);
            } else {
                return Err((at, Self::Broken("neither HTTP/1.1 nor HTTP/2")));
            }
        }
        let rest = bytes.get(at..).unwrap_or_default();
        match self {
            Self::Preface(_) => Ok(()),
            Self::H1(framing) => framing.look(rest).map_err(|fault| match fault {
                Fault::Head(offset) => (at + offset, Self::Spoilt),
                Fault::Body(offset) => (at + offset, Self::Broken("a chunked body that is not well-formed")),
            }),
            Self::H2(control) => {
                let within = control.look(rest, Instant::now());
                within.then_some(()).ok_or((at, Self::Broken("too many control frames")))
            }
            Self::Spoilt | Self::Refused | Self::Broken(_) => Ok(()),
        }
    }

    /// Whether the client may still be sending what nobody reads.
    const fn is_amid(&self) -> bool {
        match self {
            // An answer over HTTP/2 goes out whole before its connection ends.
            Self::Preface(_) | Self::H2(_) => false,
            Self::H1(framing) => framing.is_amid(),
            Self::Spoilt | Self::Refused | Self::Broken(_) => true,
        }
    }
}

impl<S> Screened<S> {
    pub(super) fn new(socket: S) -> Self {
        let unsent = Arc::default();
        Self { socket, begin: [0; TELLING], held: 0, unsent, seen: Seen::Preface(0), closing: None }
    }

    /// What the socket has not taken.
    pub(super) fn unsent(&self) -> Arc<Unsent> {
        Arc::clone(&self.unsent)
    }

    fn noted<T>(&self, wrote: Poll<T>) -> Poll<T> {
        if wrote.is_pending() {
            self.unsent.stood_still();
        }
        wrote
    }
}

impl<S: AsyncRead + Unpin> Screened<S> {
    /// Waits for the first bytes and tells the version by them. They are given with those that follow: hyper reads
    /// on from a piece of a head into a buffer of twice the size.
    pub(super) async fn begin(&mut self) -> io::Result<Version> {
        while PREFACE.starts_with(self.begin.get(..self.held).unwrap_or_default()) {
            let Some(rest @ [_, ..]) = self.begin.get_mut(self.held..) else { return Ok(Version::H2) };
            match self.socket.read(rest).await? {
                0 => break,
                read => self.held += read,
            }
        }
        Ok(Version::H1)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Screened<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match this.seen {
            Seen::Refused => return Poll::Pending,
            Seen::Spoilt if buf.remaining() >= SPOILT.len() => {
                this.seen = Seen::Refused;
                buf.put_slice(SPOILT);
                return Poll::Ready(Ok(()));
            }
            Seen::Spoilt => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
            Seen::Broken(why) => return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why))),
            Seen::Preface(_) | Seen::H1(_) | Seen::H2(_) => {}
        }
        let before = buf.filled().len();
        let given = this.held.min(buf.remaining());
        buf.put_slice(this.begin.get(..given).unwrap_or_default());
        this.begin.copy_within(given.., 0);
        this.held -= given;
        match Pin::new(&mut this.socket).poll_read(cx, buf)? {
            Poll::Pending if buf.filled().len() == before => return Poll::Pending,
            Poll::Ready(()) | Poll::Pending => {}
        }
        let Some(new) = buf.filled().get(before..) else { return Poll::Ready(Ok(())) };
        let Err((at, wrong)) = this.seen.look(new) else { return Poll::Ready(Ok(())) };
        this.seen = wrong;
        buf.set_filled(before + at);
        if at > 0 { Poll::Ready(Ok(())) } else { self.poll_read(cx, buf) }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Screened<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.noted(wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.socket).poll_write_vectored(cx, bytes);
        self.noted(wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.socket).poll_flush(cx);
        ready!(self.noted(flushed))?;
        self.unsent.flushed(cx);
        Poll::Ready(Ok(()))
    }

    /// Closes the sending side; what still comes is thrown away for a while, since a reset would take the
    /// answer from a client that has not read it yet.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.closing.is_none() {
            ready!(Pin::new(&mut this.socket).poll_shutdown(cx))?;
            if !this.seen.is_amid() {
                return Poll::Ready(Ok(()));
            }
        }
        let closing = this.closing.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        if closing.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut scrap = [0; 4096];
        loop {
            let mut buf = ReadBuf::new(&mut scrap);
            match ready!(Pin::new(&mut this.socket).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => {}
                Ok(()) | Err(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt as _;

    #[tokio::test]
    async fn the_version_is_told_however_the_first_bytes_come_and_they_are_given_with_the_next() {
        let requests: [&[u8]; 3] = [b"GET / HTTP/1.1\r\n\r\n", b"P", PREFACE];
        for (request, h2) in requests.into_iter().zip([false, false, true]) {
            for cut in 0..=request.len().min(4) {
                let (ours, mut theirs) = tokio::io::duplex(64);
                let mut ours = Screened::new(ours);
                let client = async {
                    let (begin, rest) = request.split_at(cut);
                    theirs.write_all(begin).await.expect("it is read");
                    tokio::task::yield_now().await;
                    theirs.write_all(rest).await.expect("it is read");
                    drop(theirs);
                };
                let (version, ()) = tokio::join!(ours.begin(), client);
                assert_eq!(matches!(version.expect("a version"), Version::H2), h2, "{request:?} cut at {cut}");
                let mut first = [0; 64];
                let read = ours.read(&mut first).await.expect("bytes");
                assert_eq!(&first[..read], request, "in one read, cut at {cut}");
            }
        }
    }

    #[tokio::test]
    async fn the_first_bytes_stay_first_for_a_reader_with_less_room_than_they_take() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        theirs.write_all(PREFACE).await.expect("it is read");
        let mut ours = Screened::new(ours);
        ours.begin().await.expect("a version");
        let mut all = vec![];
        while all.len() < PREFACE.len() {
            all.push(ours.read_u8().await.expect("a byte"));
        }
        assert_eq!(all, PREFACE);
    }
}
