//! A whole message: peeked at, decoded to the chat model, encoded from it.

use crate::chat::{Block, Choice, Content, Finish, Reply};
use crate::finish::unsaid;
use crate::ids::Ids;
use crate::json::Elements;
use crate::seal::seal;
use crate::tier::Member;
use crate::translate::Translation;
use crate::usage::{count, object as details};
use crate::write::{Array, Object, object};
use crate::{Loss, ServiceTier, Text, Usage};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The counters of a `usage` object. In a stream they come in parts, each the newest of its kind.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Counts {
    pass: Pass,
    rest: Rest,
}

/// What one pass over the context used, or all of those whose answer the message is.
#[derive(Debug, Clone, Copy, Default, Deserialize, PartialEq)]
#[serde(default)]
struct Pass {
    #[serde(deserialize_with = "count")]
    input_tokens: Option<u64>,
    #[serde(deserialize_with = "count")]
    cache_read_input_tokens: Option<u64>,
    #[serde(deserialize_with = "count")]
    cache_creation_input_tokens: Option<u64>,
    #[serde(deserialize_with = "details")]
    cache_creation: Option<Creation>,
    #[serde(deserialize_with = "count")]
    output_tokens: Option<u64>,
    #[serde(deserialize_with = "details")]
    output_tokens_details: Option<Details>,
    /// Names of the other dialect.
    #[serde(deserialize_with = "count")]
    prompt_tokens: Option<u64>,
    #[serde(deserialize_with = "count")]
    completion_tokens: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize, PartialEq)]
#[serde(default)]
struct Rest {
    #[serde(deserialize_with = "iterations")]
    iterations: Option<Iterations>,
    service_tier: Member,
    speed: Member,
    inference_geo: Member,
}

/// Passes over the context, such as those that compact it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Iterations {
    /// What those used that no counter beside them holds: all but the message's own.
    beside: Usage,
    /// All input of the one that had most.
    largest: u64,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Iteration {
    #[serde(rename = "type", deserialize_with = "details")]
    kind: Option<String>,
}

/// Sums them up as they come, so that no list of them is held.
fn iterations<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Iterations>, D::Error> {
    let raw = <Option<&'de RawValue>>::deserialize(deserializer)?;
    let Some(list) = raw.and_then(|raw| Elements::of(raw.get()).ok()) else { return Ok(None) };
    let mut sum = Iterations::default();
    for raw in list.map_while(Result::ok) {
        let usage = serde_json::from_str::<Pass>(raw).unwrap_or_default().usage();
        let kind = serde_json::from_str::<Iteration>(raw).unwrap_or_default().kind;
        sum.largest = sum.largest.max(usage.input_total());
        if kind.as_deref() != Some("message") {
            sum.beside = sum.beside.plus(&usage);
        }
    }
    Ok(Some(sum))
}

#[derive(Debug, Clone, Copy, Default, Deserialize, PartialEq)]
#[serde(default)]
struct Creation {
    #[serde(deserialize_with = "count")]
    ephemeral_5m_input_tokens: Option<u64>,
    #[serde(deserialize_with = "count")]
    ephemeral_1h_input_tokens: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, PartialEq)]
#[serde(default)]
struct Details {
    #[serde(deserialize_with = "count")]
    thinking_tokens: Option<u64>,
}

impl Pass {
    fn or(self, earlier: Self) -> Self {
        Self {
            input_tokens: self.input_tokens.or(earlier.input_tokens),
            cache_read_input_tokens: self.cache_read_input_tokens.or(earlier.cache_read_input_tokens),
            cache_creation_input_tokens: self.cache_creation_input_tokens.or(earlier.cache_creation_input_tokens),
            cache_creation: self.cache_creation.or(earlier.cache_creation),
            output_tokens: self.output_tokens.or(earlier.output_tokens),
            output_tokens_details: self.output_tokens_details.or(earlier.output_tokens_details),
            prompt_tokens: self.prompt_tokens.or(earlier.prompt_tokens),
            completion_tokens: self.completion_tokens.or(earlier.completion_tokens),
        }
    }

