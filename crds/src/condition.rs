//! Status conditions, the same for every kind.
//!
//! Only their schema: what they say is decided elsewhere.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::{JsonSchema as _, Schema, SchemaGenerator, json_schema};

/// Schema of `status.conditions`: a list of standard conditions, one of each type.
pub fn conditions(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": Condition::json_schema(generator),
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    })
}
