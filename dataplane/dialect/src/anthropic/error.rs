//! Our own errors in the Anthropic dialect.

use crate::{ErrorType, Refusal};
use bytes::Bytes;
use serde_json::json;

/// The body of an error answer.
pub(crate) fn encode_error(refusal: &Refusal, request_id: &str) -> Bytes {
    let Refusal { status: _, error_type, code: _, message, param: _, retry_after_ms: _, should_retry: _, verbatim: _ } =
        refusal;
    let error = json!({"type": type_name(*error_type), "message": message});
    json!({"type": "error", "error": error, "request_id": request_id}).to_string().into()
}

/// The status that the dialect's clients expect: 529 says overloaded.
pub(crate) const fn status(refusal: &Refusal) -> u16 {
    match (refusal.error_type, refusal.status) {
        (ErrorType::Overloaded, 503) => 529,
        (_, status) => status,
    }
}

const fn type_name(error_type: ErrorType) -> &'static str {
    match error_type {
        ErrorType::InvalidRequest => "invalid_request_error",
        ErrorType::Authentication => "authentication_error",
        ErrorType::Permission => "permission_error",
        ErrorType::NotFound => "not_found_error",
        ErrorType::TooLarge => "request_too_large",
        ErrorType::RateLimit => "rate_limit_error",
        ErrorType::Server => "api_error",
        ErrorType::Overloaded => "overloaded_error",
        ErrorType::Timeout => "timeout_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dialect;

    #[test]
    fn an_error_has_the_dialects_form_and_the_request_id() {
        let refusal = Refusal::new(503, ErrorType::Overloaded, "no_healthy_target", "later");
        assert_eq!(
            Dialect::Anthropic.encode_error_event(&refusal, "req_1"),
            "event: error\ndata: {\"error\":{\"message\":\"later\",\"type\":\"overloaded_error\"},\"request_id\":\"req_1\",\"type\":\"error\"}\n\n"
        );
        assert_eq!(status(&refusal), 529);
    }
}
