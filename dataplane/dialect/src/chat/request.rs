//! A chat request: turns of blocks, tools, and how to sample.

use crate::fields::Extra;
use crate::{Dialect, Text};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A request.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "named as in both dialects")]
pub struct Request<'a> {
    /// The dialect that it came in, which alone knows `extra`.
    pub dialect: Dialect,
    /// System texts are turns at the place where they stood.
    pub turns: Vec<Turn<'a>>,
    pub tools: Vec<Tool<'a>>,
    pub tool_choice: Option<ToolChoice<'a>>,
    pub parallel_tool_calls: Option<bool>,
    pub sampling: Sampling,
    /// Whether a single stop sequence came without an array.
    pub stop_is_plain: bool,
    pub stop: Vec<Text<'a>>,
    /// Number of answers.
    pub n: Option<u64>,
    pub logprobs: Option<bool>,
    pub top_logprobs: Option<u64>,
    pub format: Option<Format<'a>>,
    pub thinking: Option<Thinking<'a>>,
    /// Whom the answer is for: `safety_identifier`, `metadata.user_id`.
    pub safety_identifier: Option<Text<'a>>,
    /// The older `user`.
    pub user: Option<Text<'a>>,
    pub service_tier: Option<Text<'a>>,
    pub stream: bool,
    /// Whether the caller asked for usage at the end of its stream.
    pub include_usage: bool,
    /// How long the body was that it came in.
    pub body_bytes: usize,
    pub extra: Extra<'a>,
}

impl Request<'_> {
    /// An empty buffer in which a body of about the same length has room, so that a large one is not moved as it grows.
    pub(crate) fn room(&self) -> Vec<u8> {
        Vec::with_capacity(self.body_bytes + self.body_bytes / 16 + 1_024)
    }

    /// Whether the model must call a tool.
    pub(crate) const fn forces_a_tool(&self) -> bool {
        matches!(
            self.tool_choice,
            Some(ToolChoice::Required | ToolChoice::Tool(_) | ToolChoice::Allowed { required: true, .. })
        )
    }
}

/// How to sample: what routes may set, whatever the dialect.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[expect(missing_docs, reason = "named as in both dialects")]
pub struct Sampling {
    /// Tokens of output at most, reasoning included.
    pub max_output: Option<u64>,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub top_k: Option<u64>,
    pub frequency_penalty: Option<f64>,
    pub presence_penalty: Option<f64>,
    pub seed: Option<i64>,
    pub effort: Option<Effort>,
}

/// How much to reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "named as in both dialects")]
pub enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    XHigh,
    Max,
}

/// One turn of the conversation, or the system's words.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "named as in both dialects")]
pub struct Turn<'a> {
    pub role: Role,
    /// Whether its content came as a plain string, which is one text block here.
    pub plain: bool,
    pub content: Vec<Block<'a>>,
    pub name: Option<Text<'a>>,
    pub extra: Extra<'a>,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in both dialects")]
pub enum Role {
    System,
    Developer,
    User,
    Assistant,
    /// One tool result of the OpenAI dialect, where each is a message of its own.
    Tool,
}

/// A part of a turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Block<'a> {
    /// What it is.
    pub content: Content<'a>,
    /// Where the provider's prompt cache may end.
    pub cache: Option<Cache<'a>>,
    /// Members without a peer.
    pub extra: Extra<'a>,
}

impl<'a> Block<'a> {
    /// A block with nothing beside its content.
    pub const fn new(content: Content<'a>) -> Self {
        Self { content, cache: None, extra: Vec::new() }
    }
}

/// A mark of the prompt cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache<'a> {
    /// `5m` or `1h`; absent = the provider's default.
    pub ttl: Option<Text<'a>>,
}

