//! How answers tell what is left of a rate: ours to callers, and an upstream's to us.

use crate::Dialect;
use jiff::Timestamp;
use std::time::Duration;

/// What upstreams count in their rates, by the name in their headers.
pub const RATE_UNITS: [&str; 4] = ["requests", "tokens", "input-tokens", "output-tokens"];
/// A rate that takes longer to be full is no rate.
const LONGEST_MS: u64 = 24 * 3_600_000;

/// What is left of an upstream's rate, as an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// How much there is when it is full.
    pub limit: Option<u64>,
    /// How much is left now.
    pub left: u64,
    /// Milliseconds until it is full.
    pub full_in_ms: u64,
}

impl Dialect {
    /// What an answer says of each of [`RATE_UNITS`] at `now_ms` (Unix milliseconds), by its headers; what makes no sense
    /// is left out.
    pub fn rates_left<'h>(self, header: impl Fn(&str) -> Option<&'h str>, now_ms: i64) -> [Option<Left>; 4] {
        self.rate_headers().map(|[limit, remaining, reset]| {
            let left = header(remaining)?.trim().parse().ok()?;
            let reset = header(reset)?.trim();
            let full_in_ms = match self {
                Self::OpenAI => duration_ms(reset)?,
                Self::Anthropic => {
                    let at: Timestamp = reset.parse().ok()?;
                    u64::try_from(at.as_millisecond().saturating_sub(now_ms)).unwrap_or(0)
                }
            };
            let limit = header(limit).and_then(|text| text.trim().parse().ok());
            let sound = full_in_ms <= LONGEST_MS && limit.is_none_or(|limit| left <= limit);
            sound.then_some(Left { limit, left, full_in_ms })
        })
    }

    /// The headers of each of [`RATE_UNITS`]: its limit, what remains of it, and when it is whole again.
    pub const fn rate_headers(self) -> [[&'static str; 3]; 4] {
        match self {
            Self::OpenAI => OPENAI,
            Self::Anthropic => ANTHROPIC,
        }
    }

    /// When a rate is whole again, so many milliseconds from `now_s` (Unix seconds): OpenAI tells how long that is,
    /// such as `1m30s`, Anthropic the time of day.
    pub fn reset(self, in_ms: u64, now_s: i64) -> String {
        match self {
            Self::OpenAI => {
                let of = |count: u64, unit: &str| count.to_string() + unit;
                match in_ms {
                    0..1_000 => of(in_ms, "ms"),
                    1_000..60_000 => of(in_ms / 1_000, "s"),
                    _ => of(in_ms / 60_000, "m") + &of(in_ms / 1_000 % 60, "s"),
                }
            }
            Self::Anthropic => {
                let at = now_s.saturating_add(i64::try_from(in_ms.div_ceil(1_000)).unwrap_or(0));
                Timestamp::from_second(at).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
            }
        }
    }
}

/// OpenAI counts input and output together; others that speak its dialect may count them apart.
const OPENAI: [[&str; 3]; 4] = [
    ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"],
    ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"],
    ["x-ratelimit-limit-input-tokens", "x-ratelimit-remaining-input-tokens", "x-ratelimit-reset-input-tokens"],
    ["x-ratelimit-limit-output-tokens", "x-ratelimit-remaining-output-tokens", "x-ratelimit-reset-output-tokens"],
];
const ANTHROPIC: [[&str; 3]; 4] = [
    [
        "anthropic-ratelimit-requests-limit",
        "anthropic-ratelimit-requests-remaining",
        "anthropic-ratelimit-requests-reset",
    ],
    ["anthropic-ratelimit-tokens-limit", "anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"],
    [
        "anthropic-ratelimit-input-tokens-limit",
        "anthropic-ratelimit-input-tokens-remaining",
        "anthropic-ratelimit-input-tokens-reset",
    ],
    [
        "anthropic-ratelimit-output-tokens-limit",
        "anthropic-ratelimit-output-tokens-remaining",
        "anthropic-ratelimit-output-tokens-reset",
    ],
];

/// Such as `6m0s`, `12ms` or `1.5s`; a bare number counts seconds.
fn duration_ms(text: &str) -> Option<u64> {
    let (mut rest, mut seconds) = (text, 0.0);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let of_second = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            "" if number == text => 1.0,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * of_second;
        rest = after;
    }
    let span = Duration::try_from_secs_f64(seconds).ok().filter(|_| !text.is_empty())?;
    u64::try_from(span.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_tells_it_as_its_vendor_does() {
        assert_eq!(Dialect::OpenAI.reset(90_500, 0), "1m30s");
        assert_eq!(Dialect::OpenAI.reset(20, 0), "20ms");
        assert_eq!(Dialect::Anthropic.reset(1_500, 1_795_784_400), "2026-11-27T13:00:02Z");
    }

    #[test]
    fn what_is_left_of_an_upstreams_rate_is_read_in_each_vendors_form_and_nonsense_is_left_out() {
        let openai = |reset: &'static str, left: &'static str| {
            let header = move |name: &str| match name {
                "x-ratelimit-limit-requests" => Some("60"),
                "x-ratelimit-remaining-requests" => Some(left),
                "x-ratelimit-reset-requests" => Some(reset),
                _ => None,
            };
            let [requests, tokens, input, output] = Dialect::OpenAI.rates_left(header, 0);
            assert_eq!([tokens, input, output], [None; 3]);
            requests.map(|left| (left.left, left.full_in_ms))
        };
        for (reset, ms) in [("12ms", 12), ("6m0s", 360_000), ("1h2m3.5s", 3_723_500), ("7", 7_000), ("0s", 0)] {
            assert_eq!(openai(reset, "3"), Some((3, ms)), "{reset}");
        }
        for (reset, left) in
            [("1x", "3"), ("", "3"), ("-1s", "3"), ("s", "3"), ("99d", "3"), ("1s", "61"), ("1s", "-1")]
        {
            assert_eq!(openai(reset, left), None, "{reset} {left}");
        }
        let header = |name: &str| match name {
            "anthropic-ratelimit-output-tokens-remaining" => Some("0"),
            "anthropic-ratelimit-output-tokens-reset" => Some("2026-11-27T13:00:02Z"),
            _ => None,
        };
        let [requests, .., output] = Dialect::Anthropic.rates_left(header, 1_795_784_400_000);
        assert_eq!((requests, output), (None, Some(Left { limit: None, left: 0, full_in_ms: 2_000 })));
    }
}
