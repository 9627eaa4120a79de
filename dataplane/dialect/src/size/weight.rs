//! What of a text its tokens are told by, counted in one pass.

/// What of a text its tokens are told by, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Weight {
    bytes: u64,
    /// Lower-case letters and blanks.
    soft: u64,
    /// ASCII other than a repetition of the byte before.
    fresh: u64,
    /// First bytes of other characters.
    wide: u64,
    backslashes: u64,
    /// Escapes of the form `\u0000`.
    unicode: u64,
}

impl Weight {
    pub(super) fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut weight = Self { bytes: bytes.len() as u64, ..Self::default() };
        let mut before = 0;
        // The lanes of a chunk fit in a byte each and nothing branches, so that the compiler takes many bytes at once.
        for chunk in bytes.chunks(128) {
            let (mut soft, mut wide, mut backslashes) = (0u8, 0u8, 0u8);
            for &byte in chunk {
                soft += u8::from((byte.wrapping_sub(b'a') < 26) | (byte == b' '));
                wide += u8::from(byte >= 0xC0);
                backslashes += u8::from(byte == b'\\');
            }
            let mut fresh = u8::from(chunk.first().is_some_and(|byte| byte.is_ascii() && *byte != before));
            for (byte, before) in chunk.get(1..).unwrap_or_default().iter().zip(chunk) {
                fresh += u8::from((*byte < 0x80) & (byte != before));
            }
            before = chunk.last().copied().unwrap_or_default();
            weight.soft += u64::from(soft);
            weight.fresh += u64::from(fresh);
            weight.wide += u64::from(wide);
            weight.backslashes += u64::from(backslashes);
        }
        if weight.backslashes > 0 {
            weight.unicode = memchr::memmem::find_iter(bytes, b"\\u").count() as u64;
        }
        weight
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.bytes += other.bytes;
        self.soft += other.soft;
        self.fresh += other.fresh;
        self.wide += other.wide;
        self.backslashes += other.backslashes;
        self.unicode += other.unicode;
    }

    /// An escape of two bytes weighs nothing, one of six as much as a character that is none of ASCII: two.
    pub(super) const fn least(&self) -> u64 {
        (self.fresh + 2 * self.wide).saturating_sub(2 * self.backslashes + 2 * self.unicode)
    }

    /// An escape of six bytes weighs as much as most characters that are written so do in UTF-8: three.
    pub(super) const fn likely(&self) -> u64 {
        let repeated = self.bytes.saturating_sub(self.fresh + 3 * self.wide);
        self.bytes.saturating_sub(3 * self.unicode).saturating_sub(repeated * 3 / 4)
    }

    pub(super) const fn most(&self) -> u64 {
        self.bytes - self.soft / 2
    }
}
