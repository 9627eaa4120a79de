//! What a request is encoded for, and what a translation refuses.

use crate::traits::Traits;
use crate::{Dialect, Refusal};

/// A provider's model.
#[derive(Debug, Clone, Copy)]
pub struct UpstreamModel<'a> {
    /// What its provider speaks.
    pub dialect: Dialect,
    /// Whether the provider is the dialect's own vendor; compatible servers know fewer members.
    pub vendor: bool,
    /// The provider's name of it.
    pub name: &'a str,
    /// Tokens of output at most, where that is known.
    pub max_output: Option<u64>,
    /// The word that seals its signatures.
    pub origin: &'a str,
}

impl UpstreamModel<'_> {
    /// What the model takes.
    pub(crate) fn traits(&self) -> &'static Traits {
        Traits::of(self.dialect, self.name)
    }

    /// The members that bound the output, the first being the one to write. OpenAI's reasoning models refuse
    /// `max_tokens`, whoever serves them; many compatible servers know nothing else.
    pub(crate) fn max_output_names(&self) -> &'static [&'static str] {
        match self.dialect {
            Dialect::Anthropic => &["max_tokens"],
            Dialect::OpenAI if self.vendor || self.traits().max_completion_tokens => {
                &["max_completion_tokens", "max_tokens"]
            }
            Dialect::OpenAI => &["max_tokens", "max_completion_tokens"],
        }
    }
}

/// The refusal of a request that cannot be said in the provider's dialect without another meaning.
pub(crate) fn untranslatable(param: &str, why: &str) -> Refusal {
    let message = format!("`{param}` cannot be carried to the provider of this route: {why}");
    Refusal { param: Some(param.to_owned().into()), ..Refusal::invalid("unsupported_by_provider", None, message) }
}
