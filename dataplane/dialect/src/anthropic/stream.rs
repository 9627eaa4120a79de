//! One event of a streamed message: what the gateway must know of it when it passes it on.
//!
//! Most events carry content and nothing else; those are told by how they begin, without parsing.

use super::answer::Counts;
use super::wire::{Delta, Event};
use crate::peek::text_bytes;
use crate::{Chunk, ErrorBody, NoEvent, Part};
use serde_json::value::RawValue;

/// How an event begins that carries content alone, as the API writes it.
const CONTENT: &[u8] = b"{\"type\":\"content_block_delta\"";

/// What of the usage was read so far, with the tier of service in it; it comes in two events.
#[derive(Debug, Default)]
pub(crate) struct Peek(Counts);

impl Peek {
    /// Reads an event's data. After the first content (`begun`) a content event is not parsed.
    pub(crate) fn read(&mut self, data: &[u8], begun: bool) -> Result<Chunk, NoEvent> {
        if begun && data.starts_with(CONTENT) {
            return Ok(Chunk::Part(Part { content: true, text_bytes: text_bytes(data), ..Part::default() }));
        }
        let event: Event<'_> = serde_json::from_slice(data).map_err(|e| NoEvent(e.to_string()))?;
        let mut part = Part::default();
        match event.kind {
            "error" => return Ok(Chunk::Error(ErrorBody::read(data))),
            "message_stop" => return Ok(Chunk::Done),
            "message_start" => {
                self.count(event.message.and_then(|message| message.usage), &mut part);
                self.0 = std::mem::take(&mut self.0).begun();
                part.usage = self.0.usage();
            }
            "message_delta" => {
                self.count(event.usage, &mut part);
                let reason = event.delta.and_then(|delta| delta.stop_reason);
                part.finish = reason.is_some_and(|raw| raw.get() != "null");
            }
            // An empty text block is no content yet; any other kind is.
            "content_block_start" => part.content = event.content_block.is_some_and(|block| block.kind != "text"),
            "content_block_delta" => {
                part.content = event.delta.as_ref().is_some_and(has_content);
                part.text_bytes = text_bytes(data);
            }
            _ => {}
        }
        Ok(Chunk::Part(part))
    }

    fn count(&mut self, raw: Option<&RawValue>, part: &mut Part) {
        let Some(raw) = raw else { return };
        self.0 = std::mem::take(&mut self.0).with(raw.get());
        part.usage = self.0.usage();
        part.service_tier = self.0.service_tier();
    }
}

fn has_content(delta: &Delta<'_>) -> bool {
    let texts = [delta.text, delta.thinking, delta.partial_json, delta.signature];
    texts.into_iter().flatten().any(|raw| raw.get() != "\"\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(peek: &mut Peek, data: &str, begun: bool) -> Part {
        match peek.read(data.as_bytes(), begun) {
            Ok(Chunk::Part(part)) => part,
            other => panic!("{data}: {other:?}"),
        }
    }

    #[test]
    fn start_and_ping_are_no_content_and_usage_adds_up_t52() {
        let mut peek = Peek::default();
        let start = r#"{"type":"message_start","message":{"id":"m","usage":{"input_tokens":9,"output_tokens":1}}}"#;
        let begun = part(&mut peek, start, false);
        assert_eq!((begun.content, begun.usage.map(|u| u.input)), (false, Some(9)));
        assert!(!part(&mut peek, r#"{"type": "ping"}"#, false).content);
        let opened = r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
        assert!(!part(&mut peek, opened, false).content);
        let text = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a\"b"}}"#;
        for begun in [false, true] {
            assert_eq!(part(&mut peek, text, begun), Part { content: true, text_bytes: 4, ..Part::default() });
        }
        let end = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":7}}"#;
        let ended = part(&mut peek, end, true);
        assert_eq!((ended.finish, ended.usage.map(|u| (u.input, u.output))), (true, Some((9, 7))));
        assert_eq!(peek.read(br#"{"type":"message_stop"}"#, true), Ok(Chunk::Done));
        assert!(matches!(
            peek.read(br#"{"type":"error","error":{"type":"overloaded_error"}}"#, true),
            Ok(Chunk::Error(_))
        ));
        assert!(peek.read(b"{", true).is_err());
    }

    #[test]
    fn garbage_never_panics() {
        bolero::check!().with_max_len(512).for_each(|bytes| {
            let _ = Peek::default().read(bytes, true);
            let _ = Peek::default().read(bytes, false);
        });
    }
}
