//! The unit of config: one resource with its id and digest, and the snapshot that holds them all.

use crate::{
    Access, ApiKey, Budget, Consent, Credential, Issuer, KeySet, Name, Namespace, Prices, Provider, Route,
    ServiceAccount, Settings,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What a resource is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// The operator's flags that pods must know. One, with empty namespace and name.
    Settings,
    /// Who signs ServiceAccount tokens. Named after the cluster, `kubernetes`.
    Issuer,
    /// Keys of another issuer. Named after where they were read, in the namespace of the routes that trust it.
    KeySet,
    /// What a caller's namespace says of itself. Name is the namespace, namespace is empty.
    Namespace,
    /// A ServiceAccount that some route admits.
    ServiceAccount,
    /// One API key. Named after its Secret.
    ApiKey,
    /// Prices of the models of a provider type, for those that a Provider does not list. Named after the type.
    Prices,
    /// A Provider object.
    Provider,
    /// Which namespaces may use the Provider of the same name.
    Consent,
    /// One upstream credential, named `<provider>/<credential>`.
    Credential,
    /// An LLMRoute object.
    Route,
    /// Who may use the route of the same name.
    Access,
    /// A Budget object.
    Budget,
}

impl Kind {
    /// Every kind, in the order in which they are written.
    pub const ALL: [Self; 13] = [
        Self::Settings,
        Self::Issuer,
        Self::KeySet,
        Self::Namespace,
        Self::ServiceAccount,
        Self::ApiKey,
        Self::Prices,
        Self::Provider,
        Self::Consent,
        Self::Credential,
        Self::Route,
        Self::Access,
        Self::Budget,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Settings => "Settings",
            Self::Issuer => "Issuer",
            Self::KeySet => "KeySet",
            Self::Namespace => "Namespace",
            Self::ServiceAccount => "ServiceAccount",
            Self::ApiKey => "ApiKey",
            Self::Prices => "Prices",
            Self::Provider => "Provider",
            Self::Consent => "Consent",
            Self::Credential => "Credential",
            Self::Route => "Route",
            Self::Access => "Access",
            Self::Budget => "Budget",
        }
    }

    /// The kind of that name; `None` for one that only a newer build knows.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Identity of a resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId {
    /// What it is.
    pub kind: Kind,
    /// Whose it is.
    pub name: Name,
}

impl ResourceId {
    /// Puts the parts together.
    pub fn new(kind: Kind, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind, name: Name::new(namespace, name) }
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.as_str(), self.name)
    }
}

/// One resource. The JSON of the inner value is what goes over the wire.
#[derive(Clone, PartialEq)]
#[expect(missing_docs, reason = "each variant is named after its type")]
pub enum Resource {
    Settings(Settings),
    Issuer(Issuer),
    KeySet(KeySet),
    Namespace(Namespace),
    ServiceAccount(ServiceAccount),
    ApiKey(ApiKey),
    Prices(Prices),
    Provider(Provider),
    Consent(Consent),
    Credential(Credential),
    Route(Route),
    Access(Access),
    Budget(Budget),
}

