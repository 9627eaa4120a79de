//! A provider's answer as the gateway relays it, without its sockets and its clock.

use bytes::Bytes;
use weir_dialect::sse::Parser;
use weir_dialect::{Chunk, Dialect, Loss, MAX_EVENT_BYTES, NoEvent, Stream, Translation, Usage, Whole};

/// What came of an answer.
#[derive(Debug, Default)]
pub(crate) struct Relayed {
    /// What the client got.
    pub(crate) bytes: Vec<u8>,
    /// Why that is no answer.
    pub(crate) error: Option<String>,
    /// Whether anything of it reached the client.
    pub(crate) begun: bool,
    pub(crate) usage: Option<Usage>,
    pub(crate) lost: Vec<String>,
}

pub(crate) const fn translation(from: Dialect, to: Dialect) -> Translation<'static> {
    Translation { from, to, origin: "here", now_s: 7, wants_usage: true, seed: 0xabc }
}

/// A streamed answer, in pieces.
pub(crate) fn streamed<'p>(pieces: impl IntoIterator<Item = &'p [u8]>, from: Dialect, to: Dialect) -> Relayed {
    let mut relay =
        Relay { stream: Stream::new(&translation(from, to)), finished: false, done: false, seen: Relayed::default() };
    let mut parser = Parser::new(MAX_EVENT_BYTES);
    let error = 'read: {
        for piece in pieces {
            parser.feed(Bytes::copy_from_slice(piece));
            while let Some(event) = parser.next_event() {
                match relay.pass(event.expect("no event is that large")) {
                    Ok(()) if relay.done => break 'read None,
                    Ok(()) => {}
                    Err(e) => break 'read Some(e),
                }
            }
        }
        relay.end(&mut parser).err()
    };
    let mut seen = relay.seen;
    seen.error = error;
    seen.lost = relay.stream.loss().into_iter().flat_map(Loss::names).map(str::to_owned).collect();
    seen
}

/// A whole answer.
pub(crate) fn whole(body: &[u8], from: Dialect, to: Dialect) -> Relayed {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let failed = |error: String| Relayed { error: Some(error), ..Relayed::default() };
    let usage = match from.read_whole(body) {
        Err(NoEvent(why)) => return failed(why),
        Ok(Whole::Error(error)) => return failed(format!("{error:?}")),
        Ok(Whole::Answer { usage, .. }) => usage,
    };
    let mut seen = Relayed { usage, begun: true, bytes: body.to_vec(), ..Relayed::default() };
    if from != to {
        let mut loss = Loss::default();
        match translation(from, to).whole(body, &mut loss) {
            Ok((bytes, told)) => {
                assert_eq!(told, usage, "both readings count the same");
                seen.bytes = bytes.to_vec();
            }
            Err(NoEvent(why)) => return failed(why),
        }
        seen.lost = loss.names().map(str::to_owned).collect();
    }
    seen
}

struct Relay {
    stream: Stream,
    finished: bool,
    done: bool,
    seen: Relayed,
}

impl Relay {
    fn pass(&mut self, event: weir_dialect::sse::Event) -> Result<(), String> {
        let (bytes, chunk) = self.stream.pass(event, self.seen.begun).map_err(|NoEvent(why)| why)?;
        let part = match chunk {
            Chunk::Nothing => None,
            Chunk::Error(error) => return Err(format!("{error:?}")),
            Chunk::Done(part) if !self.seen.begun && !part.content => {
                return Err("the stream ended before any content".to_owned());
            }
            Chunk::Done(part) => {
                (self.seen.begun, self.done) = (true, true);
                Some(part)
            }
            Chunk::Part(part) => Some(part),
        };
        if let Some(part) = part {
            self.seen.begun |= part.content || part.finish;
            self.finished |= part.finish;
            self.seen.usage = part.usage.or(self.seen.usage);
        }
        self.seen.bytes.extend(bytes.unwrap_or_default());
        Ok(())
    }

    fn end(&mut self, parser: &mut Parser) -> Result<(), String> {
        if let Some(event) = parser
            .finish()
            .filter(|event| event.whole || event.data.as_ref().is_some_and(|data| Stream::is_whole(data)))
        {
            self.pass(event)?;
        }
        if self.done {
            return Ok(());
        }
        if !self.finished {
            return Err("the stream ended before its finish reason".to_owned());
        }
        self.seen.bytes.extend(self.stream.end().map_err(|NoEvent(why)| why)?);
        Ok(())
    }
}
