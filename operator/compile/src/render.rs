//! A snapshot as text for people: everything but the secrets, which appear as their fingerprints.
//!
//! It is shown, never read back.

use serde_json::{Map, Value, json};
use weir_snapshot::{Resource, Snapshot};

/// The snapshot as JSON, by kind and name.
pub fn render(snapshot: &Snapshot) -> String {
    let mut kinds = Map::new();
    for (id, sealed) in &snapshot.resources {
        let body = match &sealed.resource {
            Resource::Credential(credential) => json!({"fingerprint": credential.secret.fingerprint()}),
            Resource::Settings(body) => json!(body),
            Resource::Issuer(body) => json!(body),
            Resource::KeySet(body) => json!(body),
            Resource::Namespace(body) => json!(body),
            Resource::ServiceAccount(body) => json!(body),
            Resource::ApiKey(body) => json!(body),
            Resource::Prices(body) => json!(body),
            Resource::Provider(body) => json!(body),
            Resource::Consent(body) => json!(body),
            Resource::Route(body) => json!(body),
            Resource::Access(body) => json!(body),
            Resource::Budget(body) => json!(body),
        };
        let of_kind = kinds.entry(id.kind.as_str()).or_insert_with(|| json!({}));
        if let Value::Object(of_kind) = of_kind {
            of_kind.insert(id.name.to_string(), body);
        }
    }
    format!("{:#}\n", Value::Object(kinds))
}
