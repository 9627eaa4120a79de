//! OpenAI chat completions, as client dialect and as upstream dialect.
//!
//! Source of the wire facts: openai/openai-openapi `openapi.yaml`, and openai-python's types.

mod error;
mod models;
mod reply;
mod request;
mod stream;

pub use error::{ErrorBody, encode_error, encode_error_event};
pub use models::{ListedModel, encode_model, encode_models};
pub use reply::{Reply, read_reply};
pub use request::{Call, Param};
pub use stream::{Chunk, Part, is_whole, read_chunk, strip_usage};
