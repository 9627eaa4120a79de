//! What a failed attempt means: whose fault it is, whether another may follow, what the client hears.
//!
//! A provider's text reaches the client alone, and only where it speaks of no key and no account; others may hold
//! account ids or parts of keys. Logs and status hold none: it may quote the request.

use crate::kind::FailureKind;
use crate::meaning;
use std::borrow::Cow;
use weir_dialect::{ErrorBody, ErrorType, Refusal, Verbatim};
use weir_snapshot::RetryOn;

/// So many bytes of a secret in a row are a piece of it.
const PIECE_OF_SECRET: usize = 6;

/// A failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind.
    pub kind: FailureKind,
    /// The provider's status, if it gave one.
    pub status: Option<u16>,
    /// What happened, for the log and for status, without any text of the provider.
    pub message: String,
    /// What the provider said, for its client alone.
    pub said: Option<Box<str>>,
    /// The body that it said so in, for a client of the same dialect.
    pub verbatim: Option<Box<Verbatim>>,
    /// The provider's error code, if it is a short word.
    pub code: Option<Box<str>>,
    /// The parameter that the provider names.
    pub param: Option<Box<str>>,
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

impl Failure {
    /// A failure that no error of the provider tells of. Of an answer that is none the message ends before it quotes.
    pub fn local(kind: FailureKind, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if let Some(quote) = message.find(['"', '`']).filter(|_| kind == FailureKind::Malformed) {
            message.truncate(quote);
        }
        Self { kind, status: None, message, said: None, verbatim: None, code: None, param: None, retry_after_ms: None }
    }

    /// A request that one target cannot be asked, as its translation says.
    pub fn not_sent(refusal: Refusal) -> Self {
        let Refusal { status, error_type: _, code, message, param, retry_after_ms, should_retry: _, verbatim: _ } =
            refusal;
        Self {
            kind: FailureKind::NotSent,
            status: Some(status),
            message: format!("not sent ({code})"),
            said: Some(message.into()),
            verbatim: None,
            code: Some(code.into()),
            param: param.map(Into::into),
            retry_after_ms,
        }
    }

    /// The same without a text that holds a piece of that secret.
    #[must_use]
    pub fn without(mut self, secret: &str) -> Self {
        let pieces = || secret.as_bytes().windows(PIECE_OF_SECRET);
        let leaks = |text: &str| {
            let windows = || text.as_bytes().windows(PIECE_OF_SECRET);
            pieces().any(|piece| windows().any(|window| window == piece))
        };
        for text in [&mut self.said, &mut self.code, &mut self.param] {
            *text = text.take().filter(|text| !leaks(text));
        }
        self.verbatim = self.verbatim.take().filter(|said| !leaks(&said.body) && !leaks(&said.texts));
        if leaks(&self.message) {
            "the provider answered with an error".clone_into(&mut self.message);
        }
        self
    }

    /// The same for a client of that dialect or of another: what the provider said in its own form is for the same alone.
    #[must_use]
    pub fn told_in(mut self, same_dialect: bool) -> Self {
        self.verbatim = self.verbatim.take().filter(|_| same_dialect);
        self
    }

    /// Whether what the provider says of it may be told to the client, if it speaks of no key and no account: whatever is
    /// about the request, the provider's load or the provider's own fault.
    fn may_be_told(&self) -> bool {
        match self.kind {
            FailureKind::Request | FailureKind::RateLimited | FailureKind::Overloaded | FailureKind::Server => true,
            // Else the account lacks the model.
            FailureKind::ModelUnavailable => self.status == Some(404),
            FailureKind::Connect
            | FailureKind::Forbidden
            | FailureKind::Certificate
            | FailureKind::Unprocessed
            | FailureKind::Reset
            | FailureKind::Timeout
            | FailureKind::Quota
            | FailureKind::TooCostly
            | FailureKind::NotPermitted
            | FailureKind::CredentialRejected
            | FailureKind::NotSent
            | FailureKind::Redirect
            | FailureKind::Malformed
            | FailureKind::NoMemory => false,
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
            FailureKind::TooCostly => "too_costly",
            FailureKind::NotPermitted => "not_permitted",
            FailureKind::CredentialRejected => "credential_rejected",
            FailureKind::ModelUnavailable => "model_unavailable",
            FailureKind::Request => "invalid_request",
            FailureKind::NotSent => "not_sent",
            FailureKind::Redirect => "redirect",
            FailureKind::Malformed => "malformed",
            FailureKind::NoMemory => "no_memory",
        }
    }

