//! What a model takes of what its dialect can say, from the table `traits.json`; the APIs have no other way to ask.
//!
//! The encoders ask traits, never names. A new model is an entry of the table. What the dialect's own clients send to
//! their own provider is not held against it: that provider's answer is the right one.

use crate::Dialect;
use crate::chat::Effort;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use std::sync::LazyLock;

const TEXT: &str = include_str!("traits.json");
static TABLE: LazyLock<Table> = LazyLock::new(|| serde_json::from_str(TEXT).unwrap_or_default());

/// What a model takes; by default all of it, as it comes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Traits {
    /// Tokens of output at most; absent = unknown.
    pub(crate) max_output: Option<u64>,
    /// How it is asked to think.
    pub(crate) thinking: Thinks,
    /// Whether it thinks where nothing is said of it.
    pub(crate) thinks_unasked: Unasked,
    /// The efforts that it knows, weakest first: none where it is told in another way; absent = unknown.
    #[serde(deserialize_with = "efforts")]
    pub(crate) efforts: Option<Vec<Effort>>,
    /// When it takes `temperature`, `top_p`, `top_k` and penalties other than their defaults.
    pub(crate) sampling: When,
    /// Whether it takes `temperature` and `top_p` together.
    pub(crate) top_p_beside_temperature: bool,
    /// Whether it takes `top_k`, which compatible servers of the OpenAI dialect have.
    pub(crate) top_k: bool,
    /// Whether it takes stop sequences.
    pub(crate) stop: bool,
    /// Whether it takes an effort beside tools; else it takes tools where it is told not to reason.
    pub(crate) effort_beside_tools: bool,
    /// When it can be made to call a tool.
    pub(crate) forced_tools: When,
    /// Whether it answers by a JSON schema.
    pub(crate) schemas: bool,
    /// Whether a tool may be strict.
    pub(crate) strict_tools: bool,
    /// Whether it can be told to call one tool at a time.
    pub(crate) parallel_tool_calls: bool,
    /// Whether OpenAI takes marks of the prompt cache for it.
    pub(crate) cache_breakpoints: bool,
    /// Whether the limit of output is `max_completion_tokens` at any server; `max_tokens` is refused then.
    pub(crate) max_completion_tokens: bool,
}

/// How a model is asked to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Thinks {
    /// It does not think.
    None,
    /// By a budget of tokens (Anthropic).
    Budget,
    /// By `adaptive` and an effort (Anthropic).
    Adaptive,
    /// By an effort (OpenAI).
    Effort,
    /// Nobody knows.
    Unknown,
}

/// Whether a model thinks where nothing is said of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unasked {
    /// It does not.
    Never,
    /// It does, and can be told not to.
    ByDefault,
    /// It does, and cannot be told not to.
    Always,
}

/// When a model takes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum When {
    Always,
    UnlessThinking,
    Never,
}

impl When {
    pub(crate) const fn is_now(self, thinking: bool) -> bool {
        match self {
            Self::Always => true,
            Self::UnlessThinking => !thinking,
            Self::Never => false,
        }
    }
}

impl Default for Traits {
    fn default() -> Self {
        Self {
            max_output: None,
            thinking: Thinks::Unknown,
            thinks_unasked: Unasked::Never,
            efforts: None,
            sampling: When::Always,
            top_p_beside_temperature: true,
            top_k: true,
            stop: true,
            effort_beside_tools: true,
            forced_tools: When::Always,
            schemas: true,
            strict_tools: true,
            parallel_tool_calls: true,
            cache_breakpoints: true,
            max_completion_tokens: false,
        }
    }
}

impl Traits {
    /// Of a model by its provider's name for it, such as `us.anthropic.claude-opus-4-1-20250805-v1:0`.
    pub(crate) fn of(dialect: Dialect, name: &str) -> &'static Self {
        let list = match dialect {
            Dialect::Anthropic => &TABLE.anthropic,
            Dialect::OpenAI => &TABLE.openai,
        };
        list.find(name)
    }

    /// The known effort that is nearest to what was asked: the next weaker one, else the weakest. `None` where the
    /// model takes none.
    pub(crate) fn effort(&self, asked: Effort) -> Option<Effort> {
        let Some(known) = &self.efforts else { return Some(asked) };
        if known.contains(&asked) {
            return Some(asked);
        }
        let thinks = || known.iter().copied().filter(|effort| *effort != Effort::None);
        let weakest = if asked == Effort::None { known.first().copied() } else { thinks().next() };
        thinks().rfind(|effort| *effort < asked).or(weakest)
    }
}

#[derive(Default, Deserialize)]
struct Table {
    anthropic: Families,
    openai: Families,
}

#[derive(Default, Deserialize)]
struct Families {
    /// Of names that no family has.
    unknown: Traits,
    families: Vec<Family>,
}

/// Models that take the same.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Family {
    /// Beginnings of names, up to a hyphen: `gpt-4` begins `gpt-4-turbo` and not `gpt-4o`.
    #[serde(default)]
    names: Vec<String>,
    /// Whole names.
    #[serde(default)]
    whole: Vec<String>,
    traits: Traits,
}

impl Families {
    /// What stands before a model's name is a region's, a vendor's or a folder's: the first hyphen (or dot, slash,
    /// colon) after which a family's name stands counts, and of several families there the one with the longest name.
    fn find(&self, name: &str) -> &Traits {
        let name: Vec<u8> =
            name.bytes().map(|byte| if byte.is_ascii_alphanumeric() { byte | 32 } else { b'-' }).collect();
        let mut rest = name.as_slice();
        loop {
            let found = self.families.iter().filter_map(|family| Some((family.fits(rest)?, family)));
            if let Some((_, family)) = found.max_by_key(|(length, _)| *length) {
                return &family.traits;
            }
            match memchr::memchr(b'-', rest).and_then(|at| rest.get(at + 1..)) {
                Some(after) => rest = after,
                None => return &self.unknown,
            }
        }
    }
}

impl Family {
    /// Length of its longest name that fits; a whole name fits better than any beginning.
    fn fits(&self, name: &[u8]) -> Option<usize> {
        if self.whole.iter().any(|whole| whole.as_bytes() == name) {
            return Some(usize::MAX);
        }
        let begins =
            |held: &&String| name.starts_with(held.as_bytes()) && name.get(held.len()).is_none_or(|next| *next == b'-');
        self.names.iter().filter(begins).map(String::len).max()
    }
}

fn efforts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Effort>>, D::Error> {
    let names = <Option<Vec<&str>>>::deserialize(deserializer)?;
    let parse = |name: &str| Effort::parse(name).ok_or_else(|| D::Error::custom(format_args!("no effort is {name}")));
    names.map(|names| names.into_iter().map(parse).collect()).transpose()
}

#[cfg(test)]
mod tests;
