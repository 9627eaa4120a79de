//! What a request used, in counters that do not overlap.

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
}

impl Usage {
    /// All input tokens.
    pub const fn input_total(&self) -> u64 {
        self.input.saturating_add(self.cache_read).saturating_add(self.cache_write())
    }

    /// Input tokens written to a cache.
    pub const fn cache_write(&self) -> u64 {
        self.cache_write_5m.saturating_add(self.cache_write_1h)
    }

    /// All output tokens.
    pub const fn output_total(&self) -> u64 {
        self.output.saturating_add(self.reasoning)
    }
}

/// A count on the wire: servers send null, floats and negative numbers; a negative one is none.
pub(crate) fn count<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let number = <Option<f64> as serde::Deserialize>::deserialize(deserializer)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count far below 2^53, checked to be positive"
    )]
    Ok(number.filter(|n| *n >= 0.0).map(|n| n as u64))
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
