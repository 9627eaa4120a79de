//! What the gateway must know of an answer that it passes on as it is.

use crate::{ErrorBody, ServiceTier, Usage};
use memchr::memmem;

/// A whole answer.
#[derive(Debug, PartialEq)]
pub enum Whole {
    /// An answer; usage and tier of service where the provider told them.
    #[expect(missing_docs, reason = "named after what they hold")]
    Answer { usage: Option<Usage>, service_tier: Option<ServiceTier> },
    /// An error under a successful status.
    Error(ErrorBody),
}

/// One event of a streamed answer.
#[derive(Debug, PartialEq)]
pub enum Chunk {
    /// Part of the answer.
    Part(Part),
    /// A comment, or an event without data.
    Nothing,
    /// The provider failed after its 200.
    Error(ErrorBody),
    /// The orderly end.
    Done,
}

/// What a part of the answer carries.
#[derive(Debug, Default, PartialEq)]
pub struct Part {
    /// Whether it holds text, a refusal, reasoning or a tool call.
    pub content: bool,
    /// Whether it says why a choice ended.
    pub finish: bool,
    /// Usage so far.
    pub usage: Option<Usage>,
    /// The tier of service that the answer is said to be of.
    pub service_tier: Option<ServiceTier>,
    /// Whether it exists for its usage alone.
    pub only_usage: bool,
    /// Bytes of text, as JSON has them; what an estimate of unreported output goes by.
    pub text_bytes: usize,
}

/// What a decoder found in an event, beside the deltas that it told.
#[derive(Debug, PartialEq)]
pub(crate) enum Read {
    /// Part of the answer, or nothing of interest; and the tier of service that the answer is said to be of.
    Deltas(Option<ServiceTier>),
    /// The provider failed after its 200.
    Error(ErrorBody),
    /// The orderly end.
    Done,
}

/// An event of a stream that is none, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoEvent(pub String);

/// Length of the first string that one of these members holds; each name with its colon and quote.
pub(crate) fn text_bytes(data: &[u8], names: &[&[u8]]) -> usize {
    let begins = names.iter().find_map(|name| Some(memmem::find(data, name)? + name.len()));
    let Some(text) = begins.and_then(|at| data.get(at..)) else { return 0 };
    let mut end = 0;
    while let Some(found) = memchr::memchr2(b'"', b'\\', text.get(end..).unwrap_or_default()) {
        end += found;
        if text.get(end) == Some(&b'"') {
            break;
        }
        end += 2;
    }
    end
}
