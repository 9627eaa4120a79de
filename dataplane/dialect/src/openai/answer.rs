//! A whole chat completion: peeked at, decoded to the chat model, encoded from it.

use super::content;
use super::decode::turn;
use crate::chat::{Arguments, Block, Choice, Content, Finish, Reply};
use crate::fields::Fields;
use crate::seal::seal;
use crate::usage::count;
use crate::write::{Object, object};
use crate::{Loss, Refusal, Text, Usage};
use serde::Deserialize;

/// Members of an answer that the model does not hold; known names for the metric.
const KNOWN: &[&str] = &["annotations", "audio", "function_call"];

/// Reads a `usage` object; `None` where it counts nothing. Cached and reasoning tokens are part of the
/// totals there and become counters of their own here.
pub(crate) fn read_usage(raw: &str) -> Option<Usage> {
    let wire: WireUsage = serde_json::from_str(raw).ok()?;
    if wire.prompt_tokens.is_none() && wire.completion_tokens.is_none() {
        return None;
    }
    let (prompt, completion) = (wire.prompt_tokens.unwrap_or(0), wire.completion_tokens.unwrap_or(0));
    let details = wire.prompt_tokens_details.unwrap_or_default();
    let cache_read = details.cached_tokens.unwrap_or(0).min(prompt);
    let cache_write_5m = details.cache_write_tokens.unwrap_or(0).min(prompt - cache_read);
    let reasoning =
        wire.completion_tokens_details.and_then(|details| details.reasoning_tokens).unwrap_or(0).min(completion);
    let input = prompt - cache_read - cache_write_5m;
    Some(Usage { input, cache_read, cache_write_5m, cache_write_1h: 0, output: completion - reasoning, reasoning })
}

/// Writes a `usage` object.
pub(super) fn write_usage(o: &mut Object<'_>, usage: &Usage) {
    o.object("usage", |o| {
        o.count("prompt_tokens", usage.input_total());
        o.count("completion_tokens", usage.output_total());
        o.count("total_tokens", usage.input_total().saturating_add(usage.output_total()));
        o.object("prompt_tokens_details", |o| {
            o.count("cached_tokens", usage.cache_read);
            o.count("cache_write_tokens", usage.cache_write());
        });
        o.object("completion_tokens_details", |o| o.count("reasoning_tokens", usage.reasoning));
    });
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

#[derive(Deserialize, Default)]
struct PromptDetails {
    #[serde(default, deserialize_with = "count")]
    cached_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    cache_write_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct CompletionDetails {
    #[serde(default, deserialize_with = "count")]
    reasoning_tokens: Option<u64>,
}

/// Decodes an answer whose members were scanned. What the model does not hold is in the loss.
pub(crate) fn decode_reply<'a>(fields: &Fields<'a, '_>, loss: &mut Loss) -> Result<Reply<'a>, Refusal> {
    let _ = (fields.raw("object"), fields.raw("system_fingerprint"));
    let reply = Reply {
        id: fields.text("id")?,
        model: fields.text("model")?,
        created: fields.integer("created")?,
        choices: fields.list("choices", |choice| self::choice(choice, loss))?,
        usage: fields.raw("usage").and_then(read_usage),
        service_tier: fields.text("service_tier")?,
    };
    fields.unread().iter().for_each(|(name, _)| loss.add_unknown(name));
    Ok(reply)
}

fn choice<'a>(fields: &Fields<'a, '_>, loss: &mut Loss) -> Result<Choice<'a>, Refusal> {
    let _ = fields.raw("index");
    let message = turn(&fields.required_object("message")?)?;
    let stop_sequence = fields.raw("stop_reason").and_then(Text::literal);
    let calls = message.content.iter().any(|block| matches!(block.content, Content::ToolCall { .. }));
    let reason = fields.text("finish_reason")?;
    let finish = reason.map(|reason| finish(&reason.plain(), calls, stop_sequence.is_some()));
    let logprobs = fields.raw("logprobs");
    for (name, _) in message.extra.iter().chain(&fields.unread()).filter(|(_, json)| *json != "[]") {
        loss.add_named(name, KNOWN);
    }
    Ok(Choice { content: message.content, finish, stop_sequence, logprobs })
}

/// What a finish reason means. Some servers say `stop` where tools are called.
pub(super) fn finish(reason: &str, calls: bool, at_sequence: bool) -> Finish {
    match reason {
        "length" | "model_length" => Finish::Length,
        "content_filter" => Finish::Filtered,
        "tool_calls" | "function_call" => Finish::ToolCalls,
        _ if calls => Finish::ToolCalls,
        _ if at_sequence => Finish::StopSequence,
        _ => Finish::Stop,
    }
}

pub(super) const fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopSequence | Finish::Paused => "stop",
        Finish::Length | Finish::ContextFull => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::Filtered => "content_filter",
    }
}

