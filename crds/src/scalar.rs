//! Texts with a form: durations and decimal numbers.
//!
//! Nothing here is a float: what is money stays digits until it is an integer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Length of a DNS label and of everything that is named like one.
pub(crate) const LABEL_LENGTH: usize = 63;
/// A DNS label (RFC 1123).
pub(crate) const LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// Length of a DNS name, and of the name of most objects.
pub(crate) const NAME_LENGTH: usize = 253;
/// A DNS name (RFC 1123).
pub(crate) const NAME: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// A provider's name for a tier of service.
pub(crate) const TIER: &str = "^[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";

/// A member of a request.
pub(crate) const MEMBER: &str = "^[a-z_][a-z0-9_]*$";

/// What a Budget counts: a currency (ISO 4217) or one of the counts.
pub(crate) const UNIT: &str = "^([A-Z]{3}|Tokens|InputTokens|OutputTokens|Requests)$";

/// A duration in Go's form, such as `1m30s` or `250ms`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct GoDuration(
    #[schemars(length(max = 32), regex(pattern = r"^([0-9]{1,7}(\.[0-9]{1,3})?(h|m|s|ms))+$"))] pub String,
);

impl GoDuration {
    /// Whole milliseconds, rounded up; `None` where the text is no such duration.
    pub fn millis(&self) -> Option<u64> {
        let mut rest = self.0.as_str();
        let mut micros = 0u64;
        while !rest.is_empty() {
            let (number, after) = rest.split_at(rest.find(|c: char| c.is_ascii_alphabetic())?);
            let unit = after.split(|c: char| !c.is_ascii_alphabetic()).next()?;
            let unit_micros = match unit {
                "h" => 3_600_000_000,
                "m" => 60_000_000,
                "s" => 1_000_000,
                "ms" => 1_000,
                _ => return None,
            };
            micros = micros.checked_add(thousandths(number)?.checked_mul(unit_micros)? / 1_000)?;
            rest = after.strip_prefix(unit)?;
        }
        (!self.0.is_empty()).then_some(micros.div_ceil(1_000))
    }
}

/// A decimal number as text, such as `"2.50"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Decimal(#[schemars(length(max = 13), regex(pattern = r"^[0-9]{1,6}(\.[0-9]{1,6})?$"))] pub String);

impl Decimal {
    /// Whole thousandths; `None` where the text is no decimal number or has more than three digits behind the point.
    pub fn per_mille(&self) -> Option<u64> {
        thousandths(&self.0)
    }
}

/// An amount of money, tokens or requests as text, such as `"100"` or `"0.25"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Amount(#[schemars(length(max = 25), regex(pattern = r"^[0-9]{1,15}(\.[0-9]{1,9})?$"))] pub String);

impl Amount {
    /// Whole 10⁻⁹ parts; `None` where the text is no such amount or the parts are more than fit.
    pub fn nanos(&self) -> Option<u64> {
        parts(&self.0, 9)
    }

    /// The amount itself; `None` where it is no whole number.
    pub fn whole(&self) -> Option<u64> {
        parts(&self.0, 0)
    }
}

fn thousandths(text: &str) -> Option<u64> {
    parts(text, 3)
}

/// A decimal number in whole parts of 10 to the power of minus `places`.
fn parts(text: &str, places: usize) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > places || text.ends_with('.') {
        return None;
    }
    format!("{whole}{part:0<places$}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_go_reads_them() {
        let millis = |text: &str| GoDuration(text.into()).millis();
        for (text, expected) in [("30s", 30_000), ("1m30s", 90_000), ("250ms", 250), ("1.5h", 5_400_000), ("0.2ms", 1)]
        {
            assert_eq!(millis(text), Some(expected), "{text}");
        }
        for bad in ["", "5", "5x", "s", "-1s", "1s2", "1.s", "99999999999999999999h"] {
            assert_eq!(millis(bad), None, "{bad}");
        }
    }

    #[test]
    fn amounts_read_in_the_parts_of_their_unit() {
        assert_eq!(Amount("12.5".into()).nanos(), Some(12_500_000_000));
        assert_eq!(Amount("0.000000001".into()).nanos(), Some(1));
        assert_eq!(Amount("999999999.999999999".into()).nanos(), Some(999_999_999_999_999_999));
        assert_eq!(Amount("999999999999999".into()).nanos(), None, "more than fits");
        assert_eq!(Amount("999999999999999".into()).whole(), Some(999_999_999_999_999));
        for bad in ["", "1.", ".5", "-1", "1.5"] {
            assert_eq!(Amount(bad.into()).whole(), None, "{bad}");
        }
    }

    #[test]
    fn rates_read_in_thousandths() {
        assert_eq!(Decimal("0.05".into()).per_mille(), Some(50));
        assert_eq!(Decimal("1".into()).per_mille(), Some(1000));
        assert_eq!(Decimal("0.0001".into()).per_mille(), None);
    }
}
