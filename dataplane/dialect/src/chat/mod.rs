//! The one chat model that every dialect is decoded to and encoded from: N + M codecs, never N x M.
//!
//! It borrows from the body that it was decoded from, and holds what has no peer elsewhere as it came, so
//! that encoding to the same dialect gives the same request.

mod delta;
mod finish;
mod reply;
mod request;

pub use crate::fields::Extra;
pub use delta::Delta;
pub use finish::Finish;
pub use reply::{Choice, Reply};
pub use request::{
    Arguments, Block, Cache, Content, Effort, Format, Request, Role, Sampling, Source, Thinking, Tool, ToolChoice, Turn,
};
