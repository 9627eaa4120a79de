//! Who may use a route.
//!
//! Nobody is anonymous by accident: that must be written, and alone.

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
    validation = Rule::new("!has(self.anonymous) || !(has(self.apiKeys) || has(self.serviceAccounts))")
        .message("anonymous: true lets everybody in and stands alone: remove serviceAccounts and apiKeys, or anonymous"),
    validation = Rule::new("has(self.anonymous) || has(self.apiKeys) || has(self.serviceAccounts)")
        .message("access lets nobody in: name serviceAccounts or apiKeys, or remove access, which then means \
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
    pub service_accounts: Vec<ServiceAccountRef>,
    /// These API keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_keys: Option<ApiKeys>,
    /// `true` = everybody, without any credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anonymous: Option<bool>,
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
}

/// Namespaces, by their labels.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyNamespaces {
    /// Labels of the namespaces; an empty selector matches all.
    pub selector: Selector,
}
