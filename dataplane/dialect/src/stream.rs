//! A streamed answer on its way from a provider to a caller: passed on as it is where both speak the same
//! dialect, else rewritten delta by delta.

use crate::chat::Delta;
use crate::peek::Read;
use crate::sse::Event;
use crate::translate::Translation;
use crate::{Chunk, Dialect, Loss, NoEvent, Part, anthropic, openai};
use bytes::Bytes;

/// Most bytes that a rewritten stream holds back: tool calls that wait for their turn, reasoning for its end.
const MAX_HELD: usize = 16 * 1024 * 1024;

/// Room for the events that one event becomes, as a rule.
const EVENT: usize = 320;

/// Turns a provider's events into the caller's.
#[derive(Debug)]
pub struct Stream(Kind);

#[derive(Debug)]
enum Kind {
    /// OpenAI to OpenAI, and whether usage is taken out that the caller did not ask for.
    OpenAI {
        strip: bool,
    },
    Anthropic(Box<anthropic::Peek>),
    Rewritten(Box<Rewriter>),
}

/// An event's bytes for the caller, if it sees any, and what was in it.
pub type Passed = (Option<Bytes>, Chunk);

impl Stream {
    /// For one answer.
    pub fn new(translation: &Translation<'_>) -> Self {
        let Translation { from, to, origin, now_s, wants_usage } = *translation;
        Self(match (from, to) {
            (Dialect::OpenAI, Dialect::OpenAI) => Kind::OpenAI { strip: !wants_usage },
            (Dialect::Anthropic, Dialect::Anthropic) => Kind::Anthropic(Box::default()),
            (Dialect::Anthropic, Dialect::OpenAI) => Kind::Rewritten(Box::new(Rewriter {
                reader: Reader::Anthropic(anthropic::Reader::default()),
                writer: Writer::OpenAI(openai::Writer::new(origin, now_s, wants_usage)),
                out: Vec::new(),
                loss: Loss::default(),
            })),
            (Dialect::OpenAI, Dialect::Anthropic) => Kind::Rewritten(Box::new(Rewriter {
                reader: Reader::OpenAI(openai::Reader::default()),
                writer: Writer::Anthropic(anthropic::Writer::new(origin)),
                out: Vec::new(),
                loss: Loss::default(),
            })),
        })
    }

    /// Passes an event on. `begun` says that content came before; then most events are not parsed.
    pub fn pass(&mut self, event: Event, begun: bool) -> Result<Passed, NoEvent> {
        let Event { raw, data } = event;
        // Some servers keep a stream alive with empty data, which SDKs would take for JSON. Comments go on only if events
        // do so as they are.
        let Some(data) = data else {
            let pass = !matches!(self.0, Kind::Rewritten(_));
            return Ok((pass.then_some(raw), Chunk::Nothing));
        };
        if data.is_empty() {
            return Ok((None, Chunk::Nothing));
        }
        match &mut self.0 {
            Kind::Anthropic(peek) => Ok((Some(raw), peek.read(&data, begun)?)),
            Kind::Rewritten(rewriter) => rewriter.pass(&data),
            Kind::OpenAI { strip } => {
                let chunk = openai::read_chunk(&data, begun).map_err(|e| NoEvent(e.to_string()))?;
                let bytes = match &chunk {
                    Chunk::Part(part) if *strip && part.usage.is_some() => openai::strip_usage(&raw, &data, part),
                    Chunk::Part(_) | Chunk::Nothing | Chunk::Error(_) | Chunk::Done => Some(raw),
                };
                Ok((bytes, chunk))
            }
        }
    }

    /// Whether an event's data is all there, where no blank line says so.
    pub fn is_whole(data: &[u8]) -> bool {
        data == b"[DONE]" || serde_json::from_slice::<serde::de::IgnoredAny>(data).is_ok()
    }

    /// The end for a caller, where the provider closed after its finish without saying that it is the end.
    pub fn end(&mut self) -> Bytes {
        match &mut self.0 {
            Kind::OpenAI { .. } => Bytes::from_static(b"data: [DONE]\n\n"),
            Kind::Anthropic(_) => {
                let mut out = Vec::new();
                anthropic::write_stop(&mut out);
                out.into()
            }
            Kind::Rewritten(rewriter) => rewriter.end(),
        }
    }

    /// Bytes that are held back in rewriting.
    pub fn held(&self) -> usize {
        match &self.0 {
            Kind::Rewritten(rewriter) => rewriter.held(),
            Kind::OpenAI { .. } | Kind::Anthropic(_) => 0,
        }
    }

    /// What was lost in rewriting.
    pub fn loss(&self) -> Option<&Loss> {
        match &self.0 {
            Kind::Rewritten(rewriter) => Some(&rewriter.loss),
            Kind::OpenAI { .. } | Kind::Anthropic(_) => None,
        }
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
    fn pass(&mut self, data: &[u8]) -> Result<Passed, NoEvent> {
        let Self { reader, writer, out, loss } = self;
        out.reserve(EVENT);
        let mut part = Part::default();
        let mut tell = |delta: Delta<'_>| {
            if let Some(bytes) = delta.content_bytes() {
                part.content = true;
                part.text_bytes += bytes;
            }
            part.finish |= matches!(delta, Delta::Finish { .. });
            if let Delta::Usage(usage) = &delta {
                part.usage = Some(*usage);
            } else if let Delta::Lost(name) = &delta {
                loss.add(name);
            }
            match writer {
                Writer::OpenAI(writer) => writer.write(&delta, out),
                Writer::Anthropic(writer) => writer.write(&delta, out),
            }
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
            Read::Done => (Some(self.end()), Chunk::Done),
            Read::Deltas(service_tier) => {
                part.service_tier = service_tier;
                ((!self.out.is_empty()).then(|| std::mem::take(&mut self.out).into()), Chunk::Part(part))
            }
        })
    }

    fn held(&self) -> usize {
        match &self.writer {
            Writer::OpenAI(writer) => writer.held(),
            Writer::Anthropic(writer) => writer.held(),
        }
    }

    fn end(&mut self) -> Bytes {
        match &mut self.writer {
            Writer::OpenAI(writer) => writer.end(&mut self.out),
            Writer::Anthropic(writer) => writer.end(&mut self.out),
        }
        std::mem::take(&mut self.out).into()
    }
}
