//! A whole chat completion: peeked at, decoded to the chat model, encoded from it.

use super::content;
use crate::chat::{Arguments, Block, Choice, Content, Finish, Reply};
use crate::finish::unsaid;
use crate::ids::Ids;
use crate::seal::seal;
use crate::translate::Translation;
use crate::usage::{count, object as details};
use crate::write::{Object, object};
use crate::{Loss, ServiceTier, Text, Usage};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Reads a `usage` object; `None` where it counts nothing. Cached and reasoning tokens become counters of their own.
/// By the API they are part of `prompt_tokens` and `completion_tokens`; some providers count them beside, which shows
/// in a detail that is larger than its whole, or in a `total_tokens` that holds it as well. What the total has more
/// than anything explains is reasoning of which nothing else is said.
pub(crate) fn read_usage(raw: &str) -> Option<Usage> {
    // A list would be read by the place of its elements.
    let wire: WireUsage = raw.starts_with('{').then(|| serde_json::from_str(raw).ok())??;
    let (prompt, completion) =
        (wire.prompt_tokens.or(wire.input_tokens), wire.completion_tokens.or(wire.output_tokens));
    if prompt.is_none() && completion.is_none() {
        return None;
    }
    let (prompt, completion) = (prompt.unwrap_or(0), completion.unwrap_or(0));
    let details = wire.prompt_tokens_details.or(wire.input_tokens_details).unwrap_or_default();
    let cache_read = details.cached_tokens.or(wire.prompt_cache_hit_tokens).or(wire.cached_tokens).unwrap_or(0);
    let cache_write = details.cache_write_tokens.or(details.cache_creation_tokens).unwrap_or(0);
    let given = wire.completion_tokens_details.or(wire.output_tokens_details).and_then(|held| held.reasoning_tokens);
    let reasoning = given.or(wire.reasoning_tokens).unwrap_or(0);
    let extra = wire.total_tokens.unwrap_or(0).saturating_sub(prompt.saturating_add(completion));
    let both = cache_read.saturating_add(cache_write);
    let of_cache = extra > 0 && extra != reasoning && [cache_read, cache_write, both].contains(&extra);
    let read_beside = cache_read > prompt || (of_cache && (extra == cache_read || extra == both));
    let fresh = if read_beside { prompt } else { prompt - cache_read };
    let write_beside = cache_write > fresh || (of_cache && extra != cache_read);
    let input = if write_beside { fresh } else { fresh - cache_write };
    let beside = if read_beside { cache_read } else { 0 }.saturating_add(if write_beside { cache_write } else { 0 });
    // What of the total is no cached input.
    let extra = match extra.checked_sub(beside) {
        Some(rest) if of_cache || rest >= reasoning => rest,
        Some(_) | None => extra,
    };
    let (output, reasoning) = if reasoning > completion || (reasoning > 0 && extra >= reasoning) {
        (completion, reasoning.max(extra))
    } else {
        (completion - reasoning, reasoning.saturating_add(extra))
    };
    Some(Usage { input, cache_read, cache_write_5m: cache_write, output, reasoning, ..Usage::default() })
}

