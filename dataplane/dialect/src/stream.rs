//! A streamed answer on its way from a provider to a caller: passed on as it is where both speak the same
//! dialect, else rewritten delta by delta.

use crate::chat::Delta;
use crate::peek::Read;
use crate::sse::Event;
use crate::translate::Translation;
use crate::wire::{is_done, unmarked};
use crate::{Chunk, Dialect, Loss, NoEvent, Part, Whole, anthropic, openai};
use bytes::Bytes;

/// Most bytes that a rewritten stream holds back: tool calls that wait for their turn, reasoning for its end.
const MAX_HELD: usize = 16 * 1024 * 1024;

/// Room for the events that one event becomes, as a rule.
const EVENT: usize = 320;

/// Turns a provider's events into the caller's.
#[derive(Debug)]
pub struct Stream {
    from: Dialect,
    to: Dialect,
    origin: String,
    now_s: u64,
    wants_usage: bool,
    seed: u64,
    /// What was seen of a stream of the Anthropic dialect that passes as it is.
    peek: Box<anthropic::Peek>,
    /// Of a stream that does not pass as it is: from one dialect to the other, or in a form that clients do not read.
    rewriter: Option<Box<Rewriter>>,
}

/// An event's bytes for the caller, if it sees any, and what was in it.
pub type Passed = (Option<Bytes>, Chunk);

impl Stream {
    /// For one answer.
    pub fn new(translation: &Translation<'_>) -> Self {
        let Translation { from, to, origin, now_s, wants_usage, seed } = *translation;
        let rewriter = (from != to).then(|| Box::new(Rewriter::new(translation)));
        Self { from, to, origin: origin.to_owned(), now_s, wants_usage, seed, peek: Box::default(), rewriter }
    }

    /// Passes an event on. `begun` says that content came before; then most events are not parsed.
    pub fn pass(&mut self, event: Event, begun: bool) -> Result<Passed, NoEvent> {
        let Event { raw, data, whole } = event;
        // Some servers keep a stream alive with empty data, which SDKs would take for JSON. Comments go on only if events
        // do so as they are.
        let Some(data) = data else {
            return Ok((self.rewriter.is_none().then_some(raw), Chunk::Nothing));
        };
        if data.trim_ascii().is_empty() {
            return Ok((None, Chunk::Nothing));
        }
        if whole {
            return self.pass_whole(unmarked(&data));
        }
        if let Some(rewriter) = &mut self.rewriter {
            return rewriter.pass(&data);
        }
        match self.from {
            Dialect::Anthropic => {
                let (chunk, name) = self.peek.read(&data, begun)?;
                let bytes = if is_done(&data) { self.end()? } else { anthropic::named(raw, name) };
                Ok((Some(bytes), chunk))
            }
            Dialect::OpenAI => {
                let (chunk, has_messages) = openai::read_chunk(&data, begun)?;
                if has_messages {
                    return self.rewriter().pass(&data);
                }
                let bytes = match &chunk {
                    Chunk::Part(part) if !self.wants_usage && part.usage.is_some() => {
                        openai::strip_usage(&raw, &data, part)
                    }
                    Chunk::Done(_) if *data != b"[DONE]"[..] => Some(self.end()?),
                    Chunk::Part(_) | Chunk::Nothing | Chunk::Error(_) | Chunk::Done(_) => Some(raw),
                };
                Ok((bytes, chunk))
            }
        }
    }

    /// A whole answer where a stream was asked for.
    fn pass_whole(&mut self, body: &[u8]) -> Result<Passed, NoEvent> {
        match self.from.read_whole(body)? {
            Whole::Error(error) => Ok((None, Chunk::Error(error))),
            Whole::Answer { usage, service_tier, text_bytes } => {
                let bytes = self.rewriter().whole(body)?;
                // All of it is content, and its end is the end.
                let part = Part { content: true, finish: true, usage, service_tier, only_usage: false, text_bytes };
                Ok((Some(bytes), Chunk::Part(part)))
            }
        }
    }

    /// What rewrites the answer from here on, whatever the dialects: clients do not read the form that it comes in.
    fn rewriter(&mut self) -> &mut Rewriter {
        let Self { from, to, ref origin, now_s, wants_usage, seed, .. } = *self;
        let translation = Translation { from, to, origin, now_s, wants_usage, seed };
        self.rewriter.get_or_insert_with(|| Box::new(Rewriter::new(&translation)))
    }

    /// Whether an event's data is all there, where no blank line says so.
    pub fn is_whole(data: &[u8]) -> bool {
        is_done(data) || serde_json::from_slice::<serde::de::IgnoredAny>(unmarked(data)).is_ok()
    }

