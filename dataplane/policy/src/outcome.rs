//! What a failed attempt means: whose fault it is, whether another may follow, what the client hears.
//!
//! Texts of a provider reach the client only where they are about the client's own request; others may
//! hold account ids or parts of keys.

use std::borrow::Cow;
use weir_dialect::{ErrorBody, ErrorType, Refusal};
use weir_snapshot::RetryOn;

/// Kinds of failure, each with its own consequences (failure-semantics 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// No connection: DNS, refused, unreachable, too slow.
    Connect,
    /// The address is one that must not be dialled.
    Forbidden,
    /// The server's certificate is not good.
    Certificate,
    /// The provider surely did not see the request: GOAWAY, refused stream, a pooled connection that had closed.
    Unprocessed,
    /// The connection broke when the provider may have seen the request.
    Reset,
    /// A time limit passed before the first content.
    Timeout,
    /// 5xx, or 408, 409, 425, 499.
    Server,
    /// 529, or an error that says so.
    Overloaded,
    /// 429.
    RateLimited,
    /// 402, or a 429 that means money or a day's quota.
    Quota,
    /// 401 or 403.
    CredentialRejected,
    /// 404.
    ModelUnavailable,
    /// The provider refuses this very request.
    Request,
    /// The target's dialect cannot say this very request; nothing was sent.
    NotSent,
    /// 3xx.
    Redirect,
    /// An answer that is none.
    Malformed,
}

/// A failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind.
    pub kind: FailureKind,
    /// The provider's status, if it gave one.
    pub status: Option<u16>,
    /// For the log and, of [`FailureKind::Request`], for the client.
    pub message: String,
    /// The provider's error code and the parameter it names.
    pub code: Option<String>,
    /// The parameter at fault.
    pub param: Option<String>,
    /// When the provider says that trying again makes sense.
    pub retry_after_ms: Option<u64>,
}

/// What an operator should know of a provider: a reason in CamelCase and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// As in a condition.
    pub reason: &'static str,
    /// What happened.
    pub message: String,
}

/// Codes of a 429 that no waiting of seconds mends.
const QUOTA: &[&str] =
    &["insufficient_quota", "credit_balance_exhausted", "enforced_spend_limit_reached", "billing_hard_limit_reached"];
const OVERLOADED: &[&str] = &["overloaded_error", "server_is_overloaded", "overloaded", "engine_overloaded"];

