//! What the gateway must know of an answer that it passes on as it is.

use crate::chat::Delta;
use crate::{ErrorBody, ServiceTier, Usage};
use memchr::memmem;

/// A whole answer.
#[derive(Debug, PartialEq)]
pub enum Whole {
    /// An answer; usage and tier of service where the provider told them. Where it told no output, the bytes of
    /// its text, as JSON has them.
    #[expect(missing_docs, reason = "named after what they hold")]
    Answer { usage: Option<Usage>, service_tier: ServiceTier, text_bytes: usize },
    /// An error under a successful status.
    Error(ErrorBody),
}

/// One event of a streamed answer.
#[derive(Debug, PartialEq)]
pub enum Chunk {
    /// Part of the answer.
    Part(Part),
    /// A comment, or an event without data.
    Nothing,
    /// The provider failed after its 200.
    Error(ErrorBody),
    /// The orderly end, and what of the answer came with it.
    Done(Part),
}

/// What a part of the answer carries.
#[derive(Debug, Default, PartialEq)]
pub struct Part {
    /// Whether it holds text, a refusal, reasoning or a tool call.
    pub content: bool,
    /// Whether it says why a choice ended.
    pub finish: bool,
    /// Usage so far.
    pub usage: Option<Usage>,
    /// The tier of service that the answer is said to be of.
    pub service_tier: ServiceTier,
    /// Whether it exists for its usage alone.
    pub only_usage: bool,
    /// Bytes of text, as JSON has them; what an estimate of unreported output goes by.
    pub text_bytes: usize,
}

impl Part {
    /// The end of an answer.
    pub(crate) fn end() -> Self {
        Self { finish: true, ..Self::default() }
    }

    /// Takes note of what was decoded.
    pub(crate) fn see(&mut self, delta: &Delta<'_>) {
        if let Some(bytes) = delta.content_bytes() {
            self.content = true;
            self.text_bytes += bytes;
        }
        self.finish |= matches!(delta, Delta::Finish { .. });
        if let Delta::Usage(usage) = delta {
            self.usage = Some(*usage);
        }
    }
}

/// What a decoder found in an event, beside the deltas that it told.
#[derive(Debug, PartialEq)]
pub(crate) enum Read {
    /// Part of the answer, or nothing of interest; and the tier of service that the answer is said to be of.
    Deltas(ServiceTier),
    /// The provider failed after its 200.
    Error(ErrorBody),
    /// The orderly end.
    Done,
}

/// An event of a stream that is none, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoEvent(pub String);

/// Members that hold what a model wrote.
const TEXTS: [&[u8]; 10] = [
    b"content",
    b"text",
    b"arguments",
    b"partial_json",
    b"input",
    b"thinking",
    b"reasoning_content",
    b"reasoning",
    b"refusal",
    b"transcript",
];
/// The member of an event that holds a piece of the answer.
const DELTA: &[u8] = b"\"delta\"";

/// Bytes of what the model wrote in an event's data, as JSON has them, whatever blanks the server writes.
pub(crate) fn text_bytes(data: &[u8]) -> usize {
    let (mut sum, mut rest) = (0, data);
    while let Some(at) = memmem::find(rest, DELTA) {
        rest = rest.get(at + DELTA.len()..).unwrap_or_default();
        let (bytes, end) = written(rest);
        sum += bytes;
        rest = rest.get(end..).unwrap_or_default();
    }
    sum
}

/// Bytes of what the model wrote within the first member of that name, given with its quotes.
pub(crate) fn written_in(body: &[u8], name: &[u8]) -> usize {
    let at = memmem::find(body, name);
    at.map_or(0, |at| written(body.get(at + name.len()..).unwrap_or_default()).0)
}

