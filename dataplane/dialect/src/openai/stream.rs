//! What the gateway must know of an answer that it passes on: of one event of a stream, or of a whole answer.
//!
//! Most events carry content and nothing else; those are told by a scan, without parsing.

use super::answer::{read_usage, tier};
use super::wire::{Choice, Delta, Wire};
use crate::chat::Finish;
use crate::finish::{ended, reason};
use crate::json::Members;
use crate::peek::{NoEvent, Whole, text_bytes, written_in};
use crate::wire::{Maybe, is_done, something, unmarked};
use crate::{Chunk, ErrorBody, Part};
use bytes::Bytes;
use memchr::memmem;

/// An event, and whether it has the form of a whole answer, which clients do not look for in a stream.
pub(crate) type Seen = (Chunk, bool);

/// Reads an event's data; the error says that it is no chat completion chunk.
///
/// After the first content (`begun`) an event without usage, finish reason or error is not parsed.
pub(crate) fn read_chunk(data: &[u8], begun: bool) -> Result<Seen, NoEvent> {
    if is_done(data) {
        return Ok((Chunk::Done(Part::end()), false));
    }
    if begun && data.starts_with(b"{") && is_plain(data) {
        return Ok((Chunk::Part(Part { content: true, text_bytes: text_bytes(data), ..Part::default() }), false));
    }
    let Maybe(wire) = serde_json::from_slice(unmarked(data)).map_err(|e| NoEvent(e.to_string()))?;
    if let Some(error) = error(data, wire.as_ref()) {
        return Ok((Chunk::Error(error), false));
    }
    let Some(wire) = wire else { return Err(NoEvent("it is no JSON object".to_owned())) };
    let choices = &wire.choices.0;
    if let Some(error) = choices.iter().find_map(trouble) {
        return Ok((Chunk::Error(error), false));
    }
    let part = Part {
        content: choices.iter().any(|choice| choice.piece().is_some_and(Delta::has_content)),
        finish: choices.iter().any(|choice| reason(choice.finish_reason).is_some()),
        usage: wire.usage.and_then(|raw| read_usage(raw.get())),
        service_tier: tier(wire.service_tier),
        only_usage: choices.is_empty(),
        text_bytes: text_bytes(data),
    };
    let whole = |choice: &Choice<'_>| choice.delta.0.is_none() && choice.message.0.is_some();
    Ok((Chunk::Part(part), choices.iter().any(whole)))
}

/// Reads a whole answer; the error says why it is none.
pub(crate) fn read_whole(body: &[u8]) -> Result<Whole, NoEvent> {
    let Maybe(wire) = serde_json::from_slice(body).map_err(|e| NoEvent(e.to_string()))?;
    if let Some(error) = error(body, wire.as_ref()) {
        return Ok(Whole::Error(error));
    }
    let Some(wire): Option<Wire<'_>> = wire else { return Err(NoEvent("it is no JSON object".to_owned())) };
    let choices = &wire.choices.0;
    if let Some(error) = choices.iter().find_map(trouble) {
        return Ok(Whole::Error(error));
    }
    if !choices.iter().any(|choice| choice.all().is_some() || is_filtered(choice)) {
        return said(body).map(Whole::Error).ok_or_else(|| NoEvent("it holds no choice with a message".to_owned()));
    }
    let usage = wire.usage.and_then(|raw| read_usage(raw.get()));
    // A count of nothing beside a text is none.
    let unknown = usage.is_none_or(|usage| usage.output_total() == 0);
    let text_bytes = if unknown { written_in(body, b"\"choices\"") } else { 0 };
    Ok(Whole::Answer { usage, service_tier: tier(wire.service_tier), text_bytes })
}

/// The error that an answer or an event is.
pub(super) fn error(data: &[u8], wire: Option<&Wire<'_>>) -> Option<ErrorBody> {
    let Some(wire) = wire else { return said(data) };
    if something(wire.error).is_some() || wire.object.0 == "error" || wire.kind.0 == "error" {
        return Some(ErrorBody::read(data));
    }
    // What holds nothing of an answer may say what went wrong.
    let empty = wire.choices.0.is_empty() && wire.usage.is_none() && !wire.others.is_empty();
    if empty { said(data) } else { None }
}

/// What a body says that is no answer.
fn said(data: &[u8]) -> Option<ErrorBody> {
    Some(ErrorBody::read(data)).filter(ErrorBody::says_why)
}

/// Whether a choice ended before anything was written, since the provider let nothing through.
fn is_filtered(choice: &Choice<'_>) -> bool {
    let reason = reason(choice.finish_reason);
    reason.and_then(|reason| ended(&reason, false).ok()).is_some_and(|ended| ended.finish == Finish::Filtered)
}

