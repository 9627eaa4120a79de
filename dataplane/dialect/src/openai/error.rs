//! Our own errors in the OpenAI dialect.

use crate::{ErrorType, Refusal};
use bytes::Bytes;
use serde_json::json;

/// The body of an error answer.
pub(crate) fn encode_error(refusal: &Refusal) -> Bytes {
    let Refusal { status: _, error_type, code, message, param, retry_after_ms: _, should_retry: _, verbatim: _ } =
        refusal;
    let body = json!({"error": {"message": message, "type": type_name(*error_type), "param": param, "code": code}});
    body.to_string().into()
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
    use crate::Dialect;
    use serde_json::Value;

    #[test]
    fn an_error_names_the_field_and_ends_without_done() {
        let refusal = Refusal::invalid("invalid_value", Some("tools"), "too many");
        let event = Dialect::OpenAI.encode_error_event(&refusal, "");
        let text = std::str::from_utf8(&event).expect("UTF-8");
        let body: Value =
            serde_json::from_str(text.strip_prefix("data: ").expect("a data line").trim_end()).expect("JSON");
        assert_eq!(
            body["error"],
            json!({"message": "too many", "type": "invalid_request_error", "param": "tools", "code": "invalid_value"})
        );
    }
}
