//! A streamed answer, piece by piece.

use super::finish::Finish;
use crate::{Text, Usage};
use std::borrow::Cow;

/// A piece of a streamed answer. Calls are counted from 0 within their choice, without gaps.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "named as in both dialects")]
pub enum Delta<'a> {
    /// The first: what the answer is.
    Start {
        id: Option<Text<'a>>,
        model: Option<Text<'a>>,
        service_tier: Option<Text<'a>>,
    },
    /// The model thinks, though no text of that has come.
    Begin {
        choice: u64,
    },
    Text {
        choice: u64,
        text: Text<'a>,
    },
    Refusal {
        choice: u64,
        text: Text<'a>,
    },
    Thinking {
        choice: u64,
        text: Text<'a>,
    },
    /// Ends the reasoning block.
    Signature {
        choice: u64,
        signature: Text<'a>,
    },
    RedactedThinking {
        choice: u64,
        data: Text<'a>,
    },
    ToolCall {
        choice: u64,
        call: u64,
        id: Text<'a>,
        name: Text<'a>,
        /// Members without a peer, as one JSON object, itself as a string.
        extra: Option<Text<'a>>,
    },
    /// A fragment of a call's JSON, itself as a string.
    Arguments {
        choice: u64,
        call: u64,
        fragment: Text<'a>,
    },
    /// The block that was written last is over.
    BlockEnd {
        choice: u64,
    },
    Finish {
        choice: u64,
        finish: Finish,
        stop_sequence: Option<Text<'a>>,
    },
    /// Everything used so far.
    Usage(Usage),
    /// Something that the model does not hold, by its name.
    Lost(Cow<'a, str>),
}

impl Delta<'_> {
    /// The choice that it is of; `None` where it is of the whole answer.
    pub(crate) const fn choice(&self) -> Option<u64> {
        match self {
            Self::Text { choice, .. }
            | Self::Refusal { choice, .. }
            | Self::Thinking { choice, .. }
            | Self::Signature { choice, .. }
            | Self::RedactedThinking { choice, .. }
            | Self::ToolCall { choice, .. }
            | Self::Arguments { choice, .. }
            | Self::BlockEnd { choice }
            | Self::Begin { choice }
            | Self::Finish { choice, .. } => Some(*choice),
            Self::Start { .. } | Self::Usage(_) | Self::Lost(_) => None,
        }
    }

    /// Bytes of content in it, as JSON has them; `None` where it is no sign of the answer.
    pub(crate) fn content_bytes(&self) -> Option<usize> {
        match self {
            Self::Text { text, .. } | Self::Refusal { text, .. } | Self::Thinking { text, .. } => {
                Some(text.escaped().len())
            }
            Self::Arguments { fragment, .. } => Some(fragment.escaped().len()),
            Self::Begin { .. } | Self::RedactedThinking { .. } | Self::ToolCall { .. } => Some(0),
            Self::Start { .. }
            | Self::Signature { .. }
            | Self::BlockEnd { .. }
            | Self::Finish { .. }
            | Self::Usage(_)
            | Self::Lost(_) => None,
        }
    }
}