/// What a block holds.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "named as in both dialects")]
pub enum Content<'a> {
    Text(Text<'a>),
    Image {
        source: Source<'a>,
        detail: Option<Text<'a>>,
    },
    Document {
        source: Source<'a>,
        title: Option<Text<'a>>,
    },
    /// The assistant's words that it will not answer.
    Refusal(Text<'a>),
    /// Reasoning. A sealed signature names the provider that gave it.
    Thinking {
        thinking: Text<'a>,
        signature: Option<Text<'a>>,
    },
    /// Reasoning that only its provider can read.
    RedactedThinking(Text<'a>),
    ToolCall {
        id: Text<'a>,
        name: Text<'a>,
        arguments: Arguments<'a>,
    },
    ToolResult {
        tool_call_id: Text<'a>,
        plain: bool,
        content: Vec<Block<'a>>,
        is_error: bool,
    },
    /// A kind that only its own dialect knows, with its name and JSON.
    Native {
        kind: Text<'a>,
        json: &'a str,
    },
}

/// Where an image's or document's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in both dialects")]
pub enum Source<'a> {
    Base64 {
        media_type: Text<'a>,
        data: Text<'a>,
    },
    Url(Text<'a>),
    /// Plain text as a document.
    Text(Text<'a>),
    /// An uploaded file, known to its provider alone.
    FileId(Text<'a>),
}

/// The arguments of a tool call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arguments<'a> {
    /// A JSON object.
    Object(Cow<'a, str>),
    /// A string that should hold one.
    Encoded(Text<'a>),
}

/// The member that holds argument text which is no JSON object.
const UNPARSED: &str = "_unparsed";

impl Arguments<'_> {
    /// As a JSON object. Text that is none stands under a member of its own: history must not fail.
    pub fn to_object(&self) -> Cow<'_, str> {
        match self {
            Self::Object(json) => Cow::Borrowed(json),
            Self::Encoded(text) if text.plain().trim().is_empty() => Cow::Borrowed("{}"),
            Self::Encoded(text) => {
                let plain = text.plain().into_owned();
                let object = serde_json::from_str::<&RawValue>(&plain).is_ok_and(|raw| raw.get().starts_with('{'));
                if object { Cow::Owned(plain) } else { Cow::Owned(format!("{{\"{UNPARSED}\":{}}}", text.as_json())) }
            }
        }
    }

    /// As a string that holds a JSON object.
    pub fn to_encoded(&self) -> Text<'_> {
        match self {
            Self::Object(json) => Text::of(json),
            Self::Encoded(text) if text.is_empty() => Text::of("{}"),
            Self::Encoded(text) => text.clone(),
        }
    }
}

/// What the model may call.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "named as in both dialects")]
pub enum Tool<'a> {
    Function {
        name: Text<'a>,
        description: Option<Text<'a>>,
        /// JSON schema of the arguments.
        parameters: Option<&'a str>,
        strict: Option<bool>,
        cache: Option<Cache<'a>>,
        extra: Extra<'a>,
    },
    /// A kind that only its own dialect knows, with its name and JSON.
    Native { kind: Text<'a>, json: &'a str },
}

/// What the model must call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in both dialects")]
pub enum ToolChoice<'a> {
    Auto,
    /// Any tool, but one.
    Required,
    None,
    Tool(Text<'a>),
    /// Only these.
    Allowed {
        required: bool,
        names: Vec<Text<'a>>,
    },
}

/// The form of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in both dialects")]
pub enum Format<'a> {
    Text,
    JsonObject,
    JsonSchema { name: Option<Text<'a>>, description: Option<Text<'a>>, schema: &'a str, strict: Option<bool> },
}

/// Reasoning as the Anthropic dialect asks for it, beside the effort.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in the Anthropic dialect")]
pub enum Thinking<'a> {
    Disabled,
    /// Off, but for what the model says between tool calls.
    BetweenTools,
    Enabled {
        budget_tokens: u64,
        display: Option<Text<'a>>,
    },
    Adaptive {
        display: Option<Text<'a>>,
    },
}

impl Effort {
    /// All of them with their names on the wire.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::None, "none"),
        (Self::Minimal, "minimal"),
        (Self::Low, "low"),
        (Self::Medium, "medium"),
        (Self::High, "high"),
        (Self::XHigh, "xhigh"),
        (Self::Max, "max"),
    ];

    /// By its name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, held)| *held == name).map(|(effort, _)| *effort)
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(held, _)| *held == self).map_or("", |(_, name)| name)
    }

    /// Reasoning tokens for models that take a budget instead.
    pub const fn budget_tokens(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Minimal => 1_024,
            Self::Low => 2_048,
            Self::Medium => 8_192,
            Self::High => 16_384,
            Self::XHigh | Self::Max => 32_768,
        }
    }

    /// The least effort whose budget holds so many tokens.
    pub fn of_budget(tokens: u64) -> Self {
        let fits = |effort: &&(Self, &str)| tokens <= effort.0.budget_tokens();
        Self::ALL.iter().find(fits).map_or(Self::XHigh, |(effort, _)| *effort)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_an_object_there_and_a_string_here_t20_t27() {
        let encoded = |plain: &str| Arguments::Encoded(Text::of(plain));
        assert_eq!(encoded("").to_object(), "{}");
        assert_eq!(encoded(" {\"a\":1}").to_object(), " {\"a\":1}");
        assert_eq!(encoded("[1]").to_object(), r#"{"_unparsed":"[1]"}"#);
        assert_eq!(encoded("{\"a\":").to_object(), r#"{"_unparsed":"{\"a\":"}"#);
        assert_eq!(encoded("").to_encoded().plain(), "{}");
        assert_eq!(Arguments::Object("{\"a\": 1}".into()).to_encoded().plain(), "{\"a\": 1}");
    }

    #[test]
    fn effort_and_budget_stand_for_each_other_t47() {
        for (effort, name) in Effort::ALL {
            assert_eq!(Effort::parse(name), Some(effort));
            if effort != Effort::Max {
                assert_eq!(Effort::of_budget(effort.budget_tokens()), effort);
            }
        }
        assert_eq!(Effort::of_budget(5_000), Effort::Medium);
        assert_eq!(Effort::of_budget(u64::MAX), Effort::XHigh);
    }
}
