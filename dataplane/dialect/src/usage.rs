//! What a request used, in counters that do not overlap.

use serde::Deserialize;
use serde_json::value::RawValue;

/// Tokens of one attempt. Every counter excludes the others; totals are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Input that was neither read from nor written to a cache.
    pub input: u64,
    /// Input read from the provider's cache.
    pub cache_read: u64,
    /// Input written to the provider's cache for five minutes, or for as long as the provider sees fit.
    pub cache_write_5m: u64,
    /// Input written to the provider's cache for an hour.
    pub cache_write_1h: u64,
    /// Output that is no reasoning.
    pub output: u64,
    /// Reasoning.
    pub reasoning: u64,
    /// Where the provider went over its context several times: all input of the pass that had most. 0 = once.
    pub largest_pass: u64,
}

impl Usage {
    /// All input tokens.
    pub const fn input_total(&self) -> u64 {
        self.input.saturating_add(self.cache_read).saturating_add(self.cache_write())
    }

    /// All input tokens of the one pass over the context that had most of them; tiers of prices go by that.
    pub const fn largest_pass(&self) -> u64 {
        if self.largest_pass == 0 { self.input_total() } else { self.largest_pass }
    }

    /// Input tokens written to a cache.
    pub const fn cache_write(&self) -> u64 {
        self.cache_write_5m.saturating_add(self.cache_write_1h)
    }

    /// Both together, class by class.
    #[must_use]
    pub const fn plus(&self, other: &Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            cache_read: self.cache_read.saturating_add(other.cache_read),
            cache_write_5m: self.cache_write_5m.saturating_add(other.cache_write_5m),
            cache_write_1h: self.cache_write_1h.saturating_add(other.cache_write_1h),
            output: self.output.saturating_add(other.output),
            reasoning: self.reasoning.saturating_add(other.reasoning),
            largest_pass: self.largest_pass,
        }
    }

    /// A later count over an earlier one; a side of which the later one says nothing stays as it was.
    #[must_use]
    pub const fn over(self, before: &Self) -> Self {
        let Self { output, reasoning, .. } = if self.output_total() == 0 { *before } else { self };
        let input = if self.input_total() == 0 { *before } else { self };
        Self { output, reasoning, ..input }
    }

    /// All output tokens.
    pub const fn output_total(&self) -> u64 {
        self.output.saturating_add(self.reasoning)
    }
}

/// A count on the wire: servers send null, floats, negative numbers and strings; what is no count is none.
pub(crate) fn count<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let raw = <Option<&'de RawValue> as Deserialize>::deserialize(deserializer)?;
    let number = raw.and_then(|raw| raw.get().trim_matches('"').parse::<f64>().ok());
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count far below 2^53, checked to be positive and finite"
    )]
    Ok(number.filter(|n| *n >= 0.0 && n.is_finite()).map(|n| n as u64))
}

/// An object on the wire; one of another form is none.
pub(crate) fn object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    let raw = <Option<&'de RawValue> as Deserialize>::deserialize(deserializer)?;
    Ok(raw.and_then(|raw| serde_json::from_str(raw.get()).ok()))
}

/// Where a usage comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageSource {
    /// The provider said so.
    Reported,
    /// Estimated, since the provider said nothing or the answer ended early.
    Estimated,
    /// The attempt failed in a way that leaves open whether the provider worked; charged to nobody.
    Ambiguous,
    /// Nothing was used.
    None,
}

impl UsageSource {
    /// As it stands in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Estimated => "estimated",
            Self::Ambiguous => "ambiguous",
            Self::None => "none",
        }
    }
}
