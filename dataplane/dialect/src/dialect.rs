//! The dialects by name.

/// A wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Chat completions.
    OpenAI,
    /// Messages.
    Anthropic,
}
