//! Server-sent events, cut out of a byte stream without copying where a chunk holds them whole.
//!
//! Any split of the same bytes gives the same events. It does not look into the data.
//! Format: WHATWG HTML, section 9.2 (lines end in LF, CRLF or CR; a space after the colon is optional).

use bytes::{Bytes, BytesMut};

/// The mark that may stand before the first line (U+FEFF).
const MARK: &[u8] = b"\xef\xbb\xbf";

/// One event with its terminator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The bytes as they came, to be passed on.
    pub raw: Bytes,
    /// The data lines, joined; `None` for comments, blank lines and events without data.
    pub data: Option<Bytes>,
    /// Whether this is no event, but a body that is no stream of events at all: JSON or HTML, all of which is its data.
    pub whole: bool,
}

/// An event larger than the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

/// Cuts a stream into events.
#[derive(Debug)]
pub struct Parser {
    /// Begin of an event that is not complete yet.
    held: BytesMut,
    /// What of the last chunk is not cut yet.
    chunk: Bytes,
    boundary: Boundary,
    form: Form,
    max: usize,
}

/// What the first bytes say of a body.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    /// Nothing yet.
    Unknown,
    Events,
    Whole,
}

impl Parser {
    /// A parser for events of at most `max` bytes.
    pub fn new(max: usize) -> Self {
        Self { held: BytesMut::new(), chunk: Bytes::new(), boundary: Boundary::START, form: Form::Unknown, max }
    }

    /// Bytes of an event that waits for its rest.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Takes the next chunk. All events of the previous one must have been taken.
    pub fn feed(&mut self, chunk: Bytes) {
        debug_assert!(self.chunk.is_empty(), "events are taken before more is fed");
        self.chunk = chunk;
    }

    /// The next complete event; `None` when more bytes are needed.
    pub fn next_event(&mut self) -> Option<Result<Event, TooLarge>> {
        if self.form == Form::Unknown {
            self.begin();
        }
        loop {
            let end = if self.form == Form::Events { self.boundary.find(&self.chunk) } else { None };
            let size = self.held.len() + end.unwrap_or(self.chunk.len());
            if size > self.max {
                return Some(Err(TooLarge));
            }
            let Some(end) = end else {
                self.held.extend_from_slice(&self.chunk);
                self.chunk = Bytes::new();
                return None;
            };
            let part = self.chunk.split_to(end);
            let raw = if self.held.is_empty() {
                part
            } else {
                self.held.extend_from_slice(&part);
                self.held.split().freeze()
            };
            if raw.iter().all(|b| matches!(b, b'\r' | b'\n')) {
                continue;
            }
            let data = data(&raw);
            return Some(Ok(Event { raw, data, whole: false }));
        }
    }

    /// Looks at how the body begins, a mark before it left out: no line of an event begins so as JSON or HTML does.
    fn begin(&mut self) {
        if !self.held.is_empty() {
            self.held.extend_from_slice(&self.chunk);
            self.chunk = self.held.split().freeze();
        }
        if self.chunk.len() < MARK.len() && MARK.starts_with(&self.chunk) {
            return;
        }
        if self.chunk.starts_with(MARK) {
            self.chunk = self.chunk.slice(MARK.len()..);
        }
        self.form = match self.chunk.trim_ascii_start().first() {
            Some(b'{' | b'[' | b'<') => Form::Whole,
            Some(_) => Form::Events,
            None => Form::Unknown,
        };
    }

    /// At the end of the stream: what came without a closing blank line, with one added, or a body that is no stream of
    /// events. Whether it is whole only its reader can tell.
    pub fn finish(&mut self) -> Option<Event> {
        if self.held.iter().all(|b| matches!(b, b'\r' | b'\n')) {
            return None;
        }
        if self.form == Form::Whole {
            let raw = self.held.split().freeze();
            return Some(Event { data: Some(raw.clone()), raw, whole: true });
        }
        self.held.extend_from_slice(b"\n\n");
        let raw = self.held.split().freeze();
        let data = data(&raw);
        Some(Event { raw, data, whole: false })
    }
}

/// Finds the blank line that ends an event, over chunk borders.
#[derive(Debug)]
struct Boundary {
    line_empty: bool,
    after_cr: bool,
}

impl Boundary {
    const START: Self = Self { line_empty: true, after_cr: false };

    /// Where the event ends in these bytes, its blank line included. A CR may have ended the last event before
    /// its LF came: that LF begins no new line, and goes on with the next event.
    fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = usize::from(self.after_cr && bytes.first() == Some(&b'\n'));
        if !bytes.is_empty() {
            self.after_cr = false;
        }
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let Some(found) = memchr::memchr2(b'\n', b'\r', rest) else {
                self.line_empty &= rest.is_empty();
                return None;
            };
            let blank = self.line_empty && found == 0;
            at += found + 1;
            if rest.get(found) == Some(&b'\r') {
                match bytes.get(at) {
                    Some(b'\n') => at += 1,
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            self.line_empty = true;
            if blank {
                return Some(at);
            }
        }
    }
}

