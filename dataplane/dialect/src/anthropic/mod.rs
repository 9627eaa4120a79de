//! Anthropic Messages, as client dialect and as upstream dialect.
//!
//! Source of the wire facts: the types of anthropics/anthropic-sdk-python and -typescript.

mod answer;
mod content;
mod decode;
mod encode;
mod error;
mod media;
mod models;
mod reader;
mod schema;
mod stream;
mod thought;
mod turns;
mod wire;
mod writer;

pub(crate) use answer::encode_reply;
pub(crate) use decode::{decode_request, sampling};
pub(crate) use encode::encode_request;
pub(crate) use error::{encode_error, status};
pub(crate) use models::{encode_model, encode_models};
pub(crate) use reader::Reader;
pub(crate) use stream::{Peek, named, read_whole};
pub(crate) use writer::{Writer, stop as write_stop};
