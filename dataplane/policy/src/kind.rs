//! The kinds of failure of an attempt.

/// Kinds of failure, each with its own consequences.
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
    /// 402, or any other error that says that the account has no money or quota left.
    Quota,
    /// What the account has left does not cover this one request; a smaller one may pass.
    TooCostly,
    /// 401, or any other error that says that the key or its account is not good.
    CredentialRejected,
    /// A 403 that says nothing of the key: this target does not serve the request.
    NotPermitted,
    /// 404, or a 403 about the model.
    ModelUnavailable,
    /// The provider refuses this very request.
    Request,
    /// The target's dialect cannot say this very request; nothing was sent.
    NotSent,
    /// 3xx.
    Redirect,
    /// An answer that is none.
    Malformed,
    /// The gateway has no memory for the answer.
    NoMemory,
}
