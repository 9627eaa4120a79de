//! What a provider's error says, whatever its dialect.

use serde_json::Value;

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
    /// Reads `{error:{…}}` of either dialect, `{error:"…"}`, the flat form of older vLLM and `{detail:…}`;
    /// anything else is empty.
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
        let anthropic = ErrorBody::read(br#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#);
        assert_eq!(anthropic.error_type.as_deref(), Some("overloaded_error"));
        assert_eq!(ErrorBody::read(br#"{"object":"error","message":"m","code":400}"#).code.as_deref(), Some("400"));
        assert_eq!(ErrorBody::read(br#"{"error":"m"}"#).message.as_deref(), Some("m"));
        assert_eq!(ErrorBody::read(br#"{"detail":"m"}"#).message.as_deref(), Some("m"));
        assert_eq!(ErrorBody::read(b"<html>"), ErrorBody::default());
    }
}