/// Encodes an answer of the provider `origin`.
pub(crate) fn encode_reply(reply: &Reply<'_>, origin: &str, now_s: u64, loss: &mut Loss) -> Vec<u8> {
    let mut out = Vec::with_capacity(1_024);
    object(&mut out, |o| {
        o.text("id", &id(reply.id.as_ref()));
        o.str("object", "chat.completion");
        o.value("created", reply.created.unwrap_or(now_s));
        o.text("model", reply.model.as_ref().unwrap_or(&Text::of("unknown")));
        o.array("choices", |list| {
            for (index, choice) in reply.choices.iter().enumerate() {
                list.object(|o| write_choice(o, index, choice, origin, loss));
            }
        });
        if let Some(usage) = &reply.usage {
            write_usage(o, usage);
        }
        match reply.service_tier.as_ref().map(Text::plain).as_deref() {
            Some("standard") => o.str("service_tier", "default"),
            _ => o.text_if("service_tier", reply.service_tier.as_ref()),
        }
    });
    out
}

/// An id of the dialect's form.
pub(super) fn id(given: Option<&Text<'_>>) -> Text<'static> {
    match given {
        Some(id) if id.escaped().starts_with("chatcmpl") => id.clone().into_owned(),
        Some(id) => Text::joined(&[Text::of("chatcmpl-"), id.clone()], ""),
        None => Text::of("chatcmpl-unknown"),
    }
}

fn write_choice(o: &mut Object<'_>, index: usize, choice: &Choice<'_>, origin: &str, loss: &mut Loss) {
    let (mut texts, mut refusals, mut thoughts) = (Vec::new(), Vec::new(), Vec::new());
    let mut calls: Vec<(&Text<'_>, &Text<'_>, &Arguments<'_>)> = Vec::new();
    for Block { content, cache: _, extra: _ } in &choice.content {
        match content {
            Content::Text(text) => texts.push(text.clone()),
            Content::Refusal(text) => refusals.push(text.clone()),
            Content::Thinking { .. } | Content::RedactedThinking(_) => thoughts.push(content),
            Content::ToolCall { id, name, arguments } => calls.push((id, name, arguments)),
            Content::Image { .. } | Content::Document { .. } | Content::ToolResult { .. } | Content::Native { .. } => {
                loss.add("content");
            }
        }
    }
    o.value("index", index);
    o.object("message", |o| {
        o.str("role", "assistant");
        if texts.is_empty() {
            o.raw("content", "null")
        } else {
            o.text("content", &Text::joined(&texts, ""))
        }
        if refusals.is_empty() {
            o.raw("refusal", "null")
        } else {
            o.text("refusal", &Text::joined(&refusals, ""))
        }
        write_thoughts(o, &thoughts, origin);
        if !calls.is_empty() {
            o.array("tool_calls", |list| {
                for (id, name, arguments) in &calls {
                    list.object(|o| content::call(o, id, name, arguments));
                }
            });
        }
    });
    o.raw("logprobs", choice.logprobs.unwrap_or("null"));
    if choice.finish == Some(Finish::Paused) {
        loss.add("stop_reason.pause_turn");
    }
    o.str("finish_reason", finish_reason(choice.finish.unwrap_or(Finish::Stop)));
}

/// `reasoning_content` for those who read it, `reasoning_details` for those who send it back.
fn write_thoughts(o: &mut Object<'_>, thoughts: &[&Content<'_>], origin: &str) {
    let text = |content: &&Content<'_>| {
        let Content::Thinking { thinking, .. } = content else { return None };
        Some(thinking.clone().into_owned())
    };
    let texts: Vec<_> = thoughts.iter().filter_map(text).collect();
    if !texts.is_empty() {
        o.text("reasoning_content", &Text::joined(&texts, ""));
    }
    if !thoughts.is_empty() {
        o.array("reasoning_details", |list| {
            for (index, thought) in thoughts.iter().enumerate() {
                list.object(|o| {
                    if let Content::Thinking { thinking, signature } = thought {
                        content::reasoning_text(o, thinking, Some(&seal(origin, signature.as_ref())));
                    } else if let Content::RedactedThinking(data) = thought {
                        content::reasoning_encrypted(o, &seal(origin, Some(data)));
                    }
                    o.value("index", index);
                });
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_and_reasoning_tokens_are_counted_once_t51() {
        let raw = r#"{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150,
            "prompt_tokens_details":{"cached_tokens":80,"cache_write_tokens":5},"completion_tokens_details":{"reasoning_tokens":30}}"#;
        let usage = read_usage(raw).expect("it counts");
        let expected =
            Usage { input: 15, cache_read: 80, cache_write_5m: 5, cache_write_1h: 0, output: 20, reasoning: 30 };
        assert_eq!(usage, expected);
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
}