impl Resource {
    /// What it is.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Settings(_) => Kind::Settings,
            Self::Issuer(_) => Kind::Issuer,
            Self::KeySet(_) => Kind::KeySet,
            Self::Namespace(_) => Kind::Namespace,
            Self::ServiceAccount(_) => Kind::ServiceAccount,
            Self::ApiKey(_) => Kind::ApiKey,
            Self::Prices(_) => Kind::Prices,
            Self::Provider(_) => Kind::Provider,
            Self::Consent(_) => Kind::Consent,
            Self::Credential(_) => Kind::Credential,
            Self::Route(_) => Kind::Route,
            Self::Access(_) => Kind::Access,
            Self::Budget(_) => Kind::Budget,
        }
    }

    /// The features without which a pod must not apply this resource.
    pub fn needs(&self) -> Vec<&'static str> {
        match self {
            Self::Provider(provider) => provider.needs(),
            Self::Route(route) => route.needs(),
            Self::Settings(settings) => settings.needs(),
            Self::Prices(prices) => prices.needs(),
            Self::Budget(_) => vec!["budget"],
            Self::Access(access) => access.needs(),
            Self::KeySet(_) => vec!["access.jwt"],
            Self::Issuer(_)
            | Self::Namespace(_)
            | Self::ServiceAccount(_)
            | Self::ApiKey(_)
            | Self::Consent(_)
            | Self::Credential(_) => Vec::new(),
        }
    }

    /// The body that goes over the wire, secrets included. Equal resources give equal bytes.
    pub fn body(&self) -> Result<Vec<u8>, serde_json::Error> {
        match self {
            Self::Settings(body) => serde_json::to_vec(body),
            Self::Issuer(body) => serde_json::to_vec(body),
            Self::KeySet(body) => serde_json::to_vec(body),
            Self::Namespace(body) => serde_json::to_vec(body),
            Self::ServiceAccount(body) => serde_json::to_vec(body),
            Self::ApiKey(body) => serde_json::to_vec(body),
            Self::Prices(body) => serde_json::to_vec(body),
            Self::Provider(body) => serde_json::to_vec(body),
            Self::Consent(body) => serde_json::to_vec(body),
            Self::Credential(body) => serde_json::to_vec(body),
            Self::Route(body) => serde_json::to_vec(body),
            Self::Access(body) => serde_json::to_vec(body),
            Self::Budget(body) => serde_json::to_vec(body),
        }
    }

    /// Reads a body of that kind. The error never quotes the body, which may hold a secret.
    pub fn parse(kind: Kind, body: &[u8]) -> Result<Self, String> {
        let read = match kind {
            Kind::Settings => serde_json::from_slice(body).map(Self::Settings),
            Kind::Issuer => serde_json::from_slice(body).map(Self::Issuer),
            Kind::KeySet => serde_json::from_slice(body).map(Self::KeySet),
            Kind::Namespace => serde_json::from_slice(body).map(Self::Namespace),
            Kind::ServiceAccount => serde_json::from_slice(body).map(Self::ServiceAccount),
            Kind::ApiKey => serde_json::from_slice(body).map(Self::ApiKey),
            Kind::Prices => serde_json::from_slice(body).map(Self::Prices),
            Kind::Provider => serde_json::from_slice(body).map(Self::Provider),
            Kind::Consent => serde_json::from_slice(body).map(Self::Consent),
            Kind::Credential => serde_json::from_slice(body).map(Self::Credential),
            Kind::Route => serde_json::from_slice(body).map(Self::Route),
            Kind::Access => serde_json::from_slice(body).map(Self::Access),
            Kind::Budget => serde_json::from_slice(body).map(Self::Budget),
        };
        read.map_err(|e| format!("cannot be decoded: {:?} at column {}", e.classify(), e.column()))
    }
}

/// BLAKE3 of a resource's body, in hex.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(pub String);

impl Digest {
    /// The digest of a body.
    pub fn of(body: &[u8]) -> Self {
        Self(blake3::hash(body).to_hex().to_string())
    }
}

/// A resource with the digest of its body.
pub struct Sealed {
    /// The resource.
    pub resource: Arc<Resource>,
    /// Digest of its body.
    pub digest: Digest,
}

impl Sealed {
    /// Seals a resource. One that cannot be written gets an empty body, which every pod refuses by name.
    pub fn new(resource: Resource) -> Self {
        let digest = Digest::of(&resource.body().unwrap_or_default());
        Self { resource: Arc::new(resource), digest }
    }
}

impl PartialEq for Sealed {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Sealed {}

/// Everything that a pod serves from: one immutable whole.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The resources by id.
    pub resources: BTreeMap<ResourceId, Arc<Sealed>>,
}

impl FromIterator<(ResourceId, Resource)> for Snapshot {
    fn from_iter<T: IntoIterator<Item = (ResourceId, Resource)>>(resources: T) -> Self {
        let seal = |(id, resource)| (id, Arc::new(Sealed::new(resource)));
        Self { resources: resources.into_iter().map(seal).collect() }
    }
}
