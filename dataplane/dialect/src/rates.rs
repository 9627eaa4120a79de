//! How answers tell what is left of a rate.

use crate::Dialect;
use jiff::Timestamp;

impl Dialect {
    /// The header of a part (`limit`, `remaining`, `reset`) of the rate of `requests` or `tokens`.
    pub fn rate_header(self, part: &str, unit: &str) -> String {
        match self {
            Self::OpenAI => format!("x-ratelimit-{part}-{unit}"),
            Self::Anthropic => format!("anthropic-ratelimit-{unit}-{part}"),
        }
    }

    /// When a rate is whole again, so many milliseconds from `now_s` (Unix seconds): OpenAI tells how long that is,
    /// such as `1m30s`, Anthropic the time of day.
    pub fn reset(self, in_ms: u64, now_s: i64) -> String {
        match self {
            Self::OpenAI => {
                let (minutes, seconds, ms) = (in_ms / 60_000, in_ms / 1_000 % 60, in_ms % 1_000);
                match (minutes, seconds) {
                    (0, 0) => format!("{ms}ms"),
                    (0, _) => format!("{seconds}s"),
                    (_, _) => format!("{minutes}m{seconds}s"),
                }
            }
            Self::Anthropic => {
                let at = now_s.saturating_add(i64::try_from(in_ms.div_ceil(1_000)).unwrap_or(0));
                Timestamp::from_second(at).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_tells_it_as_its_vendor_does() {
        assert_eq!(Dialect::OpenAI.rate_header("remaining", "tokens"), "x-ratelimit-remaining-tokens");
        assert_eq!(Dialect::Anthropic.rate_header("remaining", "tokens"), "anthropic-ratelimit-tokens-remaining");
        assert_eq!(Dialect::OpenAI.reset(90_500, 0), "1m30s");
        assert_eq!(Dialect::OpenAI.reset(20, 0), "20ms");
        assert_eq!(Dialect::Anthropic.reset(1_500, 1_795_784_400), "2026-11-27T13:00:02Z");
    }
}
