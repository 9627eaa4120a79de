//! What the gateway must know of a message that it passes on: of one event of a stream, or of the whole.
//!
//! Most events carry content and nothing else; those are told by how they begin, without parsing.

use super::answer::{Counts, read_usage};
use super::wire::{Delta, Event, Message};
use crate::finish::{ended, reason};
use crate::peek::{Whole, text_bytes, written_in};
use crate::wire::{Maybe, is_done, something, unmarked};
use crate::{Chunk, ErrorBody, NoEvent, Part};
use bytes::Bytes;
use serde_json::value::RawValue;

/// How an event begins that carries content alone, as the API writes it.
const CONTENT: &[u8] = b"{\"type\":\"content_block_delta\"";

/// What of the usage was read so far, with the tier of service in it; it comes in two events.
#[derive(Debug, Default)]
pub(crate) struct Peek(Counts);

impl Peek {
    /// Reads an event's data, and gives the event's name beside what is in it. After the first content (`begun`) a content
    /// event is not parsed.
    pub(crate) fn read<'a>(&mut self, data: &'a [u8], begun: bool) -> Result<(Chunk, &'a str), NoEvent> {
        if begun && data.starts_with(CONTENT) && data.trim_ascii_end().ends_with(b"}") {
            let part = Part { content: true, text_bytes: text_bytes(data), ..Part::default() };
            return Ok((Chunk::Part(part), "content_block_delta"));
        }
        if is_done(data) {
            return Ok((Chunk::Done(Part::end()), "message_stop"));
        }
        let Maybe(event) = serde_json::from_slice(unmarked(data)).map_err(|e| NoEvent(e.to_string()))?;
        let Some(event): Option<Event<'a>> = event else { return Err(NoEvent("it is no JSON object".to_owned())) };
        if let Some(error) = error(data, &event) {
            return Ok((Chunk::Error(error), "error"));
        }
        let name = event.kind.0;
        let mut part = Part::default();
        match name {
            "message_stop" => return Ok((Chunk::Done(Part::end()), name)),
            "message_start" => {
                let message = event.message.0.unwrap_or_default();
                self.count(message.usage, &mut part);
                self.0 = std::mem::take(&mut self.0).begun();
                part.usage = self.0.usage();
                part.content = something(message.content).is_some();
            }
            "message_delta" => {
                self.count(event.usage, &mut part);
                if let Some(reason) = reason(event.delta.0.and_then(|delta| delta.stop_reason)) {
                    part.finish = true;
                    if let Err(broken) = ended(&reason, false) {
                        return Ok((Chunk::Error(broken.into()), name));
                    }
                }
            }
            // An empty text block is no content yet; any other kind is.
            "content_block_start" => {
                let block = event.content_block.0;
                part.content = block.is_some_and(|block| block.kind.0 != "text" || something(block.text).is_some());
            }
            "content_block_delta" => {
                part.content = event.delta.0.as_ref().is_some_and(has_content);
                part.text_bytes = text_bytes(data);
            }
            _ => {}
        }
        Ok((Chunk::Part(part), name))
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
    texts.into_iter().any(|raw| something(raw).is_some())
}

/// An event as it came, with a line for its name where it has none: SDKs go by that line.
pub(crate) fn named(raw: Bytes, name: &str) -> Bytes {
    let has_name = |line: &[u8]| line.starts_with(b"event:");
    if name.is_empty() || has_name(&raw) || raw.split(|byte| matches!(byte, b'\r' | b'\n')).any(has_name) {
        return raw;
    }
    [b"event: ", name.as_bytes(), b"\n", &raw].concat().into()
}

/// The error that an event is: it has one, whatever its type, or holds nothing but what went wrong.
pub(super) fn error(data: &[u8], event: &Event<'_>) -> Option<ErrorBody> {
    if event.kind.0 == "error" || something(event.error).is_some() {
        return Some(ErrorBody::read(data));
    }
    if event.kind.0.is_empty() { Some(ErrorBody::read(data)).filter(ErrorBody::says_why) } else { None }
}

/// Reads a whole message; the error says why it is none.
pub(crate) fn read_whole(body: &[u8]) -> Result<Whole, NoEvent> {
    let Maybe(message) = serde_json::from_slice(body).map_err(|e| NoEvent(e.to_string()))?;
    let said = || Some(ErrorBody::read(body)).filter(ErrorBody::says_why);
    let Some(message): Option<Message<'_>> = message else {
        return said().map(Whole::Error).ok_or_else(no_message);
    };
    if message.kind.0 == "error" || something(message.error).is_some() {
        return Ok(Whole::Error(ErrorBody::read(body)));
    }
    let reason = reason(message.stop_reason);
    if let Some(Err(broken)) = reason.as_ref().map(|reason| ended(reason, false)) {
        return Ok(Whole::Error(broken.into()));
    }
    // Some servers send a string; an empty message may have no content.
    let is_content = |raw: &RawValue| raw.get().starts_with(['[', '"']);
    if !message.content.is_some_and(is_content) && (reason.is_none() || message.kind.0 != "message") {
        return said().map(Whole::Error).ok_or_else(no_message);
    }
    let (usage, service_tier) = message.usage.map(|raw| read_usage(raw.get())).unwrap_or_default();
    // A count of nothing beside a text is none.
    let unknown = usage.is_none_or(|usage| usage.output_total() == 0);
    let text_bytes = if unknown { written_in(body, b"\"content\"") } else { 0 };
    Ok(Whole::Answer { usage, service_tier, text_bytes })
}

/// Why a body is no message.
pub(super) fn no_message() -> NoEvent {
    NoEvent("it holds no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(peek: &mut Peek, data: &str, begun: bool) -> Part {
        match peek.read(data.as_bytes(), begun) {
            Ok((Chunk::Part(part), _)) => part,
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
        assert_eq!(peek.read(br#"{"type":"message_stop"}"#, true), Ok((Chunk::Done(Part::end()), "message_stop")));
        assert!(matches!(
            peek.read(br#"{"type":"error","error":{"type":"overloaded_error"}}"#, true),
            Ok((Chunk::Error(_), _))
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