impl Failure {
    /// A failure without an answer of the provider.
    pub fn local(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, status: None, message: message.into(), code: None, param: None, retry_after_ms: None }
    }

    /// A request that one target cannot be asked, as its translation says.
    pub fn not_sent(refusal: Refusal) -> Self {
        let Refusal { status, error_type: _, code, message, param, retry_after_ms, should_retry: _ } = refusal;
        Self {
            kind: FailureKind::NotSent,
            status: Some(status),
            message,
            code: Some(code.into_owned()),
            param: param.map(Cow::into_owned),
            retry_after_ms,
        }
    }

    /// The word for logs and metrics.
    pub const fn error_type(&self) -> &'static str {
        match self.kind {
            FailureKind::Connect => "connect",
            FailureKind::Forbidden => "forbidden_address",
            FailureKind::Certificate => "certificate",
            FailureKind::Unprocessed => "unprocessed",
            FailureKind::Reset => "reset",
            FailureKind::Timeout => "timeout",
            FailureKind::Server => "server_error",
            FailureKind::Overloaded => "overloaded",
            FailureKind::RateLimited => "rate_limited",
            FailureKind::Quota => "quota_exhausted",
            FailureKind::CredentialRejected => "credential_rejected",
            FailureKind::ModelUnavailable => "model_unavailable",
            FailureKind::Request => "invalid_request",
            FailureKind::NotSent => "not_sent",
            FailureKind::Redirect => "redirect",
            FailureKind::Malformed => "malformed",
        }
    }

    /// The entry of `retry.on` that lets another attempt follow; `None` = none ever does.
    pub const fn retry_on(&self) -> Option<RetryOn> {
        match self.kind {
            FailureKind::Connect | FailureKind::Certificate | FailureKind::Forbidden => Some(RetryOn::Connect),
            FailureKind::Unprocessed | FailureKind::Reset | FailureKind::Malformed => Some(RetryOn::Reset),
            FailureKind::Timeout => Some(RetryOn::Timeout),
            FailureKind::Server => Some(RetryOn::ServerError),
            FailureKind::Overloaded => Some(RetryOn::Overloaded),
            FailureKind::RateLimited | FailureKind::Quota => Some(RetryOn::RateLimited),
            FailureKind::CredentialRejected => Some(RetryOn::CredentialRejected),
            FailureKind::ModelUnavailable => Some(RetryOn::ModelUnavailable),
            FailureKind::Request | FailureKind::NotSent | FailureKind::Redirect => None,
        }
    }

    /// Whether the same target may be tried once more.
    pub const fn same_target(&self) -> bool {
        matches!(self.kind, FailureKind::Connect | FailureKind::Reset | FailureKind::Server | FailureKind::Malformed)
    }

    /// Whether it is about one credential and not about the target.
    pub const fn of_credential(&self) -> bool {
        matches!(self.kind, FailureKind::RateLimited | FailureKind::Quota | FailureKind::CredentialRejected)
    }

    /// Whether the provider may have worked on the request all the same.
    pub const fn ambiguous(&self) -> bool {
        matches!(self.kind, FailureKind::Reset | FailureKind::Timeout | FailureKind::Malformed)
    }

    /// What the Provider's status should say of it.
    pub fn trouble(&self) -> Option<Trouble> {
        let reason = match self.kind {
            FailureKind::Connect => "ConnectFailed",
            FailureKind::Forbidden => "AddressForbidden",
            FailureKind::Certificate => "CertificateInvalid",
            FailureKind::Timeout => "TimedOut",
            FailureKind::Reset => "ConnectionReset",
            FailureKind::Server => "ServerError",
            FailureKind::Overloaded => "Overloaded",
            FailureKind::Quota => "QuotaExhausted",
            FailureKind::CredentialRejected => "CredentialRejected",
            FailureKind::ModelUnavailable => "ModelUnavailable",
            FailureKind::Redirect => "UnexpectedRedirect",
            FailureKind::Malformed => "MalformedAnswer",
            FailureKind::Unprocessed | FailureKind::RateLimited | FailureKind::Request | FailureKind::NotSent => {
                return None;
            }
        };
        Some(Trouble { reason, message: self.message.clone() })
    }

    /// What the client hears when no attempt succeeded and this failure says most.
    pub fn refusal(&self) -> Refusal {
        let new = |status, error_type, code, message: String| Refusal::new(status, error_type, code, message);
        let target = "no target of the route could answer";
        let mut refusal = match self.kind {
            FailureKind::Request | FailureKind::NotSent => {
                let status = self.status.filter(|status| (400..500).contains(status)).unwrap_or(400);
                let error_type = if status == 413 { ErrorType::TooLarge } else { ErrorType::InvalidRequest };
                let code = self.code.clone().map_or(Cow::Borrowed("invalid_request"), Cow::Owned);
                Refusal {
                    code,
                    param: self.param.clone().map(Cow::Owned),
                    ..new(status, error_type, "", self.message.clone())
                }
            }
            FailureKind::ModelUnavailable => {
                let message = "the provider does not know the model that this route sends to it".to_owned();
                new(404, ErrorType::NotFound, "model_not_found", message)
            }
            FailureKind::RateLimited => {
                let message = "the provider's rate limit is reached; try again later".to_owned();
                new(429, ErrorType::RateLimit, "upstream_rate_limited", message)
            }
            FailureKind::Quota => {
                let message = "the provider account behind this route has no quota left".to_owned();
                new(503, ErrorType::Overloaded, "upstream_quota_exhausted", message)
            }
            FailureKind::Overloaded => new(
                503,
                ErrorType::Overloaded,
                "upstream_overloaded",
                "the provider is overloaded; try again later".to_owned(),
            ),
            FailureKind::Timeout => {
                new(504, ErrorType::Timeout, "upstream_timeout", format!("{target}: {}", self.message))
            }
            FailureKind::CredentialRejected => {
                let message = format!("{target}: the provider refused the gateway's credential");
                new(502, ErrorType::Server, "upstream_credential_rejected", message)
            }
            FailureKind::Server => {
                let message = format!("{target}: the provider answered {}", self.status.unwrap_or(500));
                new(502, ErrorType::Server, "upstream_error", message)
            }
            FailureKind::Connect
            | FailureKind::Forbidden
            | FailureKind::Certificate
            | FailureKind::Unprocessed
            | FailureKind::Reset
            | FailureKind::Redirect
            | FailureKind::Malformed => {
                new(502, ErrorType::Server, "upstream_unreachable", format!("{target}: {}", self.public_message()))
            }
        };
        refusal.retry_after_ms = self.retry_after_ms;
        refusal
    }

    /// Without names of hosts or addresses.
    const fn public_message(&self) -> &'static str {
        match self.kind {
            FailureKind::Connect => "no connection to the provider",
            FailureKind::Forbidden => "the provider's address must not be dialled",
            FailureKind::Certificate => "the provider's certificate is not valid",
            FailureKind::Redirect => "the provider answered with a redirect",
            FailureKind::Malformed => "the provider's answer is not one",
            FailureKind::Unprocessed | FailureKind::Reset => "the connection to the provider broke",
            FailureKind::Timeout
            | FailureKind::Server
            | FailureKind::Overloaded
            | FailureKind::RateLimited
            | FailureKind::Quota
            | FailureKind::CredentialRejected
            | FailureKind::ModelUnavailable
            | FailureKind::Request
            | FailureKind::NotSent => "the provider answered with an error",
        }
    }

    /// How much it tells the client; of several failures the one that tells most is answered with.
    pub(crate) const fn weight(&self) -> u8 {
        match self.kind {
            FailureKind::Request => 6,
            FailureKind::RateLimited => 5,
            FailureKind::ModelUnavailable => 4,
            FailureKind::Overloaded | FailureKind::Quota => 3,
            FailureKind::Timeout => 2,
            FailureKind::CredentialRejected | FailureKind::Server => 1,
            FailureKind::Connect
            | FailureKind::Forbidden
            | FailureKind::Certificate
            | FailureKind::Unprocessed
            | FailureKind::Reset
            | FailureKind::NotSent
            | FailureKind::Redirect
            | FailureKind::Malformed => 0,
        }
    }
}

