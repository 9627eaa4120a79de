//! What a provider's error says, whatever its dialect.

use crate::rates::duration_ms;
use crate::verbatim::Verbatim;
use serde_json::Value;

/// Members that hold an error's text; the others are of Zhipu, Baidu and MiniMax.
const MESSAGES: [&str; 4] = ["message", "msg", "error_msg", "status_msg"];
/// Members that hold its code, likewise.
const CODES: [&str; 4] = ["status", "code", "error_code", "status_code"];

/// What a provider's error body says. Every member is optional, since servers differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorBody {
    /// Its text.
    pub message: Option<String>,
    /// `type`.
    pub error_type: Option<String>,
    /// `code`, numbers as text; Google's `status` where there is one, since its `code` repeats the HTTP status.
    pub code: Option<String>,
    /// `param`.
    pub param: Option<String>,
    /// The reason that Google's `details` name, such as `API_KEY_INVALID`.
    pub reason: Option<String>,
    /// When Google's `RetryInfo` says that trying again makes sense, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// Whether a moderation flagged the request, as OpenRouter's `metadata` tells.
    pub flagged: bool,
    /// The body as it came, if it is of the form that clients of both dialects read.
    pub verbatim: Option<Box<Verbatim>>,
}

impl ErrorBody {
    /// Reads `{error:{…}}` of either dialect, `{error:"…"}` with or without a code beside, the flat form of older vLLM,
    /// `{detail:…}` of FastAPI, `{base_resp:…}` of MiniMax, and a list whose first element is one of these, as Gemini sends; anything else is empty.
    pub fn read(body: &[u8]) -> Self {
        let Ok(mut value) = serde_json::from_slice::<Value>(body) else { return Self::default() };
        let is_list = value.is_array();
        if let Value::Array(list) = &mut value {
            value = list.first_mut().map(Value::take).unwrap_or_default();
        }
        let error =
            ["error", "detail", "base_resp"].iter().find_map(|name| value.get(name).filter(|error| !is_empty(error)));
        let read = match error.unwrap_or(&value) {
            Value::String(text) => {
                Self { message: Some(text.clone()), code: text_of(&value, "code"), ..Self::default() }
            }
            Value::Array(list) => Self { message: all_messages(list), ..Self::default() },
            error @ (Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_)) => Self::of_object(error),
        };
        Self { verbatim: if is_list { None } else { Verbatim::of(body, &value) }, ..read }
    }

    /// Reads an error that is no body of its own: an object, or a text.
    pub(crate) fn read_error(json: &str) -> Self {
        match serde_json::from_str(json) {
            Ok(Value::String(text)) => Self { message: Some(text), ..Self::default() },
            Ok(error) => Self::of_object(&error),
            Err(_) => Self::default(),
        }
    }

    /// Whether it says what went wrong.
    pub(crate) fn says_why(&self) -> bool {
        self.message.as_ref().is_some_and(|message| !message.is_empty()) || self.reason.is_some()
    }

    fn of_object(error: &Value) -> Self {
        let details = || error.get("details").and_then(Value::as_array).into_iter().flatten();
        let metadata = error.get("metadata");
        let flags = ["reasons", "flagged_input"];
        Self {
            message: MESSAGES.iter().find_map(|name| text_of(error, name)),
            error_type: text_of(error, "type"),
            code: CODES.iter().find_map(|name| text_of(error, name)),
            param: text_of(error, "param"),
            reason: details().find_map(|detail| text_of(detail, "reason")),
            retry_after_ms: details().find_map(|detail| duration_ms(detail.get("retryDelay")?.as_str()?)),
            flagged: flags
                .iter()
                .any(|name| metadata.and_then(|held| held.get(name)).is_some_and(|said| !said.is_null())),
            verbatim: None,
        }
    }
}

