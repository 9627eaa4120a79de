//! What each dialect reads and writes of its own.

use crate::fields::Fields;
use crate::{Dialect, Refusal, Whole, anthropic, json, openai};
use bytes::Bytes;

impl Dialect {
    /// Whether a whole answer is one, and what it used.
    pub fn read_whole(self, body: &[u8]) -> Result<Whole, json::Invalid> {
        match self {
            Self::OpenAI => openai::read_whole(body),
            Self::Anthropic => anthropic::read_whole(body),
        }
    }

    /// The body of an error answer.
    pub fn encode_error(self, refusal: &Refusal, request_id: &str) -> Bytes {
        match self {
            Self::OpenAI => openai::encode_error(refusal),
            Self::Anthropic => anthropic::encode_error(refusal, request_id),
        }
    }

    /// The event that ends a stream with an error; nothing follows it.
    pub fn encode_error_event(self, refusal: &Refusal, request_id: &str) -> Bytes {
        match self {
            Self::OpenAI => openai::encode_error_event(refusal),
            Self::Anthropic => anthropic::encode_error_event(refusal, request_id),
        }
    }

    /// The status of an error answer.
    pub const fn status(self, refusal: &Refusal) -> u16 {
        match self {
            Self::OpenAI => refusal.status,
            Self::Anthropic => anthropic::status(refusal),
        }
    }

    /// What keeps a stream alive that has not begun.
    pub const fn keep_alive(self) -> &'static [u8] {
        match self {
            Self::OpenAI => b": keep-alive\n\n",
            Self::Anthropic => b"event: ping\ndata: {\"type\":\"ping\"}\n\n",
        }
    }

    pub(crate) fn wants_usage(self, fields: &Fields<'_, '_>) -> Result<bool, Refusal> {
        match self {
            Self::OpenAI => openai::include_usage(fields),
            Self::Anthropic => Ok(true),
        }
    }

    pub(crate) fn max_output(self, fields: &Fields<'_, '_>) -> Result<Option<u64>, Refusal> {
        let older = fields.integer("max_tokens")?;
        match self {
            Self::OpenAI => Ok(fields.integer("max_completion_tokens")?.or(older)),
            Self::Anthropic => Ok(older),
        }
    }
}