/// What an answer with an unsuccessful status means.
pub fn classify_status(status: u16, body: ErrorBody, retry_after_ms: Option<u64>) -> Failure {
    let kind = match status {
        300..=399 => FailureKind::Redirect,
        402 => FailureKind::Quota,
        429 if is_any(&body, QUOTA) => FailureKind::Quota,
        429 => FailureKind::RateLimited,
        401 | 403 => FailureKind::CredentialRejected,
        404 => FailureKind::ModelUnavailable,
        529 => FailureKind::Overloaded,
        500.. if is_any(&body, OVERLOADED) => FailureKind::Overloaded,
        408 | 409 | 425 | 499 | 500.. => FailureKind::Server,
        _ => FailureKind::Request,
    };
    failure(kind, Some(status), body, retry_after_ms)
}

/// What an error inside a successful answer means; its own code decides as a status would.
pub fn classify_error(body: ErrorBody) -> Failure {
    let has = |words: &[&str]| is_any(&body, words);
    let kind = if has(QUOTA) {
        FailureKind::Quota
    } else if has(OVERLOADED) || has(&["529"]) {
        FailureKind::Overloaded
    } else if has(&["rate_limit_exceeded", "rate_limit_error", "slow_down", "429"]) {
        FailureKind::RateLimited
    } else if has(&["invalid_api_key", "authentication_error", "permission_error", "401", "403"]) {
        FailureKind::CredentialRejected
    } else if has(&[
        "invalid_request_error",
        "context_length_exceeded",
        "content_filter",
        "BadRequestError",
        "400",
        "422",
    ]) {
        FailureKind::Request
    } else {
        FailureKind::Server
    };
    failure(kind, None, body, None)
}

fn is_any(body: &ErrorBody, words: &[&str]) -> bool {
    [&body.code, &body.error_type].into_iter().flatten().any(|held| words.contains(&held.as_str()))
}

fn failure(kind: FailureKind, status: Option<u16>, body: ErrorBody, retry_after_ms: Option<u64>) -> Failure {
    let ErrorBody { message, error_type, code, param } = body;
    let code = code.or(error_type);
    let message = match (kind, message, status) {
        (FailureKind::Request, Some(message), _) => message,
        (_, _, Some(status)) => match &code {
            Some(code) => format!("the provider answered {status} ({code})"),
            None => format!("the provider answered {status}"),
        },
        (_, _, None) => format!("the provider answered with an error ({})", code.as_deref().unwrap_or("unnamed")),
    };
    Failure { kind, status, message, code, param, retry_after_ms }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(code: &str) -> ErrorBody {
        ErrorBody { code: Some(code.into()), message: Some("key sk-secret".into()), ..ErrorBody::default() }
    }

    #[test]
    fn statuses_mean_what_the_table_says() {
        let kind = |status, code| classify_status(status, body(code), None).kind;
        assert_eq!(kind(429, "rate_limit_exceeded"), FailureKind::RateLimited);
        assert_eq!(kind(429, "insufficient_quota"), FailureKind::Quota);
        assert_eq!(kind(503, "server_is_overloaded"), FailureKind::Overloaded);
        assert_eq!(kind(522, ""), FailureKind::Server);
        assert_eq!(kind(307, ""), FailureKind::Redirect);
        assert_eq!(kind(422, ""), FailureKind::Request);
        assert_eq!(classify_error(body("insufficient_quota")).kind, FailureKind::Quota);
        assert_eq!(classify_error(body("other")).kind, FailureKind::Server);
    }

    #[test]
    fn the_gateways_credential_is_never_the_clients_problem() {
        let refusal = classify_status(401, body("invalid_api_key"), None).refusal();
        assert_eq!(refusal.status, 502);
        assert!(!refusal.message.contains("sk-secret"));
    }

    #[test]
    fn a_refused_request_keeps_the_providers_words() {
        let refusal = classify_status(400, body("context_length_exceeded"), None).refusal();
        assert_eq!(
            (refusal.status, &*refusal.code, &*refusal.message),
            (400, "context_length_exceeded", "key sk-secret")
        );
    }
}
