//! The models list of the Anthropic dialect.

use crate::ListedModel;
use crate::models::Page;
use crate::write::{Object, object};
use bytes::Bytes;
use jiff::Timestamp;

/// `GET /v1/models`.
pub(crate) fn encode_models(models: &[ListedModel], page: &Page) -> Bytes {
    let (models, has_more) = page.of(models);
    let mut out = Vec::new();
    object(&mut out, |o| {
        o.array("data", |list| models.iter().for_each(|model| list.object(|o| members(o, model))));
        o.value("has_more", has_more);
        for (name, model) in [("first_id", models.first()), ("last_id", models.last())] {
            match model {
                Some(model) => o.str(name, &model.id),
                None => o.raw(name, "null"),
            }
        }
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
    let ListedModel { id, created, owned_by: _, context_window, max_output } = model;
    o.str("type", "model");
    o.str("id", id);
    o.str("display_name", id);
    o.str("created_at", &Timestamp::from_second(*created).unwrap_or(Timestamp::UNIX_EPOCH).to_string());
    o.value_if("max_input_tokens", *context_window);
    o.value_if("max_tokens", *max_output);
}
