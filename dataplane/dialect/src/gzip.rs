//! Bodies that a server compresses with gzip, decoded piece by piece.

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use std::fmt;
use std::io::{self, BufRead, ErrorKind, Read};

/// Most bytes that one step gives, whatever the ratio.
const PIECE: usize = 16 * 1024;

/// Decodes a gzip body piece by piece.
#[derive(Debug)]
pub struct Inflate(MultiGzDecoder<Input>);

/// What of the body has come and is not decoded yet.
#[derive(Debug, Default)]
struct Input {
    bytes: Bytes,
    ended: bool,
}

/// Why a body cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoGzip {
    /// It ends too early.
    Cut,
    /// It is not compressed with gzip.
    Other,
}

impl fmt::Display for NoGzip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cut => "the body ends within its compression",
            Self::Other => "the body is said to be compressed with gzip, and is not",
        })
    }
}

impl Default for Inflate {
    fn default() -> Self {
        Self(MultiGzDecoder::new(Input::default()))
    }
}

impl Inflate {
    /// Takes the next bytes of the body.
    pub fn feed(&mut self, bytes: Bytes) {
        self.0.get_mut().bytes = bytes;
    }

    /// The body is over.
    pub fn end(&mut self) {
        self.0.get_mut().ended = true;
    }

    /// The next decoded bytes; `None` where more must come first, nothing at the end.
    pub fn next_piece(&mut self) -> Option<Result<Bytes, NoGzip>> {
        let mut piece = vec![0; PIECE];
        match self.0.read(&mut piece) {
            Ok(length) => {
                piece.truncate(length);
                Some(Ok(piece.into()))
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => None,
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => Some(Err(NoGzip::Cut)),
            Err(_) => Some(Err(NoGzip::Other)),
        }
    }
}

impl Read for Input {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(out)?;
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for Input {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.bytes.is_empty() && !self.ended { Err(ErrorKind::WouldBlock.into()) } else { Ok(&self.bytes) }
    }

    fn consume(&mut self, length: usize) {
        drop(self.bytes.split_to(length.min(self.bytes.len())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write as _;

    fn gzip(parts: &[&[u8]]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        for part in parts {
            encoder.write_all(part).unwrap();
            encoder.flush().unwrap();
        }
        encoder.finish().unwrap()
    }

    /// All that comes of a body in pieces of a size.
    fn inflated(body: &[u8], size: usize) -> Result<Vec<u8>, NoGzip> {
        let (mut inflate, mut out) = (Inflate::default(), Vec::new());
        let mut pieces = body.chunks(size);
        loop {
            match inflate.next_piece() {
                Some(Ok(bytes)) if bytes.is_empty() => return Ok(out),
                Some(Ok(bytes)) => out.extend_from_slice(&bytes),
                Some(Err(e)) => return Err(e),
                None => match pieces.next() {
                    Some(piece) => inflate.feed(Bytes::copy_from_slice(piece)),
                    None => inflate.end(),
                },
            }
        }
    }

    #[test]
    fn a_body_is_decoded_however_it_is_split_and_cut_it_is_no_body() {
        let body = gzip(&[b"data: 1\n\n", b"data: 2\n\n"]);
        for size in 1..=body.len() {
            assert_eq!(inflated(&body, size), Ok(b"data: 1\n\ndata: 2\n\n".to_vec()), "in pieces of {size}");
        }
        for cut in 0..body.len() {
            assert_eq!(inflated(&body[..cut], 7), Err(NoGzip::Cut), "cut at {cut}");
        }
        assert_eq!(inflated(b"{\"choices\":[]}", 7), Err(NoGzip::Other));
    }

    #[test]
    fn what_was_flushed_is_there_before_the_rest_comes() {
        let body = gzip(&[b"data: 1\n\n"]);
        let first = body.len() - 8;
        let mut inflate = Inflate::default();
        inflate.feed(Bytes::copy_from_slice(&body[..first]));
        assert_eq!(inflate.next_piece().unwrap().unwrap(), "data: 1\n\n");
    }

    #[test]
    fn a_small_body_never_becomes_a_large_piece() {
        let body = gzip(&[&vec![b'a'; 10_000_000]]);
        let mut inflate = Inflate::default();
        inflate.feed(body.into());
        inflate.end();
        let mut all = 0;
        loop {
            let piece = inflate.next_piece().unwrap().unwrap();
            assert!(piece.len() <= PIECE);
            all += piece.len();
            if piece.is_empty() {
                break;
            }
        }
        assert_eq!(all, 10_000_000);
    }

    #[test]
    fn garbage_never_panics() {
        bolero::check!().with_max_len(512).for_each(|bytes| {
            let _ = inflated(bytes, 64);
            let _ = inflated(&[b"\x1f\x8b\x08\0\0\0\0\0\0\xff", bytes].concat(), 64);
        });
    }
}
