//! Who calls, and who may: settings, token issuer, namespaces, accounts, keys, consent, access.

use crate::TokenIssuer;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The operator's flags that pods must know.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Settings {
    /// Namespace whose routes serve every namespace.
    pub platform_namespace: String,
    /// Private or loopback ranges that upstreams may be in, as CIDRs; public addresses always may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_upstream_cidrs: Vec<String>,
    /// Addresses that are never dialled: those of the cluster's API server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forbidden_addresses: Vec<IpAddr>,
    /// Addresses of the gateway itself, sorted: of its pods, its operator's pods and its Services. A Provider there would
    /// send requests round and round.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gateway_addresses: Vec<IpAddr>,
    /// Millionths of the second currency for one unit of the first, by both, such as `USD/EUR`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub exchange_rates: BTreeMap<String, u64>,
}

impl Settings {
    /// The features without which a pod must not apply them.
    pub(crate) fn needs(&self) -> Vec<&'static str> {
        if self.exchange_rates.is_empty() { Vec::new() } else { vec!["exchange-rates"] }
    }
}

/// Who signs ServiceAccount tokens, and by which keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issuer {
    /// The `iss` claim, exactly.
    pub issuer: String,
    /// The JSON Web Key Set, as the API server serves it.
    pub jwks: String,
}

/// What a namespace says of the callers in it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Namespace {
    /// Namespaces whose routes may serve callers of this one (`weir.dev/accept-routes-from`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accept_routes_from: Vec<String>,
    /// Label `weir.dev/team`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Label `weir.dev/project`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Label `weir.dev/cost-center`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_center: Option<String>,
    /// Label `weir.dev/priority`.
    #[serde(default, skip_serializing_if = "Priority::is_default")]
    pub priority: Priority,
}

/// Who goes first where a provider has no room for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Priority {
    /// What can wait, such as a batch.
    Low,
    /// What nobody said anything of.
    #[default]
    Normal,
    /// What somebody waits for.
    High,
}

impl Priority {
    /// The class of that name; `None` = there is none.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Low, Self::Normal, Self::High].into_iter().find(|class| class.as_str() == name)
    }

    /// Its name, as in the label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A ServiceAccount that exists now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceAccount {
    /// A token must carry this UID; one of a deleted or re-created account does not.
    pub uid: String,
}

/// One API key: what its Secret says, without the secret.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ApiKey {
    /// The id within the token.
    pub id: String,
    /// Hashes that the secret may have: the current one, then the previous while it lasts.
    pub hashes: Box<[KeyHash]>,
    /// Annotation `weir.dev/owner`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Annotation `weir.dev/team`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Annotation `weir.dev/project`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Annotation `weir.dev/cost-center`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_center: Option<String>,
    /// Annotation `weir.dev/user`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Unix seconds from which the key is refused (`weir.dev/expires-at`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// Models that the key may name (`weir.dev/models`); empty = all that its routes serve.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
}

/// What [`crate::api_key::hash`] gives for the secret of a key; hex where it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyHash(#[serde(with = "hex::serde")] pub [u8; 32]);

impl KeyHash {
    /// Reads 64 hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok().map(|()| Self(bytes))
    }
}

/// Which namespaces' routes may use a Provider; empty = none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Consent {
    /// Every namespace.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// These namespaces; the Provider's own is named here too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
}

/// Who may use a route; empty = nobody.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Access {
    /// Everybody, without any credential.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anonymous: bool,
    /// These ServiceAccounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service_accounts: Vec<AdmittedAccount>,
    /// Every API key of these namespaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub api_key_namespaces: Vec<String>,
    /// These API keys: namespace to ids.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub api_keys: BTreeMap<String, Vec<String>>,
    /// Models that these keys may name; empty = all of the route.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub api_key_models: Vec<String>,
    /// Holders of tokens of these issuers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jwt: Vec<TokenIssuer>,
    /// Holders of these client certificates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<AdmittedCertificate>,
}

impl Access {
    /// The features without which a pod must not apply it.
    pub(crate) fn needs(&self) -> Vec<&'static str> {
        let narrows = |models: &[String]| !models.is_empty();
        let narrowed = narrows(&self.api_key_models) || self.service_accounts.iter().any(|held| narrows(&held.models));
        let mut needs = if narrowed { vec!["access.models"] } else { Vec::new() };
        if !self.jwt.is_empty() {
            needs.push("access.jwt");
        }
        if !self.certificates.is_empty() {
            needs.push("access.certificates");
        }
        needs
    }
}

/// ServiceAccounts that are admitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdmittedAccount {
    /// Which.
    #[serde(flatten)]
    pub account: AccountRef,
    /// Models that they may name; empty = all of the route.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
}

/// A client certificate that is admitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdmittedCertificate {
    /// One of its names, exactly.
    pub subject: String,
    /// Models that its holder may name; empty = all of the route.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
}

/// A ServiceAccount, or with the name `*` all of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRef {
    /// Namespace of the account.
    pub namespace: String,
    /// Name of the account, or `*`.
    pub name: String,
}
