//! LLM wire formats without IO: bytes in, facts and bytes out.
//!
//! Between equal dialects a body is never rebuilt: it is scanned once, and only the members that
//! must differ are spliced. Between different ones it goes through the one chat model.

mod anthropic;
mod base64;
mod betas;
mod call;
pub mod chat;
mod codec;
mod dialect;
mod fault;
mod fields;
mod finish;
pub mod gzip;
mod identity;
mod ids;
pub mod json;
mod loss;
mod media_type;
mod models;
mod names;
mod openai;
mod patch;
mod peek;
mod rates;
mod refusal;
mod screen;
mod seal;
mod size;
pub mod sse;
mod stream;
mod text;
mod tier;
mod tool_schema;
mod traits;
mod translate;
mod upstream;
mod usage;
mod verbatim;
mod wire;
mod write;

pub use betas::without_betas;
pub use call::Call;
pub use dialect::Dialect;
pub use fault::ErrorBody;
pub use loss::Loss;
pub use models::{ListedModel, Page};
pub use patch::{Edit, splice};
pub use peek::{Chunk, NoEvent, Part, Whole};
pub use rates::{LONGEST_WAIT_MS, Left, RATE_UNITS, retry_after_ms};
pub use refusal::{ErrorType, Refusal};
pub use size::InputSize;
pub use stream::{Passed, Stream};
pub use text::Text;
pub use tier::ServiceTier;
pub use translate::{Translation, encode_request};
pub use upstream::UpstreamModel;
pub use usage::{Usage, UsageSource};
pub use verbatim::Verbatim;
pub use write::{Array, Object, object};

/// Most bytes of one server-sent event (failure-semantics: larger is a broken upstream).
pub const MAX_EVENT_BYTES: usize = 16 * 1024 * 1024;
