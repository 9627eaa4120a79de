//! One event of a streamed answer: what the gateway must know of it.
//!
//! Most events carry content and nothing else; those are told by a scan, without parsing.

use super::answer::{read_usage, tier};
use super::wire::{Delta, Wire};
use crate::json::Members;
use crate::peek::text_bytes;
use crate::{Chunk, ErrorBody, Part};
use bytes::Bytes;
use memchr::memmem;

/// Reads an event's data; the error says that it is no chat completion chunk.
///
/// After the first content (`begun`) an event without usage, finish reason or error is not parsed.
pub(crate) fn read_chunk(data: &[u8], begun: bool) -> Result<Chunk, serde_json::Error> {
    if data == b"[DONE]" {
        return Ok(Chunk::Done);
    }
    if begun && data.starts_with(b"{") && is_plain(data) {
        return Ok(Chunk::Part(Part { content: true, text_bytes: text_bytes(data), ..Part::default() }));
    }
    let wire: Wire<'_> = serde_json::from_slice(data)?;
    if wire.error.is_some_and(|raw| raw.get() != "null") {
        return Ok(Chunk::Error(ErrorBody::read(data)));
    }
    let choices = wire.choices.unwrap_or_default();
    Ok(Chunk::Part(Part {
        content: choices.iter().any(|choice| choice.delta.as_ref().is_some_and(Delta::has_content)),
        finish: choices.iter().any(|choice| choice.finish_reason.is_some()),
        usage: wire.usage.and_then(|raw| read_usage(raw.get())),
        service_tier: tier(wire.service_tier),
        only_usage: choices.is_empty(),
        text_bytes: text_bytes(data),
    }))
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

/// Whether nothing but content can be in it: no error, no usage but null, no finish reason but null.
/// Inside JSON strings quotes are escaped, so that a quoted name found here is a member's.
fn is_plain(data: &[u8]) -> bool {
    memmem::find(data, b"\"error\"").is_none() && only_null(data, b"\"usage\"") && only_null(data, b"\"finish_reason\"")
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
            Ok(Chunk::Part(part)) => part,
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
        assert!(matches!(read_chunk(br#"{"error":{"message":"m"}}"#, true), Ok(Chunk::Error(_))));
        assert!(matches!(read_chunk(b"[DONE]", true), Ok(Chunk::Done)));
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