    /// Whether anything is counted.
    fn counts(&self) -> bool {
        let inputs = [self.input_tokens, self.prompt_tokens, self.cache_read_input_tokens];
        let others = [self.cache_creation_input_tokens, self.output_tokens, self.completion_tokens];
        inputs.into_iter().chain(others).any(|count| count.is_some())
    }

    /// Thinking is part of the output there and a counter of its own here; where it is larger, it stands beside.
    fn usage(&self) -> Usage {
        let split = self.cache_creation.unwrap_or_default();
        let hour = split.ephemeral_1h_input_tokens.unwrap_or(0);
        let five = split.ephemeral_5m_input_tokens.unwrap_or(0);
        let written = self.cache_creation_input_tokens.unwrap_or(0).max(five.saturating_add(hour));
        let output = self.output_tokens.or(self.completion_tokens).unwrap_or(0);
        let reasoning = self.output_tokens_details.and_then(|held| held.thinking_tokens).unwrap_or(0);
        Usage {
            input: self.input_tokens.or(self.prompt_tokens).unwrap_or(0),
            cache_read: self.cache_read_input_tokens.unwrap_or(0),
            cache_write_5m: written.saturating_sub(hour),
            cache_write_1h: hour,
            output: output.checked_sub(reasoning).unwrap_or(output),
            reasoning,
            largest_pass: 0,
        }
    }
}

impl Counts {
    /// These, with what a further `usage` object says.
    pub(super) fn with(self, raw: &str) -> Self {
        // A list would be read by the place of its elements.
        if !raw.starts_with('{') {
            return self;
        }
        let pass: Pass = serde_json::from_str(raw).unwrap_or_default();
        let rest: Rest = serde_json::from_str(raw).unwrap_or_default();
        let Rest { iterations, service_tier, speed, inference_geo } = self.rest;
        Self {
            pass: pass.or(self.pass),
            rest: Rest {
                iterations: rest.iterations.or(iterations),
                service_tier: rest.service_tier.or(service_tier),
                speed: rest.speed.or(speed),
                inference_geo: rest.inference_geo.or(inference_geo),
            },
        }
    }

    /// The same without the output, which the start of a stream has a placeholder for: what an end does not say is unsaid.
    pub(super) fn begun(mut self) -> Self {
        (self.pass.output_tokens, self.pass.completion_tokens) = (None, None);
        self
    }

    /// All of it; `None` where nothing is counted.
    pub(super) fn usage(&self) -> Option<Usage> {
        let Iterations { beside, largest } = self.rest.iterations.unwrap_or_default();
        let own = self.pass.usage();
        let counted = self.pass.counts() || beside != Usage::default();
        counted.then(|| Usage { largest_pass: largest, ..own.plus(&beside) })
    }

    /// The tier of service that is named beside them.
    pub(super) fn service_tier(&self) -> ServiceTier {
        Member::tier(&self.rest.service_tier, &self.rest.speed, &self.rest.inference_geo)
    }
}

/// Reads the whole of a `usage` object, and the tier of service in it.
pub(crate) fn read_usage(raw: &str) -> (Option<Usage>, ServiceTier) {
    let counts = Counts::default().with(raw);
    (counts.usage(), counts.service_tier())
}

/// Writes the members of a `usage` object.
pub(super) fn write_usage(o: &mut Object<'_>, usage: &Usage) {
    o.count("input_tokens", usage.input);
    o.count("cache_creation_input_tokens", usage.cache_write());
    o.count("cache_read_input_tokens", usage.cache_read);
    if usage.cache_write_1h > 0 {
        o.object("cache_creation", |o| {
            o.count("ephemeral_5m_input_tokens", usage.cache_write_5m);
            o.count("ephemeral_1h_input_tokens", usage.cache_write_1h);
        });
    }
    o.count("output_tokens", usage.output_total());
    if usage.reasoning > 0 {
        o.object("output_tokens_details", |o| o.count("thinking_tokens", usage.reasoning));
    }
}

