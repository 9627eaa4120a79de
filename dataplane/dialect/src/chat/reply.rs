//! A whole answer, gathered from what was read of it.

use super::delta::Delta;
use super::finish::Finish;
use super::request::{Arguments, Block, Content};
use crate::seal::of_call;
use crate::{Loss, Text, Usage};

/// An answer.
#[derive(Debug, Clone, PartialEq, Default)]
#[expect(missing_docs, reason = "named as in both dialects")]
pub struct Reply<'a> {
    pub id: Option<Text<'a>>,
    pub model: Option<Text<'a>>,
    pub choices: Vec<Choice<'a>>,
    pub usage: Option<Usage>,
    pub service_tier: Option<Text<'a>>,
}

/// One of the answers.
#[derive(Debug, Clone, PartialEq, Default)]
#[expect(missing_docs, reason = "named as in both dialects")]
pub struct Choice<'a> {
    pub content: Vec<Block<'a>>,
    pub finish: Option<Finish>,
    pub stop_sequence: Option<Text<'a>>,
}

impl<'a> Reply<'a> {
    /// Adds what was read next. What the model does not hold is in the loss.
    pub(crate) fn add(&mut self, delta: Delta<'a>, loss: &mut Loss) {
        match delta {
            Delta::Start { id, model, service_tier } => {
                (self.id, self.model, self.service_tier) = (id, model, service_tier);
            }
            Delta::Usage(usage) => self.usage = Some(usage),
            Delta::Lost(name) => loss.add_lost(&name),
            delta @ (Delta::Text { .. }
            | Delta::Refusal { .. }
            | Delta::Thinking { .. }
            | Delta::Signature { .. }
            | Delta::RedactedThinking { .. }
            | Delta::ToolCall { .. }
            | Delta::Arguments { .. }
            | Delta::BlockEnd { .. }
            | Delta::Begin { .. }
            | Delta::Finish { .. }) => {
                // The reader bounds the number.
                let at = delta.choice().and_then(|choice| usize::try_from(choice).ok()).unwrap_or(0);
                if self.choices.len() <= at {
                    self.choices.resize_with(at + 1, Choice::default);
                }
                if let Some(choice) = self.choices.get_mut(at) {
                    choice.add(delta);
                }
            }
        }
    }
}

impl<'a> Choice<'a> {
    fn add(&mut self, delta: Delta<'a>) {
        match delta {
            Delta::Text { text, .. } => self.push(Content::Text(text)),
            Delta::Refusal { text, .. } => self.push(Content::Refusal(text)),
            Delta::Thinking { text, .. } => self.push(Content::Thinking { thinking: text, signature: None }),
            Delta::RedactedThinking { data, .. } => self.push(Content::RedactedThinking(data)),
            Delta::Signature { signature: given, .. } => {
                match self.content.last_mut().map(|block| &mut block.content) {
                    Some(Content::Thinking { signature: none @ None, .. }) => *none = Some(given),
                    _ => self.push(Content::Thinking { thinking: Text::of(""), signature: Some(given) }),
                }
            }
            Delta::ToolCall { id, name, extra, .. } => {
                if let Some(extra) = extra {
                    self.push(Content::RedactedThinking(of_call(&extra)));
                }
                self.push(Content::ToolCall { id, name, arguments: Arguments::Encoded(Text::of("")) });
            }
            Delta::Arguments { call, fragment, .. } => {
                let mut calls = self.content.iter_mut().filter_map(|block| {
                    let Content::ToolCall { arguments: Arguments::Encoded(held), .. } = &mut block.content else {
                        return None;
                    };
                    Some(held)
                });
                if let Some(held) = usize::try_from(call).ok().and_then(|at| calls.nth(at)) {
                    *held = if held.is_empty() { fragment } else { Text::joined(&[held.clone(), fragment], "") };
                }
            }
            Delta::Finish { finish, stop_sequence, .. } => {
                (self.finish, self.stop_sequence) = (Some(finish), stop_sequence);
            }
            Delta::BlockEnd { .. } | Delta::Begin { .. } | Delta::Start { .. } | Delta::Usage(_) | Delta::Lost(_) => {}
        }
    }

    fn push(&mut self, content: Content<'a>) {
        self.content.push(Block::new(content));
    }
}
