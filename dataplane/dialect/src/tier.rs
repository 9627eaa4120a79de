//! Tiers of service: at which rates a provider serves a request, how soon, how fast and where.

use crate::{Dialect, Text};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Names of the standard tier, and of requests that leave it to the provider: OpenAI's, Anthropic's and Groq's; of the
/// usual speed, and of no particular place.
const STANDARD: [&str; 7] = ["auto", "default", "standard", "standard_only", "on_demand", "global", "not_available"];
/// What is kept of a name, in characters; every name that has a price is shorter.
const NAME_CHARS: usize = 64;
/// The members that name a tier, in the order in which their values stand in the name of a price.
const MEMBERS: [&str; 3] = ["service_tier", "speed", "inference_geo"];

/// A tier of service: what a request or an answer says in `service_tier`, `speed` and `inference_geo`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceTier([Said; 3]);

/// What one member says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum Said {
    /// Nothing.
    #[default]
    Nothing,
    /// The standard value, at the standard rates.
    Standard,
    /// Another one, by the provider's name for it.
    Named(Box<str>),
}

impl Said {
    fn of(name: &str) -> Self {
        match name {
            "" => Self::Nothing,
            name if STANDARD.contains(&name) => Self::Standard,
            name => Self::Named(name.chars().take(NAME_CHARS).collect()),
        }
    }

    fn read(raw: Option<&str>) -> Self {
        raw.and_then(Text::literal).map_or(Self::Nothing, |text| Self::of(&text.plain()))
    }

    const fn name(&self) -> Option<&str> {
        match self {
            Self::Nothing | Self::Standard => None,
            Self::Named(name) => Some(name),
        }
    }
}

impl ServiceTier {
    /// The one that `service_tier` alone names.
    pub fn of(name: &str) -> Self {
        Self([Said::of(name), Said::Nothing, Said::Nothing])
    }

    /// What the members say, each given as its JSON by name.
    pub(crate) fn read<'a>(raw: impl Fn(&str) -> Option<&'a str>) -> Self {
        Self(MEMBERS.map(|name| Said::read(raw(name))))
    }

    /// Whether nothing is said of it.
    pub fn is_unsaid(&self) -> bool {
        self.0.iter().all(|said| *said == Said::Nothing)
    }

    /// The name of its price: what differs from the standard, in the order of the members, with `-` between; `None`
    /// where nothing does.
    pub fn name(&self) -> Option<Box<str>> {
        let mut names = self.0.iter().filter_map(Said::name);
        let mut name = names.next()?.to_owned();
        for further in names {
            name.push('-');
            name.push_str(further);
        }
        Some(name.into())
    }

    /// The members in which it differs from the standard.
    pub fn members(&self) -> impl Iterator<Item = &'static str> {
        MEMBERS.into_iter().zip(&self.0).filter_map(|(member, said)| said.name().map(|_| member))
    }

    /// What is said here, and where nothing is said, what the other one says.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        let mut both = self.0;
        for (said, other) in both.iter_mut().zip(&other.0) {
            if *said == Said::Nothing {
                said.clone_from(other);
            }
        }
        Self(both)
    }

    /// What of a request's a provider is told that speaks `to`, where the caller speaks `from`. Anthropic has no name
    /// for a tier of OpenAI's but the standard one, and others know nothing of speeds and places.
    #[must_use]
    pub fn told(&self, from: Dialect, to: Dialect) -> Self {
        match (from, to) {
            (Dialect::OpenAI, Dialect::OpenAI) | (Dialect::Anthropic, Dialect::Anthropic) => self.clone(),
            (Dialect::Anthropic, Dialect::OpenAI) => {
                let [tier, ..] = self.0.clone();
                Self([tier, Said::Nothing, Said::Nothing])
            }
            (Dialect::OpenAI, Dialect::Anthropic) => Self::default(),
        }
    }
}

/// The tier that the members of a wire struct name.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Member(Said);

impl Member {
    /// All three of them.
    pub(crate) fn tier(tier: &Self, speed: &Self, geo: &Self) -> ServiceTier {
        ServiceTier([tier, speed, geo].map(|member| member.0.clone()))
    }

    /// What is said here, else in an earlier one.
    #[must_use]
    pub(crate) fn or(self, earlier: Self) -> Self {
        if self.0 == Said::Nothing { earlier } else { self }
    }
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <Option<&'de RawValue>>::deserialize(deserializer)?;
        Ok(Self(Said::read(raw.map(RawValue::get))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &str) -> ServiceTier {
        ServiceTier::read(|name| (name == "service_tier").then_some(raw))
    }

    #[test]
    fn standard_names_are_no_tier_of_their_own_and_nothing_is_none() {
        for raw in ["\"auto\"", "\"default\"", "\"standard\"", "\"standard_only\"", "\"on_demand\"", r#""\u0061uto""#] {
            assert!(!read(raw).is_unsaid() && read(raw).name().is_none(), "{raw}");
        }
        for raw in ["null", "\"\"", "7", "{}"] {
            assert!(read(raw).is_unsaid(), "{raw}");
        }
        for (raw, name) in [("\"flex\"", "flex"), (r#""\u0066lex""#, "flex"), ("\"Auto\"", "Auto")] {
            assert_eq!(read(raw).name().as_deref(), Some(name));
        }
        let long = read(&format!("\"{}\"", "x".repeat(1_000)));
        assert_eq!(long.name().map(|name| name.len()), Some(NAME_CHARS));
    }

    #[test]
    fn speed_and_place_are_tiers_as_well_and_stand_together_in_one_name() {
        let of = |tier: &'static str, speed: &'static str, geo: &'static str| {
            ServiceTier::read(move |name| match name {
                "service_tier" => Some(tier),
                "speed" => Some(speed),
                _ => Some(geo),
            })
        };
        let name = |tier: &ServiceTier| tier.name().unwrap_or_default().into_string();
        let all = of("\"priority\"", "\"fast\"", "\"us\"");
        assert_eq!(name(&all), "priority-fast-us");
        assert_eq!(all.members().collect::<Vec<_>>(), ["service_tier", "speed", "inference_geo"]);
        assert_eq!(name(&of("\"auto\"", "\"fast\"", "\"global\"")), "fast");
        assert_eq!(name(&of("null", "\"standard\"", "\"us\"")), "us");
        // An answer that says nothing of its speed is as fast as it was asked to be.
        assert_eq!(name(&of("\"standard\"", "null", "null").or(&all)), "fast-us");
        assert_eq!(name(&of("null", "\"standard\"", "\"global\"").or(&all)), "priority");
        assert_eq!(name(&all.told(Dialect::Anthropic, Dialect::OpenAI)), "priority");
        assert_eq!(name(&all.told(Dialect::Anthropic, Dialect::Anthropic)), "priority-fast-us");
        assert!(all.told(Dialect::OpenAI, Dialect::Anthropic).is_unsaid());
    }
}