/// The error that a choice ended with.
pub(super) fn trouble(choice: &Choice<'_>) -> Option<ErrorBody> {
    if let Some(error) = something(choice.error) {
        return Some(ErrorBody::read_error(error.get()));
    }
    ended(&reason(choice.finish_reason)?, false).err().map(ErrorBody::from)
}

/// The event without the usage that the caller did not ask for: nothing of a chunk that has only that,
/// the chunk with `usage: null` otherwise.
pub(crate) fn strip_usage(event: &Bytes, data: &Bytes, part: &Part) -> Option<Bytes> {
    if part.only_usage {
        return None;
    }
    let text = std::str::from_utf8(data).ok()?;
    let usage = Members::scan(text).ok()?.get("usage")?.value.clone();
    let (before, rest) = text.split_at_checked(usage.start)?;
    let after = rest.get(usage.len()..)?;
    let id = memmem::find(event, b"data:").map_or(&b""[..], |at| event.get(..at).unwrap_or_default());
    Some([id, b"data: ", before.as_bytes(), b"null", after.as_bytes(), b"\n\n"].concat().into())
}

/// Whether nothing but content can be in it, and its end is there: no error, no usage but null, no finish reason but null.
/// Inside JSON strings quotes are escaped, so that a quoted name found here is a member's.
fn is_plain(data: &[u8]) -> bool {
    memmem::find(data, b"\"choices\"").is_some()
        && data.trim_ascii_end().ends_with(b"}")
        && memmem::find(data, b"\"error\"").is_none()
        && only_null(data, b"\"usage\"")
        && only_null(data, b"\"finish_reason\"")
}

fn only_null(data: &[u8], name: &[u8]) -> bool {
    let Some(at) = memmem::find(data, name) else { return true };
    let rest = data.get(at + name.len()..).unwrap_or_default().trim_ascii_start();
    rest.strip_prefix(b":").is_some_and(|value| value.trim_ascii_start().starts_with(b"null"))
        && memmem::find(rest, name).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(data: &str, begun: bool) -> Part {
        match read_chunk(data.as_bytes(), begun) {
            Ok((Chunk::Part(part), _)) => part,
            other => panic!("{data}: {other:?}"),
        }
    }

    #[test]
    fn the_role_alone_and_azures_preamble_are_no_content_t17() {
        assert!(
            !part(r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#, false)
                .content
        );
        assert!(!part(r#"{"choices":[],"prompt_filter_results":[]}"#, false).content);
        assert!(!part(r#"{"choices":null}"#, false).content, "T16");
        assert!(part(r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#, false).content);
        assert!(part(r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c"}]}}]}"#, false).content);
        assert!(!part(r#"{"choices":[{"index":0,"finish_reason":null}]}"#, false).content, "a choice without delta");
    }

    #[test]
    fn usage_finish_and_error_are_found_after_content_too_t57() {
        let last = r#"{"choices":[{"index":0,"delta":{},"finish_reason": "stop"}],"usage": {"prompt_tokens":3,"completion_tokens":4}}"#;
        let seen = part(last, true);
        assert!(seen.finish && !seen.content && !seen.only_usage);
        assert_eq!(seen.usage.map(|u| (u.input, u.output)), Some((3, 4)));
        let quoted = r#"{"choices":[{"index":0,"delta":{"content":"\"usage\": {\"error\"} \"finish_reason\":\"stop\""},"finish_reason":null}],"usage":null}"#;
        assert_eq!(part(quoted, true), Part { content: true, text_bytes: 49, ..Part::default() });
        assert!(matches!(read_chunk(br#"{"error":{"message":"m"}}"#, true), Ok((Chunk::Error(_), _))));
        assert!(matches!(read_chunk(b"[DONE]", true), Ok((Chunk::Done(_), _))));
        assert!(read_chunk(b"{", false).is_err());
    }

    #[test]
    fn a_second_choice_that_ends_is_seen_behind_one_that_goes_on() {
        let two = r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null},{"index":1,"delta":{},"finish_reason":"stop"}]}"#;
        assert!(part(two, true).finish);
    }

    #[test]
    fn unasked_usage_is_stripped_and_choices_beside_it_stay_t56() {
        let event = Bytes::from_static(
            b"id: 1\ndata: {\"choices\":[{\"delta\":{}}],\"usage\":{\"prompt_tokens\":1},\"z\":1}\n\n",
        );
        let data = event.slice(12..event.len() - 2);
        let held = strip_usage(&event, &data, &Part::default()).expect("the choices stay");
        assert_eq!(held, "id: 1\ndata: {\"choices\":[{\"delta\":{}}],\"usage\":null,\"z\":1}\n\n");
        assert_eq!(strip_usage(&event, &data, &Part { only_usage: true, ..Part::default() }), None);
    }

    #[test]
    fn garbage_never_panics() {
        bolero::check!().with_max_len(512).for_each(|bytes| {
            let _ = read_chunk(bytes, true);
            let _ = read_chunk(bytes, false);
        });
    }
}
