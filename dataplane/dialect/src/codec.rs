//! What each dialect reads and writes of its own.

use crate::fields::Fields;
use crate::json::{Invalid, Members};
use crate::{Dialect, ErrorBody, Refusal, ServiceTier, Whole, anthropic, openai};
use bytes::Bytes;

impl Dialect {
    /// Whether a whole answer is one, what it used, and of which tier of service it is.
    pub fn read_whole(self, body: &[u8]) -> Result<Whole, Invalid> {
        let text = std::str::from_utf8(body).map_err(|e| Invalid::Syntax(e.valid_up_to()))?;
        let members = Members::scan(text)?;
        if members.raw("error").is_some() {
            return Ok(Whole::Error(ErrorBody::read(body)));
        }
        let usage = members.raw("usage");
        let (usage, service_tier) = match self {
            Self::OpenAI => (usage.and_then(openai::read_usage), members.raw("service_tier").map(ServiceTier::read)),
            Self::Anthropic => usage.map(anthropic::read_usage).unzip(),
        };
        Ok(Whole::Answer { usage, service_tier: service_tier.flatten() })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_under_200_is_no_answer_t12() {
        let read = |body: &[u8]| Dialect::OpenAI.read_whole(body);
        let reply = read(br#"{"error":{"message":"quota","type":"insufficient_quota","code":"insufficient_quota"}}"#);
        assert!(matches!(reply, Ok(Whole::Error(body)) if body.code.as_deref() == Some("insufficient_quota")));
        assert_eq!(read(br#"{"error":null,"choices":[]}"#), Ok(Whole::Answer { usage: None, service_tier: None }));
        assert!(read(b"").is_err());
        assert!(read(b"<html>").is_err());
    }
}