    /// The entry of `retry.on` that lets another attempt follow; `None` = none ever does.
    pub const fn retry_on(&self) -> Option<RetryOn> {
        match self.kind {
            FailureKind::Connect | FailureKind::Certificate | FailureKind::Forbidden => Some(RetryOn::Connect),
            FailureKind::Unprocessed | FailureKind::Reset | FailureKind::Malformed => Some(RetryOn::Reset),
            FailureKind::Timeout => Some(RetryOn::Timeout),
            FailureKind::Server | FailureKind::Redirect => Some(RetryOn::ServerError),
            FailureKind::Overloaded => Some(RetryOn::Overloaded),
            FailureKind::RateLimited | FailureKind::Quota | FailureKind::TooCostly => Some(RetryOn::RateLimited),
            FailureKind::CredentialRejected | FailureKind::NotPermitted => Some(RetryOn::CredentialRejected),
            FailureKind::ModelUnavailable if matches!(self.status, Some(404)) => Some(RetryOn::ModelUnavailable),
            // The account lacks the model, which another target's may have.
            FailureKind::ModelUnavailable => Some(RetryOn::CredentialRejected),
            FailureKind::Request | FailureKind::NotSent | FailureKind::NoMemory => None,
        }
    }

    /// Whether the same target may be tried once more, since it may well answer a moment later.
    pub const fn same_target(&self) -> bool {
        matches!(
            self.kind,
            FailureKind::Connect
                | FailureKind::Reset
                | FailureKind::Server
                | FailureKind::Malformed
                | FailureKind::Overloaded
                | FailureKind::RateLimited
        )
    }

    /// Whether it may be over soon, so that trying again makes sense.
    pub const fn is_transient(&self) -> bool {
        self.same_target() || matches!(self.kind, FailureKind::Unprocessed)
    }

    /// Whether it is about one credential and not about the target.
    pub const fn of_credential(&self) -> bool {
        matches!(self.kind, FailureKind::RateLimited | FailureKind::Quota | FailureKind::CredentialRejected)
    }

    /// Whether it tells of the target, and not of a credential or of this request.
    pub const fn of_target(&self) -> bool {
        matches!(
            self.kind,
            FailureKind::Connect
                | FailureKind::Forbidden
                | FailureKind::Certificate
                | FailureKind::Reset
                | FailureKind::Timeout
                | FailureKind::Server
                | FailureKind::Overloaded
                | FailureKind::Malformed
        )
    }

