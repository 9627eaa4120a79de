//! What the words of a provider's error mean: whose fault it is. One table, codes first, then texts.
//!
//! A text counts by how it begins, so that a request that an error quotes says nothing.

use crate::kind::FailureKind::{
    self, CredentialRejected, ModelUnavailable, NotPermitted, Overloaded, Quota, RateLimited, Request, Server,
    TooCostly,
};
use weir_dialect::{ErrorBody, Verbatim};

/// Codes, types and reasons, whatever the status of 4xx and in errors inside an answer.
const CODES: &[(FailureKind, &[&str])] = &[
    // The key. OpenAI, Groq, Mistral, vLLM (401); Anthropic (401); Google (400, ErrorInfo); Moonshot (401).
    (
        CredentialRejected,
        &["invalid_api_key", "authentication_error", "api_key_invalid", "invalid_authentication_error"],
    ),
    // Google: unauthenticated (401), a blocked or expired key, a suspended project (403).
    (CredentialRejected, &["unauthenticated", "access_token_expired", "api_key_service_blocked", "consumer_suspended"]),
    // The account. OpenAI: account_deactivated (401), access_terminated (403); Groq: organization_restricted (400).
    (CredentialRejected, &["account_deactivated", "access_terminated", "organization_restricted"]),
    // OpenAI (429).
    (
        Quota,
        &["insufficient_quota", "billing_not_active", "billing_hard_limit_reached", "enforced_spend_limit_reached"],
    ),
    // Anthropic: billing_error (402), credit_balance_exhausted; DeepSeek and others: insufficient_balance (402).
    (Quota, &["billing_error", "credit_balance_exhausted", "insufficient_balance", "insufficient_credits"]),
    // Google: BILLING_DISABLED (403); Moonshot: exceeded_current_quota_error (429); Alibaba: Arrearage (400).
    (Quota, &["billing_disabled", "exceeded_current_quota_error", "arrearage"]),
    // This model at this target. OpenAI (403 and 404), Azure: DeploymentNotFound (404), Groq and Together (404).
    (
        ModelUnavailable,
        &["model_not_found", "deploymentnotfound", "model_not_available", "model_permission_blocked_project"],
    ),
    // Where it is asked from and what for, OpenAI (403).
    (NotPermitted, &["unsupported_country_region_territory", "insufficient_permissions", "request_forbidden"]),
    // Anthropic (403), of one model or feature.
    (NotPermitted, &["permission_error"]),
    // The request. OpenAI and Azure (400): content; all (400): its length.
    (
        Request,
        &["content_filter", "content_policy_violation", "responsibleaipolicyviolation", "context_length_exceeded"],
    ),
];

/// How a text begins, and what it holds after that.
const TEXTS: &[(FailureKind, &str, &str)] = &[
    // Anthropic, 400 invalid_request_error.
    (Quota, "your credit balance is too low", ""),
    (Quota, "you have reached your specified", "usage limits"),
    (CredentialRejected, "this organization has been disabled", ""),
    // Anthropic, 429 rate_limit_error, of a long context alone.
    (TooCostly, "extra usage is required for long context", ""),
    // xAI: 400; 403 of a new team; 403 and 429 of a team whose credits are used up.
    (CredentialRejected, "incorrect api key provided", ""),
    (Quota, "your newly created team doesn't have any credits", ""),
    (Quota, "your team ", "used all available credits"),
    // Google: 400 API_KEY_INVALID without details; 403 of a key that was made public.
    (CredentialRejected, "api key not valid", ""),
    (CredentialRejected, "api key not found", ""),
    (CredentialRejected, "api key expired", ""),
    (CredentialRejected, "your api key was reported as leaked", ""),
    // Google: 400 FAILED_PRECONDITION.
    (NotPermitted, "user location is not supported", ""),
    (NotPermitted, "gemini api free tier is not available in your country", ""),
    // OpenRouter: 402 of one request; 402 and 403 of the account or the key.
    (TooCostly, "this request requires more credits, or fewer max_tokens", ""),
    (TooCostly, "prompt tokens limit exceeded", ""),
    (Quota, "insufficient credits", ""),
    (Quota, "key limit exceeded", ""),
    // OpenAI and Groq: 429 and 413 of one request that is over a minute's tokens by itself.
    (TooCostly, "request too large for", ""),
    // OpenAI: 400, 403 and 404 of some models until the organisation is verified.
    (ModelUnavailable, "your organization must be verified", ""),
    // Azure: 401; 403 of a network rule.
    (CredentialRejected, "access denied due to invalid subscription key", ""),
    (NotPermitted, "access denied due to virtual network", ""),
    // Cohere: 401.
    (CredentialRejected, "invalid api token", ""),
];

/// Of errors that say that the provider is overloaded: Anthropic (529), OpenAI and Moonshot (429, 503); and DeepSeek's
/// reason for a broken answer.
const OVERLOADED: &[&str] = &[
    "overloaded_error",
    "server_is_overloaded",
    "overloaded",
    "engine_overloaded",
    "engine_overloaded_error",
    "insufficient_system_resource",
];

/// Of errors inside an answer alone, where no status says it.
const INSIDE: &[(FailureKind, &[&str])] = &[
    (RateLimited, &["rate_limit_exceeded", "rate_limit_error", "slow_down", "resource_exhausted"]),
    (Request, &["invalid_request_error", "badrequesterror", "invalid_argument"]),
    (ModelUnavailable, &["not_found_error"]),
];

