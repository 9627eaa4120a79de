//! Where the messages of an HTTP/1.1 connection begin and end, read as strictly as RFC 9112 writes it.
//!
//! It is never laxer than the parser behind it, so that what it lets through has one reading.

/// Longest line of a head or of a chunk's size, beyond the bound of the parser behind, which answers for it.
const LINE: usize = 256 * 1024;

/// Follows the messages of one connection.
#[derive(Default)]
pub(super) struct Framing {
    part: Part,
    line: Vec<u8>,
    head: Head,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The line that begins a message.
    #[default]
    Start,
    Fields,
    /// A body of known length, so many bytes to come.
    Body(u64),
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailers,
}

/// What of a head decides where its message ends.
#[derive(Default)]
struct Head {
    old: bool,
    length: Option<u64>,
    chunked: bool,
    host: bool,
}

/// Where the client went wrong.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// In a head, at this byte of what was looked at.
    Head(usize),
    /// In a body, at this byte.
    Body(usize),
}

impl Framing {
    /// Looks at the next bytes.
    pub(super) fn look(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if let Part::Body(left) | Part::Chunk(left) = &mut self.part {
                let here = (*left).min((bytes.len() - at) as u64);
                *left -= here;
                at += usize::try_from(here).unwrap_or(usize::MAX);
                if let Part::Body(0) = self.part {
                    self.part = Part::Start;
                } else if let Part::Chunk(0) = self.part {
                    self.part = Part::ChunkEnd;
                }
                continue;
            }
            let in_head = matches!(self.part, Part::Start | Part::Fields);
            let fault = |at| if in_head { Fault::Head(at) } else { Fault::Body(at) };
            let rest = bytes.get(at..).unwrap_or_default();
            if self.line.is_empty()
                && let Some(line) = whole_line(rest)
            {
                self.part = self.next(line).ok_or(fault(at + line.len() + 1))?;
                at += line.len() + 2;
                continue;
            }
            let plain = self.plain(rest);
            if plain > 0 {
                at += plain;
                continue;
            }
            self.byte(*byte).ok_or(fault(at))?;
            at += 1;
        }
        Ok(())
    }

    /// Whether a message has begun and not ended.
    pub(super) const fn is_amid(&self) -> bool {
        !matches!(self.part, Part::Start) || !self.line.is_empty()
    }

    /// Takes the bytes that end no line, and says how many.
    fn plain(&mut self, bytes: &[u8]) -> usize {
        if self.line.last() == Some(&b'\r') {
            return 0;
        }
        let end = line_end(bytes).unwrap_or(bytes.len());
        let taken = bytes.get(..end.min(LINE.saturating_sub(self.line.len()))).unwrap_or_default();
        self.line.extend_from_slice(taken);
        taken.len()
    }

    /// A byte of a line; `None` = it must not be there.
    fn byte(&mut self, byte: u8) -> Option<()> {
        let after_return = self.line.last() == Some(&b'\r');
        if (byte == b'\n') != after_return || self.line.len() == LINE {
            return None;
        }
        if byte != b'\n' {
            self.line.push(byte);
            return Some(());
        }
        let mut line = std::mem::take(&mut self.line);
        line.pop();
        self.part = self.next(&line)?;
        line.clear();
        self.line = line;
        Some(())
    }

    /// What follows a whole line.
    fn next(&mut self, line: &[u8]) -> Option<Part> {
        match self.part {
            // A line break too many after a message is passed over, as RFC 9112, section 2.2 has it.
            Part::Start if line.is_empty() => Some(Part::Start),
            Part::Start => {
                self.head = Head { old: line.ends_with(b" HTTP/1.0"), ..Head::default() };
                Some(Part::Fields)
            }
            Part::Fields if line.is_empty() => self.head.body(),
            Part::Fields => self.head.field(line).map(|()| Part::Fields),
            Part::ChunkSize => match chunk_size(line)? {
                0 => Some(Part::Trailers),
                size => Some(Part::Chunk(size)),
            },
            Part::ChunkEnd => line.is_empty().then_some(Part::ChunkSize),
            Part::Trailers if line.is_empty() => Some(Part::Start),
            Part::Trailers => Some(Part::Trailers),
            Part::Body(_) | Part::Chunk(_) => None,
        }
    }
}

