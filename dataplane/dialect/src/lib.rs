//! LLM wire formats without IO: bytes in, facts and bytes out.
//!
//! Between equal dialects a body is never rebuilt: it is scanned once, and only the members that
//! must differ are spliced.

pub mod json;
pub mod openai;
mod patch;
mod refusal;
pub mod sse;
mod usage;

pub use patch::{Edit, splice};
pub use refusal::{ErrorType, Refusal};
pub use usage::{Usage, UsageSource};

/// Most bytes of one server-sent event (failure-semantics: larger is a broken upstream).
pub const MAX_EVENT_BYTES: usize = 16 * 1024 * 1024;