    /// The end for a caller, where the provider closed after its finish without saying that it is the end. The error says
    /// what of the answer cannot be told.
    pub fn end(&mut self) -> Result<Bytes, NoEvent> {
        match (&mut self.rewriter, self.from) {
            (Some(rewriter), _) => rewriter.rest().map(|(bytes, _)| bytes),
            (None, Dialect::OpenAI) => Ok(Bytes::from_static(b"data: [DONE]\n\n")),
            (None, Dialect::Anthropic) => {
                let mut out = Vec::new();
                anthropic::write_stop(&mut out);
                Ok(out.into())
            }
        }
    }

    /// Bytes that are held back in rewriting.
    pub fn held(&self) -> usize {
        self.rewriter.as_ref().map_or(0, |rewriter| rewriter.held())
    }

    /// What was lost in rewriting.
    pub fn loss(&self) -> Option<&Loss> {
        self.rewriter.as_ref().map(|rewriter| &rewriter.loss)
    }
}

#[derive(Debug)]
struct Rewriter {
    reader: Reader,
    writer: Writer,
    out: Vec<u8>,
    loss: Loss,
}

#[derive(Debug)]
enum Reader {
    OpenAI(openai::Reader),
    Anthropic(anthropic::Reader),
}

#[derive(Debug)]
enum Writer {
    OpenAI(openai::Writer),
    Anthropic(anthropic::Writer),
}

impl Rewriter {
    fn new(translation: &Translation<'_>) -> Self {
        Self {
            reader: match translation.from {
                Dialect::OpenAI => Reader::OpenAI(openai::Reader::new(translation.seed)),
                Dialect::Anthropic => Reader::Anthropic(anthropic::Reader::new(translation.seed)),
            },
            writer: match translation.to {
                Dialect::OpenAI => Writer::OpenAI(openai::Writer::new(translation)),
                Dialect::Anthropic => Writer::Anthropic(anthropic::Writer::new(translation)),
            },
            out: Vec::new(),
            loss: Loss::default(),
        }
    }

    fn pass(&mut self, data: &[u8]) -> Result<Passed, NoEvent> {
        let Self { reader, writer, out, loss, .. } = self;
        out.reserve(EVENT);
        let mut part = Part::default();
        let mut tell = |delta: Delta<'_>| {
            part.see(&delta);
            writer.write(&delta, out, loss);
        };
        let read = match reader {
            Reader::OpenAI(reader) => reader.read(data, &mut tell)?,
            Reader::Anthropic(reader) => reader.read(data, &mut tell)?,
        };
        if self.held() > MAX_HELD {
            return Err(NoEvent(format!("over {MAX_HELD} bytes would have to be held back")));
        }
        Ok(match read {
            Read::Error(body) => (None, Chunk::Error(body)),
            Read::Done => {
                let (bytes, rest) = self.rest()?;
                (Some(bytes), Chunk::Done(rest))
            }
            Read::Deltas(service_tier) => {
                part.service_tier = service_tier;
                ((!self.out.is_empty()).then(|| std::mem::take(&mut self.out).into()), Chunk::Part(part))
            }
        })
    }

    /// All of a whole answer but its end.
    fn whole(&mut self, body: &[u8]) -> Result<Bytes, NoEvent> {
        let Self { reader, writer, out, loss, .. } = self;
        let mut tell = |delta: Delta<'_>| writer.write(&delta, out, loss);
        match reader {
            Reader::OpenAI(reader) => drop(reader.read_whole(body, &mut tell)?),
            Reader::Anthropic(reader) => reader.read_whole(body, &mut tell)?,
        }
        Ok(std::mem::take(&mut self.out).into())
    }

    fn held(&self) -> usize {
        let read = match &self.reader {
            Reader::OpenAI(reader) => reader.held(),
            Reader::Anthropic(reader) => reader.held(),
        };
        let written = match &self.writer {
            Writer::OpenAI(writer) => writer.held(),
            Writer::Anthropic(writer) => writer.held(),
        };
        read + written
    }

    /// The rest of the answer and its end, and what was in it.
    fn rest(&mut self) -> Result<(Bytes, Part), NoEvent> {
        let Self { reader, writer, out, loss, .. } = self;
        let mut part = Part::end();
        let mut tell = |delta: Delta<'_>| {
            part.see(&delta);
            writer.write(&delta, out, loss);
        };
        match reader {
            Reader::OpenAI(reader) => reader.end(&mut tell)?,
            Reader::Anthropic(reader) => reader.end(&mut tell)?,
        }
        match writer {
            Writer::OpenAI(writer) => writer.end(out),
            Writer::Anthropic(writer) => writer.end(out),
        }
        Ok((std::mem::take(out).into(), part))
    }
}

impl Writer {
    fn write(&mut self, delta: &Delta<'_>, out: &mut Vec<u8>, loss: &mut Loss) {
        if let Delta::Lost(name) = delta {
            loss.add_lost(name);
        }
        match self {
            Self::OpenAI(writer) => writer.write(delta, out, loss),
            Self::Anthropic(writer) => writer.write(delta, out, loss),
        }
    }
}
