//! Errors: reading a provider's, writing our own.

use crate::{ErrorType, Refusal};
use bytes::Bytes;
use serde_json::{Value, json};

/// What a provider's error body says. Every member is optional, since servers differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorBody {
    /// Its text.
    pub message: Option<String>,
    /// `type`.
    pub error_type: Option<String>,
    /// `code`; numbers as text.
    pub code: Option<String>,
    /// `param`.
    pub param: Option<String>,
}

impl ErrorBody {
    /// Reads `{error:{…}}`, `{error:"…"}`, the flat form of older vLLM and `{detail:…}`; anything else is empty.
    pub fn read(body: &[u8]) -> Self {
        let Ok(value) = serde_json::from_slice::<Value>(body) else { return Self::default() };
        let error = value.get("error").filter(|error| !error.is_null()).unwrap_or(&value);
        if let Some(message) = error.as_str().or_else(|| value.get("detail").and_then(Value::as_str)) {
            return Self { message: Some(message.to_owned()), ..Self::default() };
        }
        let text = |name: &str| match error.get(name) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        Self { message: text("message"), error_type: text("type"), code: text("code"), param: text("param") }
    }
}

/// The body of an error answer.
pub fn encode_error(refusal: &Refusal) -> Bytes {
    let Refusal { status: _, error_type, code, message, param, retry_after_ms: _, should_retry: _ } = refusal;
    let body = json!({"error": {"message": message, "type": type_name(*error_type), "param": param, "code": code}});
    body.to_string().into()
}

/// The event that ends a stream with an error; nothing follows it, not even `[DONE]`.
pub fn encode_error_event(refusal: &Refusal) -> Bytes {
    [b"data: ", &encode_error(refusal)[..], b"\n\n"].concat().into()
}

const fn type_name(error_type: ErrorType) -> &'static str {
    match error_type {
        ErrorType::InvalidRequest | ErrorType::NotFound | ErrorType::TooLarge => "invalid_request_error",
        ErrorType::Authentication => "authentication_error",
        ErrorType::Permission => "permission_error",
        ErrorType::RateLimit => "rate_limit_error",
        ErrorType::Server | ErrorType::Overloaded => "server_error",
        ErrorType::Timeout => "timeout_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_of_error_body_is_read() {
        let full = ErrorBody::read(br#"{"error":{"message":"m","type":"t","param":"p","code":"c"}}"#);
        assert_eq!(
            full,
            ErrorBody {
                message: Some("m".into()),
                error_type: Some("t".into()),
                code: Some("c".into()),
                param: Some("p".into())
            }
        );
        assert_eq!(ErrorBody::read(br#"{"object":"error","message":"m","code":400}"#).code.as_deref(), Some("400"));
        assert_eq!(ErrorBody::read(br#"{"error":"m"}"#).message.as_deref(), Some("m"));
        assert_eq!(ErrorBody::read(br#"{"detail":"m"}"#).message.as_deref(), Some("m"));
        assert_eq!(ErrorBody::read(b"<html>"), ErrorBody::default());
    }

    #[test]
    fn an_error_names_the_field_and_ends_without_done() {
        let event = encode_error_event(&Refusal::invalid("invalid_value", Some("tools"), "too many"));
        let text = std::str::from_utf8(&event).expect("UTF-8");
        let body: Value =
            serde_json::from_str(text.strip_prefix("data: ").expect("a data line").trim_end()).expect("JSON");
        assert_eq!(
            body["error"],
            json!({"message": "too many", "type": "invalid_request_error", "param": "tools", "code": "invalid_value"})
        );
    }
}
