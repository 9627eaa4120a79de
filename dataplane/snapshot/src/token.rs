//! Tokens of other issuers than the cluster: who signs them, and what of them counts.

use serde::{Deserialize, Serialize};

/// The keys by which an issuer's tokens are checked. Named after where it was read, in the namespace of the routes
/// that trust it: no other namespace's routes do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySet {
    /// The JSON Web Key Set: public keys alone, each with `kid` and `alg`.
    pub jwks: String,
}

/// Tokens that a route takes for callers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TokenIssuer {
    /// The `iss` claim, exactly.
    pub issuer: String,
    /// One of these must be in the `aud` claim.
    pub audiences: Vec<String>,
    /// The [`KeySet`] of the route's namespace that must have signed.
    pub keys: String,
    /// Where the claims say whom a request is for.
    #[serde(default, skip_serializing_if = "ClaimPaths::is_empty")]
    pub claims: ClaimPaths,
    /// Groups that are admitted; empty = every holder of such a token.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<AdmittedGroup>,
}

/// Paths of claims: a claim's name, or names within one another with a `.` between.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClaimPaths {
    /// The user; `sub` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// The project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The cost centre.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_center: Option<String>,
    /// The groups, a list or one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<String>,
}

impl ClaimPaths {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A group that is admitted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AdmittedGroup {
    /// Its name, as it stands in the claim.
    pub name: String,
    /// Models that its members may name; empty = all of the route.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
}
