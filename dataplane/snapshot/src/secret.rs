//! A secret that cannot be printed: no `Debug`, no `Display`, wiped on drop.
//!
//! It is serialised in one place only, the body that goes over the config stream (`Secret::wire`).

use serde::{Deserialize, Deserializer, Serializer};
use zeroize::Zeroizing;

/// Secret text. Whoever needs it calls [`Secret::expose`], which makes every use easy to find.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the secret over.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret itself, for the one place that sends it on.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Eight hex digits that tell two secrets apart and reveal neither.
    pub fn fingerprint(&self) -> String {
        let digest = blake3::keyed_hash(&blake3::derive_key("weir.dev fingerprint v1", b""), self.0.as_bytes());
        digest.to_hex().chars().take(8).collect()
    }

    /// The plain secret as a string; for the config stream and the pod's private copy of it.
    pub(crate) fn wire<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}
