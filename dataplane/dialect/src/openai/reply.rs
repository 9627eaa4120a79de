//! A whole answer: whether it is one, and what it used.

use crate::Usage;
use crate::json::{Invalid, Members};
use crate::openai::ErrorBody;
use serde::{Deserialize, Deserializer};

/// What the gateway must know of a whole answer.
#[derive(Debug, PartialEq)]
pub enum Reply {
    /// An answer; usage where the provider gave it.
    Answer(Option<Usage>),
    /// An error under a successful status.
    Error(ErrorBody),
}

/// Reads a whole answer.
pub fn read_reply(body: &[u8]) -> Result<Reply, Invalid> {
    let text = std::str::from_utf8(body).map_err(|e| Invalid::Syntax(e.valid_up_to()))?;
    let members = Members::scan(text)?;
    if members.raw("error").is_some() {
        return Ok(Reply::Error(ErrorBody::read(body)));
    }
    Ok(Reply::Answer(members.raw("usage").and_then(read_usage)))
}

/// Reads a `usage` object; `None` where it counts nothing. Cached and reasoning tokens are part of the
/// totals there and become counters of their own here.
pub(super) fn read_usage(raw: &str) -> Option<Usage> {
    let wire: WireUsage = serde_json::from_str(raw).ok()?;
    if wire.prompt_tokens.is_none() && wire.completion_tokens.is_none() {
        return None;
    }
    let (prompt, completion) = (wire.prompt_tokens.unwrap_or(0), wire.completion_tokens.unwrap_or(0));
    let cached = wire.prompt_tokens_details.and_then(|details| details.cached_tokens).unwrap_or(0).min(prompt);
    let reasoning =
        wire.completion_tokens_details.and_then(|details| details.reasoning_tokens).unwrap_or(0).min(completion);
    Some(Usage { input: prompt - cached, cache_read: cached, output: completion - reasoning, reasoning })
}

#[derive(Deserialize)]
struct WireUsage {
    #[serde(default, deserialize_with = "count")]
    prompt_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    completion_tokens: Option<u64>,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
    #[serde(default)]
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Deserialize)]
struct PromptDetails {
    #[serde(default, deserialize_with = "count")]
    cached_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct CompletionDetails {
    #[serde(default, deserialize_with = "count")]
    reasoning_tokens: Option<u64>,
}

/// Servers send null, floats and negative numbers here; a negative count is none.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let number = Option::<f64>::deserialize(deserializer)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count far below 2^53, checked to be positive"
    )]
    Ok(number.filter(|n| *n >= 0.0).map(|n| n as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_and_reasoning_tokens_are_counted_once_t51() {
        let raw = r#"{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150,
            "prompt_tokens_details":{"cached_tokens":80},"completion_tokens_details":{"reasoning_tokens":30}}"#;
        let usage = read_usage(raw).expect("it counts");
        assert_eq!(usage, Usage { input: 20, cache_read: 80, output: 20, reasoning: 30 });
        assert_eq!((usage.input_total(), usage.output_total()), (100, 50));
    }

    #[test]
    fn null_missing_float_and_negative_values_are_normalised_t58_t59() {
        let read = |raw| read_usage(raw).map(|u| (u.input, u.output));
        assert_eq!(read(r#"{"prompt_tokens":7.0,"completion_tokens":3,"prompt_tokens_details":null}"#), Some((7, 3)));
        assert_eq!(
            read(r#"{"prompt_tokens":-5,"completion_tokens":3,"completion_tokens_details":{"reasoning_tokens":null}}"#),
            Some((0, 3))
        );
        assert_eq!(read(r#"{"total_tokens":9}"#), None);
        assert_eq!(read("null"), None);
    }

    #[test]
    fn an_error_under_200_is_no_answer_t12() {
        let reply =
            read_reply(br#"{"error":{"message":"quota","type":"insufficient_quota","code":"insufficient_quota"}}"#);
        assert!(matches!(reply, Ok(Reply::Error(body)) if body.code.as_deref() == Some("insufficient_quota")));
        assert_eq!(read_reply(br#"{"error":null,"choices":[]}"#), Ok(Reply::Answer(None)));
        assert!(read_reply(b"").is_err());
        assert!(read_reply(b"<html>").is_err());
    }
}
