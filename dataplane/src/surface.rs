//! What a client may ask for: the paths that generate, each in its dialect.

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use weir_dialect::Dialect;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-weir-request-id");

/// A path that is answered by a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Surface {
    ChatCompletions,
    Messages,
    CountTokens,
}

impl Surface {
    /// The surface at a path.
    pub(crate) fn at(path: &str) -> Option<Self> {
        [Self::ChatCompletions, Self::Messages, Self::CountTokens].into_iter().find(|surface| surface.path() == path)
    }

    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "/v1/chat/completions",
            Self::Messages => "/v1/messages",
            Self::CountTokens => "/v1/messages/count_tokens",
        }
    }

    pub(crate) const fn dialect(self) -> Dialect {
        match self {
            Self::ChatCompletions => Dialect::OpenAI,
            Self::Messages | Self::CountTokens => Dialect::Anthropic,
        }
    }

    /// The path below the base URL of a provider.
    pub(crate) const fn upstream_path(self, dialect: Dialect) -> &'static str {
        match (dialect, self) {
            (Dialect::OpenAI, _) => "/chat/completions",
            (Dialect::Anthropic, Self::CountTokens) => "/v1/messages/count_tokens",
            (Dialect::Anthropic, Self::ChatCompletions | Self::Messages) => "/v1/messages",
        }
    }
}

/// The dialect that a client speaks: that of its path, and where the path is of both or of none, by its headers. Anthropic's
/// clients say which version and betas they mean.
pub(crate) fn dialect_of(path: &str, headers: &HeaderMap) -> Dialect {
    if let Some(surface) = Surface::at(path) {
        return surface.dialect();
    }
    let is_anthropics = |name: &str| name.starts_with("anthropic-") || name.starts_with("x-claude-code-");
    if path.starts_with("/v1/messages") || headers.keys().any(|name| is_anthropics(name.as_str())) {
        Dialect::Anthropic
    } else {
        Dialect::OpenAI
    }
}

/// Gives the client the request's id: in Weir's header, and in the one that SDKs of its dialect show.
pub(crate) fn tell_request_id(headers: &mut HeaderMap, dialect: Dialect, id: &str) {
    let Ok(value) = HeaderValue::from_str(id) else { return };
    let shown = match dialect {
        Dialect::OpenAI => HeaderName::from_static("x-request-id"),
        Dialect::Anthropic => HeaderName::from_static("request-id"),
    };
    headers.insert(shown, value.clone());
    headers.insert(REQUEST_ID, value);
}
