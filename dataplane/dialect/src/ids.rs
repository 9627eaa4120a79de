//! Ids that servers leave out, made up so that none comes twice in a conversation.

use crate::Text;

/// Makes up ids of one answer. They are as long as every provider takes them, and of letters and digits alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ids(
    /// Any number, another one for each answer.
    pub(crate) u64,
);

impl Ids {
    /// The id of a tool call, by its place.
    pub(crate) fn call(self, choice: u64, call: u64) -> Text<'static> {
        Text::of(&format!("call_{:016x}{choice:02x}{call:02x}", self.0))
    }

    /// The id of the answer, in the form of a dialect.
    pub(crate) fn answer(self, prefix: &str) -> Text<'static> {
        Text::of(&format!("{prefix}{:016x}", self.0))
    }
}
