//! OpenAI chat completions, as client dialect and as upstream dialect.
//!
//! Source of the wire facts: openai/openai-openapi `openapi.yaml`, and openai-python's types.

mod answer;
mod calls;
mod content;
mod decode;
mod encode;
mod error;
mod forms;
mod models;
mod reader;
mod stream;
mod strict;
mod thought;
mod wire;
mod writer;

pub(crate) use answer::encode_reply;
pub(crate) use decode::{decode_request, include_usage, sampling};
pub(crate) use encode::encode_request;
pub(crate) use error::encode_error;
pub(crate) use models::{encode_model, encode_models};
pub(crate) use reader::Reader;
pub(crate) use stream::{read_chunk, read_whole, strip_usage};
pub(crate) use writer::Writer;
