//! Upstreams: connections, and one attempt at an answer.
//!
//! A request to an upstream is built here from an allowlist; nothing of the caller's head is copied but
//! its trace context.

mod callout;
mod connection;
mod dial;
mod encoding;
mod fetch;
mod mock;
mod origin;
mod pieces;
mod pool;
mod resolve;
mod send;
mod source;

pub use callout::Callout;
pub use fetch::Fetcher;
#[cfg(test)]
pub(crate) use mock::Answer as ScriptedAnswer;
pub(crate) use origin::{Origin, Trust};
pub(crate) use pool::IDLE;
pub(crate) use send::{Answer, Outgoing, send};
pub(crate) use source::Source;
