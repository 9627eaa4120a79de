//! An answer that is an error, before it takes a dialect's form.

use crate::Verbatim;
use std::borrow::Cow;

/// The kinds of errors that client SDKs tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named after the statuses")]
pub enum ErrorType {
    InvalidRequest,
    Authentication,
    Permission,
    NotFound,
    TooLarge,
    RateLimit,
    Server,
    Overloaded,
    Timeout,
}

/// What the client is told instead of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Its kind.
    pub error_type: ErrorType,
    /// Stable word for programs, such as `model_not_found`.
    pub code: Cow<'static, str>,
    /// What was wrong and what to change.
    pub message: String,
    /// The request field that is at fault.
    pub param: Option<Cow<'static, str>>,
    /// When trying again makes sense, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// Whether the client's SDK may try again by itself; `None` leaves it to the status.
    pub should_retry: Option<bool>,
    /// What the provider said, for a client of its own dialect, in the place of all else.
    pub verbatim: Option<Box<Verbatim>>,
}

impl Refusal {
    /// An error with just what every error has.
    pub fn new(status: u16, error_type: ErrorType, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            error_type,
            code: Cow::Borrowed(code),
            message: message.into(),
            param: None,
            retry_after_ms: None,
            should_retry: None,
            verbatim: None,
        }
    }

    /// The gateway's own failure.
    pub fn internal() -> Self {
        let message = "the gateway failed on this request; other requests are not affected";
        Self::new(500, ErrorType::Server, "internal_error", message)
    }

    /// A malformed request; `param` names the field at fault.
    pub fn invalid(code: &'static str, param: Option<&'static str>, message: impl Into<String>) -> Self {
        Self { param: param.map(Cow::Borrowed), ..Self::new(400, ErrorType::InvalidRequest, code, message) }
    }
}
