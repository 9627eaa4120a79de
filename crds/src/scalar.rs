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

fn thousandths(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 3 {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    whole.checked_mul(1_000)?.checked_add(format!("{part:0<3}").parse().ok()?)
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
    fn rates_read_in_thousandths() {
        assert_eq!(Decimal("0.05".into()).per_mille(), Some(50));
        assert_eq!(Decimal("1".into()).per_mille(), Some(1000));
        assert_eq!(Decimal("0.0001".into()).per_mille(), None);
    }
}
