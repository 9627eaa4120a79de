//! Who may use a route.
//!
//! Nobody is anonymous by accident: that must be written, and alone.

use crate::headers::{self, own};
use crate::jwt::TokenIssuer;
use crate::reference::Selector;
use crate::scalar::{LABEL, LABEL_LENGTH, NAME_LENGTH};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who may use a route.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("!has(self.anonymous) || self.anonymous")
        .message("anonymous can only be true: without it nobody is anonymous, so remove the line"),
    validation = Rule::new("!has(self.anonymous) || \
        !(has(self.apiKeys) || has(self.serviceAccounts) || has(self.jwt) || has(self.certificates))")
        .message("anonymous: true lets everybody in and stands alone: remove the rest of access, or anonymous"),
    validation = Rule::new("has(self.anonymous) || has(self.apiKeys) || has(self.serviceAccounts) || has(self.jwt) \
        || has(self.certificates)")
        .message("access lets nobody in: name serviceAccounts, apiKeys, jwt or certificates, or remove access, which then means \
            the callers of the route's own namespace")
)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// These ServiceAccounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 64),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["namespace", "name"])
    )]
    pub service_accounts: Vec<AdmittedAccount>,
    /// These API keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_keys: Option<ApiKeys>,
    /// Holders of tokens of these issuers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 8),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["issuer"])
    )]
    pub jwt: Vec<TokenIssuer>,
    /// Holders of these client certificates, of an authority that the data plane's listener trusts. Those of
    /// ServiceAccounts (SPIFFE) count as serviceAccounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 64),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["subject"])
    )]
    pub certificates: Vec<AdmittedCertificate>,
    /// `true` = everybody, without any credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anonymous: Option<bool>,
}

/// ServiceAccounts that are admitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdmittedAccount {
    /// Which.
    #[serde(flatten)]
    pub account: ServiceAccountRef,
    /// Models of the route that they may name, with their aliases; all when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 64),
        inner(length(min = 1, max = 128), regex(pattern = r"^[^*\s]*\*?$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub models: Vec<String>,
}

/// A ServiceAccount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAccountRef {
    /// Its namespace.
    #[schemars(length(min = 1, max = LABEL_LENGTH), regex(pattern = LABEL))]
    pub namespace: String,
    /// Its name, or `*` for all of the namespace.
    #[schemars(length(min = 1, max = NAME_LENGTH), regex(pattern = r"^(\*|[a-z0-9]([-.a-z0-9]*[a-z0-9])?)$"))]
    pub name: String,
}

/// A client certificate that is admitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdmittedCertificate {
    /// A URI or DNS name that it is for, or its common name, exactly. Each belongs to one namespace, whose routes alone
    /// take it.
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^\S(.*\S)?$"))]
    pub subject: String,
    /// Models of the route that it may name, with their aliases; all when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 64),
        inner(length(min = 1, max = 128), regex(pattern = r"^[^*\s]*\*?$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub models: Vec<String>,
}

/// API keys, by the labels of their Secrets.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeys {
    /// Labels of the Secrets; all API keys when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
    /// Namespaces of the Secrets; the route's own when absent. For routes of the platform namespace only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<KeyNamespaces>,
    /// Models of the route that they may name, with their aliases; all when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 64),
        inner(length(min = 1, max = 128), regex(pattern = r"^[^*\s]*\*?$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub models: Vec<String>,
}

/// Namespaces, by their labels.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyNamespaces {
    /// Labels of the namespaces; an empty selector matches all.
    pub selector: Selector,
}

/// Headers by which callers that are trusted with it say whom their requests are for. They fill in whom a request
/// is accounted to, in the place of what the caller's own identity says, and never open anything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("has(self.user) || has(self.team) || has(self.project) || has(self.costCenter) \
        || has(self.session) || has(self.agent)")
        .message("trustedHeaders names no header: name one for user, team, project, costCenter, session or agent, \
            or remove it"),
    validation = Rule::new(format!("![has(self.user) ? self.user : '', has(self.team) ? self.team : '', \
        has(self.project) ? self.project : '', has(self.costCenter) ? self.costCenter : '', \
        has(self.session) ? self.session : '', has(self.agent) ? self.agent : '']\
        .exists(name, name in {})", own()))
        .message("trustedHeaders names a header that carries a credential or frames the message: name another")
)]
#[serde(rename_all = "camelCase")]
pub struct TrustedHeaders {
    /// The header, in lower case, that names the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = headers::NAME_LENGTH), regex(pattern = headers::NAME))]
    pub user: Option<String>,
    /// The header that names the team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = headers::NAME_LENGTH), regex(pattern = headers::NAME))]
    pub team: Option<String>,
    /// The header that names the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = headers::NAME_LENGTH), regex(pattern = headers::NAME))]
    pub project: Option<String>,
    /// The header that names the cost centre.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = headers::NAME_LENGTH), regex(pattern = headers::NAME))]
    pub cost_center: Option<String>,
    /// The header that names the session, such as x-claude-code-session-id of Claude Code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = headers::NAME_LENGTH), regex(pattern = headers::NAME))]
    pub session: Option<String>,
    /// The header that names the agent within a session, such as x-claude-code-agent-id of Claude Code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = headers::NAME_LENGTH), regex(pattern = headers::NAME))]
    pub agent: Option<String>,
}