/// The tier of service that a member names.
pub(super) fn tier(raw: Option<&RawValue>) -> ServiceTier {
    ServiceTier::read(|name| raw.filter(|_| name == "service_tier").map(RawValue::get))
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

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireUsage {
    #[serde(deserialize_with = "count")]
    prompt_tokens: Option<u64>,
    #[serde(deserialize_with = "count")]
    completion_tokens: Option<u64>,
    /// Names of newer APIs.
    #[serde(deserialize_with = "count")]
    input_tokens: Option<u64>,
    #[serde(deserialize_with = "count")]
    output_tokens: Option<u64>,
    #[serde(deserialize_with = "count")]
    total_tokens: Option<u64>,
    #[serde(deserialize_with = "details")]
    prompt_tokens_details: Option<PromptDetails>,
    #[serde(deserialize_with = "details")]
    input_tokens_details: Option<PromptDetails>,
    #[serde(deserialize_with = "details")]
    completion_tokens_details: Option<CompletionDetails>,
    #[serde(deserialize_with = "details")]
    output_tokens_details: Option<CompletionDetails>,
    /// DeepSeek's and Moonshot's names.
    #[serde(deserialize_with = "count")]
    prompt_cache_hit_tokens: Option<u64>,
    #[serde(deserialize_with = "count")]
    cached_tokens: Option<u64>,
    /// Perplexity's place.
    #[serde(deserialize_with = "count")]
    reasoning_tokens: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PromptDetails {
    #[serde(deserialize_with = "count")]
    cached_tokens: Option<u64>,
    #[serde(deserialize_with = "count")]
    cache_write_tokens: Option<u64>,
    #[serde(deserialize_with = "count")]
    cache_creation_tokens: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct CompletionDetails {
    #[serde(deserialize_with = "count")]
    reasoning_tokens: Option<u64>,
}

pub(super) const fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopSequence | Finish::Paused => "stop",
        Finish::Length | Finish::ContextFull => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::Filtered => "content_filter",
    }
}

/// Encodes an answer.
pub(crate) fn encode_reply(reply: &Reply<'_>, translation: &Translation<'_>, loss: &mut Loss) -> Vec<u8> {
    let mut out = Vec::with_capacity(1_024);
    object(&mut out, |o| {
        o.text("id", &id(reply.id.as_ref(), Ids(translation.seed)));
        o.str("object", "chat.completion");
        o.value("created", translation.now_s);
        o.text("model", reply.model.as_ref().unwrap_or(&Text::of("unknown")));
        o.array("choices", |list| {
            for (index, choice) in reply.choices.iter().enumerate() {
                list.object(|o| write_choice(o, index, choice, translation.origin, loss));
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

/// An id of the dialect's form, made up where none is given.
pub(super) fn id(given: Option<&Text<'_>>, ids: Ids) -> Text<'static> {
    match given {
        Some(id) if id.escaped().starts_with("chatcmpl") => id.clone().into_owned(),
        Some(id) => Text::joined(&[Text::of("chatcmpl-"), id.clone()], ""),
        None => ids.answer("chatcmpl-"),
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
    o.raw("logprobs", "null");
    if choice.finish == Some(Finish::Paused) {
        loss.add("stop_reason.pause_turn");
    }
    o.str("finish_reason", finish_reason(choice.finish.unwrap_or_else(|| unsaid(!calls.is_empty(), Finish::Stop))));
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
            Usage { input: 15, cache_read: 80, cache_write_5m: 5, output: 20, reasoning: 30, ..Usage::default() };
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
        for raw in [r#"{"total_tokens":9}"#, "null", "{}", "[]", "7", r#"{"prompt_tokens":"many"}"#] {
            assert_eq!(read(raw), None, "{raw}");
        }
        assert_eq!(read(r#"{"prompt_tokens":"7","completion_tokens":"3","prompt_tokens_details":[]}"#), Some((7, 3)));
        assert_eq!(read(r#"{"input_tokens":7,"output_tokens":3}"#), Some((7, 3)));
        assert_eq!(read(r#"{"prompt_tokens":1e300,"completion_tokens":1e999}"#), Some((u64::MAX, 0)));
    }

    #[test]
    fn what_stands_beside_its_whole_is_counted_beside_it() {
        // Prompt, completion, total, reasoning, cache reads and writes; then fresh input, reads, writes, output, reasoning.
        for (given, expected) in [
            ([12, 2, 331, 317, 0, 0], [12, 0, 0, 2, 317]),
            ([32, 9, 135, 94, 0, 0], [32, 0, 0, 9, 94]),
            ([32, 9, 41, 94, 0, 0], [32, 0, 0, 9, 94]),
            ([10, 50, 90, 30, 0, 0], [10, 0, 0, 50, 30]),
            ([10, 50, 60, 30, 0, 0], [10, 0, 0, 20, 30]),
            ([8, 20, 500, 0, 0, 0], [8, 0, 0, 20, 472]),
            ([10, 213, 223, 0, 161, 0], [10, 161, 0, 213, 0]),
            ([7, 20, 27, 0, 0, 2_161], [7, 0, 2_161, 20, 0]),
            ([100, 20, 120, 0, 80, 5], [15, 80, 5, 20, 0]),
            ([100, 20, 200, 0, 80, 0], [100, 80, 0, 20, 0]),
            ([100, 20, 205, 0, 80, 5], [100, 80, 5, 20, 0]),
            ([100, 20, 120, 0, 80, 50], [20, 80, 50, 20, 0]),
            ([10, 2, 490, 317, 161, 0], [10, 161, 0, 2, 317]),
            ([10, 50, 221, 30, 161, 0], [10, 161, 0, 20, 30]),
            ([10, 2, 329, 317, 161, 0], [10, 161, 0, 2, 317]),
            ([100, 20, 150, 0, 30, 30], [70, 30, 30, 20, 0]),
            ([100, 20, 120, 20, 0, 0], [100, 0, 0, 0, 20]),
            ([100, 20, 0, 5, 0, 0], [100, 0, 0, 15, 5]),
        ] {
            let [prompt, completion, total, reasoning, read, written] = given;
            let raw = serde_json::json!({
                "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total,
                "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
                "completion_tokens_details": {"reasoning_tokens": reasoning},
            });
            let usage = read_usage(&raw.to_string()).expect("it counts");
            let Usage { input, cache_read, cache_write_5m, output, reasoning, .. } = usage;
            assert_eq!([input, cache_read, cache_write_5m, output, reasoning], expected, "{raw}");
        }
    }

    #[test]
    fn no_usage_panics_or_counts_less_than_its_wholes() {
        bolero::check!().with_type::<[u32; 6]>().for_each(|[prompt, completion, total, reasoning, read, written]| {
            let raw = format!(
                r#"{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{total},
                "prompt_tokens_details":{{"cached_tokens":{read},"cache_write_tokens":{written}}},
                "completion_tokens_details":{{"reasoning_tokens":{reasoning}}}}}"#
            );
            let usage = read_usage(&raw).expect("it counts");
            assert!(usage.input_total() >= u64::from(*prompt.max(read).max(written)), "{raw}");
            assert!(usage.output_total() >= u64::from(*completion.max(reasoning)), "{raw}");
        });
    }

    #[test]
    fn garbage_is_no_usage() {
        bolero::check!().with_max_len(512).for_each(|bytes| {
            let _ = std::str::from_utf8(bytes).ok().and_then(read_usage);
        });
    }
}
