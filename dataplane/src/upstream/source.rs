//! The body of an upstream's answer, read piece by piece. Dropped early, it cancels the upstream.

use super::encoding::{Encoding, undecoded};
use super::mock;
use super::origin::Origin;
use super::pool::Lease;
use crate::joined::Joined;
use crate::memory::{self, Held};
use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use weir_policy::{Failure, FailureKind};

/// Where an answer's bytes come from.
pub(crate) enum Source {
    /// A connection, which goes back to its pool at the end of the body.
    Network { body: Incoming, lease: Option<LeaseOf>, encoding: Encoding },
    /// The data plane itself.
    Mock(Box<mock::Answer>),
}

/// A lease with the origin that it is of.
pub(crate) struct LeaseOf {
    pub(super) lease: Lease,
    pub(super) origin: Arc<Origin>,
}

impl Source {
    /// The next bytes; `None` at the end.
    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failure>>> {
        loop {
            match self {
                Self::Network { encoding: Encoding::Gzip(inflate), .. } => match inflate.next_piece() {
                    Some(Ok(bytes)) if bytes.is_empty() => return Poll::Ready(None),
                    Some(decoded) => return Poll::Ready(Some(decoded.map_err(undecoded))),
                    None => {}
                },
                Self::Network { encoding: Encoding::Other, .. } => {
                    let why = "the answer is compressed in a way that was not asked for";
                    return Poll::Ready(Some(Err(Failure::local(FailureKind::Malformed, why))));
                }
                Self::Network { encoding: Encoding::Identity, .. } | Self::Mock(_) => return self.poll_encoded(cx),
            }
            let encoded = ready!(self.poll_encoded(cx)).transpose()?;
            if let Self::Network { encoding: Encoding::Gzip(inflate), .. } = self {
                match encoded {
                    Some(bytes) => inflate.feed(bytes),
                    None => inflate.end(),
                }
            }
        }
    }

    /// The next bytes as they come.
    fn poll_encoded(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failure>>> {
        let (body, lease) = match self {
            Self::Mock(answer) => return answer.poll_chunk(cx),
            Self::Network { body, lease, .. } => (body, lease),
        };
        loop {
            let mut frame = Pin::new(&mut *body).poll_frame(cx);
            if frame.is_pending()
                && let Some(held) = lease
            {
                held.lease.drive(cx);
                frame = Pin::new(&mut *body).poll_frame(cx);
            }
            match ready!(frame) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data()
                        && !data.is_empty()
                    {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Some(Err(e)) => {
                    let message = format!("the answer broke off: {e}");
                    return Poll::Ready(Some(Err(Failure::local(FailureKind::Reset, message))));
                }
                None => {
                    if let Some(LeaseOf { lease, origin }) = lease.take()
                        && let Origin::Network(network) = &*origin
                    {
                        lease.give_back(&network.pool);
                    }
                    return Poll::Ready(None);
                }
            }
        }
    }

    /// All of it, if it is not longer than that. `held` takes what is kept, where more than a little may come.
    pub(crate) async fn collect(mut self, most: usize, mut held: Option<&mut Held>) -> Result<Bytes, Failure> {
        let mut joined = Joined::default();
        while let Some(chunk) = std::future::poll_fn(|cx| self.poll_chunk(cx)).await {
            let chunk = chunk?;
            if joined.len() + chunk.len() > most {
                return Err(Failure::local(FailureKind::Malformed, format!("the answer is over {most} bytes")));
            }
            if let Some(held) = &mut held {
                // What is joined is copied as it grows.
                held.grow((joined.len() + chunk.len()) * 2).map_err(memory::failure)?;
            }
            joined.push(chunk, None);
        }
        if let Some(held) = held {
            held.shrink(joined.len());
        }
        Ok(joined.into_bytes())
    }
}
