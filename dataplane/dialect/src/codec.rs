//! What each dialect reads and writes of its own.

use crate::fields::Fields;
use crate::json::Members;
use crate::{Dialect, ErrorBody, NoEvent, Refusal, ServiceTier, Whole, anthropic, openai};
use bytes::Bytes;

impl Dialect {
    /// Whether a whole answer is one, what it used, and of which tier of service it is. The error says why it is none.
    pub fn read_whole(self, body: &[u8]) -> Result<Whole, NoEvent> {
        match self {
            Self::OpenAI => openai::read_whole(body),
            Self::Anthropic => anthropic::read_whole(body),
        }
    }

    /// Whether a body is a count of tokens; the error says why it is none.
    pub fn read_count(body: &[u8]) -> Result<Whole, NoEvent> {
        let text = std::str::from_utf8(body).map_err(|e| NoEvent(e.to_string()))?;
        let members = Members::scan(text).map_err(|e| NoEvent(e.to_string()))?;
        let is_count = |raw: &str| raw.starts_with(|c: char| c.is_ascii_digit());
        if members.raw("error").is_none() && members.raw("input_tokens").is_some_and(is_count) {
            return Ok(Whole::Answer { usage: None, service_tier: ServiceTier::default(), text_bytes: 0 });
        }
        let said = Some(ErrorBody::read(body)).filter(ErrorBody::says_why);
        said.map(Whole::Error).ok_or_else(|| NoEvent("it holds no input_tokens".to_owned()))
    }

    /// The body of an error answer.
    pub fn encode_error(self, refusal: &Refusal, request_id: &str) -> Bytes {
        match (&refusal.verbatim, self) {
            (Some(said), _) => said.body.to_string().into(),
            (None, Self::OpenAI) => openai::encode_error(refusal),
            (None, Self::Anthropic) => anthropic::encode_error(refusal, request_id),
        }
    }

    /// The event that ends a stream with an error; nothing follows it.
    pub fn encode_error_event(self, refusal: &Refusal, request_id: &str) -> Bytes {
        let body = self.encode_error(refusal, request_id);
        let mut event = if self == Self::Anthropic { b"event: error\n".to_vec() } else { Vec::new() };
        // A provider's own may have several lines.
        for line in body.trim_ascii().split(|byte| matches!(byte, b'\n' | b'\r')) {
            event.extend_from_slice(b"data: ");
            event.extend_from_slice(line);
            event.push(b'\n');
        }
        event.push(b'\n');
        event.into()
    }

    /// The status of an error answer.
    pub fn status(self, refusal: &Refusal) -> u16 {
        match (refusal.verbatim.as_ref().and_then(|said| said.status), self) {
            (Some(status), _) => status,
            (None, Self::OpenAI) => refusal.status,
            (None, Self::Anthropic) => anthropic::status(refusal),
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
    fn what_a_provider_said_goes_on_as_an_answer_and_as_an_event() {
        let body = "{\"type\":\"error\",\r\n \"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}\n";
        let said = ErrorBody::read(body.as_bytes())
            .verbatim
            .map(|said| Box::new(crate::Verbatim { status: Some(503), ..*said }));
        let refusal = Refusal { verbatim: said, ..Refusal::new(503, crate::ErrorType::Overloaded, "x", "ours") };
        for dialect in [Dialect::OpenAI, Dialect::Anthropic] {
            assert_eq!((dialect.encode_error(&refusal, "req_1"), dialect.status(&refusal)), (body.into(), 503));
            let event = dialect.encode_error_event(&refusal, "req_1");
            let mut parser = crate::sse::Parser::new(1024);
            parser.feed(event);
            let data = parser.next_event().and_then(Result::ok).and_then(|event| event.data).expect("an event");
            assert_eq!(ErrorBody::read(&data).error_type.as_deref(), Some("overloaded_error"));
            assert!(parser.next_event().is_none(), "and no other");
        }
    }

    #[test]
    fn an_error_under_200_is_no_answer_t12() {
        let read = |body: &[u8]| Dialect::OpenAI.read_whole(body);
        let reply = read(br#"{"error":{"message":"quota","type":"insufficient_quota","code":"insufficient_quota"}}"#);
        assert!(matches!(reply, Ok(Whole::Error(body)) if body.code.as_deref() == Some("insufficient_quota")));
        assert_eq!(
            read(br#"{"error":null,"choices":[{"message":{}}]}"#),
            Ok(Whole::Answer { usage: None, service_tier: ServiceTier::default(), text_bytes: 0 })
        );
        assert!(read(br#"{"choices":[]}"#).is_err());
        assert!(read(b"").is_err());
        assert!(read(b"<html>").is_err());
    }
}
