//! The body of an answer: bytes at hand, or a stream that is relayed.

use crate::memory::Held;
use crate::relay::Stream;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// An answer's body.
pub(crate) enum Body {
    /// All of it, and the memory that was taken for it.
    Whole { bytes: Option<Bytes>, _held: Option<Held> },
    /// Relayed event by event.
    Stream(Box<Stream>),
}

impl Body {
    pub(crate) const fn whole(bytes: Bytes) -> Self {
        Self::Whole { bytes: Some(bytes), _held: None }
    }

    /// The same, of bytes for which memory was taken.
    pub(crate) const fn whole_held(bytes: Bytes, held: Held) -> Self {
        Self::Whole { bytes: Some(bytes), _held: Some(held) }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole { bytes, .. } => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(stream) => stream.poll_event(cx).map(|event| event.map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole { bytes: None, .. })
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole { bytes, .. } => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}
