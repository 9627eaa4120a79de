//! A whole answer.

use super::request::Block;
use crate::{Text, Usage};

/// An answer.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "named as in both dialects")]
pub struct Reply<'a> {
    pub id: Option<Text<'a>>,
    pub model: Option<Text<'a>>,
    /// Unix seconds.
    pub created: Option<u64>,
    pub choices: Vec<Choice<'a>>,
    pub usage: Option<Usage>,
    pub service_tier: Option<Text<'a>>,
}

/// One of the answers.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "named as in both dialects")]
pub struct Choice<'a> {
    pub content: Vec<Block<'a>>,
    pub finish: Option<Finish>,
    pub stop_sequence: Option<Text<'a>>,
    /// JSON of the OpenAI dialect.
    pub logprobs: Option<&'a str>,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// By itself, or for a reason that is not known here.
    Stop,
    /// At a stop sequence.
    StopSequence,
    /// At the limit of output tokens.
    Length,
    /// At the end of the context window.
    ContextFull,
    /// To have tools called.
    ToolCalls,
    /// The provider would not go on.
    Filtered,
    /// A server tool's turn is to be continued.
    Paused,
}
