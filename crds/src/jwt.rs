//! Tokens of issuers outside the cluster (JWT, OpenID Connect), and whom of their holders a route admits.

use crate::reference::ConfigMapKeyRef;
use crate::scalar::{NAME, NAME_LENGTH};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest text that is compared with one of a token.
const CLAIM_LENGTH: usize = 256;
/// A text without white space at its ends.
const CLAIM: &str = r"^\S(.*\S)?$";

/// An issuer whose tokens admit their holders. A pod checks each by itself: signature, issuer, audience, times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("has(self.jwksUrl) != has(self.jwksConfigMapRef)")
        .message("the keys of an issuer come from one place: set jwksUrl or jwksConfigMapRef"),
    validation = Rule::new("!has(self.caConfigMapRef) || has(self.jwksUrl)")
        .message("caConfigMapRef goes with jwksUrl: remove it where the keys come from a ConfigMap"),
    validation = Rule::new("!has(self.groups) || (has(self.claims) && has(self.claims.groups))")
        .message("groups needs claims.groups, the claim that a token's groups are in")
)]
#[serde(rename_all = "camelCase")]
pub struct TokenIssuer {
    /// The `iss` claim, exactly.
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^\S+$"))]
    pub issuer: String,
    /// One of these must be in the `aud` claim. Each belongs to one namespace, whose routes alone take its tokens.
    #[schemars(
        length(min = 1, max = 8),
        inner(length(min = 1, max = CLAIM_LENGTH), regex(pattern = CLAIM)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub audiences: Vec<String>,
    /// Where the JSON Web Key Set is, by https; it is read again and again, and the last good one stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^https?://"))]
    pub jwks_url: Option<String>,
    /// CA certificates besides the public ones, in PEM, that the server of `jwksUrl` is believed by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_config_map_ref: Option<ConfigMapKeyRef>,
    /// A ConfigMap with the JSON Web Key Set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_config_map_ref: Option<KeySetRef>,
    /// Which claims say whom a request is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<ClaimPaths>,
    /// Groups that are admitted; every holder of such a token when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 32),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub groups: Vec<AdmittedGroup>,
}

/// A JSON Web Key Set in a ConfigMap of the same namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeySetRef {
    /// Name of the ConfigMap.
    #[schemars(length(min = 1, max = NAME_LENGTH), regex(pattern = NAME))]
    pub name: String,
    /// Key within it; `jwks.json` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_LENGTH), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: Option<String>,
}

/// Claims by their names; names within one another have a `.` between, such as `realm_access.roles`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimPaths {
    /// The user; `sub` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = CLAIM_LENGTH), regex(pattern = CLAIM))]
    pub user: Option<String>,
    /// The team; the namespace's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = CLAIM_LENGTH), regex(pattern = CLAIM))]
    pub team: Option<String>,
    /// The project; the namespace's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = CLAIM_LENGTH), regex(pattern = CLAIM))]
    pub project: Option<String>,
    /// The cost centre; the namespace's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = CLAIM_LENGTH), regex(pattern = CLAIM))]
    pub cost_center: Option<String>,
    /// The groups, a list of texts or one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = CLAIM_LENGTH), regex(pattern = CLAIM))]
    pub groups: Option<String>,
}

/// A group whose members are admitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdmittedGroup {
    /// Its name, as it stands in the claim.
    #[schemars(length(min = 1, max = CLAIM_LENGTH), regex(pattern = CLAIM))]
    pub name: String,
    /// Models of the route that its members may name, with their aliases; all when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 64),
        inner(length(min = 1, max = 128), regex(pattern = r"^[^*\s]*\*?$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub models: Vec<String>,
}
