//! Prices as integers. Money is never a float.

use serde::{Deserialize, Serialize};

/// A price in pico-units of its currency (10⁻¹²), so that "2.50 per million tokens" is exact per token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Price(pub u64);

/// Why a decimal string is no price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriceError {
    /// Not digits with at most one point between them.
    NotDecimal,
    /// More than six digits behind the point.
    TooFine,
    /// More than nine million units.
    TooLarge,
}

impl std::fmt::Display for PriceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotDecimal => "is not a decimal number; write it like \"2.50\"",
            Self::TooFine => "has more than six digits behind the point",
            Self::TooLarge => "is over 9000000",
        })
    }
}

impl Price {
    const PICO: u64 = 1_000_000_000_000;

    /// Reads a decimal string that gives units of currency per million tokens.
    pub fn per_million(text: &str) -> Result<Self, PriceError> {
        Self::micros(text).map(Self)
    }

    /// Reads a decimal string that gives units of currency for one thing, such as a request.
    pub fn per_unit(text: &str) -> Result<Self, PriceError> {
        Self::micros(text)?.checked_mul(Self::PICO / 1_000_000).map(Self).ok_or(PriceError::TooLarge)
    }

    /// Reads a decimal string as millionths of a unit.
    pub fn micros(text: &str) -> Result<u64, PriceError> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(part) {
            return Err(PriceError::NotDecimal);
        }
        if part.len() > 6 {
            return Err(PriceError::TooFine);
        }
        let whole: u64 = whole.parse().map_err(|_| PriceError::TooLarge)?;
        let part: u64 = format!("{part:0<6}").parse().map_err(|_| PriceError::NotDecimal)?;
        if whole > 9_000_000 {
            return Err(PriceError::TooLarge);
        }
        Ok(whole * 1_000_000 + part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_strings_become_exact_integers() {
        assert_eq!(Price::per_million("2.50"), Ok(Price(2_500_000)));
        assert_eq!(Price::per_million("0.000001"), Ok(Price(1)));
        assert_eq!(Price::per_unit("0.01"), Ok(Price(10_000_000_000)));
        assert_eq!(Price::per_million("3"), Ok(Price(3_000_000)));
    }

    #[test]
    fn what_is_no_price_is_refused_with_its_reason() {
        for bad in ["", ".", "1.", ".5", "-1", "1e3", "1,5", " 1"] {
            assert_eq!(Price::per_million(bad), Err(PriceError::NotDecimal), "{bad:?}");
        }
        assert_eq!(Price::per_million("0.0000001"), Err(PriceError::TooFine));
        assert_eq!(Price::per_million("9000001"), Err(PriceError::TooLarge));
        assert_eq!(Price::per_unit("99999999999999999999"), Err(PriceError::TooLarge));
    }
}