fn data(raw: &Bytes) -> Option<Bytes> {
    let mut first: Option<Bytes> = None;
    let mut joined: Option<BytesMut> = None;
    let mut at = 0;
    while at < raw.len() {
        let rest = raw.get(at..).unwrap_or_default();
        let length = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let line = raw.slice(at..at + length);
        at += length + 1;
        let Some(mut value) = field(&line, b"data") else { continue };
        if value.first() == Some(&b' ') {
            value = value.slice(1..);
        }
        match (&first, &mut joined) {
            (None, _) => first = Some(value),
            (Some(held), None) => {
                let mut all = BytesMut::from(&held[..]);
                all.extend_from_slice(b"\n");
                all.extend_from_slice(&value);
                joined = Some(all);
            }
            (Some(_), Some(all)) => {
                all.extend_from_slice(b"\n");
                all.extend_from_slice(&value);
            }
        }
    }
    joined.map(BytesMut::freeze).or(first)
}

/// What follows the field's colon; a line that is only the field's name has an empty value.
fn field(line: &Bytes, name: &[u8]) -> Option<Bytes> {
    let rest = line.strip_prefix(name)?;
    match rest.first() {
        Some(b':') => Some(line.slice(name.len() + 1..)),
        Some(_) => None,
        None => Some(Bytes::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(pieces: &[&[u8]]) -> Vec<Option<Bytes>> {
        let mut parser = Parser::new(1 << 20);
        let mut out = Vec::new();
        for piece in pieces {
            parser.feed(Bytes::copy_from_slice(piece));
            while let Some(event) = parser.next_event() {
                out.push(event.unwrap().data);
            }
        }
        out.extend(parser.finish().map(|event| event.data));
        out
    }

    const LINES: &[&str] = &[
        "data: {\"a\":\"é\"}",
        "",
        "data:x",
        "data: y",
        ": ping",
        "",
        "",
        "event: z",
        "data:",
        "",
        "id: 1",
        "",
        "data: [DONE]",
        "",
    ];

    #[test]
    fn any_split_and_any_line_ending_gives_the_same_events() {
        let expected = parse(&[LINES.join("\n").as_bytes(), b"\n"]);
        assert_eq!(expected.iter().flatten().count(), 4);
        assert_eq!(expected[1].as_deref(), Some(&b"x\ny"[..]), "data lines are joined");
        for ending in ["\n", "\r\n", "\r"] {
            let text = format!("{}{ending}", LINES.join(ending));
            let bytes = text.as_bytes();
            for i in 0..=bytes.len() {
                for j in i..=bytes.len() {
                    let pieces = [&bytes[..i], &bytes[i..j], &bytes[j..]];
                    assert_eq!(parse(&pieces), expected, "{ending:?} split at {i} and {j}");
                }
            }
        }
    }

    #[test]
    fn a_whole_event_is_not_copied_and_an_unfinished_one_is_told_apart() {
        let mut parser = Parser::new(64);
        let chunk = Bytes::from_static(b"data: 1\n\ndata: 2\n\ndata: 3");
        parser.feed(chunk.clone());
        assert_eq!(parser.next_event().unwrap().unwrap().raw.as_ptr(), chunk.as_ptr());
        assert_eq!(parser.next_event().unwrap().unwrap().data.unwrap(), "2");
        assert!(parser.next_event().is_none());
        assert_eq!(parser.finish().unwrap().data.unwrap(), "3");
        assert!(parser.finish().is_none());
    }

    #[test]
    fn an_event_over_the_bound_is_an_error_whole_or_in_pieces() {
        let mut parser = Parser::new(8);
        parser.feed(Bytes::from_static(b"data: 123456789\n\n"));
        assert_eq!(parser.next_event(), Some(Err(TooLarge)));
        let mut parser = Parser::new(8);
        parser.feed(Bytes::from_static(b"data: "));
        assert_eq!(parser.next_event(), None);
        parser.feed(Bytes::from_static(b"123"));
        assert_eq!(parser.next_event(), Some(Err(TooLarge)));
    }

    proptest! {
        #[test]
        fn garbage_never_panics_and_every_byte_is_kept(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..20)) {
            let mut parser = Parser::new(1 << 20);
            for piece in &pieces {
                parser.feed(Bytes::copy_from_slice(piece));
                while parser.next_event().is_some() {}
            }
            let _ = parser.finish();
        }
    }
}
