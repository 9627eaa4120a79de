//! How large a request is, in tokens, without a tokenizer.
//!
//! Text is weighed by its bytes. What an image, a document or a recording comes to is told by what providers charge
//! for it, never by the length of its base64.

mod image;
mod media;
mod weight;

use crate::Dialect;
use crate::json::Members;
use media::Media;
use weight::Weight;

/// Bytes of English prose with its JSON around it that make a token of current tokenizers.
const LIKELY_BYTES: u64 = 4;
/// Weighed bytes of which no tokenizer makes more than one token.
const LEAST_BYTES: u64 = 6;
/// What providers put before the conversation where there are tools: Anthropic states up to 735 tokens, and as much
/// again for a tool of its own.
const TOOL_PROMPT: u64 = 1_500;
/// Members that are surely part of the prompt.
const PROMPT: &[&str] = &["system", "messages", "tools"];
/// Members that are no part of it, unless their value is longer than a setting is.
const SETTINGS: &[&str] = &[
    "model",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "top_k",
    "n",
    "seed",
    "stop",
    "stop_sequences",
    "user",
    "safety_identifier",
    "metadata",
    "service_tier",
    "store",
    "frequency_penalty",
    "presence_penalty",
    "logprobs",
    "top_logprobs",
    "parallel_tool_calls",
    "tool_choice",
    "reasoning_effort",
    "thinking",
    "output_config",
    "speed",
    "inference_geo",
];
/// Longest value of a setting, in bytes.
const SETTING_BYTES: usize = 256;

/// Tokens of a request's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InputSize {
    /// It surely needs so many: runs of blanks and of one character, escapes and media count little or nothing.
    pub least: u64,
    /// It probably needs so many.
    pub likely: u64,
    /// It needs no more: of lower-case letters and blanks two bytes make a token at least, of all else one byte, as
    /// byte-fallback tokenizers have it at worst. What a provider adds unasked (searches of its own, pages of a
    /// document) is not in it.
    pub most: u64,
}

impl InputSize {
    /// Of a prompt of which nothing is known but its bytes.
    pub const fn of_bytes(bytes: usize) -> Self {
        let bytes = bytes as u64;
        Self { least: bytes / LEAST_BYTES, likely: bytes.div_ceil(LIKELY_BYTES), most: bytes }
    }

    /// Of a request whose members were scanned.
    pub(crate) fn of(dialect: Dialect, members: &Members<'_>) -> Self {
        let (mut sure, mut all, mut media) = (Weight::default(), Weight::default(), Media::default());
        for member in members.iter() {
            let raw = members.text_of(member);
            let prompt = PROMPT.contains(&&*member.name);
            if !prompt && raw.len() <= SETTING_BYTES && SETTINGS.contains(&&*member.name) {
                continue;
            }
            let weight = if member.media { media.weigh(dialect, &member.name, raw) } else { Weight::of(raw) };
            all.add(&weight);
            if prompt {
                sure.add(&weight);
            }
            if member.name == "tools" && member.elements > 0 {
                media.most += TOOL_PROMPT;
            }
        }
        Self {
            least: sure.least() / LEAST_BYTES,
            likely: all.likely().div_ceil(LIKELY_BYTES).saturating_add(media.likely),
            most: all.most().saturating_add(media.most),
        }
    }

    /// Tokens at most of one member, such as one that is charged as output.
    pub(crate) fn most_of(raw: &str) -> u64 {
        Weight::of(raw).most()
    }
}

#[cfg(test)]
mod tests;
