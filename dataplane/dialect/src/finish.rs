//! Why answers end: one table of what servers of either dialect write as `finish_reason` and `stop_reason`.

use crate::chat::Finish;
use crate::wire::{Word, label, objects};
use crate::{ErrorBody, Text};
use serde_json::value::RawValue;

/// What a reason means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Finished(Finish),
    /// The answer broke off.
    Trouble,
}

/// Reasons in lower case. Beside the words of both dialects: Gemini (upper case), Mistral, DeepSeek, Groq, vLLM, SGLang,
/// TGI, OpenRouter, Cohere, Zhipu, Moonshot, Bedrock.
const REASONS: &[(Meaning, &[&str])] = &[
    (
        Meaning::Finished(Finish::Stop),
        &["stop", "end_turn", "eos", "eos_token", "end", "end_of_text", "complete", "completed"],
    ),
    (Meaning::Finished(Finish::StopSequence), &["stop_sequence", "stop_string"]),
    (
        Meaning::Finished(Finish::Length),
        &["length", "max_tokens", "max_output_tokens", "max_new_tokens", "max_length", "token_limit"],
    ),
    (Meaning::Finished(Finish::ContextFull), &["model_length", "model_context_window_exceeded", "context_length"]),
    (Meaning::Finished(Finish::ToolCalls), &["tool_calls", "function_call", "tool_use", "tool_call", "function_calls"]),
    (
        Meaning::Finished(Finish::Filtered),
        &["content_filter", "content_filtered", "refusal", "safety", "recitation", "blocklist", "prohibited_content"],
    ),
    (
        Meaning::Finished(Finish::Filtered),
        &[
            "policy_violation",
            "spii",
            "image_safety",
            "image_prohibited_content",
            "model_armor",
            "sensitive",
            "guardrail_intervened",
        ],
    ),
    (Meaning::Finished(Finish::Paused), &["pause_turn"]),
    (Meaning::Trouble, &["error", "abort", "aborted", "cancelled", "canceled", "failed", "failure", "timeout"]),
    (Meaning::Trouble, &["insufficient_system_resource", "network_error", "server_error", "engine_error"]),
    (Meaning::Trouble, &["engine_overloaded", "overloaded", "rate_limit", "rate_limited", "malformed_response"]),
    (
        Meaning::Trouble,
        &[
            "function_call_filter",
            "malformed_function_call",
            "malformed_tool_use",
            "malformed_model_output",
            "unexpected_tool_call",
        ],
    ),
    (Meaning::Trouble, &["too_many_tool_calls", "error_toxic", "error_limit", "user_cancel"]),
];

/// How a choice ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ended {
    pub(crate) finish: Finish,
    /// Whether the reason has no meaning here.
    pub(crate) unknown: bool,
}

/// The answer broke off, for this reason.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Broken(String);

impl From<Broken> for ErrorBody {
    fn from(Broken(reason): Broken) -> Self {
        Self { code: Some(reason), ..Self::default() }
    }
}

objects! {
    /// A reason with more beside it, as SGLang has it.
    Reason { kind: Word<'a> = "type", } without "length" | "matched";
}

/// The reason that a member names; `None` where it names none yet.
pub(crate) fn reason(raw: Option<&RawValue>) -> Option<Text<'_>> {
    let raw = raw?;
    label(Some(raw)).or_else(|| {
        let Reason { kind, .. } = crate::wire::object(raw.get())?;
        Some(Text::of(kind.0)).filter(|text| !text.is_empty())
    })
}

/// What a reason means beside tool calls; the error where it means that the answer broke off. Some servers say that they
/// stopped where tools are called, and some say that tools are called where none is.
pub(crate) fn ended(reason: &Text<'_>, calls: bool) -> Result<Ended, Broken> {
    let word = reason.plain().to_ascii_lowercase();
    let of = |word: &str| REASONS.iter().find(|(_, words)| words.contains(&word)).map(|(meaning, _)| *meaning);
    // Gemini's OpenAI endpoint: `content_filter: PROHIBITED_CONTENT`.
    let meaning = of(&word).or_else(|| of(word.split_once(':')?.0));
    let unknown = meaning.is_none();
    let finish = match meaning {
        Some(Meaning::Trouble) => return Err(Broken(word)),
        Some(Meaning::Finished(finish)) => finish,
        None => Finish::Stop,
    };
    let finish = match finish {
        Finish::Stop | Finish::StopSequence | Finish::ToolCalls => unsaid(calls, finish),
        Finish::Length | Finish::ContextFull | Finish::Filtered | Finish::Paused => finish,
    };
    Ok(Ended { finish, unknown })
}

/// What is meant by an end that says no reason of its own but `said`.
pub(crate) fn unsaid(calls: bool, said: Finish) -> Finish {
    match (calls, said) {
        (true, _) => Finish::ToolCalls,
        (false, Finish::ToolCalls) => Finish::Stop,
        (false, said) => said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str, calls: bool) -> Result<Ended, Broken> {
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        ended(&reason(Some(raw)).expect("a reason"), calls)
    }

    #[test]
    fn every_word_is_there_once_and_in_lower_case() {
        let words: Vec<_> = REASONS.iter().flat_map(|(_, words)| *words).collect();
        for (at, word) in words.iter().enumerate() {
            assert_eq!(word.to_ascii_lowercase(), **word);
            assert!(!words[..at].contains(word), "{word}");
        }
    }

    #[test]
    fn a_reason_is_read_in_any_case_and_as_an_object() {
        for (json, finish) in [
            (r#""stop""#, Finish::Stop),
            (r#""STOP""#, Finish::Stop),
            (r#""MAX_TOKENS""#, Finish::Length),
            (r#""model_length""#, Finish::ContextFull),
            (r#""SAFETY""#, Finish::Filtered),
            (r#""content_filter: PROHIBITED_CONTENT""#, Finish::Filtered),
            (r#"{"type":"length","length":16}"#, Finish::Length),
            (r#""tool_use""#, Finish::Stop),
        ] {
            assert_eq!(of(json, false), Ok(Ended { finish, unknown: false }), "{json}");
        }
        for (json, finish) in [(r#""stop""#, Finish::ToolCalls), (r#""length""#, Finish::Length)] {
            assert_eq!(of(json, true), Ok(Ended { finish, unknown: false }), "{json}");
        }
        assert_eq!(of(r#""brand_new""#, false), Ok(Ended { finish: Finish::Stop, unknown: true }));
        for json in [
            r#""error""#,
            r#""abort""#,
            r#"{"type":"abort"}"#,
            r#""insufficient_system_resource""#,
            r#""function_call_filter: MALFORMED_FUNCTION_CALL""#,
        ] {
            assert!(of(json, true).is_err(), "{json}");
        }
        for none in ["null", "\"\"", "{}", "[]", "false", "{\"type\":7}"] {
            assert_eq!(reason(Some(serde_json::from_str(none).unwrap())), None, "{none}");
        }
    }
}
