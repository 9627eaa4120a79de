//! The models list.

use bytes::Bytes;
use serde_json::{Value, json};

/// A model that the caller may name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListedModel {
    /// The name to send.
    pub id: String,
    /// Unix seconds.
    pub created: i64,
    /// Namespace of the route that serves it.
    pub owned_by: String,
    /// Tokens of input and output together, where all targets state it; the smallest.
    pub context_window: Option<u64>,
    /// Tokens of output, where all targets state it; the smallest.
    pub max_output: Option<u64>,
}

/// `GET /v1/models`.
pub fn encode_models(models: &[ListedModel]) -> Bytes {
    json!({"object": "list", "data": models.iter().map(object).collect::<Vec<_>>()}).to_string().into()
}

/// `GET /v1/models/{id}`.
pub fn encode_model(model: &ListedModel) -> Bytes {
    object(model).to_string().into()
}

fn object(model: &ListedModel) -> Value {
    let ListedModel { id, created, owned_by, context_window, max_output } = model;
    let mut object = serde_json::Map::new();
    object.insert("id".into(), json!(id));
    object.insert("object".into(), json!("model"));
    object.insert("created".into(), json!(created));
    object.insert("owned_by".into(), json!(owned_by));
    for (name, value) in [("context_window", context_window), ("max_output_tokens", max_output)] {
        if let Some(value) = value {
            object.insert(name.into(), json!(value));
        }
    }
    Value::Object(object)
}