pub(super) const fn stop_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::StopSequence => "stop_sequence",
        Finish::Length => "max_tokens",
        Finish::ContextFull => "model_context_window_exceeded",
        Finish::ToolCalls => "tool_use",
        Finish::Filtered => "refusal",
        Finish::Paused => "pause_turn",
    }
}

/// Encodes an answer; the dialect has room for one choice.
pub(crate) fn encode_reply(reply: &Reply<'_>, translation: &Translation<'_>, loss: &mut Loss) -> Vec<u8> {
    let mut out = Vec::with_capacity(1_024);
    if reply.choices.len() > 1 {
        loss.add("choices");
    }
    let choice = reply.choices.first();
    object(&mut out, |o| {
        o.text("id", &id(reply.id.as_ref(), Ids(translation.seed)));
        o.str("type", "message");
        o.str("role", "assistant");
        o.text("model", reply.model.as_ref().unwrap_or(&Text::of("unknown")));
        o.array("content", |list| {
            choice
                .into_iter()
                .flat_map(|choice| &choice.content)
                .for_each(|block| write_block(list, block, translation.origin, loss));
        });
        o.str("stop_reason", stop_reason(choice.map_or(Finish::Stop, finish_of)));
        match choice.and_then(|choice| choice.stop_sequence.as_ref()) {
            Some(sequence) => o.text("stop_sequence", sequence),
            None => o.raw("stop_sequence", "null"),
        }
        o.object("usage", |o| {
            write_usage(o, &reply.usage.unwrap_or_default());
            write_tier(o, reply.service_tier.as_ref(), loss);
        });
    });
    out
}

