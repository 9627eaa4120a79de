//! The models list of the OpenAI dialect.

use crate::ListedModel;
use crate::write::{Object, object};
use bytes::Bytes;

/// `GET /v1/models`.
pub(crate) fn encode_models(models: &[ListedModel]) -> Bytes {
    let mut out = Vec::new();
    object(&mut out, |o| {
        o.str("object", "list");
        o.array("data", |list| models.iter().for_each(|model| list.object(|o| members(o, model))));
    });
    out.into()
}

/// `GET /v1/models/{id}`.
pub(crate) fn encode_model(model: &ListedModel) -> Bytes {
    let mut out = Vec::new();
    object(&mut out, |o| members(o, model));
    out.into()
}

fn members(o: &mut Object<'_>, model: &ListedModel) {
    let ListedModel { id, created, owned_by, context_window, max_output } = model;
    o.str("id", id);
    o.str("object", "model");
    o.value("created", created);
    o.str("owned_by", owned_by);
    o.value_if("context_window", *context_window);
    o.value_if("max_output_tokens", *max_output);
}
