//! How answers tell what is left of a rate: ours to callers, and an upstream's to us.

use crate::Dialect;
use jiff::Timestamp;
use std::time::Duration;

/// What upstreams count in their rates, by the name in their headers.
pub const RATE_UNITS: [&str; 4] = ["requests", "tokens", "input-tokens", "output-tokens"];
/// A rate that takes longer to be full is no rate, and nobody is told to come back later than that.
pub const LONGEST_WAIT_MS: u64 = 24 * 3_600_000;

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
            let sound = full_in_ms <= LONGEST_WAIT_MS && limit.is_none_or(|limit| left <= limit && limit > 0);
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

/// When an answer says that trying again makes sense, in milliseconds from `now_ms` (Unix milliseconds), a day at most:
/// `retry-after-ms`, else `retry-after` in seconds (an HTTP date is the caller's to read), else, where nothing remains,
/// `x-ratelimit-reset` as OpenRouter writes it. Fractions count; what makes no sense is left out.
pub fn retry_after_ms<'h>(header: impl Fn(&str) -> Option<&'h str>, now_ms: i64) -> Option<u64> {
    let number = |name: &str, unit_ms: f64| scaled_ms(header(name)?.trim().parse().ok()?, unit_ms);
    let used_up = || header("x-ratelimit-remaining").is_some_and(|left| left.trim() == "0");
    let hinted = number("retry-after-ms", 1.0).or_else(|| number("retry-after", 1_000.0));
    hinted.or_else(|| reset_ms(header("x-ratelimit-reset").filter(|_| used_up())?.trim().parse().ok()?, now_ms))
}

/// A time since 1970 in milliseconds or seconds, by its size, else a number of seconds from now.
fn reset_ms(said: u64, now_ms: i64) -> Option<u64> {
    let at_ms = match said {
        0..1_000_000_000 => return scaled_ms(said as f64, 1_000.0),
        1_000_000_000..1_000_000_000_000 => said.saturating_mul(1_000),
        _ => said,
    };
    Some(at_ms.saturating_sub(u64::try_from(now_ms).unwrap_or(0)).min(LONGEST_WAIT_MS))
}

/// So many units in whole milliseconds, rounded up; `None` of what is no span of time.
fn scaled_ms(count: f64, unit_ms: f64) -> Option<u64> {
    let ms = (count * unit_ms).ceil();
    // A float is cut to the bounds of the integer.
    (count.is_finite() && count >= 0.0).then(|| (ms as u64).min(LONGEST_WAIT_MS))
}

/// Such as `6m0s`, `12ms` or `1.5s`; a bare number counts seconds.
pub(crate) fn duration_ms(text: &str) -> Option<u64> {
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
        for (reset, left) in [
            ("1x", "3"),
            ("", "3"),
            ("-1s", "3"),
            ("s", "3"),
            ("99999999d", "3"),
            ("1s", "61"),
            ("1s", "-1"),
            ("1e9s", "3"),
        ] {
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

    #[test]
    fn a_time_to_come_back_is_read_with_its_fraction_and_nonsense_is_left_out() {
        let now_ms = 1_795_784_400_000;
        let read = |name: &'static str, value: &'static str| {
            retry_after_ms(
                |asked| {
                    [(name, value), ("x-ratelimit-remaining", "0")]
                        .iter()
                        .find(|held| held.0 == asked)
                        .map(|held| held.1)
                },
                now_ms,
            )
        };
        for (value, ms) in [("7", 7_000), ("7.5", 7_500), ("0", 0), ("0.0001", 1), (" 1 ", 1_000), ("1e2", 100_000)] {
            assert_eq!(read("retry-after", value), Some(ms), "{value}");
        }
        for value in ["99999999999999999999", "1e300", "86401"] {
            assert_eq!(read("retry-after", value), Some(LONGEST_WAIT_MS), "{value}");
        }
        for value in ["-1", "NaN", "inf", "-inf", "", "soon", "1s", "Fri, 31 Dec 1999 23:59:59 GMT", "1e999"] {
            assert_eq!(read("retry-after", value), None, "{value}");
        }
        assert_eq!((read("retry-after-ms", "2500.5"), read("retry-after-ms", "-1")), (Some(2_501), None));
        assert_eq!(read("x-ratelimit-reset", "1795784401000"), Some(1_000), "milliseconds since 1970");
        assert_eq!(read("x-ratelimit-reset", "1795784402"), Some(2_000), "seconds since 1970");
        assert_eq!((read("x-ratelimit-reset", "3"), read("x-ratelimit-reset", "1")), (Some(3_000), Some(1_000)));
        assert_eq!(read("x-ratelimit-reset", "18446744073709551615"), Some(LONGEST_WAIT_MS));
        assert_eq!(
            retry_after_ms(|name| (name == "x-ratelimit-reset").then_some("3"), now_ms),
            None,
            "something remains"
        );
    }

    #[test]
    fn no_header_panics_and_no_wait_is_longer_than_a_day() {
        bolero::check!().with_max_len(64).for_each(|bytes| {
            let Ok(text) = std::str::from_utf8(bytes) else { return };
            let (one, other) = text.split_at(text.floor_char_boundary(text.len() / 2));
            assert!(retry_after_ms(|_| Some(text), 1_795_784_400_000).is_none_or(|ms| ms <= LONGEST_WAIT_MS));
            let header = |name: &str| Some(if name.contains("reset") { one } else { other });
            for dialect in [Dialect::OpenAI, Dialect::Anthropic] {
                for left in dialect.rates_left(header, 0).into_iter().flatten() {
                    assert!(left.full_in_ms <= LONGEST_WAIT_MS && left.limit.is_none_or(|limit| left.left <= limit));
                }
            }
        });
    }
}
