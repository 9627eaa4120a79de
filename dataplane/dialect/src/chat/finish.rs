//! Why answers end.

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