/// Bytes of what the model wrote within the first value of a text, and where that value ends. Strings are stepped
/// over from quote to quote; between them are few bytes.
fn written(data: &[u8]) -> (usize, usize) {
    let (mut sum, mut at, mut depth) = (0, 0, 0usize);
    // A value that is an object of its own, such as the arguments of a call: where it began, and how deep.
    let mut object: Option<(usize, usize)> = None;
    loop {
        let rest = data.get(at..).unwrap_or_default();
        let quote = memchr::memchr(b'"', rest).unwrap_or(rest.len());
        for (offset, byte) in rest.iter().take(quote).enumerate() {
            match byte {
                b'{' | b'[' => depth += 1,
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    if let Some((from, _)) = object.filter(|(_, outer)| *outer == depth) {
                        (sum, object) = (sum + at + offset + 1 - from, None);
                    }
                    if depth == 0 {
                        return (sum, at + offset + 1);
                    }
                }
                _ => {}
            }
        }
        if quote == rest.len() {
            return (sum, data.len());
        }
        let begin = at + quote + 1;
        let end = begin + string_bytes(data.get(begin..).unwrap_or_default());
        at = end + 1;
        let name = data.get(begin..end).unwrap_or_default();
        if object.is_some() || !TEXTS.contains(&name) {
            continue;
        }
        let after = data.get(at..).unwrap_or_default().trim_ascii_start();
        let Some(value) = after.strip_prefix(b":").map(<[u8]>::trim_ascii_start) else { continue };
        at = data.len() - value.len();
        match value.first() {
            Some(b'"') => {
                let bytes = string_bytes(value.get(1..).unwrap_or_default());
                (sum, at) = (sum + bytes, at + bytes + 2);
            }
            Some(b'{') if matches!(name, b"input" | b"arguments") => object = Some((at, depth)),
            _ => {}
        }
    }
}

/// Length of a string up to its closing quote.
fn string_bytes(text: &[u8]) -> usize {
    let mut end = 0;
    while let Some(found) = memchr::memchr2(b'"', b'\\', text.get(end..).unwrap_or_default()) {
        end += found;
        if text.get(end) == Some(&b'"') {
            return end;
        }
        end += 2;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_counted_whatever_blanks_and_members_a_server_has() {
        for (data, bytes) in [
            (r#"{"choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}"#, 5),
            (r#"{"choices": [{"index": 0, "delta": {"content" : "Hel\"lo"}, "finish_reason": null}]}"#, 7),
            (r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#, 0),
            (r#"{"choices":[{"delta":{"reasoning_content":"hm","content":"a"}}]}"#, 3),
            (r#"{"choices":[{"delta":{"reasoning": "hm"}}]}"#, 2),
            (
                r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"call_1","function":{"name":"f","arguments":"{\"a\":1}"}}]}}]}"#,
                9,
            ),
            (r#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":{"a":"b"}}}]}}]}"#, 9),
            (r#"{"choices":[{"delta":{"content":"ab"}},{"delta":{"content":"cd"}}]}"#, 4),
            (
                r#"{"choices":[{"delta":{"content":"content"},"logprobs":{"content":[{"token":"x","text":"long"}]}}]}"#,
                7,
            ),
            (r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"abc"}}"#, 3),
            (r#"{"type":"content_block_delta","delta":{"type":"input_json_delta","partial_json":"{\"a"}}"#, 4),
            (r#"{"delta":"text"}"#, 0),
            (r#"{"delta":{"content":null}}"#, 0),
            (r#"{"delta":{"content":"cut"#, 3),
            (r#"{"delta":"#, 0),
        ] {
            assert_eq!(text_bytes(data.as_bytes()), bytes, "{data}");
        }
        let content = r#"[{"type":"thinking","thinking":"hm","signature":"long"},{"type":"text","text": "ab"},
            {"type":"tool_use","id":"t","name":"f","input":{"content":"c"}}]"#;
        assert_eq!(written(content.as_bytes()), (2 + 2 + 15, content.len()));
    }

    #[test]
    fn garbage_never_panics() {
        bolero::check!().with_max_len(512).for_each(|bytes| {
            let _ = (text_bytes(bytes), written(bytes));
        });
    }
}