/// Why a choice ended. A model that stopped to say that it will not answer was filtered.
fn finish_of(choice: &Choice<'_>) -> Finish {
    let has = |is: fn(&Content<'_>) -> bool| choice.content.iter().any(|block| is(&block.content));
    let calls = has(|content| matches!(content, Content::ToolCall { .. }));
    let finish = choice.finish.unwrap_or_else(|| unsaid(calls, Finish::Stop));
    let refused = finish == Finish::Stop && has(|content| matches!(content, Content::Refusal(_)));
    if refused { Finish::Filtered } else { finish }
}

/// Writes the tier of service, where the dialect has a name for it.
pub(super) fn write_tier(o: &mut Object<'_>, tier: Option<&Text<'_>>, loss: &mut Loss) {
    match tier.map(Text::plain).as_deref() {
        None => {}
        Some("default" | "auto") => o.str("service_tier", "standard"),
        Some("standard" | "priority" | "batch") => o.text_if("service_tier", tier),
        Some(_) => loss.add("service_tier"),
    }
}

/// An id of the dialect's form, made up where none is given.
pub(super) fn id(given: Option<&Text<'_>>, ids: Ids) -> Text<'static> {
    match given {
        Some(id) if id.escaped().starts_with("msg_") => id.clone().into_owned(),
        Some(id) => Text::joined(&[Text::of("msg_"), id.clone()], ""),
        None => ids.answer("msg_"),
    }
}

fn write_block(list: &mut Array<'_>, block: &Block<'_>, origin: &str, loss: &mut Loss) {
    let Block { content, cache: _, extra: _ } = block;
    match content {
        Content::Text(text) if text.is_empty() => {}
        Content::Text(text) | Content::Refusal(text) => list.object(|o| {
            o.str("type", "text");
            o.text("text", text);
        }),
        Content::Thinking { thinking, signature } => list.object(|o| {
            o.str("type", "thinking");
            o.text("thinking", thinking);
            o.text("signature", &seal(origin, signature.as_ref()));
        }),
        Content::RedactedThinking(data) => list.object(|o| {
            o.str("type", "redacted_thinking");
            o.text("data", &seal(origin, Some(data)));
        }),
        Content::ToolCall { id, name, arguments } => list.object(|o| {
            o.str("type", "tool_use");
            o.text("id", id);
            o.text("name", name);
            o.raw("input", &arguments.to_object());
        }),
        Content::Image { .. } | Content::Document { .. } | Content::ToolResult { .. } | Content::Native { .. } => {
            loss.add("content");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_of_token_is_counted_once_t51() {
        let raw = r#"{"input_tokens":10,"cache_read_input_tokens":80,"cache_creation_input_tokens":7,
            "cache_creation":{"ephemeral_5m_input_tokens":5,"ephemeral_1h_input_tokens":2},
            "output_tokens":50,"output_tokens_details":{"thinking_tokens":30},"service_tier":"standard"}"#;
        let (usage, service_tier) = read_usage(raw);
        let usage = usage.expect("it counts");
        assert!(!service_tier.is_unsaid() && service_tier.name().is_none());
        let expected = Usage {
            input: 10,
            cache_read: 80,
            cache_write_5m: 5,
            cache_write_1h: 2,
            output: 20,
            reasoning: 30,
            largest_pass: 0,
        };
        assert_eq!(usage, expected);
        assert_eq!((usage.input_total(), usage.output_total()), (97, 50));
    }

    #[test]
    fn the_newest_count_of_each_kind_stands_t52() {
        let begun = Counts::default().with(r#"{"input_tokens":10,"cache_read_input_tokens":3,"output_tokens":1}"#);
        let ended = begun
            .with(r#"{"input_tokens":11,"cache_read_input_tokens":null,"output_tokens":20}"#)
            .usage()
            .expect("it counts");
        assert_eq!((ended.input, ended.cache_read, ended.output), (11, 3, 20));
    }
    #[test]
    fn passes_that_no_other_counter_holds_are_added_and_the_largest_tells_the_tier() {
        let raw = r#"{"input_tokens":23000,"output_tokens":1000,"iterations":[
            {"type":"compaction","input_tokens":180000,"output_tokens":3500,"cache_read_input_tokens":7},
            {"type":"message","input_tokens":23000,"output_tokens":1000}]}"#;
        let usage = read_usage(raw).0.expect("it counts");
        assert_eq!((usage.input, usage.cache_read, usage.output), (203_000, 7, 4_500));
        assert_eq!((usage.input_total(), usage.largest_pass()), (203_007, 180_007));
        // In a stream the newest list counts, and an older one where none is there.
        let begun =
            Counts::default().with(r#"{"input_tokens":5,"iterations":[{"type":"compaction","input_tokens":9}]}"#);
        assert_eq!(begun.clone().with(r#"{"output_tokens":3}"#).usage().map(|u| (u.input, u.output)), Some((14, 3)));
        let newer = begun.with(r#"{"iterations":[{"type":"compaction","input_tokens":20}]}"#).usage();
        assert_eq!(newer.map(|u| u.input), Some(25));
    }

    #[test]
    fn odd_forms_are_read_and_nothing_is_none() {
        let read = |raw| read_usage(raw).0.map(|u| (u.input_total(), u.output_total()));
        for raw in ["{}", "null", "[]", r#"{"service_tier":"standard"}"#, r#"{"iterations":[]}"#] {
            assert_eq!(read(raw), None, "{raw}");
        }
        assert_eq!(read(r#"{"input_tokens":"7","output_tokens":3.0,"cache_creation":7}"#), Some((7, 3)));
        assert_eq!(read(r#"{"prompt_tokens":7,"completion_tokens":3}"#), Some((7, 3)));
        let beside = r#"{"input_tokens":1,"output_tokens":2,"output_tokens_details":{"thinking_tokens":30},
            "cache_creation":{"ephemeral_5m_input_tokens":5,"ephemeral_1h_input_tokens":2}}"#;
        assert_eq!(read(beside), Some((8, 32)));
        bolero::check!().with_max_len(512).for_each(|bytes| {
            let _ = std::str::from_utf8(bytes).map(read_usage);
        });
    }
}
