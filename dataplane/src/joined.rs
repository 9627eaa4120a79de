//! The pieces of a body as one. A body that came in one piece is not copied.

use bytes::{Bytes, BytesMut};

/// What has come so far.
#[derive(Default)]
pub(crate) struct Joined {
    first: Bytes,
    all: Option<BytesMut>,
}

impl Joined {
    /// Bytes so far.
    pub(crate) fn len(&self) -> usize {
        self.all.as_ref().map_or(self.first.len(), BytesMut::len)
    }

    /// Adds a piece; `expected` bytes in all, if that is known.
    pub(crate) fn push(&mut self, piece: Bytes, expected: Option<usize>) {
        match &mut self.all {
            Some(all) => all.extend_from_slice(&piece),
            None if self.first.is_empty() => self.first = piece,
            None => {
                let size = self.first.len() + piece.len();
                let mut all = BytesMut::with_capacity(expected.unwrap_or(0).max(size * 2));
                all.extend_from_slice(&self.first);
                all.extend_from_slice(&piece);
                self.all = Some(all);
            }
        }
    }

    /// The whole.
    pub(crate) fn into_bytes(self) -> Bytes {
        self.all.map_or(self.first, BytesMut::freeze)
    }
}