impl Head {
    /// Takes one field; `None` = the message has no one end.
    fn field(&mut self, line: &[u8]) -> Option<()> {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (line.get(..colon)?, line.get(colon + 1..)?.trim_ascii());
        if name.is_empty() || name.iter().any(|byte| byte.is_ascii_whitespace()) {
            return None;
        }
        let once = |before: bool| (!before).then_some(());
        if name.eq_ignore_ascii_case(b"content-length") {
            once(self.length.is_some())?;
            self.length = Some(digits(value, 10)?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            once(self.chunked)?;
            self.chunked = value.eq_ignore_ascii_case(b"chunked") && !self.old;
            once(!self.chunked)?;
        } else if name.eq_ignore_ascii_case(b"host") {
            once(self.host)?;
            self.host = true;
        }
        Some(())
    }

    /// What follows the head; `None` = it has two lengths.
    const fn body(&self) -> Option<Part> {
        match (self.chunked, self.length) {
            (true, Some(_)) => None,
            (true, None) => Some(Part::ChunkSize),
            (false, None | Some(0)) => Some(Part::Start),
            (false, Some(length)) => Some(Part::Body(length)),
        }
    }
}

/// The line that begins the bytes, if its end is among them.
fn whole_line(bytes: &[u8]) -> Option<&[u8]> {
    let (line, end) = bytes.split_at_checked(line_end(bytes)?)?;
    (end.starts_with(b"\r\n") && line.len() < LINE).then_some(line)
}

fn line_end(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n'))
}

fn chunk_size(line: &[u8]) -> Option<u64> {
    let end = line.iter().position(|byte| *byte == b';').unwrap_or(line.len());
    digits(line.get(..end)?, 16)
}

/// Digits and nothing else.
fn digits(text: &[u8], radix: u32) -> Option<u64> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.chars().all(|c| c.is_digit(radix)))?;
    u64::from_str_radix(text, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &[&str] = &[
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\nContent-Length: 3\r\n\r\na\nb",
        "POST / HTTP/1.1\r\ntransfer-encoding: Chunked\r\n\r\n3\r\na\rb\r\n0A;x=y\r\n0123456789\r\n0\r\nx: y\r\n\r\n",
        "\r\nGET / HTTP/1.0\r\n\r\n",
    ];

    #[test]
    fn f64_messages_are_followed_however_they_are_cut() {
        let all = GOOD.concat();
        for cut in 0..all.len() {
            let (first, second) = all.as_bytes().split_at(cut);
            let mut framing = Framing::default();
            assert_eq!(framing.look(first).and_then(|()| framing.look(second)), Ok(()), "cut at {cut}");
            assert!(!framing.is_amid(), "cut at {cut}");
        }
        let mut framing = Framing::default();
        let amid = all.bytes().filter(|byte| framing.look(&[*byte]).is_ok() && framing.is_amid()).count();
        assert!(amid > all.len() - 8, "amid a message at all bytes but the last of each: {amid} of {}", all.len());
    }

    #[test]
    fn f64_what_has_two_readings_has_none() {
        let head = |fields: &str| format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n");
        let chunked = |body: &str| format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        for fields in [
            "Content-Length: 3\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 3",
            "Content-Length: 3\r\nContent-Length: 4",
            "Content-Length: 3, 3",
            "Content-Length: +3",
            "Content-Length: 0x3",
            "Content-Length: -1",
            "Content-Length: 99999999999999999999",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: identity",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding:\u{b}chunked",
            "Content-Length : 3",
            "Content-Length: 3\r\n folded",
            "Host: a\r\nHost: b",
            "Host: a\nX: b",
            "Host: a\rX: b",
            "no colon",
        ] {
            assert!(matches!(Framing::default().look(head(fields).as_bytes()), Err(Fault::Head(_))), "{fields:?}");
        }
        let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(matches!(Framing::default().look(old.as_bytes()), Err(Fault::Head(_))));
        for body in ["3\nabc", "3 \r\nabc", "g\r\n", "\r\n", "+3\r\n", "3\r\nabcd\r\n", "3\r\nabc\n", "0\r\nx: y\nz"] {
            assert!(matches!(Framing::default().look(chunked(body).as_bytes()), Err(Fault::Body(_))), "{body:?}");
        }
    }
}
