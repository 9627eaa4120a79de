//! The unit of config: one resource with its id and digest, and the snapshot that holds them all.

use crate::{
    Access, ApiKey, Budget, Consent, Credential, Issuer, KeySet, Name, Namespace, Prices, Provider, Route,
    ServiceAccount, Settings,
};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

macro_rules! resources {
    ($($(#[$doc:meta])* $kind:ident,)*) => {
        /// What a resource is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $($(#[$doc])* $kind,)*
        }

        impl Kind {
            /// Every kind, in the order in which they are written.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// The name on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => stringify!($kind),)*
                }
            }
        }

        /// One resource, shared: a clone is the same one. The JSON of the inner value is what goes over the wire.
        #[derive(Clone, PartialEq)]
        pub enum Resource {
            $($(#[$doc])* $kind(Arc<$kind>),)*
        }

        impl Resource {
            /// What it is.
            pub const fn kind(&self) -> Kind {
                match self {
                    $(Self::$kind(_) => Kind::$kind,)*
                }
            }

            /// The body that goes over the wire, secrets included. Equal resources give equal bytes.
            pub fn body(&self) -> Result<Vec<u8>, serde_json::Error> {
                match self {
                    $(Self::$kind(data) => serde_json::to_vec(&**data),)*
                }
            }

            /// Reads a body of that kind. The error never quotes the body, which may hold a secret.
            pub fn parse(kind: Kind, body: &[u8]) -> Result<Self, String> {
                let read = match kind {
                    $(Kind::$kind => serde_json::from_slice(body).map(|data: $kind| data.into()),)*
                };
                read.map_err(|e| format!("cannot be decoded: {:?} at column {}", e.classify(), e.column()))
            }
        }

        $(impl From<$kind> for Resource {
            fn from(data: $kind) -> Self {
                Self::$kind(Arc::new(data))
            }
        })*
    };
}

resources! {
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
    /// The kind of that name; `None` for one that only a newer build knows.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
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

impl Resource {
    /// The features without which a pod must not apply this resource.
    pub fn needs(&self) -> Vec<&'static str> {
        match self {
            Self::Provider(provider) => provider.needs(),
            Self::Route(route) => route.needs(),
            Self::Settings(settings) => settings.needs(),
            Self::Prices(prices) => prices.needs(),
            Self::Budget(budget) => budget.needs(),
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
}

/// BLAKE3 of a resource's body; hex where it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of what was not pushed; written as nothing.
    pub const NONE: Self = Self([0; 32]);

    /// The digest of a body.
    pub fn of(body: &[u8]) -> Self {
        Self(blake3::hash(body).into())
    }

    /// Reads what was written; anything else is the digest of nothing that was pushed.
    pub fn read(text: &str) -> Self {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_or(Self::NONE, |()| Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NONE { Ok(()) } else { f.write_str(&hex::encode(self.0)) }
    }
}

/// What a pod serves from.
pub type Resources = BTreeMap<Arc<ResourceId>, Resource>;

/// A resource with the digest of its body.
pub struct Sealed {
    /// The resource.
    pub resource: Resource,
    /// Digest of its body.
    pub digest: Digest,
}

impl Sealed {
    /// Seals a resource. One that cannot be written gets an empty body, which every pod refuses by name.
    pub fn new(resource: impl Into<Resource>) -> Self {
        let resource = resource.into();
        let digest = Digest::of(&resource.body().unwrap_or_default());
        Self { resource, digest }
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

impl Snapshot {
    /// What a pod makes of it.
    pub fn into_resources(self) -> Resources {
        self.resources.into_iter().map(|(id, sealed)| (Arc::new(id), sealed.resource.clone())).collect()
    }
}

impl FromIterator<(ResourceId, Resource)> for Snapshot {
    fn from_iter<T: IntoIterator<Item = (ResourceId, Resource)>>(resources: T) -> Self {
        let seal = |(id, resource)| (id, Arc::new(Sealed::new(resource)));
        Self { resources: resources.into_iter().map(seal).collect() }
    }
}
