//! What each dialect reads and writes of its own.

use crate::fields::Fields;
use crate::json::{Invalid, Members};
use crate::peek::written;
use crate::{Dialect, ErrorBody, Refusal, ServiceTier, Usage, Whole, anthropic, openai};
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
        let (usage, service_tier, content) = match self {
            Self::OpenAI => {
                let tier = ServiceTier::read(|name| members.raw(name));
                (usage.and_then(openai::read_usage), tier, "choices")
            }
            Self::Anthropic => {
                let (usage, tier) = usage.map(anthropic::read_usage).unwrap_or_default();
                (usage, tier, "content")
            }
        };
        // A count of nothing beside a text is none.
        let unknown = members.raw(content).filter(|_| usage.is_none_or(|usage: Usage| usage.output_total() == 0));
        let text_bytes = unknown.map_or(0, |raw| written(raw.as_bytes()).0);
        Ok(Whole::Answer { usage, service_tier, text_bytes })
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

    /// The one limit of output. Servers differ in which of the two names of the OpenAI dialect they read, so that both
    /// must say the same.
    pub(crate) fn max_output(self, fields: &Fields<'_, '_>) -> Result<Option<u64>, Refusal> {
        let older = fields.integer("max_tokens")?;
        let newer = if self == Self::OpenAI { fields.integer("max_completion_tokens")? } else { None };
        if let (Some(newer), Some(older)) = (newer, older)
            && newer != older
        {
            let message = format!(
                "`max_completion_tokens` is {newer} and `max_tokens` is {older}, and servers differ in which one they read; send one of them"
            );
            return Err(Refusal::invalid("invalid_value", Some("max_tokens"), message));
        }
        Ok(newer.or(older))
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
        assert_eq!(
            read(br#"{"error":null,"choices":[]}"#),
            Ok(Whole::Answer { usage: None, service_tier: ServiceTier::default(), text_bytes: 0 })
        );
        assert!(read(b"").is_err());
        assert!(read(b"<html>").is_err());
    }
}