    /// Whether the provider may have worked on the request all the same.
    pub const fn ambiguous(&self) -> bool {
        matches!(self.kind, FailureKind::Reset | FailureKind::Timeout | FailureKind::Malformed | FailureKind::NoMemory)
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
            FailureKind::NotPermitted => "NotPermitted",
            FailureKind::Unprocessed
            | FailureKind::RateLimited
            | FailureKind::TooCostly
            | FailureKind::Request
            | FailureKind::NotSent
            | FailureKind::NoMemory => return None,
        };
        Some(Trouble { reason, message: self.message.clone() })
    }

    /// What the client hears when no attempt succeeded and this failure says most.
    pub fn refusal(&self) -> Refusal {
        let mut refusal = self.in_own_words();
        refusal.retry_after_ms = self.retry_after_ms;
        refusal.verbatim.clone_from(&self.verbatim);
        if let Some(status) = refusal.verbatim.as_ref().and_then(|said| said.status) {
            refusal.status = status;
        }
        refusal
    }

    fn in_own_words(&self) -> Refusal {
        let new = |status, error_type, code, message: String| Refusal::new(status, error_type, code, message);
        let said = |ours: &str| self.said.as_deref().unwrap_or(ours).to_owned();
        let target = "no target of the route could answer";
        match self.kind {
            FailureKind::Request | FailureKind::NotSent => {
                let status = self.status.filter(|status| (400..500).contains(status)).unwrap_or(400);
                let error_type = if status == 413 { ErrorType::TooLarge } else { ErrorType::InvalidRequest };
                let code = self.code.clone().map_or(Cow::Borrowed("invalid_request"), |code| code.into_string().into());
                Refusal {
                    code,
                    param: self.param.clone().map(|param| param.into_string().into()),
                    ..new(status, error_type, "", said(&self.message))
                }
            }
            FailureKind::NoMemory => {
                let message = "the gateway holds as many bytes of requests and answers as it may; try again later";
                new(503, ErrorType::Overloaded, "gateway_memory_exhausted", message.to_owned())
            }
            FailureKind::TooCostly => {
                let message = "what is left to the provider account behind this route does not cover this request; send a smaller one, or ask for less output";
                new(400, ErrorType::InvalidRequest, "upstream_request_too_costly", message.to_owned())
            }
            FailureKind::NotPermitted => {
                let message = format!("{target}: the provider does not permit this request to the gateway's account");
                new(502, ErrorType::Server, "upstream_not_permitted", message)
            }
            FailureKind::ModelUnavailable => {
                let message = said("the provider does not know the model that this route sends to it");
                new(404, ErrorType::NotFound, "model_not_found", message)
            }
            FailureKind::RateLimited => {
                let message = said("the provider's rate limit is reached; try again later");
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
                said("the provider is overloaded; try again later"),
            ),
            FailureKind::Timeout => {
                new(504, ErrorType::Timeout, "upstream_timeout", format!("{target}: {}", self.message))
            }
            FailureKind::CredentialRejected => {
                let message = format!("{target}: the provider refused the gateway's credential");
                new(502, ErrorType::Server, "upstream_credential_rejected", message)
            }
            FailureKind::Server => {
                let message = said(&match self.status {
                    Some(status) => format!("{target}: the provider answered {status}"),
                    None => format!("{target}: {}", self.public_message()),
                });
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
        }
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
            | FailureKind::TooCostly
            | FailureKind::CredentialRejected
            | FailureKind::NotPermitted
            | FailureKind::ModelUnavailable
            | FailureKind::Request
            | FailureKind::NotSent
            | FailureKind::NoMemory => "the provider answered with an error",
        }
    }

    /// How much it tells the client; of several failures the one that tells most is answered with.
    pub(crate) const fn weight(&self) -> u8 {
        match self.kind {
            FailureKind::Request | FailureKind::TooCostly => 6,
            FailureKind::RateLimited | FailureKind::NoMemory => 5,
            FailureKind::ModelUnavailable | FailureKind::NotPermitted => 4,
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

/// What an answer with an unsuccessful status means. A `Retry-After` comes before what the body says of it.
pub fn classify_status(status: u16, body: ErrorBody, retry_after_ms: Option<u64>) -> Failure {
    let kind = meaning::of_status(status, &body);
    failure(kind, Some(status), body, retry_after_ms)
}

/// What an error inside a successful answer means; its own code decides as a status would.
pub fn classify_error(body: ErrorBody) -> Failure {
    let kind = meaning::of_error(&body);
    failure(kind, None, body, None)
}

fn failure(kind: FailureKind, status: Option<u16>, body: ErrorBody, retry_after_ms: Option<u64>) -> Failure {
    let ErrorBody { message: said, error_type, code, param, reason, retry_after_ms: of_body, flagged: _, verbatim } =
        body;
    let param = param.filter(|param| meaning::is_word(param));
    let word = |text: &String| meaning::is_code(text);
    let code = code.filter(word).or(error_type.filter(word));
    let word = reason.filter(word).or_else(|| code.clone());
    let message = match (status, word) {
        (Some(status), Some(word)) => format!("the provider answered {status} ({word})"),
        (Some(status), None) => format!("the provider answered {status}"),
        (None, word) => format!("the provider answered with an error ({})", word.as_deref().unwrap_or("unnamed")),
    };
    let [said, code, param] = [said, code, param].map(|text| text.map(String::into_boxed_str));
    let verbatim = verbatim.map(|body| Box::new(Verbatim { status, ..*body }));
    let mut failure =
        Failure { kind, status, message, said, verbatim, code, param, retry_after_ms: retry_after_ms.or(of_body) };
    let told = failure.may_be_told();
    failure.said = failure.said.take().filter(|said| told && !meaning::is_private(said));
    failure.verbatim = failure.verbatim.take().filter(|said| told && !meaning::tells_of_account(said));
    failure
}

#[cfg(test)]
mod tests;
