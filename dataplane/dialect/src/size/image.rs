//! The size of an image in pixels, read from the first bytes that its base64 holds.

use crate::base64::digit;

/// Segments of a JPEG before the one that tells its size.
const SEGMENTS: usize = 64;

/// Base64 that is decoded byte by byte where it is read.
#[derive(Clone, Copy)]
pub(super) struct Base64<'a>(pub(super) &'a [u8]);

impl Base64<'_> {
    /// Bytes that it holds, give or take two.
    pub(super) const fn len(self) -> u64 {
        (self.0.len() / 4 * 3) as u64
    }

    fn byte(self, at: usize) -> Option<usize> {
        let first = at / 3 * 4 + at % 3;
        let digit = |at: usize| digit(*self.0.get(at)?).map(usize::from);
        let (high, low) = (digit(first)?, digit(first + 1)?);
        Some(match at % 3 {
            0 => high << 2 | low >> 4,
            1 => (high & 15) << 4 | low >> 2,
            _ => (high & 3) << 6 | low,
        })
    }

    pub(super) fn begins(self, at: usize, with: &[u8]) -> bool {
        with.iter().enumerate().all(|(nth, byte)| self.byte(at + nth) == Some(usize::from(*byte)))
    }

    fn big(self, at: usize, bytes: usize) -> Option<u64> {
        (at..at + bytes).try_fold(0, |sum, at| Some(sum << 8 | self.byte(at)? as u64))
    }

    fn little(self, at: usize, bytes: usize) -> Option<u64> {
        (at..at + bytes).rev().try_fold(0, |sum, at| Some(sum << 8 | self.byte(at)? as u64))
    }
}

/// Pixels of a PNG, JPEG, GIF or WebP; `None` where it is none of these, or does not say.
pub(super) fn pixels(data: Base64<'_>) -> Option<u64> {
    let (width, height) = if data.begins(0, b"\x89PNG") {
        (data.big(16, 4)?, data.big(20, 4)?)
    } else if data.begins(0, b"GIF8") {
        (data.little(6, 2)?, data.little(8, 2)?)
    } else if data.begins(0, b"RIFF") && data.begins(8, b"WEBP") {
        webp(data)?
    } else if data.begins(0, b"\xff\xd8") {
        jpeg(data)?
    } else {
        return None;
    };
    Some(width.saturating_mul(height)).filter(|pixels| *pixels > 0)
}

fn webp(data: Base64<'_>) -> Option<(u64, u64)> {
    if data.begins(12, b"VP8X") {
        Some((data.little(24, 3)? + 1, data.little(27, 3)? + 1))
    } else if data.begins(12, b"VP8L") {
        let bits = data.little(21, 4)?;
        Some(((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1))
    } else if data.begins(12, b"VP8 ") {
        Some((data.little(26, 2)? & 0x3FFF, data.little(28, 2)? & 0x3FFF))
    } else {
        None
    }
}

fn jpeg(data: Base64<'_>) -> Option<(u64, u64)> {
    let mut at = 2;
    for _ in 0..SEGMENTS {
        let marker = data.big(at, 2)?;
        if marker == 0xFFFF {
            at += 1;
            continue;
        }
        if marker >> 8 != 0xFF {
            return None;
        }
        // Those of the family that begin no frame: tables of Huffman and arithmetic coding, and a reserved one.
        let frame = matches!(marker & 0xFF, 0xC0..=0xCF) && !matches!(marker & 0xFF, 0xC4 | 0xC8 | 0xCC);
        if frame {
            return Some((data.big(at + 7, 2)?, data.big(at + 5, 2)?));
        }
        at += 2 + usize::try_from(data.big(at + 2, 2)?).ok()?;
    }
    None
}