/// Texts about a key or an account, wherever they stand: whoever reads them there is told nothing of it.
const PRIVATE: &[&str] = &[
    "org-",
    "proj_",
    "wrkspc_",
    "arn:",
    "projects/",
    "subscription",
    ".azure.com",
    "credits",
    "token ending",
    "key=",
    "api key",
    "api_key",
    "apikey",
    "api-key",
    "api token",
    "access token",
    "bearer ",
    "your key",
    "***",
    "billing",
    "your account",
    "this account",
    "your credit",
    "credit balance",
    "more credits",
    "your balance",
    "insufficient balance",
    "your organization",
    "this organization",
    "organization org-",
    "your team",
    "your project",
    "your subscription",
    "subscription key",
    "your plan",
    "your quota",
    "usage limits",
    "your current quota",
];

/// Within the names of members whose values tell of an account, such as OpenRouter's `user_id`.
const ACCOUNT_MEMBERS: &[&str] = &[
    "account",
    "organization",
    "org_id",
    "user_id",
    "project",
    "workspace",
    "tenant",
    "team",
    "customer",
    "consumer",
    "api_key",
    "apikey",
];

/// Beginnings of keys.
const KEYS: &[&str] = &["sk-", "aiza", "gsk_", "xai-", "sess-", "eyj"];

/// What an error with this status means.
pub(crate) fn of_status(status: u16, body: &ErrorBody) -> FailureKind {
    match status {
        300..=399 => FailureKind::Redirect,
        529 => Overloaded,
        429 | 500.. if is_any(body, OVERLOADED) => Overloaded,
        400..=499 => of_words(body).unwrap_or(match status {
            401 => CredentialRejected,
            402 => Quota,
            403 | 407 => NotPermitted,
            404 => ModelUnavailable,
            429 => RateLimited,
            408 | 409 | 425 | 499 => Server,
            _ => Request,
        }),
        500.. => Server,
        _ => Request,
    }
}

/// What an error inside a successful answer means: by its words, else by its code as a status.
pub(crate) fn of_error(body: &ErrorBody) -> FailureKind {
    let as_status = || {
        let status = body.code.as_ref()?.parse().ok().filter(|status| (400..600).contains(status))?;
        Some(of_status(status, body))
    };
    if is_any(body, OVERLOADED) {
        return Overloaded;
    }
    let inside = || INSIDE.iter().find(|(_, words)| is_any(body, words)).map(|(kind, _)| *kind);
    of_words(body).or_else(as_status).or_else(inside).unwrap_or(Server)
}

fn of_words(body: &ErrorBody) -> Option<FailureKind> {
    if body.flagged {
        return Some(Request);
    }
    let code = CODES.iter().find(|(_, words)| is_any(body, words)).map(|(kind, _)| *kind);
    code.or_else(|| {
        let text = body.message.as_deref()?.trim_start();
        let said = |(_, start, within): &&(FailureKind, &str, &str)| {
            let rest = text.get(start.len()..).filter(|_| starts_with(text, start));
            rest.is_some_and(|rest| within.is_empty() || lower(rest).contains(within))
        };
        TEXTS.iter().find(said).map(|(kind, ..)| *kind)
    })
}

/// Whether a text may not be told: it is about a key or an account, or holds what looks like a key.
pub(crate) fn is_private(text: &str) -> bool {
    let text = lower(text);
    PRIVATE.iter().any(|word| text.contains(word)) || holds_key(&text)
}

/// Whether a provider's error body may not be told as it is: a text in it may not, or a member is of an account.
pub(crate) fn tells_of_account(said: &Verbatim) -> bool {
    let of_account = |name: &String| {
        let name = lower(name);
        ACCOUNT_MEMBERS.iter().any(|word| name.contains(word))
    };
    is_private(&said.body) || is_private(&said.texts) || said.names.iter().any(of_account)
}

/// A word that may stand in logs and answers: short, of few characters, and no key.
pub(crate) fn is_word(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.[]".contains(c);
    (1..=64).contains(&text.len()) && text.chars().all(plain) && !holds_key(&lower(text))
}

/// A code that may stand there: a few words, or the number of an error. What holds letters and digits may be an id, or a
/// piece of a key.
pub(crate) fn is_code(text: &str) -> bool {
    let number = text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let words = text.len() <= 48 && !text.bytes().any(|byte| byte.is_ascii_digit());
    is_word(text) && (number || words)
}

/// In a text of lower case: a beginning of a key that begins a word.
fn holds_key(text: &str) -> bool {
    KEYS.iter().any(|key| {
        text.match_indices(key)
            .any(|(at, _)| !text.get(..at).is_some_and(|before| before.ends_with(char::is_alphanumeric)))
    })
}

fn starts_with(text: &str, start: &str) -> bool {
    text.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start))
}

fn lower(text: &str) -> String {
    text.to_ascii_lowercase()
}

fn is_any(body: &ErrorBody, words: &[&str]) -> bool {
    let held = [&body.code, &body.reason, &body.error_type].into_iter().flatten();
    held.into_iter().any(|held| words.iter().any(|word| held.eq_ignore_ascii_case(word)))
}
