//! Headers of the requests to a provider: what its owner adds, replaces or leaves out.
//!
//! Never a credential and never what frames the message; those are Weir's own.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A header's name in lower case (RFC 9110), so that each has one spelling.
pub(crate) const NAME: &str = "^[-a-z0-9!#$%&'*+.^_`|~]+$";
pub(crate) const NAME_LENGTH: usize = 64;

/// Changes to the headers of every request to a provider.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new(format!("!has(self.set) || !self.set.exists(h, h.name in {})", own()))
        .message("set names a header that carries a credential or frames the message, which is not for setting: \
            remove it; a credential goes into a Secret that credentials names"),
    validation = Rule::new(format!(
        "!has(self.remove) || !self.remove.exists(name, name == 'anthropic-version' || name in {})", own()))
        .message("remove names a header that the provider needs or that credentials decide: take it out"),
    validation = Rule::new("!(has(self.set) && has(self.remove)) || !self.set.exists(h, h.name in self.remove)")
        .message("a header is both set and removed: take it out of one of them")
)]
#[serde(rename_all = "camelCase")]
pub struct Headers {
    /// Sent with these values, in the place of what Weir would send under those names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub set: Vec<Header>,
    /// Names of headers that Weir would send by itself and leaves out, such as `user-agent` or `traceparent`. With
    /// `anthropic-beta` go the members of requests that betas alone allow, such as `context_management`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(min = 1, max = NAME_LENGTH), regex(pattern = NAME)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub remove: Vec<String>,
}

/// A header that is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// Its name, in lower case.
    #[schemars(length(min = 1, max = NAME_LENGTH), regex(pattern = NAME))]
    pub name: String,
    /// Its value, which is no secret: everybody who may read the Provider reads it.
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^[!-~]([ -~]*[!-~])?$"))]
    pub value: String,
}

/// Credentials, and what belongs to the connection or to the form of the body.
const OWN: [&str; 22] = [
    "accept-encoding",
    "api-key",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-amz-security-token",
    "x-api-key",
    "x-goog-api-key",
];

pub(crate) fn own() -> String {
    format!("['{}']", OWN.join("', '"))
}