/// Whether an error is none: SDKs take what counts as false for that.
fn is_empty(error: &Value) -> bool {
    match error {
        Value::Null => true,
        Value::Bool(is) => !is,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

/// A member that is a text or a number.
fn text_of(object: &Value, name: &str) -> Option<String> {
    match object.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    }
}

/// What FastAPI says of each field that it refuses.
fn all_messages(list: &[Value]) -> Option<String> {
    let each: Vec<&str> = list.iter().filter_map(|item| item.get("msg")?.as_str()).collect();
    (!each.is_empty()).then(|| each.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn every_shape_of_error_body_is_read() {
        let full = ErrorBody::read(br#"{"error":{"message":"m","type":"t","param":"p","code":"c"}}"#);
        assert_eq!((full.message, full.error_type), (text("m"), text("t")));
        assert_eq!((full.code, full.param), (text("c"), text("p")));
        let anthropic = ErrorBody::read(br#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#);
        assert_eq!(anthropic.error_type, text("overloaded_error"));
        assert_eq!(ErrorBody::read(br#"{"object":"error","message":"m","code":400}"#).code, text("400"));
        assert_eq!(ErrorBody::read(br#"{"error":"m"}"#).message, text("m"));
        let xai = ErrorBody::read(br#"{"code":"Client specified an invalid argument","error":"m"}"#);
        assert_eq!((xai.message, xai.code), (text("m"), text("Client specified an invalid argument")));
        assert_eq!(ErrorBody::read(br#"{"detail":"m"}"#).message, text("m"));
        let fields = br#"{"detail":[{"loc":["body","n"],"msg":"one"},{"loc":["body"],"msg":"two"}]}"#;
        assert_eq!(ErrorBody::read(fields).message, text("one; two"));
        assert_eq!(ErrorBody::read(br#"{"message":"Unauthorized","request_id":"1"}"#).message, text("Unauthorized"));
        for none in [&b"<html>"[..], b"", b"[]", b"[7]", b"7", b"null", br#"{"error":7}"#, br#"{"error":[]}"#] {
            assert_eq!(ErrorBody::read(none), ErrorBody::default());
        }
    }

    #[test]
    fn googles_errors_are_read_in_a_list_and_alone_with_their_reason_and_their_delay() {
        let error = r#"{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED","details":[
            {"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"RATE_LIMIT_EXCEEDED"},
            {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.07s"}]}}"#;
        for body in [error.to_owned(), format!("[{error}]"), format!(" [\n{error}\n, {{}}]")] {
            let read = ErrorBody::read(body.as_bytes());
            assert_eq!((read.message, read.code), (text("m"), text("RESOURCE_EXHAUSTED")), "{body}");
            assert_eq!((read.reason, read.retry_after_ms), (text("RATE_LIMIT_EXCEEDED"), Some(34_070)), "{body}");
        }
        for nonsense in ["-1s", "1e300s", "NaN", "inf", "", "s", "1.5.5s"] {
            let body = format!(r#"{{"error":{{"details":[{{"retryDelay":"{nonsense}"}}]}}}}"#);
            assert_eq!(ErrorBody::read(body.as_bytes()).retry_after_ms, None, "{nonsense}");
        }
    }

    #[test]
    fn a_body_is_kept_as_it_came_where_it_is_an_error_and_nothing_else() {
        let kept = |body: &str| ErrorBody::read(body.as_bytes()).verbatim.map(|kept| kept.body.into_string());
        let anthropic = "{\"type\": \"error\",\n \"error\": {\"type\":\"x\",\"message\":\"\\u0041\"}}";
        assert_eq!(kept(anthropic).as_deref(), Some(anthropic));
        for other in [
            r#"{"error":"m"}"#,
            r#"[{"error":{"message":"m"}}]"#,
            r#"{"detail":"m"}"#,
            r#"{"error":{"message":"m"},"choices":[{"finish_reason":"error"}]}"#,
            "<html>",
        ] {
            assert_eq!(kept(other), None, "{other}");
        }
        let long = format!(r#"{{"error":{{"message":"{}"}}}}"#, "x".repeat(64 * 1024));
        assert_eq!(kept(&long), None);
        let texts =
            ErrorBody::read(br#"{"error":{"message":"\u0073k-x","n":{"a":["b"]},"none":null}}"#).verbatim.unwrap();
        assert_eq!(&*texts.texts, "error\nmessage\nsk-x\nn\na\nb\nnone\n");
        assert_eq!(*texts.names, ["error", "message", "n", "a"].map(str::to_owned));
    }

    #[test]
    fn a_moderation_says_that_it_flagged_the_request() {
        let flagged =
            |metadata: &str| ErrorBody::read(format!(r#"{{"error":{{"metadata":{metadata}}}}}"#).as_bytes()).flagged;
        assert!(flagged(r#"{"reasons":["violence"],"flagged_input":"x"}"#) && flagged(r#"{"reasons":[]}"#));
        assert!(!flagged(r#"{"provider_name":null}"#) && !flagged("7") && !flagged(r#"{"reasons":null}"#));
    }
}
