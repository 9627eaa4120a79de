//! Tiers of service: at which rates a provider serves a request, and how soon.

use crate::{Dialect, Text};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Names of the standard tier, and of requests that leave it to the provider: OpenAI's, Anthropic's and Groq's.
const STANDARD: [&str; 5] = ["auto", "default", "standard", "standard_only", "on_demand"];
/// What is kept of a name, in characters; every name that has a price is shorter.
const NAME_CHARS: usize = 64;

/// A tier of service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceTier {
    /// The one that a request is of which names none.
    Standard,
    /// Another one, by the provider's name for it.
    Named(Box<str>),
}

impl ServiceTier {
    /// The one of that name.
    pub fn of(name: &str) -> Self {
        if STANDARD.contains(&name) { Self::Standard } else { Self::Named(name.chars().take(NAME_CHARS).collect()) }
    }

    /// What the JSON of a member says; `None` where it names no tier.
    pub(crate) fn read(raw: &str) -> Option<Self> {
        Text::literal(raw).filter(|text| !text.is_empty()).map(|text| Self::of(&text.plain()))
    }

    /// The name of one that is not the standard one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Standard => None,
            Self::Named(name) => Some(name),
        }
    }

    /// The same of one that is nobody else's.
    pub fn into_name(self) -> Option<Box<str>> {
        match self {
            Self::Standard => None,
            Self::Named(name) => Some(name),
        }
    }
}

/// A member of a wire struct.
pub(crate) fn service_tier<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ServiceTier>, D::Error> {
    let raw = <Option<&'de RawValue>>::deserialize(deserializer)?;
    Ok(raw.and_then(|raw| ServiceTier::read(raw.get())))
}

impl Dialect {
    /// Whether a provider that speaks this is told which tier a caller names that speaks `from`. Anthropic has no
    /// name for a tier of OpenAI's but the standard one.
    pub const fn takes_tiers_of(self, from: Self) -> bool {
        matches!((from, self), (_, Self::OpenAI) | (Self::Anthropic, Self::Anthropic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_names_are_no_tier_of_their_own_and_nothing_is_none() {
        for raw in ["\"auto\"", "\"default\"", "\"standard\"", "\"standard_only\"", "\"on_demand\"", r#""\u0061uto""#] {
            assert_eq!(ServiceTier::read(raw), Some(ServiceTier::Standard), "{raw}");
        }
        for raw in ["null", "\"\"", "7", "{}"] {
            assert_eq!(ServiceTier::read(raw), None, "{raw}");
        }
        for (raw, name) in [("\"flex\"", "flex"), (r#""\u0066lex""#, "flex"), ("\"Auto\"", "Auto")] {
            assert_eq!(ServiceTier::read(raw).as_ref().and_then(ServiceTier::name), Some(name));
        }
        let long = ServiceTier::read(&format!("\"{}\"", "x".repeat(1_000)));
        assert_eq!(long.as_ref().and_then(ServiceTier::name).map(str::len), Some(NAME_CHARS));
    }
}
